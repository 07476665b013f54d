"""Powers a chat model may have beyond answering; a `Role` looks for them and does without, with a note."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from langchain_core.messages import BaseMessage
from pydantic import BaseModel

#: What the choices must hold together of all that a model could say: where it was about to say something else, how
#: the rest is divided says nothing.
LEAST_SHARE = 0.5


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Probabilities over given answers.

    Attributes:
        probabilities: (n_requests, n_choices), each row sums to 1. A scorer may also give each choice its share of
            all that could be said; a row is believed if these shares come to `LEAST_SHARE` or more.
        usage: calls, prompt_tokens, completion_tokens, image_prefills, seconds.
        notes: what was degraded on the way.
        refused: the requests that got no answer, by their row, and why; such a row is even and says nothing.
    """

    probabilities: list[list[float]]
    usage: dict[str, Any]
    notes: list[dict[str, str]] = field(default_factory=list)
    refused: dict[int, str] = field(default_factory=dict)


@runtime_checkable
class ChoiceScorer(Protocol):
    """Gives the probability of each of some answers instead of writing one."""

    async def ascore(self, messages: list[list[BaseMessage]], choices: Sequence[str]) -> Choice:
        """First-token probabilities of `choices` as the answer to each conversation.

        Raises:
            UnusableLabels: two choices begin with the same token, so their first tokens say nothing.
        """
        ...


@runtime_checkable
class SchemaWriter(Protocol):
    """Writes replies that follow a JSON schema."""

    def schema_kwargs(self, schema: type[BaseModel]) -> dict[str, Any]:
        """What to pass to `ainvoke` so that the reply is JSON of that schema; empty when it cannot."""
        ...


@runtime_checkable
class TokenCounter(Protocol):
    """Knows beforehand what a question costs."""

    async def acount(self, messages: list[list[BaseMessage]]) -> list[int]:
        """Tokens of each conversation's prompt, pictures and template included, as if it were asked alone."""
        ...


@runtime_checkable
class LimitedImages(Protocol):
    """Takes only so many pictures in one request, which shows when it refuses more.

    A request with more pictures than that is refused (`RequestRefused`) without being sent.
    """

    @property
    def images_per_request(self) -> int | None:
        """The most pictures of a request, 0 for a model that sees none; None while no limit was met."""
        ...


class UnusableLabels(ValueError):
    """Choices that the first token of an answer does not tell apart."""


@dataclass(frozen=True, kw_only=True)
class Attention:
    """How much the text of a conversation attends to its pictures.

    Attributes:
        pictures: for every picture, in order, one value a token of it: attention from the text after the last
            picture (to the end of the prompt), averaged over the text's tokens and summed over heads and layers.
        usage: as `Choice.usage`.
    """

    pictures: list[list[float]]
    usage: dict[str, Any]


@runtime_checkable
class AttentionReader(Protocol):
    """Shows where its attention goes."""

    async def aattention(self, messages: list[BaseMessage]) -> Attention:
        """The attention of one conversation, in one forward pass."""
        ...


@dataclass(frozen=True, kw_only=True)
class Embedding:
    """Conversations as vectors.

    Attributes:
        vectors: one a conversation, all of the same length, in a space where the angle tells likeness.
        usage: as `Choice.usage`.
    """

    vectors: list[list[float]]
    usage: dict[str, Any]


@runtime_checkable
class MessageEmbedder(Protocol):
    """Embeds whole conversations, pictures and text together."""

    async def aembed(self, messages: list[list[BaseMessage]]) -> Embedding:
        """One vector a conversation, read at its last token."""
        ...
