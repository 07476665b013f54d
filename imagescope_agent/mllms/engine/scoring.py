"""What came of a batch of scored requests, as one choice."""

from __future__ import annotations

from collections.abc import Sequence

from imagescope_agent.errors import RequestRefused
from imagescope_agent.mllms.engine.request_queue import ScoreOutput
from imagescope_agent.mllms.protocols import Choice
from imagescope_agent.usage import Usage


def is_failure(output: object) -> bool:
    """Whether what came of a request is an error that other requests would meet too."""
    return isinstance(output, BaseException) and not isinstance(output, RequestRefused)


def choice_of(outputs: Sequence[ScoreOutput | BaseException], choices: int, seconds: float) -> Choice:
    """The scores of a batch; refused requests get even rows.

    Raises:
        BaseException: a failure other than a refusal; or the first refusal, when all requests were refused.
    """
    scored = {row: each for row, each in enumerate(outputs) if isinstance(each, ScoreOutput)}
    failed = {row: each for row, each in enumerate(outputs) if isinstance(each, BaseException)}
    for error in sorted(failed.values(), key=lambda error: isinstance(error, RequestRefused)):
        if not (scored and isinstance(error, RequestRefused)):
            raise error
    even = [1 / choices] * choices
    usage = Usage(
        calls=len(scored),
        prompt_tokens=sum(each.prompt_tokens for each in scored.values()),
        image_prefills=sum(each.image_prefills for each in scored.values()),
        seconds=seconds,
    )
    notes = {tuple(note.items()): note for each in scored.values() for note in each.notes}
    return Choice(
        probabilities=[scored[row].probabilities if row in scored else even for row in range(len(outputs))],
        usage={**usage.to_dict()},
        notes=list(notes.values()),
        refused={row: str(error) for row, error in failed.items()},
    )
