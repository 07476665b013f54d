"""Compare two runs: which images changed rank, and which stage caused it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from imagescope_agent.state import matches_expected
from imagescope_agent.traces.explain import sentence
from imagescope_agent.traces.trace import Trace

SHOWN = 10  # best ranks of either run that are explained


@dataclass(frozen=True, kw_only=True)
class Move:
    """The ranks of an image in both runs (None where it was not ranked) and why they differ, in words."""

    id: str
    before: int | None
    after: int | None
    reasons: tuple[str, ...]

    @property
    def gain(self) -> int:
        """Places gained; 0 where one of the runs did not rank it."""
        return 0 if self.before is None or self.after is None else self.before - self.after


class Comparison:
    """The differences between two runs and the changes of rank they caused.

    Args:
        before: the baseline.
        after: the run whose changes of rank are explained.
    """

    def __init__(self, before: Trace, after: Trace) -> None:
        self.before, self.after = before, after

    @cached_property
    def differences(self) -> list[tuple[str, str, str]]:
        """(what, in the first run, in the second): query, reference, graph, settings, weights, intent, predicates."""
        found = []
        for (what, one), (_, other) in zip(_facts(self.before), _facts(self.after), strict=True):
            if isinstance(one, dict) and isinstance(other, dict):
                for key in sorted({*one, *other}):
                    if one.get(key) != other.get(key):
                        found.append((f"{what}: {key}", _as_text(one.get(key)), _as_text(other.get(key))))
            elif one != other:
                found.append((what, _as_text(one), _as_text(other)))
        return found

    @cached_property
    def moves(self) -> list[Move]:
        """The ten best images of either run, in the order of the second run, then those it did not rank."""
        wanted = dict.fromkeys([*self.after.ranking[:SHOWN], *self.before.ranking[:SHOWN]])
        found = [self.move(name) for name in wanted]
        last = max(len(self.after.ranking), len(self.before.ranking)) + 1
        return sorted(found, key=lambda move: (move.after or last, move.before or last))

    def move(self, name: str) -> Move:
        """Both ranks of one image, and why they differ; no reasons where nothing about it differs."""
        ranks = [rank(trace.ranking, name) for trace in (self.before, self.after)]
        reasons = [*self._retrieved(name), *self._verified(name), *self._judged(name)]
        if not reasons and ranks[0] != ranks[1]:
            reasons = ["Nothing about it changed; others moved past it."]
        return Move(id=name, before=ranks[0], after=ranks[1], reasons=tuple(reasons))

    @cached_property
    def text(self) -> str:
        """The comparison in lines."""
        lines = [f"{what}: {one} -> {other}" for what, one, other in self.differences]
        for move in self.moves:
            ranks = f"{move.before or 'not ranked'} -> {move.after or 'not ranked'}"
            lines.append(f"{move.id}: {ranks}" + (f". {' '.join(move.reasons)}" if move.reasons else ""))
        return "\n".join(line.replace("\n", "\\n") for line in lines)

    def to_dict(self) -> dict[str, Any]:
        """The comparison as plain values."""
        return {
            "before": self.before.id,
            "after": self.after.id,
            "differences": [{"what": what, "before": b, "after": a} for what, b, a in self.differences],
            "moves": [
                {"id": move.id, "before": move.before, "after": move.after, "reasons": list(move.reasons)}
                for move in self.moves
            ],
            "usage": {"before": self.before.usage, "after": self.after.usage},
        }

    def _retrieved(self, name: str) -> list[str]:
        ranks = [rank(list(trace.scores), name) for trace in (self.before, self.after)]
        if ranks[0] == ranks[1]:
            return []
        if None in ranks:
            return [f"Retrieval found it only in the {'second' if ranks[0] is None else 'first'} run."]
        return [f"Retrieval put it at rank {ranks[1]} instead of {ranks[0]}."]

    def _verified(self, name: str) -> list[str]:
        one, other = self.before.matches.get(name), self.after.matches.get(name)
        counts = [len(trace.predicates) for trace in (self.before, self.after)]
        if one is None and other is None:
            return []
        if one is None or other is None:
            run, held, count = ("second", other, counts[1]) if one is None else ("first", one, counts[0])
            return [f"It was verified only in the {run} run, where {held} of {count} predicates hold."]
        if (one, counts[0]) == (other, counts[1]) and not self._flipped(name):
            return []
        change = f"{other} of {counts[1]} predicates hold instead of {one} of {counts[0]}"
        flipped = self._flipped(name)
        return [f"{change}: {'; '.join(flipped)}." if flipped else f"{change}."]

    def _flipped(self, name: str) -> list[str]:
        """Questions that count for the image in one run only."""
        changes = []
        held = [_holds(trace, name) for trace in (self.before, self.after)]
        for question in dict.fromkeys([*held[0], *held[1]]):
            one, other = held[0].get(question), held[1].get(question)
            if one is None or other is None:
                changes.append(
                    f"“{question}” was asked only in the {'second' if one is None else 'first'} run"
                )
            elif one[0] != other[0]:
                changes.append(f"“{question}” has P(Yes) {other[1]:.2f} instead of {one[1]:.2f}")
        return changes

    def _judged(self, name: str) -> list[str]:
        places = [rank(trace.judgement["order"], name) for trace in (self.before, self.after)]
        if places[0] == places[1]:
            return []
        if None in places:
            run = "second" if places[0] is None else "first"
            change = f"Only in the {run} run the judge saw it (place {places[0] or places[1]})"
        else:
            change = f"The judge put it at place {places[1]} instead of {places[0]}"
        reasons = self.after.judgement["reasons"].get(name, [])
        return [sentence(f"{change}: {'; '.join(reasons)}" if reasons else change)]


def rank(ranking: list[str], name: str) -> int | None:
    """From 1; None where the name is not in the ranking."""
    return ranking.index(name) + 1 if name in ranking else None


def _holds(trace: Trace, name: str) -> dict[str, tuple[bool, float]]:
    """{question: (answered as expected, P(Yes))}."""
    answers, found = trace.verdicts.get(name, {}), {}
    for each in trace.predicates:
        yes = answers.get(each["question"])
        if yes is not None:
            found[each["question"]] = (matches_expected(yes, each["expected"]), yes)
    return found


def _facts(trace: Trace) -> list[tuple[str, Any]]:
    head = trace.head
    return [
        ("query", trace.query),
        ("reference", ", ".join(trace.references) or None),
        ("graph", head.get("graph")),
        ("judge", trace.judge),
        ("profile", head.get("profile")),
        ("setting", {key: value for key, value in (head.get("settings") or {}).items() if key != "judge"}),
        ("weights", dict(head.get("weights") or {})),
        ("version", dict(head.get("versions") or {})),
        ("intent", {key: trace.intent.get(key) for key in ("core", "enhanced", "full") if trace.intent.get(key)}),
        ("predicates", [f"{each['question']} {each['expected']}" for each in trace.predicates]),
    ]  # fmt: skip


def _as_text(value: Any) -> str:
    if value in (None, "", []):
        return "none"
    return "; ".join(map(str, value)) if isinstance(value, list) else str(value)
