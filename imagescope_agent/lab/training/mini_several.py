"""The mini reader of several references: the mini chat model fine-tuned on captions and words about them."""

from __future__ import annotations

from imagescope_agent.lab.training.data.compose_turns import compose_turn, single_reference_turn
from imagescope_agent.lab.training.further import Lesson
from imagescope_agent.lab.training.network.tokenizer import SEVERAL_TOKENS

SEVERAL = Lesson(
    name="several",
    seed="several references",
    tokens=SEVERAL_TOKENS,
    turns=((compose_turn, 12, 1.5), (single_reference_turn, 2, 0.3)),
    steps=480,
    peak_lr=8e-4,
)
