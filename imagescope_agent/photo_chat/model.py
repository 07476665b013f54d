"""The assembled model in transformers' format: image tower, projector and language model, and its processor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image
from transformers import (
    AutoConfig,
    AutoModelForImageTextToText,
    AutoProcessor,
    BatchFeature,
    GenerationMixin,
    LlamaConfig,
    LlamaModel,
    PreTrainedConfig,
    PreTrainedModel,
    ProcessorMixin,
)
from transformers.modeling_outputs import BaseModelOutputWithPooling, CausalLMOutputWithPast

from imagescope_agent.photo_chat.language import IMAGE_TOKEN
from imagescope_agent.photo_chat.projector import GRID, Projector, ProjectorSize, grid_features
from imagescope_agent.retrieval.embedders.backbones import VISION
from imagescope_agent.retrieval.embedders.open_clip import middle

MODEL_TYPE = "photo_chat"


class PhotoChatConfig(PreTrainedConfig):
    """Which image tower stands before which language model.

    Args:
        text_config: of the language model.
        vision: an entry of `retrieval.embedders.backbones.VISION`.
        words: how many words a part of a picture may be.
        image_token_id: of the tokens that pictures replace.
        kwargs: of every configuration.
    """

    model_type = MODEL_TYPE
    sub_configs = {"text_config": LlamaConfig}  # noqa: RUF012 - as transformers has it

    def __init__(
        self,
        text_config: Any = None,
        vision: str = "efficientnet-lite2",
        words: int = 1,
        image_token_id: int = 0,
        **kwargs: Any,
    ) -> None:
        self.text_config = (
            LlamaConfig(**text_config) if isinstance(text_config, dict) else text_config or LlamaConfig()
        )
        self.vision, self.words, self.image_token_id = vision, words, image_token_id
        super().__init__(**{"tie_word_embeddings": True, **kwargs})


class PhotoChatCore(PreTrainedModel):
    """Tower, projector and the layers of the language model."""

    config_class = PhotoChatConfig
    _supports_sdpa = True

    def __init__(self, config: PhotoChatConfig) -> None:
        import timm

        super().__init__(config)
        backbone = VISION[config.vision]
        self.tower = timm.create_model(backbone.timm, num_classes=0)
        text = config.text_config
        self.projector = Projector(
            ProjectorSize(features=backbone.width, width=text.hidden_size, words=config.words)
        )
        self.language_model = LlamaModel(text)
        self.post_init()

    def get_image_features(self, pixel_values: torch.Tensor, **_: Any) -> BaseModelOutputWithPooling:
        """(n, 3, side, side) -> `pooler_output` (n, cells, width), the tokens of each picture."""
        grids = torch.cat([grid_features(self.tower, few) for few in pixel_values.split(4)])
        embeddings = self.language_model.embed_tokens.weight
        return BaseModelOutputWithPooling(
            pooler_output=self.projector(grids, embeddings).to(embeddings.dtype)
        )

    def get_input_embeddings(self) -> Any:
        """The language model's."""
        return self.language_model.embed_tokens


class PhotoChatModel(PreTrainedModel, GenerationMixin):
    """A chat model that sees photos."""

    config_class = PhotoChatConfig
    base_model_prefix = "model"
    _supports_sdpa = True
    _tied_weights_keys = {"lm_head.weight": "model.language_model.embed_tokens.weight"}  # noqa: RUF012

    def __init__(self, config: PhotoChatConfig) -> None:
        super().__init__(config)
        text = config.text_config
        self.model = PhotoChatCore(config)
        self.lm_head = torch.nn.Linear(text.hidden_size, text.vocab_size, bias=False)
        self.post_init()

    def get_input_embeddings(self) -> Any:
        """The language model's."""
        return self.model.get_input_embeddings()

    def forward(  # what transformers' `generate` gives
        self,
        input_ids: torch.Tensor | None = None,
        pixel_values: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        past_key_values: Any = None,
        logits_to_keep: int | torch.Tensor = 0,
        **kwargs: Any,
    ) -> CausalLMOutputWithPast:
        """Logits of the next token, (batch, length or `logits_to_keep`, vocabulary)."""
        embeds = self.get_input_embeddings()(input_ids) if inputs_embeds is None else inputs_embeds
        if pixel_values is not None and input_ids is not None:
            pictures = self.model.get_image_features(pixel_values).pooler_output
            mask = input_ids == self.config.image_token_id
            embeds = embeds.masked_scatter(mask[..., None], pictures.to(embeds))
        kwargs.pop("return_dict", None)
        output = self.model.language_model(
            inputs_embeds=embeds,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            **kwargs,
        )
        kept = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
        logits = self.lm_head(output.last_hidden_state[:, kept])
        return CausalLMOutputWithPast(logits=logits, past_key_values=output.past_key_values)

    def prepare_inputs_for_generation(self, input_ids: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Pictures are shown at the first step only."""
        pixels, first = kwargs.pop("pixel_values", None), kwargs.get("is_first_iteration", True)
        inputs: dict[str, Any] = super().prepare_inputs_for_generation(input_ids, *args, **kwargs)  # type: ignore[misc]
        return inputs | ({"pixel_values": pixels} if first and pixels is not None else {})


class PhotoChatProcessor(ProcessorMixin):
    """Prepares pictures as the embedder of photos does, whole and square, and writes their tokens into texts."""

    def __init__(self, tokenizer: Any = None, chat_template: str | None = None, **_: Any) -> None:
        super().__init__(tokenizer, chat_template=chat_template)
        self.image_token = IMAGE_TOKEN

    def __call__(
        self, images: Sequence[Any] | None = None, text: Sequence[str] | None = None, **kwargs: Any
    ) -> BatchFeature:
        """Token ids and mask of texts, and "pixel_values" (n, 3, side, side) of all their pictures in order."""
        texts = [each.replace(IMAGE_TOKEN, IMAGE_TOKEN * GRID * GRID) for each in text or ()]
        inputs = dict(self.tokenizer(texts, **kwargs))
        shown = [
            each for some in images or () for each in (some if isinstance(some, list | tuple) else [some])
        ]
        if shown:
            inputs["pixel_values"] = torch.stack([prepared(each) for each in shown])
        return BatchFeature(inputs)


def prepared(image: Image.Image) -> torch.Tensor:
    """The pixels of a picture, (3, side, side)."""
    from open_clip.transform import PreprocessCfg, image_transform_v2

    backbone = VISION["efficientnet-lite2"]
    prepare = image_transform_v2(PreprocessCfg(**backbone.preprocess()), is_train=False)
    pixels: torch.Tensor = prepare(middle(image))
    return pixels


def register() -> None:
    """Tell transformers' Auto classes of this model."""
    AutoConfig.register(MODEL_TYPE, PhotoChatConfig, exist_ok=True)
    AutoModelForImageTextToText.register(PhotoChatConfig, PhotoChatModel, exist_ok=True)
    AutoProcessor.register(PhotoChatConfig, PhotoChatProcessor, exist_ok=True)
