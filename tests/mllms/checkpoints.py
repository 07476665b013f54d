"""Tiny random checkpoints in real formats, each with a processor of its own family."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from imagescope_agent.mllms.role import ImageRef

CORPUS = [
    "Yes No yes no A B C D 1 2 3 4 5 Is there a red house left of the blue tree? Describe the picture.",
    "How many boats are there? What is the colour of the star? user assistant system",
    '{"word": "house", "count": 3, "items": ["red", "blue"]}',
] * 20

QWEN_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif part['type'] == 'text' %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
QWEN_SPECIAL = "<|endoftext|> <|im_start|> <|im_end|> <|vision_start|> <|vision_end|> <|image_pad|> <|video_pad|>".split()


def tokenizer(special: list[str], *, end: str, pad: str, **named: Any) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer in which Yes, No and digits are single tokens."""
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


def build_qwen3_vl(folder: Path, *, seed: int = 0, deepstack: bool = True) -> None:
    """Qwen3-VL format: multimodal rotary positions, features added to the first layers."""
    from transformers import (
        Qwen2VLImageProcessor,
        Qwen3VLConfig,
        Qwen3VLForConditionalGeneration,
        Qwen3VLProcessor,
    )
    from transformers.models.qwen3_vl.video_processing_qwen3_vl import Qwen3VLVideoProcessor

    words = tokenizer(QWEN_SPECIAL, end="<|im_end|>", pad="<|endoftext|>")
    token = words.convert_tokens_to_ids
    config = Qwen3VLConfig(
        text_config={
            "vocab_size": len(words),
            "hidden_size": 64,
            "intermediate_size": 128,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "head_dim": 16,
            "max_position_embeddings": 2048,
            "rope_parameters": {
                "rope_type": "default",
                "mrope_section": [2, 3, 3],
                "mrope_interleaved": True,
                "rope_theta": 1e4,
            },
            "eos_token_id": words.eos_token_id,
            "pad_token_id": words.pad_token_id,
        },
        vision_config={
            "depth": 2,
            "hidden_size": 64,
            "intermediate_size": 128,
            "num_heads": 4,
            "out_hidden_size": 64,
            "patch_size": 16,
            "num_position_embeddings": 256,
            "deepstack_visual_indexes": [0] if deepstack else [],
        },
        image_token_id=token("<|image_pad|>"),
        video_token_id=token("<|video_pad|>"),
        vision_start_token_id=token("<|vision_start|>"),
        vision_end_token_id=token("<|vision_end|>"),
        tie_word_embeddings=True,
    )
    torch.manual_seed(seed)
    model = sharpen(Qwen3VLForConditionalGeneration(config))
    model.generation_config.eos_token_id = words.eos_token_id
    model.generation_config.pad_token_id = words.pad_token_id
    processor = Qwen3VLProcessor(
        image_processor=Qwen2VLImageProcessor(
            patch_size=16, merge_size=2, size={"shortest_edge": 1024, "longest_edge": 262144}
        ),
        tokenizer=words,
        video_processor=Qwen3VLVideoProcessor(patch_size=16, merge_size=2),
        chat_template=QWEN_TEMPLATE,
    )
    model.save_pretrained(folder)
    processor.save_pretrained(folder)


def sharpen(model: Any, scale: float = 4.0) -> Any:
    """Larger random weights: fresh ones give nearly even answers, and even answers hide mistakes."""
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.ndim > 1 and "norm" not in name:
                weight.mul_(scale)
    return model


def picture(seed: int, side: tuple[int, int] = (96, 64)) -> ImageRef:
    """A PNG of coarse random colours."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (4, 4, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(coarse).resize(side, Image.Resampling.NEAREST).save(buffer, format="PNG")
    return ImageRef(f"picture-{seed}-{side}", buffer.getvalue())
