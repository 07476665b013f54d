"""The language model of a mini chat model alone, in Qwen3 format: what reads text only needs no vision tower.

All three axes of a text's rotary positions are equal in Qwen3-VL, which makes them the plain ones of Qwen3: the same
weights give the same logits.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from transformers import Qwen3Config, Qwen3ForCausalLM, Qwen3VLForConditionalGeneration

_SAME = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "max_position_embeddings",
    "rms_norm_eps",
    "eos_token_id",
    "pad_token_id",
)


def is_text_only(folder: Path) -> bool:
    """Whether a saved mini chat model has no vision tower."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return bool(config["model_type"] == Qwen3Config.model_type)


def text_model(model: Qwen3VLForConditionalGeneration) -> Qwen3ForCausalLM:
    """The language model, in the dtype of the model."""
    text = model.config.get_text_config()
    config = Qwen3Config(
        **{name: getattr(text, name) for name in _SAME},
        rope_parameters={"rope_type": "default", "rope_theta": text.rope_parameters["rope_theta"]},
        tie_word_embeddings=True,
    )
    made: Any = Qwen3ForCausalLM(config)
    made.model.load_state_dict(model.model.language_model.state_dict())
    made.generation_config = model.generation_config
    alone: Qwen3ForCausalLM = made.to(model.dtype)
    return alone


def load_text(model: Qwen3VLForConditionalGeneration, folder: Path) -> None:
    """Give a chat model the language model of a text-only one; its vision tower stays as it is."""
    weights = load_file(folder / "model.safetensors")
    model.model.language_model.load_state_dict(
        {name.removeprefix("model."): value.to(model.dtype) for name, value in weights.items()}
    )
