"""Later turns of a conversation cost a part of the first, and rank as if everything had been asked anew."""

from __future__ import annotations

from pathlib import Path

import pytest

from imagescope_agent.evaluation.chat.systems import read_dialogs
from imagescope_agent.lab.benchmarks import turn
from tests.chat.drawn import DrawnWorld


@pytest.mark.slow
def test_a_later_turn_costs_at_most_two_fifths_and_ranks_the_same(tmp_path: Path) -> None:
    world = DrawnWorld(tmp_path / "world", 4, 40)
    dialogs = list(read_dialogs(world.folder).values())
    measured = turn.run(services=world.services, drawn=dialogs, dialogs=4, turns=3)
    assert measured["follow_ups"] == 8 and measured["ratios"]["same_ranking"] == 1.0
    assert measured["ratios"]["follow_up/first"] <= 0.4
    assert measured["variants"]["afresh"]["calls"] > measured["variants"]["follow_up"]["calls"]
    assert "4 dialogs, 8 later turns" in turn.describe(measured)
