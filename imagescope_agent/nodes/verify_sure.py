"""Verification that stops early: the same first places as asking everything, for a part of the questions."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from langgraph.runtime import Runtime

from imagescope_agent.collection.index import Collection
from imagescope_agent.ledger import note, remaining
from imagescope_agent.mllms.role import Role
from imagescope_agent.nodes.asking import on_budget
from imagescope_agent.nodes.early_stop import EarlyStop
from imagescope_agent.nodes.fuse import FUSION, Fusion
from imagescope_agent.nodes.verify import Found, Verify, count_matches, require_some, ties
from imagescope_agent.settings import Settings, current
from imagescope_agent.state import Note, State, Usage, Verdicts


class VerifySure(Verify):
    """Ask only what can still change the first places; rank by the fused score of what was answered.

    Args:
        verifier: who is asked.
        collection: where the pictures are.
        fusion: what an answer is worth beside the retrieval score.
        at_once: questions in one batch at least: more share a picture's prefix, fewer waste less. They are about as
            many candidates as places are to be certain, so that from two places on each gets one at a time.
    """

    def __init__(
        self,
        verifier: Role,
        collection: Collection,
        *,
        fusion: Fusion = FUSION,
        at_once: int = 2,
    ) -> None:
        super().__init__(verifier, collection)
        self.fusion, self.at_once = fusion, at_once

    async def __call__(self, state: State, runtime: Runtime[Settings]) -> dict[str, Any]:
        """Return the new `verdicts`, `matches` by image, the `unverified` and `ranking_verify`.

        Its first `Settings.certain` places are those of asking everything about the first `top_k`, unless the
        budget ended the asking, which leaves a note. What the model refuses says nothing about its candidate.

        Raises:
            RequestRefused: the model refuses several candidates, and every one.
        """
        settings, predicates, ranking = current(runtime), state["predicates"], state["ranking_retrieve"]
        names = ranking[: settings.top_k]
        if not predicates or not names:
            return {"matches": {}, "ranking_verify": ranking}
        inquiry = _Inquiry(state, names, settings.certain, self.fusion)
        left, verifier = remaining(state, settings), on_budget(self.verifier, state, settings)
        unpaid = False
        while not unpaid and (wanted := inquiry.next(self.at_once, left)):
            found = await self._ask(wanted, verifier)
            inquiry.tell(wanted, found)
            left = None if left is None else left - sum(entry["calls"] for entry in found.usage)
            unpaid = bool(found.unpaid)
        if (left is not None or unpaid) and inquiry.plan.next():
            inquiry.notes.append(
                note(self.step, "budget", "asking ended before the first places were certain")
            )
        order = [names[candidate] for candidate in inquiry.plan.ranking(unknown=0.0)]
        questions = [predicate["question"] for predicate in predicates]
        known = {name: answers for name, answers in inquiry.known.items() if answers}
        unverified = {name: why for name, why in inquiry.refused.items() if name not in known}
        require_some(unverified, {*known, *unverified})
        return {
            "verdicts": inquiry.new,
            "matches": {name: count_matches(answers, predicates) for name, answers in known.items()},
            "unverified": unverified,
            "ranking_verify": [*order, *ranking[len(names) :]],
            "notes": [*inquiry.notes, *ties(known, questions)],
            "usage": inquiry.usage,
        }


class _Inquiry:
    """What is asked and known about some candidates, by name."""

    def __init__(self, state: State, names: list[str], certain: int, fusion: Fusion) -> None:
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
        self.notes: list[Note] = []
        self.usage: list[Usage] = []
        for name in names:
            self._learn(name, state.get("verdicts", {}).get(name, {}))
        self.refused: dict[str, str] = {}
        self._leave_out({name: why for name, why in state.get("unverified", {}).items() if name in names})

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

    def tell(self, wanted: dict[str, list[str]], found: Found) -> None:
        """Take down the answers; a candidate whose picture is gone cannot be among the best."""
        self.notes += found.notes
        self.usage += found.usage
        for name, answers in found.verdicts.items():
            self.new.setdefault(name, {}).update(answers)
            self._learn(name, answers)
        self._leave_out(found.refused)
        for name in wanted:
            if name not in found.verdicts and name not in found.unpaid and name not in found.refused:
                self._close(name, -self.fusion.full)

    def _leave_out(self, refused: Mapping[str, str]) -> None:
        """Ask no more about these: what is not known of them speaks neither for nor against them."""
        self.refused.update(refused)
        for name in refused:
            self._close(name, 0.0)

    def _close(self, name: str, worth: float) -> None:
        for number, predicate in enumerate(self.predicates):
            if predicate["question"] not in self.known[name]:
                self.plan.tell(self.names.index(name), number, worth)

    def _learn(self, name: str, answers: dict[str, float]) -> None:
        for number, predicate in enumerate(self.predicates):
            if (question := predicate["question"]) in answers:
                self.known[name][question] = answers[question]
                worth = self.fusion.worth(answers[question], predicate["expected"])
                self.plan.tell(self.names.index(name), number, worth)
