"""Accuracies of judges and talkers that know the truth, and of those that do not."""

from __future__ import annotations

import asyncio
import hashlib
import json
from random import Random

import pytest

from imagescope_agent.judges.base import blank_image
from imagescope_agent.lab.scenes.world import Scene, random_scene
from imagescope_agent.lab.training.data.comparison_turns import choice_turns, grade_turn, listwise_turns
from imagescope_agent.lab.training.data.dialogue_turns import (
    question_proposal_example,
    question_proposal_turn,
    question_wording_turn,
    state_update_turn,
)
from imagescope_agent.lab.training.skill_eval import dialogue
from imagescope_agent.lab.training.skill_eval.comparison import (
    LIST_LENGTH,
    comparison_accuracy,
    rendered,
    sample_candidates,
)
from imagescope_agent.lab.training.skill_eval.dialogue import dialogue_accuracy
from imagescope_agent.mllms.role import Role
from imagescope_agent.mllms.scripted import Asked, Scripted, ScriptedScorer


def _informed_judge(seed: int, queries: int) -> ScriptedScorer:
    """A judge that looks up the true answer by the text and the images of a request."""
    truth: dict[tuple[str, tuple[str, ...]], str] = {}
    rng = Random(f"card comparing {seed}")
    for count in (2, 4):
        made = 0
        while made < queries:
            reference, scenes, query = sample_candidates(rng, count, composed=made % 2 == 1)
            _, order, turns = choice_turns(query, scenes, rng)
            if turns:
                truth[turns[0].prompt, _keys(reference, [scenes[i] for i in order])] = turns[0].answer
                made += 1
    for number in range(queries):
        reference, scenes, query = sample_candidates(rng, 1, composed=number % 2 == 1)
        turn = grade_turn(query, scenes[0])
        truth[turn.prompt, _keys(reference, scenes)] = turn.answer
    for number in range(queries):
        reference, scenes, query = sample_candidates(rng, LIST_LENGTH, composed=number % 2 == 1)
        for turn in listwise_turns(query, scenes, with_steps=True, composed=reference is not None)[1]:
            truth[turn.prompt, _keys(reference, scenes)] = turn.answer

    def reply(asked: Asked) -> str:
        # the text after the last image comes before the prompt
        return next(truth[key] for key in truth if asked.text.endswith(key[0]) and key[1] == asked.images)

    return ScriptedScorer(
        lambda asked: [1.0 if c == reply(asked) else 0.1 for c in asked.choices or ()], reply
    )


def _keys(reference: Scene | None, scenes: list[Scene]) -> tuple[str, ...]:
    first = rendered(reference) if reference else blank_image()
    return (first.key, *(rendered(scene).key for scene in scenes))


def test_comparison_accuracy() -> None:
    informed = asyncio.run(comparison_accuracy(Role("judge", _informed_judge(3, 6)), 3, 6))
    assert set(informed.values()) == {100.0}
    nonsense = ScriptedScorer(lambda asked: [1.0] * len(asked.choices or ()), "well")
    wrong = asyncio.run(comparison_accuracy(Role("judge", nonsense), 3, 6))
    assert wrong["order"] == wrong["grades"] == wrong["cotrr"] == wrong["grade"] == 0


def test_dialogue_accuracy() -> None:
    rng = Random("card talking 2")
    updates = [state_update_turn(rng) for _ in range(8)]
    wordings = [question_wording_turn(rng) for _ in range(8)]
    proposals = [question_proposal_turn(rng) for _ in range(8)]
    truth = {turn.prompt: turn.answer for turn in (*updates, *wordings, *proposals)}
    informed = Role("reasoner", Scripted(lambda asked: truth[asked.text]))
    assert set(asyncio.run(dialogue_accuracy(informed, 2, 8)).values()) == {100.0}
    wrong = {prompt: _corrupted(answer) for prompt, answer in truth.items()}
    corrupted = Role("reasoner", Scripted(lambda asked: wrong[asked.text]))
    assert set(asyncio.run(dialogue_accuracy(corrupted, 2, 8)).values()) == {0.0}


@pytest.mark.parametrize("question", ["What?", "Is there a ?", "Is there a silver spoon?", "?"])
def test_only_questions_about_the_images_count(question: str) -> None:
    turn, acceptable = question_proposal_example(Random("card talking 2"))
    assert dialogue._all_acceptable(turn.answer, acceptable)
    assert not dialogue._all_acceptable(json.dumps({"questions": [question]}), acceptable)


def _corrupted(answer: str) -> str:
    if not answer.startswith("{"):
        return "What is it?"
    value = json.loads(answer)
    if "questions" in value:
        return json.dumps({"questions": ["Is there a silver spoon?"]})
    return json.dumps({**value, "topic": "new" if value["topic"] == "same" else "same"})


def test_a_rendered_image_is_named_by_its_content() -> None:
    scene = random_scene(Random(1))
    shown = rendered(scene)
    assert shown.key == hashlib.sha256(shown.data).hexdigest()
