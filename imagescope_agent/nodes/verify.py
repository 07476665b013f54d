"""Stage 2, local predicate verification: every question about every candidate, then a stable rerank."""

from __future__ import annotations

from typing import Any

from langgraph.runtime import Runtime

from imagescope_agent.collection.index import Collection
from imagescope_agent.ledger import at_step, note, remaining, spent
from imagescope_agent.mllms.role import Request, Role
from imagescope_agent.nodes.pictures import candidate_refs
from imagescope_agent.prompting import load_prompt
from imagescope_agent.settings import Settings, current
from imagescope_agent.state import Note, Predicate, State, Verdicts

CHOICES = ("Yes", "No")


class Verify:
    """Ask the verifier what is not known yet, in one batch, and rerank the top K by matching answers."""

    step = "verify"

    def __init__(self, verifier: Role, collection: Collection, *, prompt_set: str | None = None) -> None:
        self.verifier, self.role, self.collection = verifier, verifier.name, collection
        self.prompt = load_prompt("verify", prompt_set=prompt_set)

    async def __call__(self, state: State, runtime: Runtime[Settings]) -> dict[str, Any]:
        """Return the new `verdicts`, `matches` by image and `ranking_verify`.

        Candidates that the budget leaves unasked keep their places behind the verified ones.
        """
        settings, predicates = current(runtime), state["predicates"]
        ranking, known = state["ranking_retrieve"], state.get("verdicts", {})
        if not predicates:
            return {"matches": {}, "ranking_verify": ranking}
        questions = [predicate["question"] for predicate in predicates]
        open_questions = {
            name: [question for question in questions if question not in known.get(name, {})]
            for name in ranking[: settings.top_k]
        }
        chosen, notes = affordable(open_questions, remaining(state, settings))
        new, more_notes, usage = await self._ask({name: open_questions[name] for name in chosen})
        answers = {name: {**known.get(name, {}), **new.get(name, {})} for name in chosen}
        matches = {name: count_matches(answers[name], predicates) for name in chosen}
        return {
            "verdicts": new,
            "matches": matches,
            "ranking_verify": stable_rerank(ranking, matches),
            "notes": [*notes, *more_notes, *ties(answers, questions)],
            "usage": usage,
        }

    async def _ask(self, wanted: dict[str, list[str]]) -> tuple[Verdicts, list[Note], list[Any]]:
        refs, notes = await candidate_refs(
            (name for name, questions in wanted.items() if questions), self.collection, step=self.step
        )
        pairs = [(name, question) for name in refs for question in wanted[name]]
        if not pairs:
            return {}, notes, []
        # Questions about one image stand together, so that a model can read the image once for all.
        requests = [
            Request(text=self.prompt.fill(question=question), images=(refs[name],))
            for name, question in pairs
        ]
        choice = await self.verifier.choose(requests, CHOICES)
        verdicts: Verdicts = {}
        for (name, question), row in zip(pairs, choice.probabilities, strict=True):
            verdicts.setdefault(name, {})[question] = float(row[0])
        notes += at_step(self.step, choice.notes)
        return verdicts, notes, [spent(self.step, self.role, choice.usage)]


def affordable(open_questions: dict[str, list[str]], budget: int | None) -> tuple[list[str], list[Note]]:
    """The first candidates whose open questions `budget` calls can answer, and a note if some are left."""
    chosen: list[str] = []
    cost = 0
    for name, questions in open_questions.items():
        cost += len(questions)
        if budget is not None and cost > budget:
            detail = (
                f"{len(open_questions) - len(chosen)} of {len(open_questions)} candidates were not verified"
            )
            return chosen, [note(Verify.step, "budget", detail)]
        chosen.append(name)
    return chosen, []


def matches_expected(probability: float, expected: str) -> bool:
    """Whether P(Yes) says what is expected; exactly even says nothing."""
    return probability > 0.5 if expected == "Yes" else probability < 0.5


def count_matches(answers: dict[str, float], predicates: list[Predicate]) -> int:
    """How many predicates an image satisfies; a question without an answer counts as not satisfied."""
    return sum(
        matches_expected(answers[predicate["question"]], predicate["expected"])
        for predicate in predicates
        if predicate["question"] in answers
    )


def stable_rerank(ranking: list[str], matches: dict[str, int]) -> list[str]:
    """The counted images by falling number of matches, ties in their old order, then the others in theirs."""
    counted = [name for name in ranking if name in matches]
    others = [name for name in ranking if name not in matches]
    return sorted(counted, key=lambda name: -matches[name]) + others


def ties(answers: Verdicts, questions: list[str]) -> list[Note]:
    """A note when verdicts are exactly even: they count against the candidate, whatever was expected."""
    even = sum(answers[name].get(question) == 0.5 for name in answers for question in questions)
    total = sum(question in answers[name] for name in answers for question in questions)
    detail = f"{even} of {total} verdicts are exactly even and count as not matching"
    return [note(Verify.step, "tie", detail)] if even else []
