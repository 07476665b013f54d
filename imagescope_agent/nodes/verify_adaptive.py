"""Verification with early stopping: fewer questions, and where anything may fit the first ranks of asking all."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from langgraph.runtime import Runtime

from imagescope_agent.mllms.role import Role
from imagescope_agent.nodes.image_refs import references_seen
from imagescope_agent.nodes.judging.score_fusion import FUSION, RULED_OUT, ScoreFusion
from imagescope_agent.nodes.model_calls import on_budget
from imagescope_agent.nodes.verify import Verify, VerifyOutput, count_matches, require_some, ties
from imagescope_agent.records import NoteDict, note
from imagescope_agent.retrieval.protocols import Collection
from imagescope_agent.run_budget import remaining
from imagescope_agent.settings import Settings, current
from imagescope_agent.state import State, Verdicts
from imagescope_agent.usage import StepUsage


class VerifyAdaptive(Verify):
    """Verifies only what can still change the first ranks, and ranks by the fused score.

    Args:
        verifier: the role that is called.
        collection: holds the images.
        fusion: what an answer is worth beside the retrieval score.
        at_once: questions in one batch at least: more share an image's prefix, fewer are wasted. They are about as
            many candidates as places are to be certain, so that from two places on each gets one at a time.
    """

    def __init__(
        self,
        verifier: Role,
        collection: Collection,
        *,
        fusion: ScoreFusion = FUSION,
        at_once: int = 2,
    ) -> None:
        super().__init__(verifier, collection)
        self.fusion, self.at_once = fusion, at_once

    async def __call__(self, state: State, runtime: Runtime[Settings]) -> dict[str, Any]:
        """Return the new `verdicts`, `matches` by image, the `unverified` and `ranking_verify`.

        Its first `Settings.certain` places are those of asking everything about the first `top_k`, unless all of these
        are ruled out (see `EarlyStop`), or the budget ended the asking, which leaves a note. What the model refuses
        says nothing about its candidate.

        Raises:
            RequestRefused: the model refuses several candidates, and every one.
        """
        settings, predicates, ranking = current(runtime), state["predicates"], state["ranking_retrieve"]
        names = ranking[: settings.top_k]
        if not predicates or not names:
            return {"matches": {}, "ranking_verify": ranking}
        verification = _AdaptiveVerification(state, names, settings.certain, self.fusion)
        left, verifier = remaining(state, settings), on_budget(self.verifier, state, settings)
        seen, notes = await references_seen(state, verifier, self.collection, step=self.step)
        verification.notes += notes
        unasked = False
        while not unasked and (wanted := verification.next(self.at_once, left)):
            found = await self._ask(wanted, verifier, seen)
            verification.record(wanted, found)
            left = None if left is None else left - sum(entry["calls"] for entry in found.usage)
            unasked = bool(found.unasked)
        if (left is not None or unasked) and verification.plan.next():
            verification.notes.append(
                note(self.step, "budget", "asking ended before the first places were certain")
            )
        order = [names[candidate] for candidate in verification.plan.final()]
        known = {name: answers for name, answers in verification.known.items() if answers}
        unverified = {name: why for name, why in verification.refused.items() if name not in known}
        require_some(unverified, {*known, *unverified}, verification.failed)
        return {
            "verdicts": verification.new,
            "matches": {name: count_matches(answers, predicates) for name, answers in known.items()},
            "unverified": unverified,
            "ranking_verify": [*order, *ranking[len(names) :]],
            "notes": [*verification.notes, *ties(known, [each["question"] for each in predicates])],
            "usage": verification.usage,
        }


class EarlyStop:
    """Chooses the next questions; makes no model calls.

    A candidate's score is its initial score plus the worth of its answers; ties stay in first-stage order. The
    optimistic ranking counts what was not asked as worth the most. Once its first alpha are answered in full, no
    other candidate can pass them: their true scores are already at least what any other could reach. So asking
    goes on among those alpha, and a candidate that falls short drops at once.

    Once every candidate is ruled out and one satisfies something, nobody can satisfy all, and to find out exactly who
    lacks least would take nearly every question. From then on what was not asked counts as its question's success rate
    foretells, and asking ends once the first alpha by that are answered in full.

    Args:
        count: candidates, numbered in first-stage order.
        questions: predicates about each.
        alpha: how many of the best must be exact.
        start: initial score of each candidate, in the unit of `worth`; none when None.
        most: what an answer is worth at most; satisfied predicates are counted when it is 1.
    """

    def __init__(
        self,
        count: int,
        questions: int,
        alpha: int,
        *,
        start: Sequence[float] | None = None,
        most: float = 1.0,
    ) -> None:
        self.count, self.questions, self.alpha, self.most = count, questions, alpha, most
        self.start = [0.0] * count if start is None else list(start)
        self.answers: list[dict[int, float]] = [{} for _ in range(count)]

    def record(self, candidate: int, question: int, worth: float) -> None:
        """Record the score of an answer."""
        self.answers[candidate][question] = min(worth, self.most)

    def ranking(self, unknown: float | None = None) -> list[int]:
        """By score, with `unknown` (at most `most`, the default) for every question that was not asked.

        When `next` has nothing to ask, the first alpha are exact whatever `unknown` is, unless it is `hopeless`.
        """
        return self._ordered([self.most if unknown is None else unknown] * self.questions)

    def final(self) -> list[int]:
        """The ranking when `next` has nothing to ask, or nothing more may be asked."""
        return self._nearest() if self.hopeless else self.ranking(0.0)

    def next(self, at_once: int = 1) -> list[tuple[int, int]]:
        """(candidate, question) pairs to ask now, up to `at_once` a candidate; empty when the top is certain.

        The question with the lowest success rate so far comes first: it decides most.
        """
        hardest = sorted(range(self.questions), key=lambda each: (self._success_rate(each), each))
        return [
            (candidate, question)
            for candidate in (self._nearest() if self.hopeless else self.ranking())[: self.alpha]
            for question in [each for each in hardest if each not in self.answers[candidate]][:at_once]
        ]

    @property
    def hopeless(self) -> bool:
        """Whether every candidate is ruled out, by `RULED_OUT` sure failures, though one satisfies something.

        Where nobody does, whoever satisfies anything is the nearest, and is still looked for.
        """
        enough = min(RULED_OUT, self.questions)
        satisfied = any(worth > 0 for known in self.answers for worth in known.values())
        return satisfied and all(
            sum(worth <= -self.most for worth in known.values()) >= enough for known in self.answers
        )

    @property
    def asked(self) -> int:
        """How many answers are known."""
        return sum(map(len, self.answers))

    def _nearest(self) -> list[int]:
        """By score, with what its success rate foretells for every question that was not asked."""
        return self._ordered(
            [self.most * (2 * self._success_rate(each) - 1) for each in range(self.questions)]
        )

    def _ordered(self, unknown: Sequence[float]) -> list[int]:
        """By the initial score and all answers, `unknown` by question; rounded, so that no order of adding decides."""
        scores = [
            round(
                start + sum(known.get(question, unknown[question]) for question in range(self.questions)), 9
            )
            for start, known in zip(self.start, self.answers, strict=True)
        ]
        return sorted(range(self.count), key=lambda each: (-scores[each], each))

    def _success_rate(self, question: int) -> float:
        """The share of candidates that satisfied the question, one of two before anything is known."""
        known = [answers[question] > 0 for answers in self.answers if question in answers]
        return (1 + sum(known)) / (2 + len(known))


class _AdaptiveVerification:
    """State of an adaptive verification: questions, answers, notes and usage by candidate."""

    def __init__(self, state: State, names: list[str], certain: int, fusion: ScoreFusion) -> None:
        starts = fusion.starts(state["candidates"])
        self.names, self.predicates, self.fusion = names, state["predicates"], fusion
        self.plan = EarlyStop(
            len(names),
            len(self.predicates),
            certain,
            start=[starts[name] for name in names],
            most=fusion.full,
        )
        self.known: Verdicts = {name: {} for name in names}
        self.new: Verdicts = {}
        self.notes: list[NoteDict] = []
        self.usage: list[StepUsage] = []
        for name in names:
            self._record_answers(name, state.get("verdicts", {}).get(name, {}))
        self.refused: dict[str, str] = {}
        self.failed: frozenset[str] = frozenset()
        self._skip_refused({name: why for name, why in state.get("unverified", {}).items() if name in names})

    def next(self, at_once: int, left: int | None) -> dict[str, list[str]]:
        """The questions to ask now by candidate: at least `at_once` together and at most `left`."""
        places = self.plan.alpha
        # Where every place is to be certain nothing can be left out: a picture is read once for all its questions.
        every = places >= len(self.names)
        each = len(self.predicates) if every else math.ceil(at_once / max(1, places))
        wanted: dict[str, list[str]] = {}
        for candidate, question in self.plan.next(each)[:left]:
            wanted.setdefault(self.names[candidate], []).append(self.predicates[question]["question"])
        return wanted

    def record(self, wanted: dict[str, list[str]], found: VerifyOutput) -> None:
        """Record the answers; a candidate whose image is gone cannot be among the best."""
        self.notes += found.notes
        self.usage += found.usage
        for name, answers in found.verdicts.items():
            self.new.setdefault(name, {}).update(answers)
            self._record_answers(name, answers)
        self._skip_refused(found.refused)
        self.failed |= found.failed
        for name in wanted:
            if name not in found.verdicts and name not in found.unasked and name not in found.refused:
                self._settle(name, -self.fusion.full)

    def _skip_refused(self, refused: Mapping[str, str]) -> None:
        """Ask no more about refused candidates; their unknown answers count 0."""
        self.refused.update(refused)
        for name in refused:
            self._settle(name, 0.0)

    def _settle(self, name: str, worth: float) -> None:
        for number, predicate in enumerate(self.predicates):
            if predicate["question"] not in self.known[name]:
                self.plan.record(self.names.index(name), number, worth)

    def _record_answers(self, name: str, answers: dict[str, float]) -> None:
        for number, predicate in enumerate(self.predicates):
            if (question := predicate["question"]) in answers:
                self.known[name][question] = answers[question]
                worth = self.fusion.worth(answers[question], predicate["expected"])
                self.plan.record(self.names.index(name), number, worth)
