"""One request on its way from server to server."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from imagescope_agent.errors import BackendUnavailable, ImageScopeError, Misconfigured, UnreadableReply
from imagescope_agent.mllms.openai.replicas.replica import Replica
from imagescope_agent.mllms.protocols import UnusableLabels


@dataclass(kw_only=True)
class Trip:
    """One request on its way from server to server.

    Attributes:
        fits: whether a server is among those that are asked first.
        tried: servers that failed in this round.
        rounds, reached, timeouts: how often all failed, one answered HTTP 5xx or uselessly, did not answer in time.
        holds: how often each asked to wait.
        waited: seconds spent for that.
        revived: whether the servers that are left out were asked in this round whether they are back.
        problems: what went wrong, in order.
        failed: the addresses of the servers where it did, in order.
        again: whether the question was asked before.
        retries: the same for the reader of a result, one line each.
        wasted: the usage of answers that do not count and were paid for, as answers hold it.
    """

    fits: Callable[[Replica], bool] = lambda replica: True
    tried: set[Replica] = field(default_factory=set)
    rounds: int = 0
    reached: int = 0
    timeouts: int = 0
    holds: Counter[Replica] = field(default_factory=Counter)
    waited: float = 0.0
    revived: bool = False
    again: bool = False
    problems: list[ImageScopeError | UnusableLabels] = field(default_factory=list)
    failed: dict[str, None] = field(default_factory=dict)
    retries: list[str] = field(default_factory=list)
    wasted: list[Mapping[str, Any]] = field(default_factory=list)

    def add(self, replica: Replica, error: ImageScopeError | UnusableLabels) -> None:
        """Write down what went wrong at a server."""
        self.problems.append(error)
        self.failed[replica.url] = None

    def waste(self, error: UnreadableReply) -> None:
        """Count an answer of no use; the error tells the cost of all of them, as one call."""
        if error.usage.get("calls", 0):
            self.wasted.append({"usage": {**error.usage}})
        for name in ("prompt_tokens", "completion_tokens") if self.wasted else ():
            error.usage[name] = sum(each["usage"].get(name, 0) for each in self.wasted)
        error.usage |= {"calls": 1} if self.wasted else {}

    def problem(self) -> Exception:
        """What is raised in the end: what a server said before what none did, what may pass before the rest."""
        labels = [each for each in self.problems if isinstance(each, UnusableLabels)]
        passing = [each for each in self.problems if not isinstance(each, Misconfigured)]
        found = (labels or passing or self.problems)[-1]
        if isinstance(found, BackendUnavailable) and len(self.failed) > 1:
            found.args = (
                f"none of the {len(self.failed)} servers ({', '.join(self.failed)}) answers: {found}",
            )
        return found
