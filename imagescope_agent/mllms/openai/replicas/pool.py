"""Several servers of one model, asked as if they were one: another is asked where one fails."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar
from weakref import WeakKeyDictionary

from cachetools import LRUCache

from imagescope_agent.errors import (
    BackendUnavailable,
    Exhausted,
    ImageScopeError,
    Misconfigured,
    RequestRefused,
    ServerFails,
    UnreadableReply,
    shorten,
)
from imagescope_agent.mllms.openai.failures import Held, TimedOut
from imagescope_agent.mllms.openai.replicas.line import Line
from imagescope_agent.mllms.openai.replicas.replica import Replica
from imagescope_agent.mllms.openai.replicas.trip import Trip
from imagescope_agent.mllms.protocols import UnusableLabels

_ALL_WAITS = 60.0  # seconds that a request waits in all for servers that are asked too much
_PROBE = 30.0  # seconds that a probe may take
_TIMEOUTS = 2  # requests without an answer in time before one is given up: each takes long
_HOMES = 10_000  # prefixes whose last server is remembered

_LASTING = (Misconfigured, UnusableLabels, RequestRefused)  # another attempt ends no other way

_Value = TypeVar("_Value")
#: Asks one server; the flag says whether there is another to ask.
Work = Callable[[Replica, bool], Awaitable[_Value]]


@dataclass(kw_only=True)
class _Loop:
    """What belongs to one event loop."""

    line: Line
    probes: dict[Replica, asyncio.Task[bool]] = field(default_factory=dict)
    looks: dict[tuple[Replica, str], asyncio.Task[None]] = field(default_factory=dict)


class Pool:
    """Sends each request to one of several servers.

    A server that cannot be reached, does not answer in time, answers HTTP 5xx, a denial or a page of HTML is left
    out, and asked small talk after a pause that doubles up to half a minute; it comes back when it answers that.

    Args:
        replicas: the servers.
        concurrency: requests under way at each at a time.
        attempts: how often a request is sent that ends in HTTP 5xx, and how often all are tried.
        pause: seconds before all are tried again.
    """

    def __init__(self, replicas: Sequence[Replica], *, concurrency: int, attempts: int, pause: float) -> None:
        self.replicas = tuple(replicas)
        self._concurrency, self._attempts, self._pause = concurrency, attempts, pause
        self._homes: LRUCache[str, Replica] = LRUCache(_HOMES)
        self._loops: WeakKeyDictionary[asyncio.AbstractEventLoop, _Loop] = WeakKeyDictionary()

    async def reach(
        self, work: Work[_Value], *, trip: Trip, key: str = "", model: str = ""
    ) -> tuple[_Value, Replica]:
        """What the first server says that answers, and which it was.

        Args:
            work: asks one server.
            trip: where it may go; afterwards, what happened on the way.
            key: of the prefix; "" for none.
            model: whose small talk shows that a server is back; "" while no name is known.

        Raises:
            RequestRefused: a server refuses the request for what it says; no other is asked.
            UnusableLabels: every server does so.
            UnreadableReply: a model's reply is of no use.
            BackendUnavailable: no server answers it.
        """
        own = self._own()
        self._probe(own, model, [each for each in self.replicas if each.probe_at <= time.monotonic()])
        while True:
            replica = await self._place(own, trip, key, model)
            answered, heard = False, replica.server.heard
            try:
                value = await work(replica, self._elsewhere(trip, replica))
                answered = True
            except (ImageScopeError, UnusableLabels) as error:
                refused = isinstance(error, RequestRefused | UnusableLabels)
                answered = refused and replica.server.heard > heard  # else it was not even asked
                if self._raises(own, trip, replica, error):
                    raise
            else:
                return value, replica
            finally:
                if answered:
                    replica.answered()
                own.line.leave(replica, key, answered=answered)
            await self._next_round(trip)

    def _raises(
        self, own: _Loop, trip: Trip, replica: Replica, error: ImageScopeError | UnusableLabels
    ) -> bool:
        """Write down what one server did; whether the request ends with it."""
        if isinstance(error, Held):
            self._hold(own, trip, replica, error)
            return False
        if isinstance(error, UnreadableReply):
            elsewhere = self._elsewhere(trip, replica)
            useless = bool(error.usage.get("calls", 0))
            trip.waste(error)
            replica.useless(at_once=elsewhere and not useless)
            trip.reached += useless
            if not elsewhere:
                return True
        elif isinstance(error, RequestRefused):
            if trip.fits(replica) or not any(map(trip.fits, self.replicas)):
                return True
        elif not isinstance(error, BackendUnavailable | UnusableLabels):
            return True
        trip.tried.add(replica)
        trip.add(replica, error)
        if not isinstance(error, RequestRefused | UnusableLabels):
            self._fail(trip, replica, error)
        return False

    def one_round(self, *, without: set[Replica]) -> Trip:
        """A trip that asks each of the others once."""
        return Trip(tried=set(without), rounds=self._attempts - 1, revived=True, again=True)

    def _own(self) -> _Loop:
        """What belongs to this event loop; a probe goes on after the last request, for its half a minute."""
        running = asyncio.get_running_loop()
        if running not in self._loops:
            line = Line(self.replicas, self._concurrency, self._homes)
            self._loops[running] = _Loop(line=line)
        return self._loops[running]

    def looks(self, model: str) -> set[asyncio.Task[None]]:
        """What finds out what servers heed of which that is not known, each once at a time; it goes on by itself."""
        own = self._own()
        for replica in self.replicas:
            if replica.out or replica.held or replica.known_powers(model) or (replica, model) in own.looks:
                continue
            own.looks[replica, model] = asyncio.ensure_future(self._look(own, replica, model))
        return {task for (_, name), task in own.looks.items() if name == model}

    async def _look(self, own: _Loop, replica: Replica, model: str) -> None:
        replica.looked_at = True
        try:
            async with asyncio.timeout(_PROBE):
                await replica.powers(model)
        except Held as error:
            own.line.hold(replica, replica.hold(error.wait))
        except (BackendUnavailable, TimeoutError):
            replica.failed()
        finally:
            replica.looked_at = False
            own.looks.pop((replica, model), None)
            own.line.serve()

    async def _place(self, own: _Loop, trip: Trip, key: str, model: str) -> Replica:
        """A place at the server that is asked next.

        Raises:
            BackendUnavailable: those that are there ask to wait for too long.
        """
        while True:
            options = partial(self._options, trip)
            if not options() and not await self._wait_or_revive(own, trip, model):
                if any(isinstance(each, UnusableLabels) for each in trip.problems):
                    raise trip.problem()
                untried = [each for each in self.replicas if each not in trip.tried] or self.replicas
                options = partial(list, [min(untried, key=lambda each: each.failures)])
            if replica := await own.line.take(key, options, again=trip.again or bool(trip.problems)):
                return replica

    async def _wait_or_revive(self, own: _Loop, trip: Trip, model: str) -> bool:
        """Wait for the first server that asked to; where none did, ask all that are left out whether they are back."""
        there = [each for each in self.replicas if not each.out and each not in trip.tried]
        if there:
            wait = min(each.held for each in there)
            if trip.waited + wait > _ALL_WAITS or self._held_enough(trip):
                raise (
                    trip.problem()
                    if trip.problems
                    else Exhausted(
                        f"the {len(self.replicas)} servers are asked too much; start again later: finished work is kept"
                    )
                )
            trip.waited += wait
            await asyncio.sleep(wait)
            return True
        if trip.revived:
            return False
        trip.revived = True
        out = [each for each in self.replicas if each.out]
        self._probe(own, model, out)
        if probes := [own.probes[each] for each in out if each in own.probes]:
            await asyncio.wait(probes)  # others wait for them, too: they outlast whoever gives up
        return bool(self._options(trip))

    def _options(self, trip: Trip) -> list[Replica]:
        """The servers that may be asked now; those that fit before all others."""
        there = [each for each in self.replicas if not each.out and each not in trip.tried]
        fitting = [each for each in there if trip.fits(each)] or there
        return [each for each in fitting if not each.held]

    def _elsewhere(self, trip: Trip, replica: Replica) -> bool:
        """Whether another server would be asked if this one failed."""
        untried = any(each is not replica and each not in trip.tried for each in self.replicas)
        return untried and trip.reached + 1 < self._attempts and trip.timeouts + 1 < _TIMEOUTS

    def _hold(self, own: _Loop, trip: Trip, replica: Replica, error: Held) -> None:
        own.line.hold(replica, replica.hold(error.wait))
        trip.holds[replica] += 1
        trip.add(replica, error)
        if trip.holds[replica] > 2 * self._attempts:
            trip.tried.add(replica)

    def _held_enough(self, trip: Trip) -> bool:
        return trip.holds.total() > 2 * self._attempts * len(self.replicas)

    def _fail(self, trip: Trip, replica: Replica, error: ImageScopeError) -> None:
        if not isinstance(error, UnreadableReply):
            replica.failed()
        trip.reached += isinstance(error, ServerFails)
        trip.timeouts += isinstance(error, TimedOut)
        trip.retries.append(
            f"{replica.url} failed, and another server was asked ({shorten(str(error), 160)})"
        )

    async def _next_round(self, trip: Trip) -> None:
        """Begin anew with all servers, after a pause, where all were tried.

        Raises:
            BackendUnavailable, UnusableLabels, UnreadableReply: the request is given up.
        """
        if trip.reached >= self._attempts or trip.timeouts >= _TIMEOUTS:
            raise trip.problem()
        if len(trip.tried) < len(self.replicas):
            return
        trip.rounds += 1
        lasting = all(isinstance(each, _LASTING) for each in trip.problems)
        if trip.rounds >= self._attempts or lasting or self._held_enough(trip):
            raise trip.problem()
        await asyncio.sleep(self._pause * 2 ** (trip.rounds - 1))
        trip.tried.clear()
        trip.revived = False

    def _probe(self, own: _Loop, model: str, replicas: Sequence[Replica]) -> None:
        """Ask those that are left out whether they are back, without waiting for it."""
        for replica in replicas:
            if replica.out and replica not in own.probes:
                own.probes[replica] = asyncio.ensure_future(self._ask_back(own, replica, model))

    async def _ask_back(self, own: _Loop, replica: Replica, model: str) -> bool:
        try:
            async with asyncio.timeout(_PROBE):
                return await replica.comes_back(model)
        except TimeoutError:
            replica.leave_out()
            return False
        finally:
            own.probes.pop(replica, None)
            own.line.serve()
