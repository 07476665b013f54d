"""Elicitation: requests about one, two, several or all candidates, whose answers are mapped back to items."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from random import Random

from imagescope_agent.judges.position_debiasing import LABELS, Presentation, presentations
from imagescope_agent.judges.replies import (
    GradesAnswer,
    OrderAnswer,
    parse_grade,
    parse_grades,
    parse_order,
)
from imagescope_agent.judges.session import JudgeSession
from imagescope_agent.mllms.role import Request


@dataclass(frozen=True, kw_only=True)
class Preference:
    """P(first over second) in both presentation orders; None where there is no answer."""

    forward: float | None
    backward: float | None

    @property
    def decided(self) -> float:
        """1 when both orders name the first, 0 when both name the second, else 0.5: a tie."""
        if self.forward is None or self.backward is None:
            return 0.5
        if self.forward > 0.5 and self.backward > 0.5:
            return 1.0
        return 0.0 if self.forward < 0.5 and self.backward < 0.5 else 0.5

    @property
    def mean(self) -> float:
        """The mean of both orders, in which a constant position bias cancels out."""
        if self.forward is None or self.backward is None:
            return 0.5
        return round((self.forward + self.backward) / 2, 9)


async def points(session: JudgeSession, items: Sequence[int]) -> dict[int, float]:
    """P(yes, this satisfies the query) of each item, one call each; items without an answer are left out."""
    requests = [session.request("evaluate", [item]) for item in items]
    rows = await session.choose(requests, ("Yes", "No"))
    return {item: row[0] for item, row in zip(items, rows, strict=True) if row is not None}


async def grades(session: JudgeSession, items: Sequence[int]) -> dict[int, float]:
    """A whole grade 0..10 of each item, as 0..1, one call each; items without an answer are left out."""
    values = await session.ask([session.request("grade", [item]) for item in items], parse_grade)
    return {item: value for item, value in zip(items, values, strict=True) if value is not None}


async def pairs(session: JudgeSession, wanted: Sequence[tuple[int, int]]) -> list[Preference]:
    """Pairwise preferences in both presentation orders: two calls a pair, in one batch."""
    requests = [
        _which(session, shown) for first, second in wanted for shown in presentations((first, second), 2)
    ]
    rows = await session.choose(requests, LABELS[:2], cost=2)
    found = []
    for place in range(0, len(rows), 2):
        one, other = rows[place], rows[place + 1]
        found.append(
            Preference(forward=None if one is None else one[0], backward=None if other is None else other[1])
        )
    session.compared += len(found)
    session.ties += sum(preference.decided == 0.5 for preference in found)
    return found


async def better(session: JudgeSession, first: int, second: int) -> int:
    """The better of two by both orders; the earlier in first-stage order when they disagree."""
    decided = (await pairs(session, [(first, second)]))[0].decided
    return min(first, second) if decided == 0.5 else first if decided == 1 else second


async def best(
    session: JudgeSession, items: Sequence[int], *, rounds: int = 1, rng: Random | None = None
) -> int:
    """The best of up to 26 items, by more than half of `rounds` presentations; else the earliest of them."""
    found = await votes(session, items, rounds=rounds, rng=rng)
    session.compared += 1
    for item in items:
        if found.count(item) * 2 > len(found):
            return item
    session.ties += 1
    return min(items)


async def votes(
    session: JudgeSession, items: Sequence[int], *, rounds: int, rng: Random | None = None
) -> list[int | None]:
    """The best of up to 26 items in each of `rounds` presentations, in one batch; None without one best answer."""
    shown = presentations(items, rounds, rng)
    rows = await session.choose(
        [_which(session, each) for each in shown], LABELS[: len(items)], cost=len(shown)
    )
    return [None if row is None else _top(each, row) for each, row in zip(shown, rows, strict=True)]


async def first_token(session: JudgeSession, items: Sequence[int]) -> dict[int, float]:
    """P(label) of every item in one call (FIRST, arXiv 2406.15657); empty without an answer."""
    shown = presentations(items, 1)[0]
    row = (await session.choose([_which(session, shown)], LABELS[: len(items)]))[0]
    return {} if row is None else shown.by_item(row)


async def orders(session: JudgeSession, shown: Sequence[Sequence[int]]) -> list[list[int] | None]:
    """An order of each list, one call each, in one batch; None without an answer.

    Items that a reply leaves out come last, in the order they were shown in, with a note.
    """
    requests = [session.numbered("order", items) for items in shown]
    replies = await session.ask(requests, lambda reply: parse_order(reply, _MANY), schema=OrderAnswer)
    return [
        None if places is None else complete(session, places, items)
        for places, items in zip(replies, shown, strict=True)
    ]


async def group_grades(session: JudgeSession, groups: Sequence[Sequence[int]]) -> list[dict[int, float]]:
    """Grades 0..1 of every member of each group, one call a group, in one batch; empty without an answer."""
    found: list[dict[int, float]] = [{} for _ in groups]
    for size in dict.fromkeys(map(len, groups)):
        places = [place for place, group in enumerate(groups) if len(group) == size]
        requests = [session.numbered("grades", groups[place]) for place in places]
        replies = await session.ask(requests, partial(parse_grades, count=size), schema=GradesAnswer)
        for place, grade in zip(places, replies, strict=True):
            if grade is not None:
                found[place] = dict(zip(groups[place], grade, strict=True))
    return found


def complete(session: JudgeSession, places: Sequence[int], items: Sequence[int]) -> list[int] | None:
    """The items in the order of a reply, then those it left out in first-stage order, with a note.

    None, with a note, when no item was named.
    """
    named = [items[place] for place in places if place < len(items)]
    if not named:
        session.add_note(
            "unreadable", f"a reply names none of {len(items)} candidates; says nothing about the order"
        )
        return None
    missing = sorted(set(items) - set(named))
    if missing:
        session.add_note("repaired", f"a reply left out {len(missing)} of {len(items)} candidates")
    return named + missing


_MANY = 10_000  # the reply's own numbers are checked against what was shown by `complete`


def _which(session: JudgeSession, shown: Presentation) -> Request:
    return session.request("best", shown.items, shown.labels, labels=", ".join(shown.labels))


def _top(shown: Presentation, row: Sequence[float]) -> int | None:
    """The item of the most probable label; None when two share the first place."""
    values = sorted(shown.by_item(row).items(), key=lambda pair: -pair[1])
    return None if len(values) > 1 and values[0][1] - values[1][1] < 1e-9 else values[0][0]
