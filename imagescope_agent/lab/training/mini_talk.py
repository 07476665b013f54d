"""The mini talker: the mini chat model fine-tuned on conversations only."""

from __future__ import annotations

from imagescope_agent.lab.training.data.dialogue_turns import (
    question_proposal_turn,
    question_wording_turn,
    state_update_turn,
)
from imagescope_agent.lab.training.data.message_turns import message_update_turn
from imagescope_agent.lab.training.further import Lesson
from imagescope_agent.lab.training.network.tokenizer import JSON_TOKENS

TALK = Lesson(
    name="talk",
    seed="talks",
    tokens=JSON_TOKENS,
    turns=(
        (message_update_turn, 18, 1.5),
        (state_update_turn, 4, 0.4),
        (question_wording_turn, 6, 0.4),
        (question_proposal_turn, 4, 0.6),
    ),
    steps=480,
    peak_lr=6e-4,
)
