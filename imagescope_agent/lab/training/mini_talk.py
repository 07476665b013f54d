"""The mini talker: the mini chat model fine-tuned on conversations only."""

from __future__ import annotations

from imagescope_agent.lab.training.data.dialogue_turns import (
    question_proposal_turn,
    question_wording_turn,
    state_update_turn,
)
from imagescope_agent.lab.training.further import Lesson
from imagescope_agent.lab.training.tokenizer import JSON_TOKENS

TALK = Lesson(
    name="talk",
    seed="talks",
    tokens=JSON_TOKENS,
    turns=((state_update_turn, 20, 1.0), (question_wording_turn, 20, 0.5), (question_proposal_turn, 16, 1.0)),
    steps=480,
    peak_lr=6e-4,
)
