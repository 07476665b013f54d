"""Optional capabilities of chat models, detected by `Role`, which otherwise falls back with a note."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from langchain_core.messages import BaseMessage
from pydantic import BaseModel

#: Minimum probability mass of all choices together: below it the model was about to say something else, and the
#: relative probabilities of the choices mean nothing.
MIN_CHOICE_MASS = 0.5


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Probabilities over given answers.

    Attributes:
        probabilities: (n_requests, n_choices), each row sums to 1. A scorer may also return probabilities over its
            whole vocabulary; a row is used if they sum to `MIN_CHOICE_MASS` or more.
        usage: calls, prompt_tokens, completion_tokens, image_prefills, seconds.
        notes: fallbacks.
        refused: reasons of refused requests by row; such a row is uniform and carries no information.
        failed: those of the refused rows that may be answered at another time.
    """

    probabilities: list[list[float]]
    usage: dict[str, Any]
    notes: list[dict[str, str]] = field(default_factory=list)
    refused: dict[int, str] = field(default_factory=dict)
    failed: frozenset[int] = frozenset()


@runtime_checkable
class ChoiceScorer(Protocol):
    """Scores given answers instead of generating one."""

    async def ascore(self, messages: list[list[BaseMessage]], choices: Sequence[str]) -> Choice:
        """First-token probabilities of `choices` as the answer to each conversation.

        Raises:
            UnusableLabels: two choices begin with the same token.
        """
        ...


@runtime_checkable
class SchemaWriter(Protocol):
    """Supports structured output: replies that follow a JSON schema."""

    def schema_kwargs(self, schema: type[BaseModel]) -> dict[str, Any]:
        """Keyword arguments of `ainvoke` for a reply of that schema; empty where it is not supported."""
        ...


@runtime_checkable
class TokenCounter(Protocol):
    """Counts prompt tokens before a request is sent."""

    async def acount(self, messages: list[list[BaseMessage]]) -> list[int]:
        """Tokens of each conversation's prompt, images and template included, without any sharing."""
        ...


@runtime_checkable
class LimitedImages(Protocol):
    """Has a limit of images per request, which is found out when a request is refused.

    A request with more images is refused (`RequestRefused`) without being sent.
    """

    @property
    def images_per_request(self) -> int | None:
        """Most images of a request, 0 for a text-only model; None while no limit is known."""
        ...


class UnusableLabels(ValueError):
    """Choices whose first tokens are not distinct."""


@dataclass(frozen=True, kw_only=True)
class Attention:
    """How much the text of a conversation attends to its images.

    Attributes:
        pictures: for every image, in order, one value per token of it: attention from the text after the last
            image and what is said of it (to the end of the prompt), averaged over the text's tokens and summed over
            heads and layers.
        usage: as `Choice.usage`.
        chosen: as `pictures`, summed over the heads alone that were found to point at what is asked for; None where
            nobody chose any.
        after: for every image, the attention of the chosen heads to all tokens from it to the next one, or to the
            text; None where those were not found to point at what is asked for.
        log_odds: whether the chosen heads are weighed so that an image's sum, less that of an empty question, is its
            log-odds to be the one that is asked for.
        heads: as `pictures`, by layer and head; None unless asked for.
        heads_after: as `after`, by layer and head; None unless asked for.
    """

    pictures: list[list[float]]
    usage: dict[str, Any]
    chosen: list[list[float]] | None = None
    after: list[float] | None = None
    log_odds: bool = False
    heads: list[list[list[list[float]]]] | None = None
    heads_after: list[list[list[float]]] | None = None


@runtime_checkable
class AttentionReader(Protocol):
    """Returns its attention to images."""

    async def aattention(self, messages: list[BaseMessage]) -> Attention:
        """The attention of one conversation, in one forward pass."""
        ...


@dataclass(frozen=True, kw_only=True)
class Embedding:
    """Embeddings of conversations.

    Attributes:
        vectors: one per conversation, of the same length, to be compared by cosine similarity.
        usage: as `Choice.usage`.
        trained: whether the model was trained to embed; the angles between other vectors say nothing.
    """

    vectors: list[list[float]]
    usage: dict[str, Any]
    trained: bool = True


@runtime_checkable
class MessageEmbedder(Protocol):
    """Embeds conversations, images and text together."""

    async def aembed(self, messages: list[list[BaseMessage]]) -> Embedding:
        """One vector per conversation, read at its last token."""
        ...
