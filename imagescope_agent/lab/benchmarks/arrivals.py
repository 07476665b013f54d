"""Searches that arrive together or at random times, against the time that a fair share of the machine would take."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import TypeVar

_Item = TypeVar("_Item")


@dataclass(frozen=True, kw_only=True)
class Served:
    """Searches in the order of their arrival.

    Attributes:
        arrivals: seconds after the first.
        seconds: of each from its arrival to its end.
        begun: tokens that the models had read and written at each arrival, and
        tokens: until its end, for all that ran meanwhile; no other load on the machine changes them.
    """

    arrivals: list[float]
    seconds: list[float]
    begun: list[float] = field(default_factory=list)
    tokens: list[float] = field(default_factory=list)

    @property
    def end(self) -> float:
        """Seconds after the first arrival at which the last one ended."""
        return max(start + took for start, took in zip(self.arrivals, self.seconds, strict=True))


def poisson(count: int, rate: float, seed: int) -> list[float]:
    """Arrival times of `count` independent searches, `rate` a second on average; all at once for a rate of 0."""
    rng, now, times = Random(f"arrivals {seed}"), 0.0, []
    for _ in range(count):
        times.append(now)
        now += rng.expovariate(rate) if rate else 0.0
    return times


async def serve(
    items: Sequence[_Item],
    arrivals: Sequence[float],
    search: Callable[[_Item], Awaitable[object]],
    meter: Callable[[], float] = lambda: 0.0,
) -> Served:
    """Start each search at its time and wait for all.

    Args:
        items: what is searched.
        arrivals: of each, in seconds.
        search: does it.
        meter: tokens that the models have read and written so far.
    """
    start, zero = time.perf_counter(), meter()

    async def one(item: _Item, arrival: float) -> tuple[float, float, float]:
        await asyncio.sleep(max(0.0, start + arrival - time.perf_counter()))
        begun = meter() - zero
        await search(item)
        return time.perf_counter() - start - arrival, begun, meter() - zero - begun

    done = await asyncio.gather(*(one(*each) for each in zip(items, arrivals, strict=True)))
    seconds, begun, tokens = (list(column) for column in zip(*done, strict=True))
    return Served(arrivals=list(arrivals), seconds=seconds, begun=begun, tokens=tokens)


def fair_seconds(arrivals: Sequence[float], works: Sequence[float], speed: float) -> list[float]:
    """How long each search would take if at any moment all that are there got the same share of the machine.

    Args:
        arrivals: in seconds, ascending.
        works: seconds of each search alone.
        speed: seconds of work that the machine does in a second.
    """
    left = dict[int, float]()
    took = [0.0] * len(works)
    now, coming = 0.0, 0
    while left or coming < len(works):
        arrival = arrivals[coming] if coming < len(works) else float("inf")
        shortest = min(left, key=lambda each: left[each]) if left else None
        ends = float("inf") if shortest is None else now + left[shortest] * len(left) / speed
        until = min(arrival, ends)
        for each in left:
            left[each] -= (until - now) * speed / len(left)
        now = until
        if arrival <= ends:
            left[coming] = works[coming]
            coming += 1
        elif shortest is not None:
            del left[shortest]
            took[shortest] = now - arrivals[shortest]
    return took


def slowdowns(served: Served, works: Sequence[float]) -> list[float]:
    """Seconds of each search over its fair share of what the machine did in the same time; 1 is exactly fair."""
    speed = max(1.0, sum(works) / served.end)
    fair = fair_seconds(served.arrivals, works, speed)
    return [took / share for took, share in zip(served.seconds, fair, strict=True)]


def token_slowdowns(served: Served, works: Sequence[float]) -> list[float]:
    """As `slowdowns`, with the tokens of the models as the clock."""
    order = sorted(range(len(works)), key=lambda each: served.begun[each])
    in_order = Served(
        arrivals=[served.begun[each] for each in order], seconds=[served.tokens[each] for each in order]
    )
    return slowdowns(in_order, [works[each] for each in order])


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` of all values do not exceed (nearest rank)."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, max(0, -(-int(share * 1000) * len(ranked) // 1000) - 1))]
