"""The mini editor: the mini chat model fine-tuned to propose edits.

It reads captions of a reference and of candidates and writes what a user would type to get from one to the other.
"""

from __future__ import annotations

from imagescope_agent.lab.training.data.edit_turns import edit_turn
from imagescope_agent.lab.training.further import Lesson
from imagescope_agent.lab.training.network.tokenizer import EDIT_TOKENS

EDIT = Lesson(
    name="edit",
    seed="edits",
    tokens=EDIT_TOKENS,
    turns=((edit_turn, 24, 1.0),),
    steps=600,
    peak_lr=8e-4,
    bfloat16=True,
    sees=True,  # an editor may be shown the pictures themselves
)
