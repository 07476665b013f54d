"""Opening a checkpoint: a local folder or a hub id, safetensors only, no remote code unless asked for."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoProcessor,
    AutoTokenizer,
)

from imagescope_agent.errors import BackendUnavailable, RequestRefused, shorten
from imagescope_agent.mllms.hosting.prompt import pictures_then_text, said, transcript
from imagescope_agent.mllms.hosting.refusing import refusing

_FILES = ("*.safetensors", "*.json", "*.jinja", "*.txt", "*.model")
_CODE = ("*.py",)


@dataclass(frozen=True, kw_only=True)
class Source:
    """Which weights, and how they are held.

    Attributes:
        checkpoint: a folder, or a hub id.
        revision: of the hub id.
        device: "auto" is CUDA where there is one, else CPU.
        dtype: "auto" is bfloat16 on CUDA, float32 on CPU.
        attention: the attention kernel by its transformers name.
        trust_remote_code: run code that comes with the checkpoint.
    """

    checkpoint: str
    revision: str | None = None
    device: str = "auto"
    dtype: str = "auto"
    attention: str = "sdpa"
    trust_remote_code: bool = False


@dataclass(kw_only=True)
class Checkpoint:
    """Weights in memory with their processor, in evaluation mode."""

    source: Source
    folder: Path
    model: Any
    processor: Any
    device: torch.device
    dtype: torch.dtype
    sees: bool = True
    stop_ids: frozenset[int] = field(default_factory=frozenset)

    @property
    def tokenizer(self) -> Any:
        """The processor's tokenizer."""
        return self.processor.tokenizer if self.sees else self.processor

    @property
    def language_model(self) -> Any:
        """The layers without embedding and head."""
        inner = self.model.model
        return getattr(inner, "language_model", None) or getattr(inner, "text_model", None) or inner

    @property
    def family(self) -> str:
        """The model type of its configuration, such as 'qwen3_vl'."""
        return str(self.model.config.model_type)

    @property
    def vocabulary(self) -> int:
        """How many scores the model gives for the next token."""
        return int(self.model.get_output_embeddings().weight.shape[0])

    @cached_property
    def context(self) -> int:
        """Longest sequence in tokens."""
        text = self.model.config.get_text_config()
        return int(getattr(text, "max_position_embeddings", None) or 2**31)

    @cached_property
    def weights(self) -> str:
        """Hash of all that decides an answer: weights, configuration, processor, tokenizer, template."""
        return hash_folder(self.folder)

    def check_length(self, tokens: int) -> None:
        """Refuse what leaves no room for an answer.

        Raises:
            RequestRefused: longer than the model's context.
        """
        if tokens >= self.context:
            raise RequestRefused(
                f"{tokens} tokens were asked, more than the model's {self.context}; ask something shorter"
            )

    def apply_template(self, chats: list[Any], images: list[list[Any]]) -> Any:
        """Tensors of some chats by the checkpoint's own processor, left-padded.

        A checkpoint without a chat template is asked in plain text: one with eyes is shown its pictures, then the
        text; for a language model see `transcript`.

        Raises:
            RequestRefused: the model sees no pictures, or its template or processor does not take these chats.
        """
        if any(images) and not self.sees:
            raise RequestRefused(
                f"the model {self.source.checkpoint!r} does not see pictures; it takes no pictures, only text: "
                "give this role a model that sees"
            )
        with refusing(
            f"the processor of {self.source.checkpoint!r} does not take this request",
            mend="ask it differently, or of another model",
        ):
            return self._processed(chats, images)

    def _processed(self, chats: list[Any], images: list[list[Any]]) -> Any:
        padding = {"padding": True, "padding_side": "left"}
        if not getattr(self.processor, "chat_template", None):
            texts = [
                pictures_then_text(self.processor, chat, len(shown)) if self.sees else transcript(chat)
                for chat, shown in zip(chats, images, strict=True)
            ]
            pictures = {"images": images} if any(images) else {}
            return self.processor(text=texts, **pictures, return_tensors="pt", **padding)
        if not self.sees:
            chats = [[{**turn, "content": said(turn)} for turn in chat] for chat in chats]
        options: dict[str, Any] = {"processor_kwargs": padding} if self.sees else {"padding": True}
        return self.processor.apply_chat_template(
            chats,
            tokenize=True,
            add_generation_prompt=True,
            return_dict=True,
            return_tensors="pt",
            **options,
        )


