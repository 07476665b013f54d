"""Probabilities of given answers, from the weights that servers give the first token."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage

from imagescope_agent.errors import RequestFailed, RequestRefused, UnreadableReply
from imagescope_agent.mllms.liveness import answer_of
from imagescope_agent.mllms.openai.dialect import Question
from imagescope_agent.mllms.openai.messages import pictures_in, wire_messages
from imagescope_agent.mllms.openai.replicas.asking import Answered, Asking
from imagescope_agent.mllms.openai.responses import (
    first_token_probabilities,
    first_token_weights,
    token_counts,
    written,
)
from imagescope_agent.mllms.protocols import Choice, UnusableLabels
from imagescope_agent.records import NoteKind, note


async def scored(
    model: BaseChatModel, asking: Asking, messages: Sequence[Sequence[BaseMessage]], choices: Sequence[str]
) -> Choice:
    """As `protocols.ChoiceScorer.ascore`.

    Args:
        model: whose liveness tells a request that fails from a server that is away.
        asking: who asks.
        messages: the conversations.
        choices: the answers.

    Raises:
        UnusableLabels: no server gives logprobs, the choices begin alike, or no reply begins with one.
        BackendUnavailable: none answers.
    """
    if not (await asking.powers()).logprobs:
        ignored = asking.pool.replicas[0].negotiator(asking.model).dialect.top_logprobs
        raise UnusableLabels(f"the server {'ignores' if ignored else 'refuses'} logprobs")
    start = time.perf_counter()
    outcomes = await _ask_all(model, asking, messages, choices)
    answers = {row: each for row, each in enumerate(outcomes) if not isinstance(each, Exception)}
    if answers and not any(first_token_weights(each.answer) for each in answers.values()):
        raise UnusableLabels("the server gives no logprobs for these questions")
    rows = {row: first_token_probabilities(each.answer, choices) for row, each in answers.items()}
    if rows and not any(rows.values()):
        raise UnusableLabels("the server's first token is none of the answers")
    notes = _notes(list(answers.values()))
    if unheard := sum(row is None for row in rows.values()):
        detail = f"the server weighed none of {list(choices)!r} in {unheard} of {len(messages)} answers"
        notes.append(_note("unreadable", detail))
    return Choice(
        probabilities=[rows.get(row) or [1 / len(choices)] * len(choices) for row in range(len(messages))],
        usage=_usage(list(answers.values()), len(messages), start),
        notes=notes,
        refused={row: str(each) for row, each in enumerate(outcomes) if isinstance(each, Exception)},
        failed=frozenset(row for row, each in enumerate(outcomes) if isinstance(each, RequestFailed)),
    )


async def _ask_all(
    model: BaseChatModel, asking: Asking, messages: Sequence[Sequence[BaseMessage]], choices: Sequence[str]
) -> list[Answered | Exception]:
    """All answers, or why there is none; when the server answers nothing at all the others are called off.

    A request that is not answered fails alone where the server answers others.
    """
    under_way = [asyncio.ensure_future(_weighed(model, asking, each, choices)) for each in messages]
    try:
        outcomes = list(await asyncio.gather(*under_way))
    finally:
        for each in under_way:
            each.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)
    return outcomes


async def _weighed(
    model: BaseChatModel, asking: Asking, messages: Sequence[BaseMessage], choices: Sequence[str]
) -> Answered | Exception:
    async def ask() -> Answered:
        found = await asking.asked(
            question_of(messages, 1, weigh=True),
            reads=lambda answer: first_token_probabilities(answer, choices) is not None,
        )
        written(found.answer)
        return found

    try:
        return await answer_of(model, ask)
    except (RequestRefused, UnreadableReply) as error:
        return error


def question_of(messages: Sequence[BaseMessage], limit: int, *, weigh: bool = False) -> Question:
    """Messages as a question to a server."""
    made = wire_messages(messages)
    return Question(messages=made, limit=limit, weigh=weigh, pictures=pictures_in(made))


def _usage(found: Sequence[Answered], calls: int, start: float) -> dict[str, Any]:
    """The tokens of all answers; a question is one call, however many servers were asked."""
    wasted = [each for one in found for each in one.wasted]
    counts = [token_counts(each) for each in (*(one.answer for one in found), *wasted)]
    return {
        "calls": calls,
        "prompt_tokens": sum(read for read, _ in counts),
        "completion_tokens": sum(wrote for _, wrote in counts),
        "image_prefills": 0,
        "seconds": time.perf_counter() - start,
    }


def _notes(found: Sequence[Answered]) -> list[dict[str, str]]:
    remarks = dict.fromkeys(remark for each in found for remark in each.remarks)
    retries = dict.fromkeys(retry for each in found for retry in each.retries)
    return [_note("fallback", each) for each in remarks] + [_note("retried", each) for each in retries]


def _note(kind: NoteKind, detail: str) -> dict[str, str]:
    return note("model", kind, detail)
