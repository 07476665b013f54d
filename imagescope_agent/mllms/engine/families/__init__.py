"""Model families that share prefixes: how each prepares prompts and image features."""

from __future__ import annotations

_IMAGE_TOKENS = "imagescope_agent.mllms.engine.families.image_token_adapter:ImageTokenAdapter"
_QWEN_VL = "imagescope_agent.mllms.engine.families.qwen_vl:QwenVL"

#: Hugging Face model type -> its `FamilyAdapter`. Any other is named "module:attribute" in `EngineConfig.family`;
#: model types without an adapter are served by `GenerateBackend`.
FAMILIES = {
    "idefics2": _IMAGE_TOKENS,
    "idefics3": _IMAGE_TOKENS,
    "internvl": _IMAGE_TOKENS,
    "llava": _IMAGE_TOKENS,
    "llava_next": _IMAGE_TOKENS,
    "llava_onevision": _IMAGE_TOKENS,
    "photo_chat": _IMAGE_TOKENS,
    "qwen2_5_vl": _QWEN_VL,
    "qwen2_vl": _QWEN_VL,
    "qwen3_vl": _QWEN_VL,
    "smolvlm": _IMAGE_TOKENS,
    "text": _IMAGE_TOKENS,  # any language model without vision
}
