"""Chains that are edited by hand: what is edited, and which picture must then come first."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from PIL import Image

from imagescope_agent.lab.benchmarks import counterfactual as bench
from imagescope_agent.lab.benchmarks.counterfactual import counterfactual
from imagescope_agent.lab.scenes.conditions import PLURALS
from imagescope_agent.lab.scenes.world import COLOURS
from imagescope_agent.mllms.role import Role
from imagescope_agent.mllms.scripted import Scripted
from tests.graphs.reasoning_colours import ReasoningColours

TRUE = {"the conclusion", "steps and conclusion"}
ROLES = {f"{name} of the roles' chains" for name in TRUE}


class Edits(ReasoningColours):
    """Remembers the chains that it embeds; every picture is the same to it, so that the first one comes first."""

    def images(self, images: Sequence[Image.Image]) -> np.ndarray:
        return np.ones((len(images), self.dimension), np.float32)


def writers(full: str) -> dict[str, Role]:
    said: dict[str, Any] = {
        "steps": [{"type": "Modification", "text": full[:300]}],
        "core": full,
        "enhanced": full,
        "full": full,
    }
    scripted = {"captioner": "a picture", "reasoner": json.dumps(said)}
    return {name: Role(name, Scripted(reply)) for name, reply in scripted.items()}


def test_the_conclusion_is_edited_alone_and_with_its_steps() -> None:
    model = Edits()
    found = counterfactual(model, 6)
    assert set(found) == TRUE and all(0 <= share <= 1 for share in found.values())
    alone, both = (model.chains[place : place + 6] for place in (0, 6))
    assert [each.rpartition("<conclusion>")[2] for each in alone] == [
        each.rpartition("<conclusion>")[2] for each in both
    ]
    assert alone != both


def test_chains_of_captioner_and_reasoner_are_edited_too() -> None:
    every = ", ".join(f"a {colour} {kind}" for colour in COLOURS for kind in PLURALS)
    model = Edits()
    found = counterfactual(model, 2, writers(every))
    assert set(found) == TRUE | ROLES
    chains = model.chains[4:]
    assert len(chains) == 4 and all("<caption>a picture<steps>Modification: a " in each for each in chains)
    assert all(each.rpartition("<conclusion>")[2] != every for each in chains)


@pytest.mark.parametrize("full", ["nothing that has a colour", ""])
def test_chains_that_cannot_be_edited_or_read_are_no_try_and_end(full: str, monkeypatch: Any) -> None:
    asked: list[int] = []
    monkeypatch.setattr(bench, "written", _counted(bench.written, asked))
    found = counterfactual(Edits(), 2, writers(full))
    assert {name: found[name] for name in ROLES} == dict.fromkeys(ROLES, 0.0)
    assert asked == [2] * bench.ROUNDS


def _counted(function: Any, asked: list[int]) -> Any:
    def counted(queries: Any, roles: Any) -> Any:
        asked.append(len(queries))
        return function(queries, roles)

    return counted
