"""What the mini chat model is taught of conversations is true, and in the form that the graphs read."""

from __future__ import annotations

import json
from random import Random

import pytest

from imagescope_agent.evaluation.user import read_question
from imagescope_agent.parsing import parse_fold, parse_proposal, parse_question
from imagescope_agent.scenes.conditions import Absent, Count, Exists, Pattern, Related, Setting
from imagescope_agent.scenes.edits import Step
from imagescope_agent.scenes.messages import MOST_FACTS, say, standing
from imagescope_agent.scenes.world import random_scene
from imagescope_agent.training.talking import ask_branch, fold_branch, propose_branch, told

SEEDS = range(60)
BOAT = Pattern("boat", "blue")


@pytest.mark.parametrize("seed", SEEDS)
def test_what_was_said_holds_of_the_scene(seed: int) -> None:
    rng = Random(seed)
    scene = random_scene(rng)
    facts = standing(scene, rng)
    assert 0 < len(facts) <= MOST_FACTS and all(step.condition.holds(scene) for step in facts)
    said = say(scene, facts, rng)
    assert said.steps or said.drop or said.answer != "None" or said.message.endswith("nothing")
    assert set(said.drop) <= set(range(1, len(facts) + 1))
    if not (said.drop or said.new):  # what corrects or turns away speaks of another scene
        assert all(step.condition.holds(scene) for step in said.steps)


@pytest.mark.parametrize("seed", SEEDS)
def test_answers_are_read_by_the_graph(seed: int) -> None:
    folded = fold_branch(Random(seed))
    facts = [line for line in folded.prompt.splitlines() if line[0].isdigit()]
    reply = parse_fold(folded.answer)
    assert all(1 <= number <= len(facts) for number in reply.drop)
    assert reply.topic == "new" or len(json.loads(folded.answer)["full"]) >= len("a scene")
    proposed = propose_branch(Random(seed))
    known = proposed.prompt.partition("Known:")[2].partition("Pictures:")[0]
    assert all(
        question not in known and read_question(question) for question in parse_proposal(proposed.answer)
    )
    asked = ask_branch(Random(seed))
    assert read_question(parse_question(asked.answer)) == read_question(asked.prompt.splitlines()[1])


def test_the_target_is_told_once_and_closely() -> None:
    steps = [
        Step("Addition", Exists(Pattern("boat"))),
        Step("Addition", Exists(BOAT)),
        Step("Removal", Absent(Pattern("cat"))),
        Step("Addition", Related(Pattern("tree", "red"), "above", BOAT)),
        Step("Addition", Exists(Pattern("tree", "red"))),
        Step("Addition", Count(Pattern("star"), 2)),
        Step("Addition", Setting("night")),
    ]
    assert told(steps) == "a red tree above a blue boat and exactly two stars at night"
    assert told([]) == "a scene"
