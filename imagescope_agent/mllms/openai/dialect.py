"""How a server wants to be asked: which parameters, limits and schemas it takes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from imagescope_agent.mllms.schema import without_limits

TOP_LOGPROBS = (20, 10, 5, 2, 0)
#: What is tried in turn, from what is wanted most to what is left when a server refuses everything before it.
LEVELS: dict[str, tuple[Any, ...]] = {
    "top_logprobs": TOP_LOGPROBS,
    "schema": ("full", "bare", "none"),
    "shortest": (1, 16, 256),
    "limit": ("max_tokens", "max_completion_tokens", ""),
    "temperature": (True, False),
    "seed": (True, False),
    "stop": (True, False),
}
# Words of a refusal by which the parameter at fault is tried first; they decide nothing else.
_WORDS = {
    "top_logprobs": ("logprob",),
    "schema": (
        "response_format",
        "schema",
        "grammar",
        "json",
        "minitems",
        "maxitems",
        "length",
        "pattern",
        "strict",
    ),
    "limit": ("max_tokens", "max_completion_tokens", "max_new_tokens"),
    "shortest": (
        "minimum",
        "at least",
        "below",
        "greater",
        "higher",
        "increase",
        "too small",
        "too low",
        "too short",
        ">=",
        "finish the message",
        "limit was reached",
    ),
    "temperature": ("temperature", "sampling"),
    "seed": ("seed",),
    "stop": ("stop",),
}


@dataclass(frozen=True, kw_only=True)
class Question:
    """What a server is asked, whatever its dialect.

    Attributes:
        messages: of `messages.wire_messages`.
        limit: tokens of the reply.
        weigh: whether the probabilities of the first token are wanted.
        format: the `response_format` that holds the reply to a schema; None for free text.
        options: "temperature", "seed", "stop" where they differ from the usual.
        pictures: how many the messages hold.
    """

    messages: list[dict[str, Any]]
    limit: int
    weigh: bool = False
    format: Mapping[str, Any] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    pictures: int = 0


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """What a server takes, each at a level of `LEVELS`.

    Attributes:
        top_logprobs: how many tokens it weighs; 0 for none.
        schema: "full" with all limits, "bare" without, "none" for no schema.
        limit: its name for the longest reply; "" for none.
        shortest: the least such limit that it takes.
        temperature: whether it takes another than its own.
        seed, stop: whether it takes these.
    """

    top_logprobs: int = TOP_LOGPROBS[0]
    schema: str = "full"
    limit: str = "max_tokens"
    shortest: int = 1
    temperature: bool = True
    seed: bool = True
    stop: bool = True

    def body(self, model: str, question: Question) -> dict[str, Any]:
        """The chat completion request."""
        body: dict[str, Any] = {"model": model, "messages": question.messages}
        if self.limit:
            body[self.limit] = max(question.limit, self.shortest)
        options = {"temperature": 0, **question.options}
        body.update({name: value for name, value in options.items() if getattr(self, name)})
        if question.weigh and self.top_logprobs:
            body.update(logprobs=True, top_logprobs=self.top_logprobs)
        if question.format is not None and self.schema != "none":
            body["response_format"] = question.format if self.schema == "full" else _bare(question.format)
        return body

    def shape(self, question: Question) -> str:
        """Everything of a request but what it says: requests of one shape differ in nothing a server could refuse
        but their words and pixels.
        """
        body = self.body("", question)
        return json.dumps({**body, "messages": question.pictures}, sort_keys=True)

    def softer(self, question: Question, refusal: str) -> tuple[str, Dialect] | None:
        """One level down in the part of the question that the refusal most likely means, named; None at the end."""
        told = refusal.casefold()
        axes = [axis for axis in _axes(question) if self.below(axis)]
        axes.sort(key=lambda axis: not any(word in told for word in _WORDS[axis]))
        if not axes:
            return None
        return axes[0], replace(self, **{axes[0]: self.below(axes[0])[0]})

    def below(self, axis: str) -> tuple[Any, ...]:
        """The levels that are left below the present one."""
        levels, level = LEVELS[axis], getattr(self, axis)
        if axis == "top_logprobs":
            return tuple(each for each in levels if each < level)
        return levels[levels.index(level) + 1 :]

    def firmer(self, wanted: Dialect) -> Iterator[tuple[str, Dialect]]:
        """The dialect with one part nearer to what is wanted, from the nearest on; part by part."""
        for axis in LEVELS:
            level, top = getattr(self, axis), getattr(wanted, axis)
            if level == top:
                continue
            between = [
                each for each in wanted.below(axis) if level in replace(wanted, **{axis: each}).below(axis)
            ]
            for each in (top, *between):
                yield axis, replace(self, **{axis: each})

    def remarks(self, question: Question, wanted: Dialect) -> list[str]:
        """What the question had to do without, one line each."""
        found = []
        if question.weigh and self.top_logprobs < wanted.top_logprobs:
            found.append(
                f"the server refuses more than {self.top_logprobs} top_logprobs, so few tokens are weighed"
            )
        if question.format is not None and self.schema == "bare":
            found.append("the server refuses limits in JSON schemas; they are left out")
        if question.format is not None and self.schema == "none":
            found.append("the server refuses JSON schemas; its replies are only parsed")
        if self.limit == "max_completion_tokens":
            found.append("the server refuses max_tokens; max_completion_tokens is sent instead")
        if not self.limit:
            found.append("the server refuses max_tokens; its replies are as long as it likes")
        if question.limit < self.shortest:
            found.append(f"the server refuses shorter replies: {self.shortest} are allowed")
        if not self.temperature:
            found.append("the server refuses temperature 0; its replies may differ from time to time")
        return found + [
            f"the server refuses {name!r}; it is left out"
            for name in ("seed", "stop")
            if name in question.options and not getattr(self, name)
        ]


def _axes(question: Question) -> list[str]:
    """The parts of a dialect that bear on the question."""
    concerned = {
        "top_logprobs": question.weigh,
        "schema": question.format is not None,
        "shortest": question.limit < LEVELS["shortest"][-1],
        "seed": "seed" in question.options,
        "stop": "stop" in question.options,
    }
    return [axis for axis in LEVELS if concerned.get(axis, True)]


def _bare(form: Mapping[str, Any]) -> dict[str, Any]:
    """The response format with a schema that has no limits, and without a promise to keep it strictly."""
    described = form.get("json_schema")
    if not isinstance(described, Mapping) or not isinstance(described.get("schema"), Mapping):
        return dict(form)
    bare = {"name": described.get("name", "reply"), "schema": without_limits(described["schema"])}
    return {**form, "json_schema": bare}
