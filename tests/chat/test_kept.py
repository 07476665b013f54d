"""What is kept of a turn: a damaged store is told, and what the next turn shows again keeps its chain."""

from __future__ import annotations

from typing import Any

import pytest

from imagescope_agent.chat.storage.kept import check_turn, found_ranking, known_state
from imagescope_agent.state import new_turn

CHAIN = {"caption": "a blank image", "reasoning": "it is blue", "conclusion": "a blue square"}


@pytest.mark.parametrize("chain", [None, [], "x", 1, {"caption": None}, {"caption": []}])
def test_a_chain_that_is_none_is_a_documented_error(chain: Any) -> None:
    with pytest.raises(TypeError, match="malformed"):
        check_turn({"message": "a square", "results": [], "chain": chain})


def test_a_ranking_that_is_shown_again_keeps_its_chain() -> None:
    kept = found_ranking({**new_turn(), "chain": CHAIN})
    assert kept["chain"] == CHAIN and known_state(kept)["chain"] == CHAIN
    assert known_state({})["chain"] == {}
