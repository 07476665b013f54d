"""Base class of inference backends: how the engine thread scores and decodes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from imagescope_agent.errors import RequestRefused
from imagescope_agent.mllms.engine.conversation import Conversation
from imagescope_agent.mllms.engine.decoding.structured_output import GrammarCache
from imagescope_agent.mllms.engine.request_queue import EngineStats, Job


class Backend(ABC):
    """Serves jobs on the engine thread; each job's future is set, or the job is returned to be queued again.

    Attributes:
        grammars: compiled schemas of the jobs.
        score_slots: how many jobs `score` takes at once.
    """

    grammars: GrammarCache
    score_slots: int

    @property
    @abstractmethod
    def free_slots(self) -> int:
        """How many more jobs `admit` takes."""

    @property
    def running(self) -> list[Job]:
        """Jobs whose replies are being decoded."""
        return []

    @abstractmethod
    def score(self, jobs: list[Job]) -> None:
        """Label probabilities for all jobs."""

    @abstractmethod
    def admit(self, jobs: list[Job]) -> list[Job]:
        """Start decoding replies, whose schemas compile; returns the jobs to be queued again."""

    def step(self) -> list[Job]:
        """Decode the next token of the running replies; returns the jobs to be queued again."""
        return []

    def abort(self, jobs: list[Job]) -> None:  # noqa: B027 - nothing is left running
        """Drop the running replies if these failed jobs are among them."""

    def clear_caches(self) -> None:  # noqa: B027 - there are none
        """Empty the caches in memory."""

    @abstractmethod
    def stats(self) -> EngineStats:
        """Work done so far."""

    @abstractmethod
    def count_tokens(self, conversation: Conversation) -> int:
        """Length of the prompt with its images; nothing passes the model.

        Raises:
            RequestRefused: an image cannot be decoded, or the model takes no such conversation.
        """

    def count_valid(self, conversations: Sequence[Conversation]) -> list[int]:
        """Length of each prompt, 0 where it will be refused and so costs nothing."""
        counts = []
        for conversation in conversations:
            try:
                counts.append(self.count_tokens(conversation))
            except RequestRefused:
                counts.append(0)
        return counts
