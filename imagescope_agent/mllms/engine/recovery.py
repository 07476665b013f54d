"""Recovery of batches: split them when memory runs out, drop refused requests from them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import TypeVar

import torch

from imagescope_agent.errors import BadInput, UnusableModel
from imagescope_agent.mllms.engine.conversation import Conversation
from imagescope_agent.mllms.engine.request_queue import Job

_Batch = TypeVar("_Batch")
_Output = TypeVar("_Output")


def run_splitting(
    batches: Iterable[_Batch],
    run: Callable[[_Batch], _Output],
    *,
    split: Callable[[_Batch], list[_Batch]],
    on_split: Callable[[_Batch], None],
    unit: str,
) -> Iterator[tuple[_Batch, _Output]]:
    """Run batches, the last first, in ever smaller parts while memory runs out; each part with its output.

    Args:
        batches: to run.
        run: one batch.
        split: a batch in two; empty where it cannot be split.
        on_split: called with each batch that did not fit.
        unit: what one part at least contains, for the message.

    Raises:
        UnusableModel: a batch that cannot be split does not fit into memory.
    """
    waiting = list(batches)
    while waiting:
        batch = waiting.pop()
        try:
            output = run(batch)
        except torch.OutOfMemoryError as error:
            if not (parts := split(batch)):
                raise does_not_fit(unit) from error
            on_split(batch)
            waiting += parts
        else:
            yield batch, output
            continue
        torch.cuda.empty_cache()  # here, because until the end of `except` the traceback keeps tensors alive


def does_not_fit(unit: str) -> UnusableModel:
    """The error of a model that has too little memory even for one request."""
    return UnusableModel(f"not even one {unit} fits into memory; use a smaller model, pictures or replies")


def out_of_memory_note(consequence: str) -> dict[str, str]:
    """The note of a batch that did not fit into memory."""
    return {"step": "model", "kind": "fallback", "detail": f"out of memory: {consequence}"}


def prepare_valid(
    jobs: Sequence[Job],
    prepare: Callable[[Sequence[Conversation]], _Output],
    *,
    key: Callable[[Conversation], Hashable],
) -> tuple[list[Job], _Output | None]:
    """Prepare a batch; where that is refused, without the jobs that are to blame, whose futures get the error.

    Args:
        jobs: whose conversations.
        prepare: a batch of conversations, or raises BadInput.
        key: conversations with the same key are refused together, and tried once.

    Returns:
        The jobs that are left, and what `prepare` returned for them; None without any.
    """
    try:
        return list(jobs), prepare([job.conversation for job in jobs]) if jobs else None
    except BadInput as error:
        if len(jobs) == 1:
            jobs[0].future.set_exception(error)
            return [], None
    errors: dict[Hashable, BadInput | None] = {}
    valid: list[Job] = []
    for job in jobs:
        name = key(job.conversation)
        if name not in errors:
            errors[name] = _error_of(prepare, job.conversation)
        if (error_of := errors[name]) is None:
            valid.append(job)
        else:
            job.future.set_exception(error_of)
    return valid, prepare([job.conversation for job in valid]) if valid else None


def _error_of(
    prepare: Callable[[Sequence[Conversation]], object], conversation: Conversation
) -> BadInput | None:
    try:
        prepare([conversation])
    except BadInput as error:
        return error
    return None
