"""Captions of a batch of pictures, and what to say of those that got none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from imagescope_agent.errors import ImageScopeError, RequestRefused
from imagescope_agent.mllms.role import Reply, Request, Role
from imagescope_agent.mllms.usage import total_usage

CAPTION_TOKENS = 96
LONGER = 8  # times as many for a captioner that thinks before it speaks, once it was cut off


async def described(captioner: Role, requests: Sequence[Request]) -> list[Reply]:
    """A reply a picture; those that were cut off before they said anything are asked for once more.

    Raises:
        BackendUnavailable: the captioner does not answer.
    """
    replies = await captioner.ask_some(requests, (), max_tokens=CAPTION_TOKENS)
    cut = [place for place, reply in enumerate(replies) if reply.cut and not reply.text]
    asked = [requests[place] for place in cut]
    longer = await captioner.ask_some(asked, (), max_tokens=LONGER * CAPTION_TOKENS)
    for place, reply in zip(cut, longer, strict=True):
        replies[place] = replace(reply, usage=total_usage([replies[place].usage, reply.usage]))
    return replies


def require_some(replies: Sequence[Reply], *, before: bool) -> None:
    """Make sure that the captioner takes pictures at all: where it does not, it is mended before an index is made.

    Args:
        replies: of one batch.
        before: whether any picture got a caption before.

    Raises:
        RequestRefused: it refused the first pictures that it was ever asked about, and more than one.
    """
    refused = [reply.problem for reply in replies if isinstance(reply.problem, RequestRefused)]
    if len(refused) == len(replies) > 1 and not before:
        raise RequestRefused(f"the captioner refuses all of the first {len(replies)} pictures: {refused[0]}")


def no_caption(name: str, problem: ImageScopeError | None) -> dict[str, str]:
    """A note that an image has no caption; `problem` says why, None where the caption was empty."""
    kind = "refused" if isinstance(problem, RequestRefused) else "unreadable"
    why = f" ({problem})" if problem is not None else ""
    detail = f"{name!r} got no caption; it is found by its picture alone{why}"
    return {"step": "caption", "kind": kind, "detail": detail}
