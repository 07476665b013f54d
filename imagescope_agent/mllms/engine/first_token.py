"""The most probable first tokens of a reply, whatever they are."""

from __future__ import annotations

import asyncio
import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from langchain_core.messages import BaseMessage

from imagescope_agent.mllms.batch import CALLER
from imagescope_agent.mllms.engine.request_queue import Job, ScoreOutput

if TYPE_CHECKING:
    from imagescope_agent.mllms.transformers_chat import TransformersChat

_LEAST = 1e-30  # a probability below it is given as this


@dataclass(frozen=True, kw_only=True)
class FirstToken:
    """The first token of a reply.

    Attributes:
        text: what it says; empty where it ends the reply.
        top: the most probable ones and their log probabilities, the most probable first.
        usage: prompt_tokens, completion_tokens, image_prefills.
        notes: fallbacks.
    """

    text: str
    top: list[tuple[str, float]]
    usage: dict[str, int]
    notes: tuple[dict[str, str], ...]


async def first_token(model: TransformersChat, messages: Sequence[BaseMessage], top: int) -> FirstToken:
    """The first token of the reply to a conversation; it is scored in one batch with others.

    Args:
        model: who is asked.
        messages: the conversation.
        top: how many tokens are listed, at least 1.

    Raises:
        RequestRefused: the model does not take the conversation.
        BackendUnavailable: the weights cannot be loaded.
    """
    engine = await asyncio.to_thread(model.engine)
    size = engine.checkpoint.vocabulary
    job = Job(messages=messages, caller=CALLER.get() or object(), labels=_all(size))
    engine.submit([job])
    found: ScoreOutput = await asyncio.wrap_future(job.future)
    best = heapq.nlargest(top, range(size), key=found.probabilities.__getitem__)
    decode = engine.checkpoint.tokenizer.decode
    return FirstToken(
        text="" if best[0] in engine.checkpoint.stop_ids else decode([best[0]]),
        top=[(decode([token]), math.log(max(_LEAST, found.probabilities[token]))) for token in best],
        usage={
            "prompt_tokens": found.prompt_tokens,
            "completion_tokens": 1,
            "image_prefills": found.image_prefills,
        },
        notes=found.notes,
    )


@cache
def _all(size: int) -> tuple[int, ...]:
    """Every token; the same object each time, so that comparing costs nothing."""
    return tuple(range(size))
