"""A chat model of a given size with random weights, for measuring speed without a download."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
import weakref
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch

from imagescope_agent.mllms.engine.checkpoint import Checkpoint, open_checkpoint
from imagescope_agent.mllms.engine.config import EngineConfig, ModelConfig
from imagescope_agent.mllms.engine.engine import Engine
from imagescope_agent.mllms.transformers_chat import TransformersChat

#: Sizes as published: the layers of Qwen3-VL-2B-Instruct and -8B-Instruct, and one for trying out.
SIZES: dict[str, dict[str, Any]] = {
    "2b": {
        "text_config": {
            "vocab_size": 151936,
            "hidden_size": 2048,
            "intermediate_size": 6144,
            "num_hidden_layers": 28,
            "num_attention_heads": 16,
            "num_key_value_heads": 8,
            "head_dim": 128,
            "max_position_embeddings": 32768,
            "rope_parameters": {
                "rope_type": "default",
                "mrope_section": [24, 20, 20],
                "mrope_interleaved": True,
                "rope_theta": 5e6,
            },
        },
        "vision_config": {
            "depth": 24,
            "hidden_size": 1024,
            "intermediate_size": 4096,
            "num_heads": 16,
            "num_position_embeddings": 2304,
            "out_hidden_size": 2048,
            "deepstack_visual_indexes": [5, 11, 17],
        },
        "side": 448,
    },
    "8b": {
        "text_config": {
            "vocab_size": 151936,
            "hidden_size": 4096,
            "intermediate_size": 12288,
            "num_hidden_layers": 36,
            "num_attention_heads": 32,
            "num_key_value_heads": 8,
            "head_dim": 128,
            "max_position_embeddings": 32768,
            "rope_parameters": {
                "rope_type": "default",
                "mrope_section": [24, 20, 20],
                "mrope_interleaved": True,
                "rope_theta": 5e6,
            },
        },
        "vision_config": {
            "depth": 27,
            "hidden_size": 1152,
            "intermediate_size": 4304,
            "num_heads": 16,
            "num_position_embeddings": 2304,
            "out_hidden_size": 4096,
            "deepstack_visual_indexes": [8, 16, 24],
        },
        "side": 448,
    },
    "tiny": {
        "text_config": {
            "vocab_size": 2048,
            "hidden_size": 64,
            "intermediate_size": 128,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "head_dim": 16,
            "max_position_embeddings": 4096,
            "rope_parameters": {
                "rope_type": "default",
                "mrope_section": [2, 3, 3],
                "mrope_interleaved": True,
                "rope_theta": 1e4,
            },
        },
        "vision_config": {
            "depth": 2,
            "hidden_size": 64,
            "intermediate_size": 128,
            "num_heads": 4,
            "num_position_embeddings": 64,
            "out_hidden_size": 64,
            "deepstack_visual_indexes": [0],
        },
        "side": 128,
    },
}


def random_chat(size: str, *, device: str = "auto", limits: EngineConfig | None = None) -> TransformersChat:
    """A model of that size (a key of `SIZES`) in the format of Qwen3-VL, with the mini model's words.

    Raises:
        BackendUnavailable: no such device.
    """
    folder = Path(tempfile.mkdtemp(prefix="imagescope-random-"))
    _write(folder, SIZES[size])
    checkpoint = open_checkpoint(ModelConfig(checkpoint=str(folder), device=device), random=True)
    chat = TransformersChat(checkpoint=f"random {size}", device=device)
    chat._engine = Engine(
        checkpoint, limits or EngineConfig(batch_tokens=16384 if checkpoint.device.type == "cuda" else 8192)
    )
    weakref.finalize(chat, shutil.rmtree, folder, ignore_errors=True)
    return chat


def matmul_flops(device: torch.device, dtype: torch.dtype, *, side: int = 0) -> float:
    """Floating point operations per second of a large matrix product: the ceiling for any model on the device."""
    side = side or (8192 if device.type == "cuda" else 1024)
    one = torch.randn(side, side, device=device, dtype=dtype)
    seconds = []
    for _ in range(6):
        start = time.perf_counter()
        float((one @ one)[0, 0])  # waits for the device
        seconds.append(time.perf_counter() - start)
    return 2 * side**3 / min(seconds)


def flops_per_token(checkpoint: Checkpoint) -> tuple[int, int]:
    """Matrix product operations for a token of text and for a patch of an image, without attention."""
    model = checkpoint.model.model
    return _flops(checkpoint.language_model.layers), _flops(getattr(model, "visual", None))


def _flops(module: Any) -> int:
    return (
        0 if module is None else 2 * sum(weight.numel() for weight in module.parameters() if weight.ndim > 1)
    )


def _write(folder: Path, size: dict[str, Any]) -> None:
    """Configuration and processor, no weights."""
    mini = Path(str(files("imagescope_agent"))) / "mini" / "mllm"
    for file in mini.iterdir():
        if file.suffix != ".safetensors":
            shutil.copy(file, folder / file.name)
    config = json.loads((mini / "config.json").read_text(encoding="utf-8"))
    ends = {name: config["text_config"][name] for name in ("eos_token_id", "pad_token_id")}
    patches = {name: config["vision_config"][name] for name in ("patch_size", "temporal_patch_size")}
    kept = {name: value for name, value in config.items() if not isinstance(value, dict) and name != "dtype"}
    made = {
        **kept,
        "tie_word_embeddings": False,
        "text_config": {"model_type": "qwen3_vl_text", **size["text_config"], **ends},
        "vision_config": {"model_type": "qwen3_vl_vision", **size["vision_config"], **patches},
    }
    (folder / "config.json").write_text(json.dumps(made), encoding="utf-8")
    processor = json.loads((folder / "processor_config.json").read_text(encoding="utf-8"))
    pixels = size["side"] ** 2
    processor["image_processor"]["size"] = {"longest_edge": pixels, "shortest_edge": pixels}
    (folder / "processor_config.json").write_text(json.dumps(processor), encoding="utf-8")
