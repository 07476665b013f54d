"""What every judge is given and gives back."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Protocol

from PIL import Image

from imagescope_agent.mllms.role import ImageRef, Request, Role
from imagescope_agent.prompting import Prompt, load_prompt
from imagescope_agent.state import Note


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """An image to be judged, as the model is shown it."""

    id: str
    image: ImageRef


@dataclass(frozen=True, kw_only=True)
class Task:
    """What the candidates are judged by.

    Args:
        query: the user's words; with a reference, what to change in it.
        understood: its atomic instructions, one "Type: words" a line, or a description of what is wanted; empty where
            nobody read it.
        reference: the reference image, None for a text query.
        model: who is asked.
        prompt_set: whose wording is used, None for the model's own.
        seed: of any random choice the strategy makes.
        budget: most model calls the judge may make, None for no limit.
    """

    query: str
    understood: str = ""
    reference: ImageRef | None = None
    model: Role
    prompt_set: str | None = None
    seed: int = 0
    budget: int | None = None

    def prompt(self, step: str) -> Prompt:
        """The wording of a step that suits the model."""
        return load_prompt(step, prompt_set=self.prompt_set or self.model.prompt_set)

    def words(self, step: str, **values: str) -> tuple[str, str]:
        """What a step says after all pictures, and after each candidate: filled with the query and `values`."""
        prompt = self.prompt(step)
        filled = {"instruction": self.query, "understood": self.understood or self.query, **values}
        return prompt.fill(**filled), said_after(prompt.fill_each(**filled))


def said_after(each: str) -> str:
    """What a prompt says after each candidate, as it stands between two pictures."""
    return f" {each}\n" if each else ""


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """A judge's answer.

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
    notes: Sequence[Note] = ()
    usage: Sequence[Mapping[str, Any]] = ()


class Judge(Protocol):
    """A strategy: candidates in first-stage order -> their order."""

    async def __call__(self, task: Task, candidates: Sequence[Candidate]) -> Judgement:
        """Order the candidates.

        Raises:
            BackendUnavailable: the model does not answer.
        """
        ...


@cache
def blank_image(side: int = 128) -> ImageRef:
    """A white square, shown where a strategy needs a reference image and the query has none."""
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), "white").save(buffer, "PNG")
    return ImageRef(key=f"blank-{side}", data=buffer.getvalue())


def fitting(model: Role, request: Request) -> Request:
    """The request, without the blank picture at its beginning where that is one more than the model takes."""
    most = model.images_per_request
    return request if most is None or len(request.images) != most + 1 else without_blank(request) or request


def without_blank(request: Request) -> Request | None:
    """The request without the blank picture at its beginning, told as such; None where there is none, or no other."""
    if len(request.images) < 2 or request.images[0] != blank_image():
        return None
    text = f"{load_prompt('alone').fill()}\n\n{request.text}"
    return Request(text=text, images=request.images[1:], labels=request.labels[1:], after=request.after[1:])


def too_many(model: Role, request: Request) -> str:
    """Why the model cannot be asked a question, where it shows more pictures than it takes; empty when it can."""
    most = model.images_per_request
    if most is None or len(request.images) <= most:
        return ""
    return f"the question shows {len(request.images)} pictures, and the model takes {most} in a request"
