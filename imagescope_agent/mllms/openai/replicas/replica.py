"""One server among several of the same model: how it wants to be asked, and how it has been doing."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import Any

from imagescope_agent.errors import BackendUnavailable, BadInput, UnreadableReply
from imagescope_agent.mllms.openai.connection import Server
from imagescope_agent.mllms.openai.dialect import Dialect, Question
from imagescope_agent.mllms.openai.negotiation import Negotiator, greeting
from imagescope_agent.mllms.openai.probing import Powers, offers_choices, probe
from imagescope_agent.mllms.protocols import UnusableLabels

_LONGEST_PAUSE = 30.0  # seconds between two probes of a server that is left out
_NONSENSE = 3  # replies of no use in a row after which a server is left out
_LONGEST_HOLD = 3600.0  # seconds that a server is not asked because it says so


@dataclass(eq=False, kw_only=True)
class Replica:
    """A server and what is known of it; shared by all event loops.

    Attributes:
        server: the connection.
        wanted: the dialect to begin with.
        pause: seconds before the first probe of a server that is left out, doubled before each further one.
        sent: requests that were sent to it, without probes.
        failures: since its last answer.
        nonsense: replies of no use in a row.
        out: whether it is left out until a probe is answered.
        probe_at: when the next probe is due (monotonic).
        held_until: when it may be asked again after HTTP 429 (monotonic).
        doubted_until: until when it is asked for probabilities last (monotonic), if it gives too few.
        looked_at: whether it is just being found out what it heeds.
        weighed, unweighed: its answers with usable probabilities, and those without where another server gave some.
    """

    server: Server
    wanted: Dialect
    pause: float
    sent: int = 0
    failures: int = 0
    nonsense: int = 0
    out: bool = False
    probe_at: float = 0.0
    held_until: float = 0.0
    weighed: int = 0
    unweighed: int = 0
    doubted_until: float = 0.0
    looked_at: bool = False
    _negotiators: dict[str, Negotiator] = field(default_factory=dict)
    _powers: dict[str, Powers] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """Its address."""
        return self.server.address.url

    @property
    def held(self) -> float:
        """Seconds for which it may not be asked."""
        return max(0.0, self.held_until - time.monotonic())

    def negotiator(self, model: str) -> Negotiator:
        """What is known of how it wants to be asked."""
        if model not in self._negotiators:
            self._negotiators[model] = Negotiator(self.server.ask, model, self.wanted)
        return self._negotiators[model]

    async def powers(self, model: str) -> Powers:
        """What it heeds, asked once.

        Raises:
            BackendUnavailable: it does not answer.
        """
        negotiator = self.negotiator(model)
        async with negotiator.lock("powers"):
            if model not in self._powers:
                choices = await offers_choices(self.server, model)
                self._powers[model] = replace(await probe(negotiator), choices=choices)
        return self._powers[model]

    def known_powers(self, model: str) -> Powers | None:
        """What it is known to heed; None before it was asked."""
        return self._powers.get(model)

    async def asked(
        self, model: str, question: Question, *, elsewhere: bool = False
    ) -> tuple[dict[str, Any], list[str]]:
        """Its answer, and what the question had to do without.

        Raises:
            UnusableLabels: probabilities are wanted, and it ignores or refuses that.
            RequestRefused, UnreadableReply, BackendUnavailable: as `Negotiator.asked`.
        """
        negotiator, ignored = self.negotiator(model), []
        if question.weigh and not (await self.powers(model)).logprobs:
            does = "ignores" if negotiator.dialect.top_logprobs else "refuses"
            raise UnusableLabels(f"the server {does} logprobs")
        if (
            question.format is not None
            and not (await self.powers(model)).schema
            and negotiator.dialect.schema != "none"
        ):
            ignored = ["the server ignores JSON schemas; its replies are only parsed"]
            question = replace(question, format=None)
        answer, remarks = await negotiator.asked(question, elsewhere=elsewhere)
        return answer, [*ignored, *remarks]

    def fits(self, model: str, question: Question) -> bool:
        """Whether nothing is known for which another server would be asked rather."""
        limit = self.negotiator(model).pictures
        if limit is not None and question.pictures > limit:
            return False
        known = self._powers.get(model)
        if known is None and self.looked_at and (question.weigh or question.format is not None):
            return False  # it would be waited for
        mute = known is not None and not known.logprobs
        doubted = self.unweighed > self.weighed and time.monotonic() < self.doubted_until
        return not (question.weigh and (mute or doubted))

    def doubt(self) -> None:
        """Record an answer without usable probabilities; after a while it is given another chance."""
        self.unweighed += 1
        self.doubted_until = time.monotonic() + _LONGEST_PAUSE

    def answered(self) -> None:
        """Record an answer, a refusal included."""
        self.failures, self.nonsense, self.out = 0, 0, False

    def useless(self, *, at_once: bool) -> None:
        """Record a reply of no use; after some in a row, or at once, it is left out."""
        self.nonsense += 1
        if at_once or self.nonsense >= _NONSENSE:
            self.failed()

    def failed(self) -> None:
        """Leave it out for a while that is longer after each failed probe; requests under way together fail once."""
        if not self.out:
            self.leave_out()

    def hold(self, wait: float) -> float:
        """Do not ask it for as long as it says, else for a pause; the seconds."""
        wait = min(max(wait, self.pause), _LONGEST_HOLD)
        self.held_until = max(self.held_until, time.monotonic() + wait)
        return wait

    async def comes_back(self, model: str) -> bool:
        """Whether it answers small talk; then it is asked again, and what was known of it is found out anew."""
        try:
            back = await self.negotiator(model).greets() if model else bool(await self.server.models())
            if back and model and self.nonsense:
                await self.negotiator(model).asked(greeting())
        except (BackendUnavailable, BadInput, UnreadableReply):
            back = False
        if back:
            self.out, self.nonsense, self.weighed, self.unweighed = False, 0, 0, 0
            self._powers.pop(model, None)
        else:
            self.leave_out()
        return back

    def leave_out(self) -> None:
        """Leave it out, for longer than before."""
        self.failures += 1
        pause = self.pause * 2.0 ** min(self.failures - 1, 16)
        self.out, self.probe_at = True, time.monotonic() + min(pause, _LONGEST_PAUSE)
