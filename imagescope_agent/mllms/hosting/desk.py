"""How the worker serves jobs: what every way of doing it offers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from imagescope_agent.errors import BadInput, RequestRefused
from imagescope_agent.mllms.hosting.conversation import Conversation
from imagescope_agent.mllms.hosting.work import Counted, Job

STEP = "model"


def halved(detail: str) -> dict[str, str]:
    """The note of a batch that did not fit into memory."""
    return {"step": STEP, "kind": "fallback", "detail": f"out of memory: {detail}"}


def undamaged(
    jobs: Sequence[Job], conversations: Sequence[Conversation], see: Callable[[Conversation], object]
) -> tuple[list[Job], list[Conversation]]:
    """The jobs whose pictures can all be seen; the others are told why theirs cannot.

    Args:
        jobs: what is asked.
        conversations: of each.
        see: looks at the pictures of one conversation, or raises BadInput; the same pictures are tried once.
    """
    tried: dict[tuple[str, ...], BadInput | None] = {}
    kept: list[tuple[Job, Conversation]] = []
    for job, conversation in zip(jobs, conversations, strict=True):
        pictures = tuple(picture.key for picture in conversation.pictures)
        if pictures not in tried:
            tried[pictures] = _refusal(see, conversation)
        if (error := tried[pictures]) is None:
            kept.append((job, conversation))
        else:
            job.future.set_exception(error)
    return [job for job, _ in kept], [conversation for _, conversation in kept]


def counts(count: Callable[[Conversation], int], conversations: Sequence[Conversation]) -> list[int]:
    """Tokens of each prompt; 0 where it will be refused, since it will cost nothing."""
    made = []
    for conversation in conversations:
        try:
            made.append(count(conversation))
        except RequestRefused:
            made.append(0)
    return made


def _refusal(see: Callable[[Conversation], object], conversation: Conversation) -> BadInput | None:
    try:
        see(conversation)
    except BadInput as error:
        return error
    return None


class Desk(Protocol):
    """Serves jobs in the worker thread; each job's future is set, or it is given back to be asked again."""

    @property
    def questions(self) -> int:
        """How many jobs `score` takes at once."""
        ...

    @property
    def room(self) -> int:
        """How many more jobs `admit` takes."""
        ...

    @property
    def writing(self) -> list[Job]:
        """Jobs whose reply is being written."""
        ...

    def score(self, jobs: list[Job], conversations: list[Conversation]) -> None:
        """Probabilities for all jobs."""
        ...

    def admit(self, jobs: list[Job], conversations: list[Conversation]) -> list[Job]:
        """Begin replies; the jobs to be asked again later."""
        ...

    def step(self) -> list[Job]:
        """Go on with the replies; the jobs to be asked again later."""
        ...

    def forget(self, jobs: list[Job]) -> None:
        """Let go of replies that failed."""
        ...

    def count(self, conversations: list[Conversation]) -> list[int]:
        """Tokens of each prompt, pictures included, 0 where it will be refused; nothing passes the model."""
        ...

    def counted(self) -> Counted:
        """What was done so far."""
        ...

    def forget_features(self) -> None:
        """Let go of the vision features in memory."""
        ...
