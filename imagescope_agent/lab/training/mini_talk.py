"""The mini talker: the mini chat model fine-tuned on conversations only."""

from __future__ import annotations

from imagescope_agent.lab.training.data.dialogue_turns import (
    question_proposal_turn,
    question_wording_turn,
    state_update_turn,
)
from imagescope_agent.lab.training.data.filter_turns import FILTER_TOKENS, filter_turn
from imagescope_agent.lab.training.data.message_turns import message_update_turn
from imagescope_agent.lab.training.further import Lesson
from imagescope_agent.lab.training.network.tokenizer import JSON_TOKENS

TALK = Lesson(
    name="talk",
    seed="talks",
    tokens=(*JSON_TOKENS, *FILTER_TOKENS[:-1]),
    turns=(
        (message_update_turn, 8, 1.2),
        (filter_turn, 16, 1.2),
        (state_update_turn, 2, 0.3),
        (question_wording_turn, 2, 0.3),
        (question_proposal_turn, 2, 0.4),
    ),
    steps=480,
    peak_lr=6e-4,
)
