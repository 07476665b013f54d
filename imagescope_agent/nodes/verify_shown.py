"""Verification of the places behind the first, so that no near miss stands above an image that fits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from typing import Any

from langgraph.runtime import Runtime

from imagescope_agent.nodes.caption_support import bears_out
from imagescope_agent.nodes.image_refs import candidate_refs, references_seen
from imagescope_agent.nodes.model_calls import on_budget
from imagescope_agent.nodes.rival_counts import rivalled, rivals
from imagescope_agent.nodes.verify import Verify, affordable, count_matches, satisfies, ties
from imagescope_agent.records import NoteDict, note
from imagescope_agent.run_budget import remaining
from imagescope_agent.settings import Settings, current
from imagescope_agent.state import Predicate, State, Verdicts
from imagescope_agent.usage import StepUsage

SURE = 0.9  # an image whose every answer is as probable is as good as any


class VerifyShown(Verify):
    """Orders the places behind the first, and by `Settings.clear` asks about them.

    Without it nobody is asked: behind the first `Settings.certain` places come those that are known to satisfy
    everything, or whose captions say so (`bears_out`) and no answer denies it, then the others.

    With it the first `clear` places are asked about until each is known to satisfy everything, or nobody else may. The
    first place was decided before and stays, unless it fails a question, or another one that fits is surer, or as sure
    and its caption says everything where that of the first does not. The first `Settings.searched` are asked, of their
    further half those whose captions say everything. Of these the ones that fail one question, or that the verifier
    does not see, fall behind the others; they are asked nothing more, so most cost one question. In both groups those
    come first whose captions say everything, of these those whose least certain answer is more probable, what is alike
    in its order.
    """

    async def __call__(self, state: State, runtime: Runtime[Settings]) -> dict[str, Any]:
        """Return `ranking`, and of what was asked the new `verdicts` and `matches` by image.

        A budget that ends the asking leaves a note.
        """
        settings, predicates, ranking = current(runtime), state["predicates"], state["ranking"]
        if not predicates or len(ranking) < 2:
            return {}
        names = ranking[: settings.searched] if settings.clear > 1 else ranking
        told = {name for name in names if bears_out(self.collection.caption(name), predicates)}
        if settings.clear < 2:
            return {"ranking": _Places(names, state, told).as_known(max(1, settings.certain))}
        near = settings.searched // 2
        asked = [name for place, name in enumerate(names) if place < near or name in told]
        return await self._cleared(_Places(asked, state, told), state, settings)

    async def _cleared(self, places: _Places, state: State, settings: Settings) -> dict[str, Any]:
        """The update of the state once enough is known of the places."""
        predicates, asked = state["predicates"], {*places.names}
        behind = [name for name in state["ranking"] if name not in asked]
        verifier = on_budget(self.verifier, state, settings)
        seen, notes = await references_seen(state, verifier, self.collection, step=self.step)
        usage: list[StepUsage] = []
        while wanted := places.next(settings.clear):
            gone, untold = await self._gone(wanted, state)
            notes += untold
            if gone:
                places.silent |= gone
                continue
            so_far: State = {**state, "usage": [*state.get("usage", []), *usage]}
            chosen, short = affordable(wanted, remaining(so_far, settings))
            found = await self._ask({name: wanted[name] for name in chosen}, verifier, seen)
            notes, usage = [*notes, *found.notes], [*usage, *found.usage]
            places.record([name for name in chosen if name not in found.unasked], found.verdicts)
            if short or found.unasked:
                notes.append(_short(settings.clear))
                break
        known = {name: answers for name, answers in places.known.items() if answers}
        questions = [predicate["question"] for predicate in predicates]
        return {
            "verdicts": places.new,
            "matches": {
                **state["matches"],
                **{name: count_matches(each, predicates) for name, each in known.items()},
            },
            "ranking": [*places.order(), *behind],
            "notes": [*notes, *ties(places.new, questions)],
            "usage": usage,
        }

    async def _gone(self, names: Iterable[str], state: State) -> tuple[set[str], list[NoteDict]]:
        """Those whose pictures cannot be loaded, and notes on what was not told before."""
        refs, notes = await candidate_refs(wanted := list(names), self.collection, step=self.step)
        told = {each["detail"] for each in state.get("notes", [])}
        return {*wanted} - refs.keys(), [each for each in notes if each["detail"] not in told]


class _Places:
    """What is known of the candidates, and what to ask next."""

    def __init__(self, names: list[str], state: State, told: Set[str]) -> None:
        self.names, self.predicates, self.told = names, state["predicates"], told
        verdicts = state.get("verdicts", {})
        self.known: Verdicts = {name: self._heeded(verdicts.get(name, {})) for name in names}
        self.new: Verdicts = {}
        self.silent = set(state.get("unverified", {}))  # of whom nothing more is to be known

    def next(self, count: int) -> dict[str, list[str]]:
        """One question about each of the first `count` places that may still fail, the one that most fail first.

        A place that satisfies a number is asked for the numbers beside it last of all.
        """
        hardest = sorted(self.predicates, key=self._success_rate)
        asks = [each["question"] for each in hardest]
        asks += [rival for each in hardest if each["expected"] == "Yes" for rival in rivals(each["question"])]
        wanted: dict[str, list[str]] = {}
        for name in self.order()[:count]:
            left = [] if self._behind(name) else [each for each in asks if each not in self.known[name]]
            if left:
                wanted[name] = left[:1]
        return wanted

    def record(self, asked: list[str], found: Verdicts) -> None:
        """Record the answers; who gave none is not asked again."""
        for name in asked:
            answers = found.get(name, {})
            self.known[name].update(answers)
            if answers:
                self.new.setdefault(name, {}).update(answers)
            else:
                self.silent.add(name)

    def order(self) -> list[str]:
        """The first, then those that may fit, then the others, each by `_worth`, then in their old order.

        The first one gives way to the surest of those that fit, where it fails, that is surer, or as sure and told.
        """
        first = self.names[0]
        if fitting := [name for name in self.names if self._fits(name)]:
            held = [] if self.fails(first) else [first]
            first = max([*held, *fitting], key=lambda name: (self._sure(name), name in self.told))
        others = [name for name in self.names if name != first]
        return [first, *sorted(others, key=self._worth, reverse=True)]

    def _worth(self, name: str) -> tuple[bool, bool, float]:
        """What places are given by: that no answer fails, a caption that says the same, how sure the answers are."""
        return not self._behind(name), name in self.told, self._sure(name)

    def as_known(self, count: int) -> list[str]:
        """The first `count`, then the others as `VerifyShown` orders them where nobody is asked."""
        others = self.names[count:]
        return [*self.names[:count], *sorted(others, key=lambda name: not self._may_fit(name))]

    def _may_fit(self, name: str) -> bool:
        return self._fits(name) or (name in self.told and not self._behind(name))

    def _behind(self, name: str) -> bool:
        return self.fails(name) or name in self.silent

    def fails(self, name: str) -> bool:
        """Whether an answer contradicts the query."""
        return any(
            predicate["question"] in self.known[name] and not satisfies(self.known[name], predicate)
            for predicate in self.predicates
        )

    def _fits(self, name: str) -> bool:
        """Whether every question is answered, and as expected."""
        return not self._behind(name) and all(
            each["question"] in self.known[name] for each in self.predicates
        )

    def _sure(self, name: str) -> float:
        """Probability of the least certain of its answers to be as expected; 1 from `SURE` on, and before any.

        0 of who gives no further answer: a picture that nobody sees is not shown before one that may fail.
        """
        if name in self.silent:
            return 0.0
        answers = self.known[name]
        known = [
            rivalled(yes, predicate["question"], answers) if predicate["expected"] == "Yes" else 1.0 - yes
            for predicate in self.predicates
            if (yes := answers.get(predicate["question"])) is not None
        ]
        least = min(known, default=1.0)
        return 1.0 if least >= SURE else round(least, 2)

    def _heeded(self, answers: Mapping[str, float]) -> dict[str, float]:
        questions = [predicate["question"] for predicate in self.predicates]
        heeded = {*questions, *(rival for each in questions for rival in rivals(each))}
        return {question: yes for question, yes in answers.items() if question in heeded}

    def _success_rate(self, predicate: Predicate) -> float:
        """The share of candidates that satisfied it, one of two before anything is known."""
        known = [satisfies(each, predicate) for each in self.known.values() if predicate["question"] in each]
        return (1 + sum(known)) / (2 + len(known))


def _short(count: int) -> NoteDict:
    return note(
        VerifyShown.step, "budget", f"asking ended before the first {count} places were cleared of misses"
    )
