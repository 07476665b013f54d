"""What the mini chat model is taught of conversations is true, and in the form that the graphs read."""

from __future__ import annotations

import json
from random import Random

import pytest

from imagescope_agent.evaluation.chat.simulated_user import SimulatedUser, parse_scene_question
from imagescope_agent.lab.scenes.conditions import Absent, Count, Exists, Pattern, Related, Setting
from imagescope_agent.lab.scenes.edits import Step
from imagescope_agent.lab.scenes.messages import MOST_FACTS, say, standing
from imagescope_agent.lab.scenes.world import Scene, Thing, random_scene
from imagescope_agent.lab.training.talking import (
    ask_branch,
    fold_branch,
    open_words,
    proposals,
    propose_branch,
    told,
)
from imagescope_agent.parsing import parse_fold, parse_proposal, parse_question

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
        question not in known and parse_scene_question(question)
        for question in parse_proposal(proposed.answer)
    )
    assert set(parse_proposal(proposed.answer)) and len(parse_proposal(proposed.answer)) == len(
        set(parse_proposal(proposed.answer))
    )
    asked = ask_branch(Random(seed))
    words, predicate = parse_question(asked.answer), asked.prompt.splitlines()[1].removeprefix("Unknown: ")
    if parse_scene_question(words) is None:  # an open question: what is told settles the predicate
        scene = next(
            s for n in range(2000) if SimulatedUser(s := random_scene(Random(n))).answer(words) != "skip"
        )
        assert SimulatedUser(scene).answer(words) not in ("yes", "no")
        assert words.startswith(("What colour", "Where", "How many", "Is the"))
    else:
        assert parse_scene_question(words) == parse_scene_question(predicate)


def test_what_is_open_is_asked_openly_and_first() -> None:
    scene = Scene(
        things=(
            Thing(kind="boat", colour="blue", size="large", x=0.2, y=0.7),
            Thing(kind="cat", colour="red", size="small", x=0.6, y=0.3),
        ),
        setting="night",
    )
    facts = [Step("Addition", Exists(Pattern("boat")))]
    found = proposals(facts, [scene], ["Is there a boat?"])
    assert found == [
        "Is there a blue boat?", "Is the scene at night?", "Are there exactly two things?", "Is there a large boat?",
        "Is there a cat?", "Is there a red cat?",
    ]  # fmt: skip
    asked = [open_words(condition, facts) for condition in (
        Exists(BOAT), Setting("night"), Count(Pattern(), 2), Exists(Pattern("boat", None, "large")),
        Exists(Pattern("cat")), Exists(Pattern("cat", "red")),
    )]  # fmt: skip
    assert asked == [
        "What colour is the boat?", "Where is it?", "How many things are there?", "Is the boat large or small?",
        "Does the picture you are looking for show a cat?", "Does the picture you are looking for show a red cat?",
    ]  # fmt: skip
    known = [
        "Is there a boat?",
        "Is there a green boat?",
        "Is the scene in the snow?",
        "Are there exactly five things?",
    ]
    assert proposals(facts, [scene], known) == ["Is there a large boat?", "Is there a cat?", "Is there a blue boat?",
                                                "Is there a red cat?"]  # fmt: skip


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
