"""Checkpoint loading: a local folder or a hub id, safetensors only, no remote code unless asked for."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoProcessor,
    AutoTokenizer,
)

from imagescope_agent.errors import RequestRefused, UnusableModel, shorten
from imagescope_agent.mllms.engine.chat_template import (
    control_tokens,
    images_then_text,
    to_chat,
    transcript,
    turn_text,
)
from imagescope_agent.mllms.engine.checkpoint_files import hash_folder, locate
from imagescope_agent.mllms.engine.config import ModelConfig
from imagescope_agent.mllms.engine.conversation import Conversation, refuse_on_error
from imagescope_agent.mllms.engine.placement import Placement, place
from imagescope_agent.mllms.engine.progress import without_progress_bars


@dataclass(kw_only=True)
class Checkpoint:
    """A loaded model in evaluation mode, with its processor.

    Attributes:
        config: what was loaded.
        folder: where its files are.
        model: of transformers.
        processor: of transformers; a plain tokenizer where the model takes no images.
        device: of the weights.
        dtype: of the weights.
        has_vision: whether the model takes images.
        stop_ids: tokens that end a reply.
        is_spread: whether the weights lie on several devices.
    """

    config: ModelConfig
    folder: Path
    model: Any
    processor: Any
    device: torch.device
    dtype: torch.dtype
    has_vision: bool = True
    stop_ids: frozenset[int] = field(default_factory=frozenset)
    is_spread: bool = False

    @property
    def tokenizer(self) -> Any:
        """The processor's tokenizer."""
        return self.processor.tokenizer if self.has_vision else self.processor

    @property
    def language_model(self) -> Any:
        """The decoder layers, without token embedding and output head."""
        inner = self.model.model
        return getattr(inner, "language_model", None) or getattr(inner, "text_model", None) or inner

    @property
    def model_type(self) -> str:
        """Of its transformers configuration, such as 'qwen3_vl'."""
        return str(self.model.config.model_type)

    @property
    def vocabulary(self) -> int:
        """Number of logits of the next token."""
        return int(self.model.get_output_embeddings().weight.shape[0])

    @cached_property
    def context(self) -> int:
        """Context length in tokens."""
        text = self.model.config.get_text_config()
        return int(getattr(text, "max_position_embeddings", None) or 2**31)

    @cached_property
    def weights(self) -> str:
        """Hash of everything that determines an answer: weights, configuration, processor, tokenizer, template."""
        return hash_folder(self.folder)

    def check_length(self, tokens: int) -> None:
        """Refuse a prompt that leaves no room for an answer.

        Raises:
            RequestRefused: longer than the model's context.
        """
        if tokens >= self.context:
            raise RequestRefused(
                f"{tokens} tokens were asked, more than the model's {self.context}; ask something shorter"
            )

    @cached_property
    def control_tokens(self) -> list[str]:
        """Of the tokenizer, see `chat_template.control_tokens`."""
        return control_tokens(self.tokenizer)

    def prompt_inputs(self, conversations: Sequence[Conversation]) -> Any:
        """`apply_template` for conversations; control tokens inside their texts are escaped.

        Raises:
            RequestRefused: an image cannot be decoded; or as `apply_template`.
        """
        images = [[image.pixels() for image in each.images] for each in conversations]
        chats = [
            to_chat(each.turns, pixels, self.control_tokens)
            for each, pixels in zip(conversations, images, strict=True)
        ]
        return self.apply_template(chats, images)

    def apply_template(self, chats: list[Any], images: list[list[Any]]) -> Any:
        """Model inputs of some chats by the checkpoint's own processor, left-padded.

        A checkpoint without a chat template is prompted in plain text: `images_then_text` with vision, else
        `transcript`.

        Raises:
            RequestRefused: the model takes no images, or its template or processor does not take these chats.
        """
        if any(images) and not self.has_vision:
            raise RequestRefused(
                f"the model {self.config.checkpoint!r} does not see pictures; it takes no pictures, only text: "
                "give this role a model that sees"
            )
        with refuse_on_error(
            f"the processor of {self.config.checkpoint!r} does not take this request",
            advice="ask it differently, or of another model",
        ):
            return self._process(chats, images)

    def _process(self, chats: list[Any], images: list[list[Any]]) -> Any:
        padding = {"padding": True, "padding_side": "left"}
        if not getattr(self.processor, "chat_template", None):
            texts = [
                images_then_text(self.processor, chat, len(shown)) if self.has_vision else transcript(chat)
                for chat, shown in zip(chats, images, strict=True)
            ]
            inputs = {"images": images} if any(images) else {}
            return self.processor(text=texts, **inputs, return_tensors="pt", **padding)
        if not self.has_vision:
            chats = [[{**turn, "content": turn_text(turn)} for turn in chat] for chat in chats]
        options: dict[str, Any] = {"processor_kwargs": padding} if self.has_vision else {"padding": True}
        return self.processor.apply_chat_template(
            chats,
            tokenize=True,
            add_generation_prompt=True,
            return_dict=True,
            return_tensors="pt",
            **options,
        )


