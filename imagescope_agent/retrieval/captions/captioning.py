"""Caption a batch of images, and notes for those without a caption."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from imagescope_agent.errors import BadInput, ImageScopeError, RequestRefused
from imagescope_agent.mllms.role import Reply, Request, Role
from imagescope_agent.records import NoteKind, note
from imagescope_agent.replies.non_answers import says_nothing
from imagescope_agent.retrieval.index import manifest
from imagescope_agent.usage import total_usage

CAPTION_TOKENS = 96
LONGER = 8  # times as many for a captioner that reasons before it answers, once it was cut off


async def caption_images(captioner: Role, requests: Sequence[Request]) -> list[Reply]:
    """One reply per image; those cut off by the token limit before any text are asked once more with a larger limit.

    A reply that describes nothing (a refusal, "Yes", JSON, endless repetition) has no text, and a problem.

    Raises:
        BackendUnavailable: the captioner does not answer.
    """
    replies = await captioner.ask_some(requests, (), max_tokens=CAPTION_TOKENS)
    cut = [i for i, reply in enumerate(replies) if reply.cut and not reply.text]
    asked = [requests[i] for i in cut]
    longer = await captioner.ask_some(asked, (), max_tokens=LONGER * CAPTION_TOKENS)
    for i, reply in zip(cut, longer, strict=True):
        replies[i] = replace(reply, usage=total_usage([replies[i].usage, reply.usage]))
    return [_description(reply) for reply in replies]


def captions_wanted(out: Path, wanted: str | None) -> str:
    """Which images of an index get a caption: those that are wanted, else as it was made, else all.

    Raises:
        BadInput: something else than one of `manifest.CAPTIONS` is wanted.
    """
    if wanted not in (None, *manifest.CAPTIONS):
        raise BadInput(f"captions is {wanted!r}; give one of {', '.join(manifest.CAPTIONS)}")
    if wanted is not None:
        return wanted
    try:
        made = (out / manifest.MANIFEST).is_file()
        return manifest.read(out).captions if made else manifest.CAPTIONS[0]
    except (OSError, BadInput):
        return manifest.CAPTIONS[0]


def index_wanted(out: Path, wanted: str | None) -> str:
    """How nearest vectors of an index are looked for: as is wanted, else as it was made, else "auto".

    Raises:
        BadInput: something else than one of `manifest.INDEX_KINDS` is wanted.
    """
    if wanted not in (None, *manifest.INDEX_KINDS):
        raise BadInput(f"there is no index {wanted!r}; give one of {', '.join(manifest.INDEX_KINDS)}")
    if wanted is not None:
        return wanted
    try:
        return manifest.read(out).index if (out / manifest.MANIFEST).is_file() else manifest.INDEX_KINDS[0]
    except (OSError, BadInput):
        return manifest.INDEX_KINDS[0]


def _description(reply: Reply) -> Reply:
    problem = says_nothing(reply.text) if reply.text else ""
    return replace(reply, text="", problem=reply.unusable(problem)) if problem else reply


def all_refused(replies: Sequence[Reply]) -> str:
    """Why, where the captioner refuses all of several images; else ""."""
    refused = [reply.problem for reply in replies if isinstance(reply.problem, RequestRefused)]
    if not len(refused) == len(replies) > 1:
        return ""
    return f"the captioner refuses all of the first {len(replies)} pictures: {refused[0]}"


def no_caption(name: str, problem: ImageScopeError | None) -> dict[str, str]:
    """A note that an image has no caption; `problem` says why, None where the caption was empty."""
    kind: NoteKind = "refused" if isinstance(problem, RequestRefused) else "unreadable"
    why = f" ({problem})" if problem is not None else ""
    detail = f"{name!r} got no caption; it is found by its picture alone{why}"
    return note("caption", kind, detail)


def one_line(text: str) -> str:
    """A caption without the line breaks that a model may have put in."""
    return " ".join(text.split())
