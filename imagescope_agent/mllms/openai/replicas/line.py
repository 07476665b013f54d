"""Places at servers, and who waits for one: the least busy server first, the same prefix to the same server."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b

from imagescope_agent.mllms.openai.rate_limit import Gate
from imagescope_agent.mllms.openai.replicas.replica import Replica


@dataclass(eq=False, kw_only=True)
class _Waiter:
    """Who waits, for which prefix, and where it may go now."""

    key: str
    options: Callable[[], Sequence[Replica]]
    place: asyncio.Future[Replica | None]

    def may_enter(self, replica: Replica) -> bool:
        """Whether it still waits, and may go there."""
        return not self.place.done() and replica in self.options()


class Line:
    """Places of one event loop.

    How busy a server is, is counted in prefixes under way, for a further question about an image that is being read
    costs little. A prefix goes where it went last while that server has a place and is not busier than the others.

    Args:
        replicas: the servers.
        most: requests under way at each at a time.
        homes: the server that last got a prefix, by its key.
    """

    def __init__(self, replicas: Sequence[Replica], most: int, homes: MutableMapping[str, Replica]) -> None:
        self._gates = {replica: Gate(most) for replica in replicas}
        self._prefixes: dict[Replica, Counter[str]] = {replica: Counter() for replica in replicas}
        self._homes = homes
        self._waiting: list[_Waiter] = []
        self._there: list[tuple[bool, bool]] = []  # which were left out or held when it was last looked

    async def take(
        self, key: str, options: Callable[[], Sequence[Replica]], *, again: bool = False
    ) -> Replica | None:
        """A place at one of the servers; None as soon as there is none left to wait for.

        Args:
            key: of the prefix; "" for a request that shares none.
            options: the servers that may be asked, at any time while this waits.
            again: whether it had a place before; it waits in front of those that had none.
        """
        if free := [each for each in options() if self._gates[each].free]:
            return self._enter(self._best(key, free), key)
        waiter = _Waiter(key=key, options=options, place=asyncio.get_running_loop().create_future())
        self._waiting.insert(0 if again else len(self._waiting), waiter)
        if not options():
            self._give(waiter, None)
        try:
            return await waiter.place
        except asyncio.CancelledError:
            if waiter.place.done() and not waiter.place.cancelled() and (given := waiter.place.result()):
                self.leave(given, key, answered=False)
            raise
        finally:
            if waiter in self._waiting:
                self._waiting.remove(waiter)

    def leave(self, replica: Replica, key: str, *, answered: bool) -> None:
        """Give a place back."""
        self._gates[replica].leave(answered)
        held = self._prefixes[replica]
        held[key] -= 1
        if not held[key]:
            del held[key]
        self.serve()

    def hold(self, replica: Replica, seconds: float) -> None:
        """Ask a server half as much after it said that it is asked too much."""
        self._gates[replica].hold(seconds)
        asyncio.get_running_loop().call_later(seconds, self.serve)
        self.serve()

    def serve(self) -> None:
        """Give free places to those who wait, and word to those whose servers may no longer be asked."""
        for replica, gate in self._gates.items():
            while gate.free and (waiter := self._next(replica)):
                self._give(waiter, self._enter(replica, waiter.key))
        there = [(each.out, each.held > 0) for each in self._gates]
        if there != self._there or not any(gate.inside for gate in self._gates.values()):  # it takes long
            self._there = there
            for waiter in [each for each in self._waiting if not (each.place.done() or each.options())]:
                self._give(waiter, None)

    def _give(self, waiter: _Waiter, replica: Replica | None) -> None:
        self._waiting.remove(waiter)
        waiter.place.set_result(replica)

    def _enter(self, replica: Replica, key: str) -> Replica:
        self._gates[replica].enter()
        self._prefixes[replica][key] += 1
        replica.sent += 1
        if key:
            self._homes[key] = replica
        return replica

    def _next(self, replica: Replica) -> _Waiter | None:
        """Who gets a free place: whose prefix is there, else whose prefix is nowhere, else the last in line."""
        homeless = None
        for waiter in self._waiting:
            home = self._homes.get(waiter.key)
            if home is replica and waiter.may_enter(replica):
                return waiter
            away = home is None or home.out or home.held
            if homeless is None and away and waiter.may_enter(replica):
                homeless = waiter
        return homeless or next((each for each in reversed(self._waiting) if each.may_enter(replica)), None)

    def _best(self, key: str, free: Sequence[Replica]) -> Replica:
        loads = {each: self._load(each, key) for each in free}
        home = self._homes.get(key)
        if home in loads and loads[home] <= min(loads.values()):
            return home
        return min(free, key=lambda each: (loads[each], self._gates[each].inside, _rank(key, each)))

    def _load(self, replica: Replica, key: str) -> int:
        """Prefixes under way there beside this one; each request without a key is one."""
        held = self._prefixes[replica]
        return len(held) - bool("" in held) + held[""] - bool(key and key in held)


def _rank(key: str, replica: Replica) -> int:
    """The order in which equally busy servers are taken: the same in every process for a prefix, else in turn."""
    if not key:
        return replica.sent
    return int.from_bytes(blake2b(f"{key} {replica.url}".encode(), digest_size=8).digest())