def open_checkpoint(config: ModelConfig, *, random: bool = False) -> Checkpoint:
    """Load weights and processor.

    Args:
        config: which.
        random: initialise the weights randomly instead, for measuring speed.

    Raises:
        UnusableModel: no such folder, dtype or device, not safetensors, or a model that transformers does not know.
        Misconfigured: the hub refuses it (unknown, gated), or cannot be reached.
        BackendUnavailable: the hub is busy, or the download failed.
    """
    placement = place(config)
    dtype = pick_dtype(config.dtype, placement.device)
    folder = locate(config)
    try:
        return _load(config, folder, placement, dtype, random=random)
    except (OSError, ValueError, ImportError, KeyError, RuntimeError, AttributeError) as error:
        if not config.trust_remote_code and "trust_remote_code" in str(error):
            problem = "it needs code of its own; set trust_remote_code if you trust its authors"
        else:
            problem = f"{shorten(str(error), 200)}; name a safetensors checkpoint that the installed transformers knows"
        raise UnusableModel(f"cannot load the model {config.checkpoint!r}: {problem}") from error


@without_progress_bars()
def _load(
    config: ModelConfig, folder: Path, placement: Placement, dtype: torch.dtype, *, random: bool
) -> Checkpoint:
    options: dict[str, Any] = {"trust_remote_code": config.trust_remote_code, "local_files_only": True}
    hf_config = AutoConfig.from_pretrained(folder, **options)
    has_vision = type(hf_config) in AutoModelForImageTextToText._model_mapping or config.trust_remote_code
    processors: Any = AutoProcessor if has_vision else AutoTokenizer
    processor = processors.from_pretrained(folder, **options)
    tokenizer = processor.tokenizer if has_vision else processor
    tokenizer.padding_side = "left"  # generation appends on the right
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    models: Any = AutoModelForImageTextToText if has_vision else AutoModelForCausalLM
    loading = {"dtype": dtype, "attn_implementation": config.attention}
    if random:
        with torch.device(placement.device):
            model = models.from_config(hf_config, **loading)
    else:
        loading |= placement.options
        model = models.from_pretrained(folder, config=hf_config, use_safetensors=True, **options, **loading)
    placement.require_shared(model, config.checkpoint)
    if random or not placement.options:
        model = model.to(placement.device)
    return Checkpoint(
        config=config,
        folder=folder,
        model=model.eval(),
        processor=processor,
        device=placement.device,
        dtype=dtype,
        has_vision=has_vision,
        stop_ids=_stop_ids(model, tokenizer),
        is_spread=placement.is_spread(model),
    )


def pick_dtype(name: str, device: torch.device) -> torch.dtype:
    """The dtype of that name; "auto" is bfloat16 on CUDA and float32 on CPU.

    Raises:
        UnusableModel: no floating dtype has that name.
    """
    if name == "auto":
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    found = getattr(torch, name, None)
    if not isinstance(found, torch.dtype) or not found.is_floating_point:
        raise UnusableModel(f"there is no dtype {name!r}; use 'auto', 'float32', 'bfloat16' or 'float16'")
    return found


def _stop_ids(model: Any, tokenizer: Any) -> frozenset[int]:
    named = model.generation_config.eos_token_id
    ids = named if isinstance(named, list) else [named]
    return frozenset(each for each in [*ids, tokenizer.eos_token_id] if each is not None)


def to_device(
    checkpoint: Checkpoint, inputs: Mapping[str, Any], *, only: Collection[str] | None = None
) -> dict[str, torch.Tensor]:
    """The tensors among a processor's outputs on the checkpoint's device, floating ones in its dtype.

    Args:
        checkpoint: that takes them.
        inputs: of a processor.
        only: names to keep; None for all.
    """
    return {
        name: value.to(checkpoint.device, checkpoint.dtype if value.is_floating_point() else None)
        for name, value in inputs.items()
        if isinstance(value, torch.Tensor) and (only is None or name in only)
    }
