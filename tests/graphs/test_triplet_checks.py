"""What speaks against a triplet: unclear words, the answers about target, reference and neighbours, the judge."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from imagescope_agent.errors import RequestRefused
from imagescope_agent.mllms.role import Role
from imagescope_agent.mllms.scripted import Asked, Scripted, ScriptedScorer
from imagescope_agent.nodes.triplets.wording import names_several
from tests.graphs.triplet_models import Models, reached, run
from tests.lab.training.hues import hues


@pytest.fixture
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    return Models(hues(tmp_path_factory.mktemp("hues") / "pictures"))


@pytest.mark.parametrize(
    ("target", "reference", "dropped", "asked"),
    [
        (0.9, 0.8, "describes the reference", 2),
        (0.3, 0.1, "denied on the target", 1),
        (0.9, 0.1, "", 7),
        (0.5, 0.1, "denied on the target", 1),
        (0.9, 0.5, "describes the reference", 2),
    ],
)
def test_the_words_must_hold_of_the_target_and_not_of_the_reference(
    models: Models, target: float, reference: float, dropped: str, asked: int
) -> None:
    answers = ScriptedScorer(lambda asked: [[target, reference, *[0.1] * 9][len(answers.asked) - 1], 0.5])
    models.services = replace(models.services, verifier=Role("verifier", answers))
    state = reached(models)
    assert state["dropped"] == dropped and bool(state["triplet"]) == (not dropped)
    assert len(answers.asked) == asked and len({each.images for each in answers.asked}) == asked


def test_a_neighbour_that_the_words_fit_as_well_is_no_distractor(models: Models) -> None:
    answers = ScriptedScorer(lambda asked: [0.1 if len(answers.asked) in (2, 4) else 0.9, 0.5])
    models.services = replace(models.services, verifier=Role("verifier", answers))
    state = reached(models)
    assert len(state["triplet"]["distractors"]) == 1 and len(state["evidence"]["fitting"]) == 4
    assert not {*state["evidence"]["fitting"]} & {*state["triplet"]["distractors"]}
    assert all(len(each.images) == 1 + 3 for each in models.judge.asked)  # what fits is no choice either


def test_a_verifier_that_says_yes_does_not_help_where_the_judge_finds_another(models: Models) -> None:
    reference = [""]

    def agreeable(asked: Asked) -> list[float]:
        reference[0] = models.editor.asked[-1].images[0]
        return [0.1, 0.9] if asked.images[0] == reference[0] else [0.9, 0.1]

    models.wrong = 1.0
    models.services = replace(models.services, verifier=Role("verifier", ScriptedScorer(agreeable)))
    dropped = {run(models, pair)["dropped"] for pair in range(6)} - {"unreachable"}
    assert dropped and dropped <= {"not found", "reference as good"}


def two_questions(models: Models, refused: Callable[[Asked, str, str], bool]) -> Any:
    """A run about two questions, the target satisfies both; `refused` by request, reference and target."""

    def reason(asked: Asked) -> str:
        asks = [{"question": f"Is it {word}?", "expected": "Yes"} for word in ("q1", "q2")]
        return json.dumps({"predicates": asks}) if '"predicates"' in asked.text else models.reason(asked)

    def score(asked: Asked) -> list[float]:
        reference, target = models.editor.asked[-1].images[:2]
        if refused(asked, reference, target):
            raise RequestRefused("no such pictures")
        fits = asked.images[0] == target or (asked.images[0] == reference and "q1" in asked.text)
        return [0.9, 0.1] if fits else [0.1, 0.9]

    models.services = replace(
        models.services,
        reasoner=Role("reasoner", Scripted(reason)),
        verifier=Role("verifier", ScriptedScorer(score)),
    )
    return reached(models)


@pytest.mark.parametrize("whose", ["reference", "target"])
def test_a_question_without_an_answer_leaves_the_edit_unverified(models: Models, whose: str) -> None:
    state = two_questions(
        models,
        lambda asked, reference, target: (
            "q2" in asked.text and asked.images[0] == (target if whose == "target" else reference)
        ),
    )
    assert state["dropped"] == "unverified" and not state["triplet"]
    assert state["evidence"][whose] is None and "refused" in [each["kind"] for each in state["notes"]]


def test_what_refused_neighbours_cost_is_told(models: Models) -> None:
    state = two_questions(models, lambda asked, reference, target: asked.images[0] not in (reference, target))
    verify = [each for each in state["usage"] if each["step"] == "verify"]
    assert len(verify) == 3 and state["triplet"] and state["evidence"]["fitting"] == []


def test_an_even_neighbour_is_no_distractor_and_noted(models: Models) -> None:
    answers = ScriptedScorer(lambda asked: [[0.9, 0.1, 0.5, *[0.1] * 9][len(answers.asked) - 1], 0.5])
    models.services = replace(models.services, verifier=Role("verifier", answers))
    state = reached(models)
    assert len(state["evidence"]["fitting"]) == 1
    (told,) = (each["detail"] for each in state["notes"] if each["kind"] == "tie")
    assert told == "1 verdicts about other images are exactly even and count as matching"


def test_without_questions_nothing_is_kept(models: Models) -> None:
    models.services = replace(models.services, reasoner=Role("reasoner", Scripted("hm")))
    state = reached(models)
    assert state["dropped"] == "unverified" and "unreadable" in [each["kind"] for each in state["notes"]]
    assert not models.judge.asked and not models.verifier.asked


def test_a_verifier_that_refuses_pictures_drops_the_pair_and_the_work_goes_on(models: Models) -> None:
    def refuses(asked: Asked) -> Any:
        return RequestRefused("no such pictures")

    models.services = replace(models.services, verifier=Role("verifier", ScriptedScorer(refuses)))
    state = reached(models)
    assert state["dropped"] == "unverified" and "refused" in [each["kind"] for each in state["notes"]]


@pytest.mark.parametrize(
    ("text", "caption", "unclear"),
    [
        ("take the dog away", "two people with a brown dog and a white dog", True),
        ("take the brown dog away", "two people with a brown dog and a white dog", False),
        ("The bag should be red", "A bag beside a bag.", True),
        ("keep the bench and the bench, in spring", "a bench in winter", True),
        ("keep the bench, make the bench's paint green", "a bench in winter", True),
        ("the boat in a harbour should be red", "a boat, in a harbour, and a boat", True),
        ("one more dog", "a dog and a dog", False),
        ("the rest may change", "a dog and a dog", False),
        ("without the sofa", "", False),
    ],
)
def test_words_that_could_mean_several_things_of_the_reference_are_unclear(
    text: str, caption: str, unclear: bool
) -> None:
    assert names_several(text, caption) is unclear


def test_unclear_words_are_dropped_before_anything_else_is_asked(models: Models) -> None:
    reply = '{"target": "A", "type": "Removal", "text": "take the colour away and the colour"}'
    models.services = replace(models.services, editor=Role("editor", Scripted(reply)))
    state = run(models)
    assert state["dropped"] == "names several" and sum(each["calls"] for each in state["usage"]) == 1
