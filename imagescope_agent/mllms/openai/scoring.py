"""Probabilities of given answers, from the weights that servers give the first token."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage

from imagescope_agent.errors import RequestFailed, RequestRefused, UnreadableReply
from imagescope_agent.mllms.batch import together
from imagescope_agent.mllms.liveness import answer_of
from imagescope_agent.mllms.openai.choices import Group, ask_group, groups_of
from imagescope_agent.mllms.openai.dialect import Question
from imagescope_agent.mllms.openai.messages import pictures_in, wire_messages
from imagescope_agent.mllms.openai.replicas.asking import Answered, Asking
from imagescope_agent.mllms.openai.responses import (
    first_token_probabilities,
    first_token_weights,
    image_prefills,
    token_counts,
    written,
)
from imagescope_agent.mllms.output_validation import sound_notes
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
    start = time.perf_counter()
    questions = [question_of(each, 1, weigh=True) for each in messages]
    found: list[Answered] = []
    rows: dict[int, list[float] | Exception] = {}
    if (await asking.powers()).choices:
        found, rows = await _in_groups(model, asking, questions, choices)
    left = [row for row in range(len(questions)) if row not in rows]
    notes = _notes(found)
    if left:
        try:
            outcomes = await _one_by_one(model, asking, [questions[row] for row in left], choices)
        except UnusableLabels as error:
            if not rows:
                raise
            notes.append(_note("unreadable", f"{error}, in {len(left)} of {len(messages)} answers"))
        else:
            found += outcomes.found
            rows |= {left[row]: each for row, each in outcomes.rows.items()}
            notes += outcomes.notes
    usage = _usage(found, len(messages), start)
    return _choice(rows, len(messages), len(choices), usage, notes)


def _choice(
    rows: Mapping[int, list[float] | Exception],
    questions: int,
    choices: int,
    usage: dict[str, Any],
    notes: Sequence[dict[str, str]],
) -> Choice:
    """The rows in order; one that is missing or refused is even, and what is said twice is said once."""
    refused = {row: each for row, each in rows.items() if isinstance(each, Exception)}
    even = [1 / choices] * choices
    given = [rows.get(row, even) for row in range(questions)]
    return Choice(
        probabilities=[even if isinstance(row, Exception) else row for row in given],
        usage=usage,
        notes=list({tuple(each.items()): each for each in notes}.values()),
        refused={row: str(each) for row, each in refused.items()},
        failed=frozenset(row for row, each in refused.items() if isinstance(each, RequestFailed)),
    )


async def _in_groups(
    model: BaseChatModel, asking: Asking, questions: Sequence[Question], choices: Sequence[str]
) -> tuple[list[Answered], dict[int, list[float] | Exception]]:
    """The answers and rows of questions asked many at a time; what is left out is to be asked one by one."""

    async def ask(group: Group) -> tuple[Answered, dict[int, list[float] | Exception]] | None:
        try:
            return await answer_of(model, lambda: ask_group(asking, group, choices))
        except (RequestRefused, UnreadableReply, UnusableLabels):
            return None

    done = [each for each in await together(map(ask, groups_of(questions))) if each is not None]
    rows = {place: row for _, part in done for place, row in part.items()}
    return [answered for answered, _ in done], rows


@dataclass(frozen=True, kw_only=True)
class _Outcomes:
    """What became of questions: the answers, the row of each, and notes."""

    found: list[Answered]
    rows: dict[int, list[float] | Exception]
    notes: list[dict[str, str]]


async def _one_by_one(
    model: BaseChatModel, asking: Asking, questions: Sequence[Question], choices: Sequence[str]
) -> _Outcomes:
    """The questions asked for the weights of the first token; a row that says nothing is missing.

    Raises:
        UnusableLabels: as `scored`.
        BackendUnavailable: no server answers.
    """
    if not (await asking.powers()).logprobs:
        ignored = asking.pool.replicas[0].negotiator(asking.model).dialect.top_logprobs
        raise UnusableLabels(f"the server {'ignores' if ignored else 'refuses'} logprobs")
    outcomes = await together(_weighed(model, asking, each, choices) for each in questions)
    answers = {row: each for row, each in enumerate(outcomes) if not isinstance(each, Exception)}
    if answers and not any(first_token_weights(each.answer) for each in answers.values()):
        raise UnusableLabels("the server gives no logprobs for these questions")
    read = {row: first_token_probabilities(each.answer, choices) for row, each in answers.items()}
    if read and not any(read.values()):
        raise UnusableLabels("the server's first token is none of the answers")
    notes = _notes(list(answers.values()))
    if unheard := sum(row is None for row in read.values()):
        detail = f"the server weighed none of {list(choices)!r} in {unheard} of {len(questions)} answers"
        notes.append(_note("unreadable", detail))
    rows: dict[int, list[float] | Exception] = {row: each for row, each in read.items() if each is not None}
    rows |= {row: each for row, each in enumerate(outcomes) if isinstance(each, Exception)}
    useless = [each.usage for each in outcomes if isinstance(each, UnreadableReply)]
    paid = [Answered(answer={"usage": each}, remarks=[]) for each in useless]
    return _Outcomes(found=[*answers.values(), *paid], rows=rows, notes=notes)


async def _weighed(
    model: BaseChatModel, asking: Asking, question: Question, choices: Sequence[str]
) -> Answered | Exception:
    """The answer to one question, or why there is none; it fails alone where the server answers others."""

    async def ask() -> Answered:
        found = await asking.asked(
            question,
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
        "image_prefills": sum(image_prefills(one.answer) for one in found),
        "seconds": time.perf_counter() - start,
    }


def _notes(found: Sequence[Answered]) -> list[dict[str, str]]:
    """What questions had to do without, what was asked twice, and what servers of our own note."""
    theirs = [each for one in found for each in sound_notes(one.answer.get("notes"))]
    remarks = dict.fromkeys(remark for each in found for remark in each.remarks)
    retries = dict.fromkeys(retry for each in found for retry in each.retries)
    ours = [_note("fallback", each) for each in remarks] + [_note("retried", each) for each in retries]
    return [*ours, *theirs]


def _note(kind: NoteKind, detail: str) -> dict[str, str]:
    return note("model", kind, detail)
