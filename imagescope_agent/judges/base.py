"""The interface of judges: task and candidates in, judgement out."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Protocol

from PIL import Image

from imagescope_agent.mllms.role import ImageRef, Request, Role
from imagescope_agent.prompting import Prompt, load_prompt
from imagescope_agent.records import NoteDict


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A candidate image as the model gets it, and the text that comes with it, if any."""

    id: str
    image: ImageRef
    text: str = ""


@dataclass(frozen=True, kw_only=True)
class Task:
    """The query and the model that candidates are judged by.

    Args:
        query: the user's words; with a reference, what to change in it.
        understood: its atomic instructions, one "Type: words" a line, or a description of what is wanted; empty where
            nobody read it.
        reference: the reference image, None for a text query.
        further: the other references where there are several.
        numbers: what a query with several references calls those that are shown, the first one too.
        model: who is asked.
        prompt_set: whose wording is used, None for the model's own.
        seed: of any random choice the strategy makes.
        budget: most model calls the judge may make, None for no limit.
    """

    query: str
    understood: str = ""
    reference: ImageRef | None = None
    further: tuple[ImageRef, ...] = ()
    numbers: tuple[int, ...] = ()
    model: Role
    prompt_set: str | None = None
    seed: int = 0
    budget: int | None = None

    def prompt(self, step: str) -> Prompt:
        """The prompt of a step in the model's prompt set."""
        return load_prompt(step, prompt_set=self.prompt_set or self.model.prompt_set)

    def words(self, step: str, **values: str) -> tuple[str, str]:
        """The filled prompt of a step: the text after all images, and the text after each candidate."""
        prompt = self.prompt(step)
        filled = {"instruction": self.query, "understood": self.understood or self.query, **values}
        text = prompt.fill(**filled)
        if self.numbers:
            text = f"{self.prompt('several').fill(count=str(len(self.numbers)))}\n\n{text}"
        return text, said_after(prompt.fill_each(**filled))

    @property
    def references(self) -> tuple[ImageRef, ...]:
        """The reference images before the candidates: a blank one for a text query."""
        return (self.reference or blank_image(), *self.further)

    def labels(self, candidates: Sequence[str]) -> tuple[str, ...]:
        """The labels before each image of a request, given those of the candidates; none where nothing has one."""
        if not self.numbers:
            return ("Reference:", *(f"{label}:" for label in candidates)) if any(candidates) else ()
        named = (f"Candidate {label}:" if label else "Candidate:" for label in candidates)
        return (*(f"Reference {number}:" for number in self.numbers), *named)


def said_after(each: str) -> str:
    """The text of a prompt that follows each candidate, with the whitespace between two images."""
    return f" {each}\n" if each else ""


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """The order that a judge gives, with scores, reasons, notes and usage.

    Args:
        order: all candidate ids, best first.
        scores: by id, higher is better, only where the strategy has them.
        reasons: by id, in words.
        notes: one per degraded answer, with "kind" and "detail".
        usage: one per request, as `Reply.usage`.
    """

    order: list[str]
    scores: Mapping[str, float] = field(default_factory=dict)
    reasons: Mapping[str, list[str]] = field(default_factory=dict)
    notes: Sequence[NoteDict] = ()
    usage: Sequence[Mapping[str, Any]] = ()


class Judge(Protocol):
    """A strategy: candidates in first-stage order -> their order.

    By an attribute `at_once` it may tell how many candidates one request shows, as `Strategy` does.
    """

    async def __call__(self, task: Task, candidates: Sequence[Candidate]) -> Judgement:
        """Order the candidates.

        Raises:
            BackendUnavailable: the model does not answer.
        """
        ...


@cache
def blank_image(side: int = 128) -> ImageRef:
    """A white square that stands in for the reference image of a text query."""
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), "white").save(buffer, "PNG")
    return ImageRef(key=f"blank-{side}", data=buffer.getvalue())


def fitting(model: Role, request: Request) -> Request:
    """The request, without the blank reference image where that exceeds the images that the model takes by one."""
    most = model.images_per_request
    return request if most is None or len(request.images) != most + 1 else without_blank(request) or request


def without_blank(request: Request) -> Request | None:
    """The request with its blank reference image replaced by a sentence; None without one, or without another image."""
    if len(request.images) < 2 or request.images[0] != blank_image():
        return None
    text = f"{load_prompt('alone').fill()}\n\n{request.text}"
    return Request(text=text, images=request.images[1:], labels=request.labels[1:], after=request.after[1:])


def too_many(model: Role, request: Request) -> str:
    """Why the request has more images than the model takes; empty when it has not."""
    most = model.images_per_request
    if most is None or len(request.images) <= most:
        return ""
    return f"the question shows {len(request.images)} pictures, and the model takes {most} in a request"
