"""The mini reader of queries: the mini chat model taught further on captions and words about them in many frames."""

from __future__ import annotations

from imagescope_agent.lab.training.data.compose_turns import reading_turn
from imagescope_agent.lab.training.further import Lesson
from imagescope_agent.lab.training.network.tokenizer import SEVERAL_TOKENS

READER = Lesson(
    name="reader",
    seed="several references",
    tokens=SEVERAL_TOKENS,
    turns=((reading_turn, 12, 1.5),),
    steps=3600,
    peak_lr=6e-4,
    bfloat16=True,
)
