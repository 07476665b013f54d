"""Stage 2, local predicate verification: every question about every candidate, then a stable rerank."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from langgraph.runtime import Runtime

from imagescope_agent.errors import RequestFailed, RequestRefused
from imagescope_agent.mllms.role import ImageRef, Request, Role
from imagescope_agent.nodes.image_refs import (
    ReferencesSeen,
    candidate_refs,
    described_only,
    references_seen,
)
from imagescope_agent.nodes.model_calls import on_budget
from imagescope_agent.prompting import load_prompt
from imagescope_agent.records import NoteDict, at_step, note
from imagescope_agent.retrieval.protocols import Collection
from imagescope_agent.run_budget import remaining
from imagescope_agent.settings import Settings, current
from imagescope_agent.state import Predicate, State, Verdicts, matches_expected
from imagescope_agent.usage import StepUsage, spent

CHOICES = ("Yes", "No")
LABELS = ("Reference:", "Candidate:")


@dataclass(frozen=True, kw_only=True)
class VerifyOutput:
    """Verdicts, notes and usage of a batch of questions.

    Args:
        unasked: candidates, in order, whose questions there were not tokens enough for.
        refused: candidates about whose picture the model was not to be asked, or not everything, and why.
        failed: those of them that may be answered at another time.
    """

    verdicts: Verdicts = field(default_factory=dict)
    notes: list[NoteDict] = field(default_factory=list)
    usage: list[StepUsage] = field(default_factory=list)
    unasked: tuple[str, ...] = ()
    refused: dict[str, str] = field(default_factory=dict)
    failed: frozenset[str] = frozenset()


class Verify:
    """Verifies unknown predicates in one batch, and reranks the top K by the number of matches."""

    step = "verify"

    def __init__(self, verifier: Role, collection: Collection) -> None:
        self.verifier, self.role, self.collection = verifier, verifier.name, collection
        self.prompt = load_prompt("verify", prompt_set=verifier.prompt_set)
        self.beside = load_prompt("verify_beside", prompt_set=verifier.prompt_set)
        self.described = load_prompt("verify_described", prompt_set=verifier.prompt_set)

    async def __call__(self, state: State, runtime: Runtime[Settings]) -> dict[str, Any]:
        """Return the new `verdicts`, `matches` by image, the `unverified` and `ranking_verify`.

        Candidates that the budget leaves unasked, or the model refuses, keep their places behind the verified ones.

        Raises:
            RequestRefused: the model refuses several candidates, and every one.
        """
        settings, predicates = current(runtime), state["predicates"]
        ranking, known = state["ranking_retrieve"], state.get("verdicts", {})
        if not predicates:
            return {"matches": {}, "ranking_verify": ranking}
        questions = [predicate["question"] for predicate in predicates]
        open_questions = {
            name: [question for question in questions if question not in known.get(name, {})]
            for name in ranking[: self.depth(state, settings)]
            if name not in state.get("unverified", {})
        }
        chosen, notes = affordable(open_questions, remaining(state, settings))
        verifier = on_budget(self.verifier, state, settings)
        seen, without = await references_seen(state, verifier, self.collection, step=self.step)
        found = await self._ask({name: open_questions[name] for name in chosen}, verifier, seen)
        notes += [*without, *not_verified(len(found.unasked), len(chosen), self.step)]
        asked = {
            name: {**known.get(name, {}), **found.verdicts.get(name, {})}
            for name in chosen
            if name not in found.unasked
        }
        unverified = {name: why for name, why in found.refused.items() if not asked[name]}
        self.require_answers(unverified, asked, found.failed)
        answers = {name: told for name, told in asked.items() if name not in unverified}
        matches = {name: count_matches(answers[name], predicates) for name in answers}
        return {
            "verdicts": found.verdicts,
            "matches": matches,
            "unverified": {**state.get("unverified", {}), **unverified},
            "ranking_verify": stable_rerank(ranking, matches),
            "notes": [*notes, *found.notes, *ties(answers, questions)],
            "usage": found.usage,
        }

    def require_answers(
        self, unverified: Mapping[str, str], asked: Iterable[str], failed: frozenset[str]
    ) -> None:
        """See `require_some`."""
        require_some(unverified, asked, failed)

    def depth(self, state: State, settings: Settings) -> int:
        """How many of the retrieved images are verified."""
        return settings.top_k

    async def _ask(
        self, wanted: dict[str, list[str]], verifier: Role, seen: ReferencesSeen | None = None
    ) -> VerifyOutput:
        """Verify some images; copies of one image are verified once."""
        representatives = self._representatives(wanted)
        found = await self._ask_each(
            {name: wanted[name] for name in representatives.values()}, verifier, seen or ReferencesSeen()
        )
        known = {
            name: found.verdicts[first] for name, first in representatives.items() if first in found.verdicts
        }
        return replace(
            found,
            verdicts={name: dict(answers) for name, answers in known.items()},
            refused={
                name: found.refused[first]
                for name, first in representatives.items()
                if first in found.refused
            },
            unasked=tuple(name for name, first in representatives.items() if first in found.unasked),
            failed=frozenset(name for name, first in representatives.items() if first in found.failed),
        )

    def _representatives(self, wanted: Mapping[str, Sequence[str]]) -> dict[str, str]:
        """Maps each image to the first copy of it with the same open questions."""
        firsts: dict[tuple[str, ...], str] = {}
        return {
            name: firsts.setdefault((self.collection.key(name), *questions), name)
            for name, questions in wanted.items()
        }

    async def _ask_each(
        self, wanted: dict[str, list[str]], verifier: Role, seen: ReferencesSeen
    ) -> VerifyOutput:
        refs, notes = await candidate_refs(
            (name for name, questions in wanted.items() if questions), self.collection, step=self.step
        )
        pairs = [(name, question) for name in refs for question in wanted[name]]
        if not pairs:
            return VerifyOutput(notes=notes)
        # Questions about one image stand together, so that a model can read the image once for all.
        requests = [self._request(question, refs[name], seen) for name, question in pairs]
        choice = await verifier.choose_some(requests, CHOICES, [len(wanted[name]) for name in refs])
        beside = {place for place, request in enumerate(requests) if len(request.images) > 1}
        if beside and beside <= choice.refused.keys() - choice.failed:
            seen.pictures.clear()  # for all further questions of this step
            again = await self._ask_each(wanted, verifier, seen)
            told = described_only(self.step, f"the model takes no reference: {choice.refused[min(beside)]}")
            usage = [spent(self.step, self.role, choice.usage), *again.usage]
            return replace(again, notes=[told, *again.notes], usage=usage)
        verdicts: Verdicts = {}
        refused: dict[str, str] = {}
        for place, ((name, question), row) in enumerate(zip(pairs, choice.probabilities, strict=False)):
            if place in choice.refused:
                refused.setdefault(name, choice.refused[place])
            else:
                verdicts.setdefault(name, {})[question] = float(row[0])
        return VerifyOutput(
            verdicts=verdicts,
            notes=[*notes, *at_step(self.step, choice.notes), *self._refusals(refused, verdicts)],
            usage=[spent(self.step, self.role, choice.usage)],
            unasked=tuple(name for name in refs if name not in verdicts and name not in refused),
            refused=refused,
            failed=frozenset(pairs[place][0] for place in choice.failed),
        )

    def _request(self, question: str, candidate: ImageRef, seen: ReferencesSeen) -> Request:
        """The question about a candidate, beside the reference that it names, or its description."""
        asks = seen.asks.get(question, question)
        if (reference := seen.pictures.get(question)) is not None:
            text = self.beside.fill(question=asks)
            return Request(text=text, images=(reference, candidate), labels=LABELS)
        if (words := seen.words.get(question)) is not None:
            return Request(text=self.described.fill(question=asks, reference=words), images=(candidate,))
        return Request(text=self.prompt.fill(question=asks), images=(candidate,))

    def _refusals(self, refused: Mapping[str, str], verdicts: Verdicts) -> list[NoteDict]:
        """A note for each candidate whose questions were refused."""
        return [
            note(
                self.step,
                "refused",
                f"{name!r} is {'verified in part' if name in verdicts else 'unverified'}: {why}",
            )
            for name, why in refused.items()
        ]

    async def _ask_question(
        self,
        question: str,
        names: Iterable[str],
        known: Verdicts,
        left: int | None,
        verifier: Role,
        seen: ReferencesSeen | None = None,
    ) -> tuple[VerifyOutput, list[NoteDict]]:
        """Ask one question, in at most `left` calls, about the images for which the answer is unknown.

        The answers are added to what is `known`. Also returned is a note where the budget was too small.
        """
        unasked = {name: [question] for name in names if question not in known[name]}
        chosen, short = affordable(unasked, left)
        found = await self._ask({name: unasked[name] for name in chosen}, verifier, seen)
        for name, answers in found.verdicts.items():
            known[name].update(answers)
        short += not_verified(len(found.unasked), len(chosen), self.step)
        return replace(found, notes=[*found.notes, *ties(found.verdicts, [question])]), short


def affordable(open_questions: dict[str, list[str]], budget: int | None) -> tuple[list[str], list[NoteDict]]:
    """The first candidates whose open questions fit into `budget` calls, and a note when some do not."""
    chosen: list[str] = []
    cost = 0
    for name, questions in open_questions.items():
        cost += len(questions)
        if budget is not None and cost > budget:
            return chosen, not_verified(len(open_questions) - len(chosen), len(open_questions))
        chosen.append(name)
    return chosen, []


def not_verified(left: int, total: int, step: str = Verify.step) -> list[NoteDict]:
    """A note that the budget left some candidates out; none when it did not."""
    return [note(step, "budget", f"{left} of {total} candidates were not verified")] if left else []


def require_some(
    unverified: Mapping[str, str], asked: Iterable[str], failed: frozenset[str] = frozenset()
) -> None:
    """Make sure that not every one of several candidates was refused, as by a model that takes no images.

    Args:
        unverified: why, by candidate.
        asked: all candidates.
        failed: those of the unverified that may be answered at another time.

    Raises:
        RequestRefused: there are several candidates, and every one was refused.
        RequestFailed: the same, and one of them may be answered at another time.
    """
    if len(unverified) > 1 and len(unverified) == len(set(asked)):
        why = next(iter(unverified.values()))
        if failed:
            raise RequestFailed(f"the verifier answers about none of {len(unverified)} candidates: {why}")
        raise RequestRefused(f"the verifier refuses all {len(unverified)} candidates: {why}")


def count_matches(answers: dict[str, float], predicates: list[Predicate]) -> int:
    """How many predicates an image satisfies; a question without an answer counts as not satisfied."""
    return sum(satisfies(answers, predicate) for predicate in predicates)


def satisfies(answers: Mapping[str, float], predicate: Predicate) -> bool:
    """Whether an image with these answers satisfies a predicate; without an answer it does not."""
    return matches_expected(answers.get(predicate["question"], 0.5), predicate["expected"])


def stable_rerank(ranking: list[str], matches: dict[str, int]) -> list[str]:
    """The counted images by falling number of matches, ties in their old order, then the others in theirs."""
    counted = [name for name in ranking if name in matches]
    others = [name for name in ranking if name not in matches]
    return sorted(counted, key=lambda name: -matches[name]) + others


def ties(answers: Verdicts, questions: list[str]) -> list[NoteDict]:
    """A note when verdicts are exactly even: they count against the candidate, whatever was expected."""
    even = sum(answers[name].get(question) == 0.5 for name in answers for question in questions)
    total = sum(question in answers[name] for name in answers for question in questions)
    detail = f"{even} of {total} verdicts are exactly even and count as not matching"
    return [note(Verify.step, "tie", detail)] if even else []
