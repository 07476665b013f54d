"""Accuracies of models that know the truth, contradict it, or answer nonsense."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any

import pytest

from imagescope_agent.lab.scenes import questions
from imagescope_agent.lab.scenes.conditions import predicates
from imagescope_agent.lab.scenes.world import Scene
from imagescope_agent.lab.training.data.turn import compact_json
from imagescope_agent.lab.training.data.understanding_turns import understand_turn
from imagescope_agent.lab.training.skill_eval import measure
from imagescope_agent.mllms.role import Role
from imagescope_agent.mllms.scripted import Asked, Scripted, ScriptedScorer
from imagescope_agent.prompting import load_prompt


def _record_truth(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    truth: list[bool] = []
    original = questions.random_question

    def recording(scene: Scene, rng: Random, skill: str) -> Any:
        question = original(scene, rng, skill)
        truth.append(question.answer)
        return question

    monkeypatch.setattr(measure, "random_question", recording)
    return truth


@pytest.mark.parametrize(("inverted", "accuracy"), [(False, 100.0), (True, 0.0)])
def test_verdict_accuracy(monkeypatch: pytest.MonkeyPatch, inverted: bool, accuracy: float) -> None:
    truth = _record_truth(monkeypatch)

    def scorer(asked: Asked) -> list[float]:
        return [1.0, 0.0] if truth.pop(0) != inverted else [0.0, 1.0]

    role = Role("verifier", ScriptedScorer(scorer))
    accuracies = asyncio.run(measure.verdict_accuracy(role, 1, 10, "mini"))
    assert set(accuracies.values()) == {accuracy}


def test_caption_and_understanding_accuracy() -> None:
    silent = Role("captioner", Scripted(lambda asked: "nothing much"))
    accuracies = asyncio.run(measure.caption_accuracy(silent, 1, 5, "mini"))
    assert accuracies == {"things named with their colour": 0.0, "captions exact": 0.0}
    answers = {}
    text = [(query, None) for query, _, _ in measure._text_queries(1, 10)]
    for query, reference in [
        *text,
        *((query, scene) for query, _, scene in measure._composed_queries(1, 10)),
    ]:
        turn = understand_turn(query, reference)
        answers[turn.prompt] = turn.answer
        answers[load_prompt("predicates", prompt_set="mini").fill(
            steps="\n".join(f"{s.type}: {s.condition.words()}" for s in query.steps)
        )] = compact_json({"predicates": predicates(query.conditions)})  # fmt: skip
    reasoner = Role("reasoner", Scripted(lambda asked: answers[asked.text]))
    accuracies = asyncio.run(measure.understand_accuracy(reasoner, 1, 10, "mini"))
    assert accuracies["tir"] == accuracies["cir"] == 100.0
