"""Tiny random checkpoints in real formats, each with a processor of its own family."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

from imagescope_agent.mllms.role import ImageRef
from tests.mllms.checkpoint_parts import TEXT, VISION, configured, ends, sharpen, store, template, tokenizer

QWEN_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif part['type'] == 'text' %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

QWEN_MARKS = ["<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]

QWEN_SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *QWEN_MARKS]


def build_qwen3_vl(folder: Path, *, seed: int = 0, deepstack: bool = True) -> None:
    """Qwen3-VL format: multimodal rotary positions, features added to the first layers."""
    import torch
    from transformers import (
        Qwen2VLImageProcessor,
        Qwen3VLConfig,
        Qwen3VLForConditionalGeneration,
        Qwen3VLProcessor,
    )
    from transformers.models.qwen3_vl.video_processing_qwen3_vl import Qwen3VLVideoProcessor

    words = tokenizer(QWEN_SPECIAL, end="<|im_end|>", pad="<|endoftext|>")
    token = words.convert_tokens_to_ids
    config = configured(
        Qwen3VLConfig,
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


def build_qwen2_5_vl(folder: Path) -> None:
    """Qwen2.5-VL format: windowed vision attention, no deep features."""
    from transformers import (
        Qwen2_5_VLConfig,
        Qwen2_5_VLForConditionalGeneration,
        Qwen2_5_VLProcessor,
        Qwen2VLImageProcessor,
        Qwen2VLVideoProcessor,
    )

    words = tokenizer(QWEN_SPECIAL, end="<|im_end|>", pad="<|endoftext|>")
    token = words.convert_tokens_to_ids
    rotary = {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 1e4}
    config = configured(
        Qwen2_5_VLConfig,
        text_config={**TEXT, "vocab_size": len(words), "rope_parameters": rotary, **ends(words)},
        vision_config={
            "depth": 2,
            "hidden_size": 64,
            "intermediate_size": 128,
            "num_heads": 4,
            "out_hidden_size": 64,
            "fullatt_block_indexes": [1],
        },
        image_token_id=token("<|image_pad|>"),
        video_token_id=token("<|video_pad|>"),
        vision_start_token_id=token("<|vision_start|>"),
        vision_end_token_id=token("<|vision_end|>"),
    )
    pixels = {"shortest_edge": 28 * 28 * 4, "longest_edge": 28 * 28 * 64}
    processor = Qwen2_5_VLProcessor(
        image_processor=Qwen2VLImageProcessor(size=pixels),
        tokenizer=words,
        video_processor=Qwen2VLVideoProcessor(size=pixels),
        chat_template=QWEN_TEMPLATE,
    )
    store(folder, Qwen2_5_VLForConditionalGeneration, config, words, processor)


def build_idefics3(folder: Path) -> None:
    """Idefics3 format: a fixed number of tokens a picture."""
    from transformers import (
        Idefics3Config,
        Idefics3ForConditionalGeneration,
        Idefics3ImageProcessor,
        Idefics3Processor,
    )

    special = ["<|endoftext|>", "<end_of_utterance>", "<fake_token_around_image>", "<image>", "<global-img>"]
    words = tokenizer(special, end="<end_of_utterance>", pad="<|endoftext|>")
    config = configured(
        Idefics3Config,
        text_config={"model_type": "llama", **TEXT, "vocab_size": len(words), **ends(words)},
        vision_config={**VISION, "image_size": 128, "patch_size": 16},
        image_token_id=words.convert_tokens_to_ids("<image>"),
        scale_factor=4,
        pad_token_id=words.pad_token_id,
    )
    images = Idefics3ImageProcessor(
        do_image_splitting=False, size={"longest_edge": 128}, max_image_size={"longest_edge": 128}
    )
    processor = Idefics3Processor(images, words, image_seq_len=4, chat_template=template("<image>"))
    store(folder, Idefics3ForConditionalGeneration, config, words, processor)


def build_internvl(folder: Path) -> None:
    """InternVL format: its own vision tower before a Qwen2 language model."""
    from transformers import (
        GotOcr2ImageProcessor,
        InternVLConfig,
        InternVLForConditionalGeneration,
        InternVLProcessor,
        InternVLVideoProcessor,
    )

    special = ["<|endoftext|>", "<|im_end|>", "<img>", "</img>", "<IMG_CONTEXT>", "<video>"]
    named = {
        "start_image_token": "<img>",
        "end_image_token": "</img>",
        "context_image_token": "<IMG_CONTEXT>",
        "video_token": "<video>",
    }
    words = tokenizer(special, end="<|im_end|>", pad="<|endoftext|>", extra_special_tokens=named)
    config = configured(
        InternVLConfig,
        text_config={"model_type": "qwen2", **TEXT, "vocab_size": len(words), **ends(words)},
        vision_config={**VISION, "image_size": [56, 56], "patch_size": [14, 14]},
        image_token_id=words.convert_tokens_to_ids("<IMG_CONTEXT>"),
        image_seq_length=4,
        downsample_ratio=0.5,
    )
    size = {"height": 56, "width": 56}
    processor = InternVLProcessor(
        GotOcr2ImageProcessor(size=size, crop_to_patches=False),
        words,
        InternVLVideoProcessor(size=size),
        image_seq_length=4,
        chat_template=template("<IMG_CONTEXT>"),
    )
    store(folder, InternVLForConditionalGeneration, config, words, processor)


def build_llava_next(folder: Path) -> None:
    """LLaVA-NeXT format: a picture in tiles of several resolutions."""
    from transformers import (
        LlavaNextConfig,
        LlavaNextForConditionalGeneration,
        LlavaNextImageProcessor,
        LlavaNextProcessor,
    )

    words = tokenizer(["<|endoftext|>", "</s>", "<image>"], end="</s>", pad="<|endoftext|>")
    tiles = [[28, 56], [56, 28], [56, 56]]
    config = configured(
        LlavaNextConfig,
        text_config={"model_type": "llama", **TEXT, "vocab_size": len(words), **ends(words)},
        vision_config={"model_type": "clip_vision_model", **VISION, "image_size": 28, "patch_size": 14},
        image_token_id=words.convert_tokens_to_ids("<image>"),
        image_grid_pinpoints=tiles,
        vision_feature_select_strategy="default",
        vision_feature_layer=-1,
    )
    images = LlavaNextImageProcessor(
        size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28}, image_grid_pinpoints=tiles
    )
    processor = LlavaNextProcessor(
        images,
        words,
        patch_size=14,
        vision_feature_select_strategy="default",
        chat_template=template("<image>"),
        num_additional_image_tokens=1,
    )
    store(folder, LlavaNextForConditionalGeneration, config, words, processor)


def build_gemma3(folder: Path) -> None:
    """Gemma 3 format: a picture's tokens attend to each other both ways, layers with a sliding window."""
    from transformers import (
        Gemma3Config,
        Gemma3ForConditionalGeneration,
        Gemma3ImageProcessor,
        Gemma3Processor,
    )

    special = ["<pad>", "<end_of_turn>", "<bos>", "<start_of_image>", "<end_of_image>", "<image_soft_token>"]
    named = {
        "boi_token": "<start_of_image>",
        "eoi_token": "<end_of_image>",
        "image_token": "<image_soft_token>",
    }
    words = tokenizer(
        special, end="<end_of_turn>", pad="<pad>", extra_special_tokens=named, bos_token="<bos>"
    )
    token = words.convert_tokens_to_ids
    config = configured(
        Gemma3Config,
        text_config={**TEXT, "vocab_size": len(words), "sliding_window": 512, **ends(words)},
        vision_config={"model_type": "siglip_vision_model", **VISION, "image_size": 32, "patch_size": 8},
        mm_tokens_per_image=4,
        boi_token_index=token("<start_of_image>"),
        eoi_token_index=token("<end_of_image>"),
        image_token_index=token("<image_soft_token>"),
    )
    images = Gemma3ImageProcessor(size={"height": 32, "width": 32}, image_seq_length=4)
    processor = Gemma3Processor(
        images, words, image_seq_length=4, chat_template="<bos>" + template("<start_of_image>")
    )
    store(folder, Gemma3ForConditionalGeneration, config, words, processor)


def build_llama(folder: Path) -> None:
    """A language model without eyes, as the paper's reasoner is."""
    from transformers import LlamaConfig, LlamaForCausalLM

    words = tokenizer(["<|endoftext|>", "</s>"], end="</s>", pad="<|endoftext|>")
    words.chat_template = template("")
    store(
        folder,
        LlamaForCausalLM,
        configured(LlamaConfig, **TEXT, vocab_size=len(words), **ends(words)),
        words,
        words,
    )


#: What the conformance tests go through.
FAMILIES = {
    "qwen3_vl": build_qwen3_vl,
    "qwen2_5_vl": build_qwen2_5_vl,
    "idefics3": build_idefics3,
    "internvl": build_internvl,
    "llava_next": build_llava_next,
    "gemma3": build_gemma3,
}


def picture(seed: int, side: tuple[int, int] = (96, 64)) -> ImageRef:
    """A PNG of coarse random colours."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (4, 4, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(coarse).resize(side, Image.Resampling.NEAREST).save(buffer, format="PNG")
    return ImageRef(f"picture-{seed}-{side}", buffer.getvalue())
