"""What the random checkpoints of every family share: tokenizer, sizes, chat template, weights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # reading this file must not cost the import of transformers
    from transformers import PreTrainedTokenizerFast


CORPUS = [
    "Yes No yes no A B C D 1 2 3 4 5 Is there a red house left of the blue tree? Describe the picture.",
    "How many boats are there? What is the colour of the star? user assistant system",
    '{"word": "house", "count": 3, "items": ["red", "blue"]}',
] * 20


def tokenizer(special: list[str], *, end: str, pad: str, **named: Any) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer in which Yes, No and digits are single tokens."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=600, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    bpe.train_from_iterator(CORPUS, trainer)
    extra = [each for each in special if each not in (end, pad)]
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe, eos_token=end, pad_token=pad, additional_special_tokens=extra, **named
    )


TEXT = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 2048,
}

VISION = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}


def configured(kind: Any, **options: Any) -> Any:
    """A configuration: what their constructors are typed to take is less than what they take."""
    return kind(**options)


def template(image: str) -> str:
    """A chat template that stands pictures where they are said."""
    return (
        "{% for message in messages %}{{ message['role'] }}: {% if message['content'] is string %}"
        "{{ message['content'] }}{% else %}{% for part in message['content'] %}"
        "{% if part['type'] == 'image' %}"
        + image
        + "{% elif part['type'] == 'text' %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}\n"
        "{% endfor %}"
        "{% if add_generation_prompt %}assistant: {% endif %}"
    )


def ends(words: PreTrainedTokenizerFast) -> dict[str, int]:
    """The ids that end and pad a sequence."""
    return {
        "eos_token_id": words.eos_token_id,
        "pad_token_id": words.pad_token_id,
        "bos_token_id": words.eos_token_id,
    }


def store(folder: Path, kind: Any, config: Any, words: PreTrainedTokenizerFast, processor: Any) -> None:
    """Random weights, sharpened, in a folder with their processor."""
    import torch

    torch.manual_seed(0)
    model = sharpen(kind(config))
    model.generation_config.eos_token_id = words.eos_token_id
    model.generation_config.pad_token_id = words.pad_token_id
    model.save_pretrained(folder)
    processor.save_pretrained(folder)


def sharpen(model: Any, scale: float = 4.0) -> Any:
    """Larger random weights: fresh ones give nearly even answers, and even answers hide mistakes."""
    import torch

    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.ndim > 1 and not weight.any():
                weight.normal_(std=0.2)  # some projections begin at zero: pictures would make no difference
            elif weight.ndim > 1 and "norm" not in name:
                weight.mul_(scale)
    return model