def open_checkpoint(source: Source, *, random: bool = False) -> Checkpoint:
    """Load weights and processor.

    Args:
        source: which.
        random: make the weights up instead, for measuring speed.

    Raises:
        BackendUnavailable: not there, gated, offline, not safetensors, or not an image-text-to-text model.
    """
    folder = locate(source)
    device = pick_device(source.device)
    dtype = pick_dtype(source.dtype, device)
    try:
        return _load(source, folder, device, dtype, random=random)
    except (OSError, ValueError, ImportError, KeyError, RuntimeError, AttributeError) as error:
        if not source.trust_remote_code and "trust_remote_code" in str(error):
            problem = "it needs code of its own; set trust_remote_code if you trust its authors"
        else:
            problem = f"{shorten(str(error), 200)}; name a safetensors checkpoint that the installed transformers knows"
        raise BackendUnavailable(f"cannot load the model {source.checkpoint!r}: {problem}") from error


def _load(
    source: Source, folder: Path, device: torch.device, dtype: torch.dtype, *, random: bool
) -> Checkpoint:
    options: dict[str, Any] = {"trust_remote_code": source.trust_remote_code, "local_files_only": True}
    config = AutoConfig.from_pretrained(folder, **options)
    sees = type(config) in AutoModelForImageTextToText._model_mapping or source.trust_remote_code
    processors: Any = AutoProcessor if sees else AutoTokenizer
    processor = processors.from_pretrained(folder, **options)
    tokenizer = processor.tokenizer if sees else processor
    tokenizer.padding_side = "left"  # answers go on from the right end
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    models: Any = AutoModelForImageTextToText if sees else AutoModelForCausalLM
    held = {"dtype": dtype, "attn_implementation": source.attention}
    if random:
        with torch.device(device):
            model = models.from_config(config, **held)
    else:
        model = models.from_pretrained(folder, config=config, use_safetensors=True, **options, **held)
    model = model.to(device).eval()
    return Checkpoint(
        source=source,
        folder=folder,
        model=model,
        processor=processor,
        device=device,
        dtype=dtype,
        sees=sees,
        stop_ids=_stop_ids(model, tokenizer),
    )


def locate(source: Source) -> Path:
    """The folder that holds the checkpoint, downloading it from the hub when it is not a folder.

    Raises:
        BackendUnavailable: neither a folder with a config.json nor a reachable hub id.
    """
    folder = Path(source.checkpoint).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise BackendUnavailable(
                f"{source.checkpoint!r} holds no config.json; name a Hugging Face model folder"
            )
        return folder
    if folder.is_absolute() or source.checkpoint.startswith((".", "~")) or source.checkpoint.count("/") != 1:
        raise BackendUnavailable(f"there is no model folder {source.checkpoint!r}; name a folder or a hub id")
    try:
        patterns = [*_FILES, *(_CODE if source.trust_remote_code else ())]
        return Path(snapshot_download(source.checkpoint, revision=source.revision, allow_patterns=patterns))
    except LocalEntryNotFoundError as error:
        raise BackendUnavailable(
            f"the model {source.checkpoint!r} is not on this machine and the hub cannot be reached; "
            "download it first, or choose another profile"
        ) from error
    except HfHubHTTPError as error:
        raise BackendUnavailable(
            f"the hub does not give the model {source.checkpoint!r}: {shorten(str(error), 120)}; "
            "check its id and revision, and for a gated one accept its terms and set HF_TOKEN"
        ) from error
    except (OSError, ValueError) as error:
        raise BackendUnavailable(
            f"cannot fetch the model {source.checkpoint!r}: {shorten(str(error), 160)}; "
            "check its id and revision, and that this machine has room for it"
        ) from error


def hash_folder(folder: Path) -> str:
    """SHA-256 over the names and contents of a checkpoint's files, 16 hexadecimal digits."""
    digest = hashlib.sha256()
    for path in sorted({path for pattern in _FILES for path in folder.glob(pattern)}):
        digest.update(path.name.encode())
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:16]


def pick_device(name: str) -> torch.device:
    """The device of that name; "auto" is CUDA where there is one.

    Raises:
        BackendUnavailable: CUDA is asked for and not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise BackendUnavailable(f"there is no device {name!r}; use 'auto', 'cpu' or 'cuda'") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise BackendUnavailable(
            f"the profile asks for {name!r} and this machine has no CUDA device; use 'cpu' or 'auto'"
        )
    return device


def pick_dtype(name: str, device: torch.device) -> torch.dtype:
    """The dtype of that name; "auto" is bfloat16 on CUDA and float32 on CPU.

    Raises:
        BackendUnavailable: no floating dtype has that name.
    """
    if name == "auto":
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    found = getattr(torch, name, None)
    if not isinstance(found, torch.dtype) or not found.is_floating_point:
        raise BackendUnavailable(
            f"there is no dtype {name!r}; use 'auto', 'float32', 'bfloat16' or 'float16'"
        )
    return found


def _stop_ids(model: Any, tokenizer: Any) -> frozenset[int]:
    named = model.generation_config.eos_token_id
    ids = named if isinstance(named, list) else [named]
    return frozenset(each for each in [*ids, tokenizer.eos_token_id] if each is not None)
