"""Who reads several references: a model of its own where there is one, and verifiers that see candidates alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from imagescope_agent.mllms.role import Role
from imagescope_agent.mllms.scripted import Scripted
from imagescope_agent.prompting import load_prompt
from tests.graphs.picture_runs import ASKING, search, services, think


@pytest.mark.parametrize("name", [*ASKING, "xr"])
def test_a_model_of_its_own_may_read_several_references_and_them_alone(world: Any, name: str) -> None:
    served: Any = replace(
        services(world, []), multi_reasoner=Role("multi_reasoner", Scripted(think(images=[1, 2])))
    )
    state = search(served, name, references=["red.png", "blue.png"])
    (asked,) = served.multi_reasoner.model.asked
    assert "image 1: a red square" in asked.text
    assert [step.get("reference") for step in state["intent"]["steps"]] == [1, 2]
    assert not any("image 1:" in each.text for each in served.reasoner.model.asked)
    search(served, name, reference="red.png")
    search(served, name)
    assert len(served.multi_reasoner.model.asked) == 1


def test_it_reads_for_chains_and_conversations_too(world: Any) -> None:
    for name in ("cir_cot", "chat"):
        served: Any = replace(
            services(world, []), multi_reasoner=Role("multi_reasoner", Scripted(think(images=[1, 2])))
        )
        settings = {"chain_writer": "roles", "reasoning": "full"} if name == "cir_cot" else {}
        search(served, name, references=["red.png", "blue.png"], **settings)
        assert len(served.multi_reasoner.model.asked) == 1, name


def test_the_target_of_several_references_is_described_from_each_under_its_number(world: Any) -> None:
    served: Any = replace(
        services(world, []), multi_reasoner=Role("multi_reasoner", Scripted(think(images=[1, 2])))
    )
    state = search(served, "cotrr", references=["red.png", "blue.png"])
    (asked,) = served.multi_reasoner.model.asked
    assert "image 1: a red square\nimage 2: a blue square" in asked.text and not served.reasoner.model.asked
    assert state["ranking_retrieve"][0] == "purple.png" and state["intent"]["steps"] == []
    assert {entry["step"]: entry["calls"] for entry in state["usage"]}["target"] == 1
    search(served, "cotrr", reference="red.png")
    alone = next(
        each for each in served.judge.model.asked if not each.images
    )  # the model that judges describes
    target = load_prompt("target").fill(instruction="the first as the second", reference="a red square")
    assert alone.text == target and len(served.multi_reasoner.model.asked) == 1


def test_a_model_that_sees_no_reference_beside_a_candidate_is_asked_of_candidates_alone(world: Any) -> None:
    served = services(world, [1, 2], seen=2)
    reader: Any = Role("reasoner", served.reasoner.model, prompt_set="mini")
    state = search(replace(served, reasoner=reader), references=["red.png", "blue.png"])
    assert load_prompt("predicates", prompt_set="mini").text.splitlines()[-1] in reader.model.asked[-1].text
    assert all("reference" not in each for each in state["predicates"])
    assert {len(each.images) for each in served.verifier.model.asked} == {1}
