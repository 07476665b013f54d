"""The graph `adaptive` where no candidate can fit: nobody is judged."""

from __future__ import annotations

from typing import Any

import pytest

from imagescope_agent.nodes.judging.selective_judge import SelectiveJudge
from tests.graphs.test_adaptive import ALL, calls, run, services


@pytest.mark.parametrize("yes, judged", [(0.0, False), (0.3, True)])
def test_nobody_judges_those_who_surely_fail(yes: float, judged: bool, world: Any) -> None:
    judge = world.role("judge", scorer=lambda asked: [0.5, 0.5])
    found = services(world, "red", text="a thing", scorer=lambda asked: [yes, 1 - yes], judge=judge)
    state = run(found, "a thing", certain=8)
    assert bool(calls(state).get("judge")) is judged
    assert sorted(state["ranking"]) == sorted(ALL)


@pytest.mark.parametrize(
    "verdicts, unverified, hopeless",
    [
        ({"a": 0.0, "b": 0.0}, {}, True),
        ({"a": 0.0}, {}, True),  # the picture of b is gone
        ({"a": 0.0}, {"b": "refused"}, False),
        ({"a": 0.0, "b": 0.5}, {}, False),
        ({}, {}, False),
    ],
)
def test_what_nobody_verified_leaves_hope(
    verdicts: dict[str, float], unverified: dict[str, str], hopeless: bool, world: Any
) -> None:
    node = SelectiveJudge(world.role("judge", "No"), world.collection)
    state: Any = {
        "predicates": [{"question": "Is it red?", "expected": "Yes"}],
        "verdicts": {name: {"Is it red?": yes} for name, yes in verdicts.items()},
        "unverified": unverified,
    }
    assert node._hopeless(state, ["a", "b"]) is hopeless
