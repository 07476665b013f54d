"""Training turns of conversations are true, and in the format that the graphs parse."""

from __future__ import annotations

import json
from random import Random

import pytest

from imagescope_agent.evaluation.chat.simulated_user import SimulatedUser, parse_scene_question
from imagescope_agent.lab.scenes.conditions import Absent, Count, Exists, InSetting, Pattern, Related
from imagescope_agent.lab.scenes.dialog.messages import MAX_FACTS, accumulated_steps, random_message
from imagescope_agent.lab.scenes.queries import QueryStep
from imagescope_agent.lab.scenes.world import Scene, Thing, random_scene
from imagescope_agent.lab.training.data.dialogue_turns import (
    describe_steps,
    proposed_questions,
    question_proposal_turn,
    question_wording_turn,
    state_update_turn,
    user_question,
)
from imagescope_agent.replies.parsing import parse_fold, parse_proposal, parse_question

SEEDS = range(60)
BOAT = Pattern("boat", "blue")


@pytest.mark.parametrize("seed", SEEDS)
def test_known_facts_hold_for_the_scene(seed: int) -> None:
    rng = Random(seed)
    scene = random_scene(rng)
    facts = accumulated_steps(scene, rng)
    assert 0 < len(facts) <= MAX_FACTS and all(step.condition.holds(scene) for step in facts)
    message = random_message(scene, facts, rng)
    assert message.steps or message.drop or message.answer != "None" or message.message.endswith("nothing")
    assert set(message.drop) <= set(range(1, len(facts) + 1))
    if not (message.drop or message.new):  # corrections and new topics are about another scene
        assert all(step.condition.holds(scene) for step in message.steps)


@pytest.mark.parametrize("seed", SEEDS)
def test_answers_are_parsed_by_the_graph(seed: int) -> None:
    folded = state_update_turn(Random(seed))
    facts = [line for line in folded.prompt.splitlines() if line[0].isdigit()]
    reply = parse_fold(folded.answer)
    assert all(1 <= number <= len(facts) for number in reply.drop)
    assert reply.topic == "new" or len(json.loads(folded.answer)["full"]) >= len("a scene")
    proposed = question_proposal_turn(Random(seed))
    known = proposed.prompt.partition("Known:")[2].partition("ImageContext:")[0]
    assert all(
        question not in known and parse_scene_question(question)
        for question in parse_proposal(proposed.answer)
    )
    assert set(parse_proposal(proposed.answer)) and len(parse_proposal(proposed.answer)) == len(
        set(parse_proposal(proposed.answer))
    )
    asked = question_wording_turn(Random(seed))
    words, predicate = parse_question(asked.answer), asked.prompt.splitlines()[1].removeprefix("Unknown: ")
    if parse_scene_question(words) is None:  # an open question: what is told settles the predicate
        scene = next(
            s for n in range(2000) if SimulatedUser(s := random_scene(Random(n))).answer(words) != "skip"
        )
        assert SimulatedUser(scene).answer(words) not in ("yes", "no")
        assert words.startswith(("What colour", "Where", "How many", "Is the"))
    else:
        assert parse_scene_question(words) == parse_scene_question(predicate)


def test_open_questions_come_first() -> None:
    scene = Scene(
        things=(
            Thing(kind="boat", colour="blue", size="large", x=0.2, y=0.7),
            Thing(kind="cat", colour="red", size="small", x=0.6, y=0.3),
        ),
        setting="night",
    )
    facts = [QueryStep("Addition", Exists(Pattern("boat")))]
    found = proposed_questions(facts, [scene], ["Is there a boat?"])
    assert found == [
        "Is there a blue boat?", "Is the scene at night?", "Are there exactly two things?", "Is there a large boat?",
        "Is there a cat?", "Is there a red cat?",
    ]  # fmt: skip
    asked = [user_question(condition, facts) for condition in (
        Exists(BOAT), InSetting("night"), Count(Pattern(), 2), Exists(Pattern("boat", None, "large")),
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
    assert proposed_questions(facts, [scene], known) == [
        "Is there a large boat?", "Is there a cat?", "Is there a blue boat?", "Is there a red cat?",
    ]  # fmt: skip


def test_a_description_names_every_thing_once_most_specific() -> None:
    steps = [
        QueryStep("Addition", Exists(Pattern("boat"))),
        QueryStep("Addition", Exists(BOAT)),
        QueryStep("Removal", Absent(Pattern("cat"))),
        QueryStep("Addition", Related(Pattern("tree", "red"), "above", BOAT)),
        QueryStep("Addition", Exists(Pattern("tree", "red"))),
        QueryStep("Addition", Count(Pattern("star"), 2)),
        QueryStep("Addition", InSetting("night")),
    ]
    assert describe_steps(steps) == "a red tree above a blue boat and exactly two stars at night"
    assert describe_steps([]) == "a scene"
