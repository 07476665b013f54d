"""What a folder in open_clip's format says of itself, read as data: it may be a stranger's."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from imagescope_agent.errors import BadInput

CONFIG = "open_clip_config.json"
WEIGHTS = "open_clip_model.safetensors"
TOKENIZER = "tokenizer.json"
TOWER = "config.json"  # of a Hugging Face text tower whose files lie in the folder

#: What a configuration may tell a tokenizer; the rest of what transformers takes names files and code.
_TOKENIZER_OPTIONS = frozenset(
    {
        "add_prefix_space",
        "clean",
        "do_lower_case",
        "language",
        "model_max_length",
        "padding_side",
        "strip_sep_token",
        "truncation_side",
        "use_fast",
    }
)
#: Keys by which the libraries below are told to run code.
_CODE = frozenset({"auto_map", "code_revision", "custom_generate", "custom_pipelines", "trust_remote_code"})


def read_config(folder: Path) -> dict[str, Any]:
    """The folder's `model_cfg`.

    Raises:
        BadInput: a file is missing or damaged, or the configuration asks for code to be run.
    """
    for name in (CONFIG, WEIGHTS):
        if not (folder / name).is_file():
            raise damaged(folder, f"{name} is missing")
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        model: dict[str, Any] = config["model_cfg"]
        text: dict[str, Any] = model["text_cfg"]
        if not isinstance(model["embed_dim"], int) or not isinstance(text, dict):
            raise damaged(folder, f"{CONFIG} has no usable model_cfg")
        refuse_code(folder, config)
        _refuse_options(folder, text.get("tokenizer_kwargs") or {})
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise damaged(folder, f"{CONFIG} has no usable model_cfg") from error
    for name in {value for key, value in _items(config) if key == "hf_model_name" and isinstance(value, str)}:
        if is_own(name) and not (folder / TOWER).is_file():
            raise damaged(folder, f"{TOWER} of its text tower is missing")
        _refuse_coded_tower(folder, str(folder) if is_own(name) else name)
    return model


def needs_transformers(config: dict[str, Any]) -> bool:
    """Whether a `model_cfg` names a text tower, or a text decoder, that open_clip builds with transformers."""
    return any(key.startswith("hf_") or key == "multimodal_cfg" for key, _ in _items(config))


def needs_timm(config: dict[str, Any]) -> bool:
    """Whether a `model_cfg` names an image tower that open_clip builds with timm."""
    return any(key.startswith("timm_") for key, _ in _items(config))


def identify(place: str) -> tuple[str, int] | None:
    """`Embedder.weights` and `dimension` of a local folder, without opening the model; None for another place.

    Raises:
        BadInput: as `read_config`.
    """
    folder = Path(place)
    if not folder.is_dir():
        return None
    return checkpoint_hash(folder), int(read_config(folder)["embed_dim"])


def is_own(name: object) -> bool:
    """Whether a text tower's name means the files of the folder itself."""
    return name == "."


def refuse_code(folder: Path, config: object) -> None:
    """Make sure that nothing in a configuration asks for code.

    Raises:
        BadInput: something does.
    """
    for key, value in _items(config):
        if key in _CODE and value:
            raise damaged(folder, f"{CONFIG} asks to run code ({key!r}), and none is ever run")


def checkpoint_hash(folder: Path) -> str:
    """sha256 over everything that decides the vectors: configuration, weights, tokenizer, an own text tower's."""
    whole = hashlib.sha256()
    own = _has_own_tower(folder)
    for name in (CONFIG, WEIGHTS, TOKENIZER, *([TOWER] if own else [])):
        path = folder / name
        if path.is_file():
            with path.open("rb") as file:
                whole.update(name.encode() + hashlib.file_digest(file, "sha256").digest())
    return whole.hexdigest()


def _has_own_tower(folder: Path) -> bool:
    """Whether the text tower is described by the folder's own files; False where the configuration is no JSON."""
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        return False
    return any(key == "hf_model_name" and is_own(value) for key, value in _items(config))


def damaged(folder: Path, why: str) -> BadInput:
    """The error about an unusable folder."""
    return BadInput(
        f"the embedding model in {str(folder)!r} is unusable: {why}; put a whole checkpoint there"
    )


def _refuse_options(folder: Path, options: dict[str, Any]) -> None:
    for key, value in options.items():
        if key in _CODE and not value:
            continue
        if key not in _TOKENIZER_OPTIONS or not isinstance(value, str | int | None):
            raise damaged(folder, f"{CONFIG} gives the tokenizer an option {key!r}, which may not be given")


def _refuse_coded_tower(folder: Path, name: str) -> None:
    """open_clip reads the configuration of a Hugging Face text tower without a word on the code that it may bring."""
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(name, trust_remote_code=False)
    except Exception as error:
        why = (str(error).splitlines() or [type(error).__name__])[0]
        raise damaged(folder, f"its text tower {name!r} cannot be read: {why}") from error
    if getattr(config, "auto_map", None):
        raise damaged(folder, f"its text tower {name!r} brings code of its own, and none is ever run")


def _items(config: object) -> Iterator[tuple[str, Any]]:
    """Every key of a configuration with its value, at any depth."""
    if isinstance(config, dict):
        for key, value in config.items():
            yield str(key), value
            yield from _items(value)
    elif isinstance(config, list):
        for value in config:
            yield from _items(value)
