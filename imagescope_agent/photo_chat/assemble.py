"""The chat model for photos assembled on this machine: two packaged models and a small trained adapter.

An adapter is a folder:

    adapter.json         {"format": 2, "vision": NAME, "language": sha256 of its file, "words": n, "rank": r}
    adapter.safetensors  the projector ("projector.*") and the changes of the language model ("changes.*"), 8 bits

On first use the whole model is written in transformers' format to the cache of `embedders.assembled`; later uses read
it from there and compare its hash with what was written. Nothing is downloaded.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from imagescope_agent.common.packed_weights import unpacked
from imagescope_agent.common.untrusted import read_file
from imagescope_agent.errors import BadInput
from imagescope_agent.photo_chat.language import IMAGE_TOKEN, SMOLLM2, load_language
from imagescope_agent.photo_chat.lora import merge
from imagescope_agent.retrieval.embedders.assembled import cache_folder, write_whole
from imagescope_agent.retrieval.embedders.backbones import VISION, VisionBackbone

ADAPTER, TABLE = "adapter.safetensors", "adapter.json"
FORMAT, LARGEST = 2, 2**24  # bytes of a file
_FORMATS = (1, FORMAT)  # 1 holds 16 bits
MAP, LEFT, RIGHT = "projector.ask.weight", ".left", ".right"  # a map may be stored as two factors
_WRITTEN = "written.json"
_WEIGHTS = "model.safetensors"


def identity(adapter: Path) -> str:
    """sha256 over all that decides the answers: both packaged models and the adapter.

    Raises:
        BadInput: no such adapter.
    """
    vision, table = read_table(adapter)
    parts = json.dumps([vision.identity, SMOLLM2.identity, vision.preprocess(), table], sort_keys=True)
    return hashlib.sha256(parts.encode() + read_file(adapter / ADAPTER, LARGEST)).hexdigest()


def read_table(adapter: Path) -> tuple[VisionBackbone, dict[str, Any]]:
    """The image model of an adapter, and its table.

    Raises:
        BadInput: a file is missing or damaged, or was made for other models.
    """
    try:
        table = json.loads(read_file(adapter / TABLE, LARGEST))
        vision = VISION[table["vision"]]
        if table["format"] not in _FORMATS or not (adapter / ADAPTER).is_file():
            raise ValueError
        words, rank = int(table["words"]), int(table["rank"])
        if min(words, rank) < 1 or table["language"] != SMOLLM2.identity:
            raise ValueError
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(
            f"there is no adapter in {str(adapter)!r} for the packaged models: {TABLE} and {ADAPTER}; make one with "
            "`imagescope train photos-chat`"
        ) from error
    return vision, table


def assemble(adapter: Path) -> Path:
    """The folder of the whole model; written now unless it is there and undamaged.

    Raises:
        BadInput: no such adapter, other packaged models than it was trained on, or no place to write to.
        MissingExtra: a package is not installed.
    """
    place = cache_folder() / "chat" / identity(adapter)[:32]
    return write_whole(place, lambda part: _write(adapter, part), _is_whole)


def _is_whole(place: Path) -> bool:
    try:
        written = json.loads((place / _WRITTEN).read_text(encoding="utf-8"))
        return bool(written == _hashes(place))
    except (OSError, ValueError):
        return False


def _hashes(place: Path) -> dict[str, str]:
    """sha256 of every file but the one that states them."""
    found = {}
    for path in sorted(place.iterdir()):
        if path.name != _WRITTEN:
            with path.open("rb") as file:
                found[path.name] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def _write(adapter: Path, out: Path) -> None:
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load

    from imagescope_agent.photo_chat.model import PhotoChatConfig, PhotoChatModel, PhotoChatProcessor

    vision, table = read_table(adapter)
    damaged = f"{str(adapter / ADAPTER)!r} is damaged; train it again with `imagescope train photos-chat`"
    try:
        tensors = whole(load(read_file(adapter / ADAPTER, LARGEST)))
    except (SafetensorError, RuntimeError) as error:
        raise BadInput(damaged) from error
    tower, _ = vision.tensors()
    language, tokenizer = load_language(torch.float32)
    config = PhotoChatConfig(
        text_config=language.config.to_dict(),
        vision=table["vision"],
        words=table["words"],
        image_token_id=tokenizer.convert_tokens_to_ids(IMAGE_TOKEN),
    )
    model = PhotoChatModel(config)
    try:
        merge(language, under(tensors, "changes."))
        model.model.projector.load_state_dict(under(tensors, "projector."))
    except (KeyError, RuntimeError) as error:
        raise BadInput(damaged) from error
    model.model.tower.load_state_dict(tower)
    model.model.language_model.load_state_dict(language.model.state_dict())
    model.tie_weights()
    model.generation_config = language.generation_config
    model.half().save_pretrained(out)
    PhotoChatProcessor(tokenizer, chat_template=tokenizer.chat_template).save_pretrained(out)
    (out / _WRITTEN).write_text(json.dumps(_hashes(out)) + "\n", encoding="utf-8")


def under(tensors: dict[str, Any], prefix: str) -> dict[str, Any]:
    """The tensors whose names begin so, named by the rest."""
    return {name.removeprefix(prefix): each for name, each in tensors.items() if name.startswith(prefix)}


def whole(tensors: dict[str, Any]) -> dict[str, Any]:
    """The tensors of an adapter's file as the models take them."""
    found = unpacked(tensors)
    if MAP + LEFT in found:
        found[MAP] = found.pop(MAP + LEFT) @ found.pop(MAP + RIGHT)
    return found
