"""The card of an adapter: what it was made of and taught, and what it answers about photos that it never saw."""

from __future__ import annotations

from collections.abc import Mapping

from imagescope_agent.lab.training.photo_chat.trainer import ChatPlan
from imagescope_agent.lab.training.photos.pipeline import VISION_NAME
from imagescope_agent.photo_chat.language import SMOLLM2
from imagescope_agent.retrieval.embedders.backbones import VISION

CARD = "README.md"
_CARD = """# An adapter of the chat model for photos

Made by `imagescope train photos-chat` from {photos} captioned photos: {steps} steps of {batch} photos, LoRA of
rank {rank}, seed {seed}. It needs the packages {packages}, whose files are known by their hashes.

- **For:** what the captions that it was taught speak of. Use it in a profile: `mllm = "photo_chat"`,
  `prompt_set = "mini"`, and this folder as `checkpoint`.
- **Not for:** what those captions leave out; text in pictures; other languages than theirs.
- **Answers:** what no caption of a photo says was taught as absent, so it says no too often.

{count} photos that were held out; of the answers the area under the curve of P(yes), 0.5 by chance:

| measure | value |
| --- | ---: |
{table}
Licences: {vision}; {language}; the captions are under the terms of whoever wrote them.
"""


def card(plan: ChatPlan, photos: int, count: int, figures: Mapping[str, float]) -> str:
    """The text of the card.

    Args:
        plan: how it was trained.
        photos: how many it was taught.
        count: of those held out.
        figures: as `held_out.measure` returns them.
    """
    vision = VISION[VISION_NAME]
    return _CARD.format(
        photos=photos,
        steps=plan.steps,
        batch=plan.batch,
        rank=plan.rank,
        seed=plan.seed,
        packages=f"{vision.package} and {SMOLLM2.package}",
        count=count,
        table="".join(f"| {name} | {value:.3f} |\n" for name, value in figures.items()),
        vision=vision.license,
        language=SMOLLM2.license,
    )
