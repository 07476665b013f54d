"""Many questions that begin alike in one request, to servers that offer it (`imagescope serve-model`).

`POST /v1/choices` takes what the questions begin with, once, and gives the probabilities of the given answers to each.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from imagescope_agent.errors import RequestRefused, UnreadableReply
from imagescope_agent.mllms.openai.dialect import Question
from imagescope_agent.mllms.openai.replicas.asking import Answered, Asking, prefix_of

_MOST = 64  # questions of one request
_SLACK = 1e-3  # by which a row may miss a sum of 1


@dataclass(kw_only=True)
class Group:
    """Questions that begin alike.

    Attributes:
        shared: the messages that they begin with, without the last text.
        rows: their places.
        texts: the last text of each.
        first: one of them.
    """

    shared: list[dict[str, Any]]
    first: Question
    rows: list[int] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)


def groups_of(questions: Sequence[Question]) -> list[Group]:
    """The questions by what they begin with; those that do not end with a text of the user are left out."""
    found: dict[tuple[str, str], list[Group]] = {}
    for row, question in enumerate(questions):
        if (parts := _split(question.messages)) is None:
            continue
        shared, text = parts
        key = (prefix_of(question), repr(_words(shared)))
        groups = found.setdefault(key, [])
        if not groups or len(groups[-1].rows) == _MOST:
            groups.append(Group(shared=shared, first=question))
        groups[-1].rows.append(row)
        groups[-1].texts.append(text)
    return [group for groups in found.values() for group in groups]


async def ask_group(
    asking: Asking, group: Group, choices: Sequence[str]
) -> tuple[Answered, dict[int, list[float] | Exception]]:
    """What became of a group, and of each of its rows; rows that it has no answer for are left out.

    Raises:
        BackendUnavailable: no server answers.
        RequestRefused, UnusableLabels, UnreadableReply: they are to be asked one by one.
    """
    body = {"messages": group.shared, "questions": group.texts, "choices": list(choices)}
    found = await asking.posted("/choices", body, group.first)
    data = found.answer.get("data")
    if not isinstance(data, list):
        raise UnreadableReply("the server's answer has no rows", usage={"calls": 0})
    rows: dict[int, list[float] | Exception] = {}
    for entry in data:
        place = entry.get("index") if isinstance(entry, dict) else None
        if type(place) is not int or not 0 <= place < len(group.rows):
            continue
        if isinstance(error := entry.get("error"), Mapping):
            rows[group.rows[place]] = RequestRefused(str(error.get("message", "refused"))[:400])
        elif (row := _row(entry.get("probabilities"), len(choices))) is not None:
            rows[group.rows[place]] = row
    return found, rows


def _row(given: object, choices: int) -> list[float] | None:
    """A row of probabilities; None where it is none."""
    if not isinstance(given, list) or len(given) != choices:
        return None
    if any(isinstance(each, bool) or not isinstance(each, int | float) for each in given):
        return None
    row = [float(each) for each in given]
    sound = all(math.isfinite(each) and each >= 0 for each in row) and abs(sum(row) - 1) <= _SLACK
    return row if sound else None


def _split(messages: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], str] | None:
    """Messages without their last text, and that text."""
    if not messages or messages[-1]["role"] != "user":
        return None
    content = messages[-1]["content"]
    if isinstance(content, str):
        return [*messages[:-1], {"role": "user", "content": []}], content
    if not content or content[-1].get("type") != "text":
        return None
    return [*messages[:-1], {"role": "user", "content": content[:-1]}], content[-1]["text"]


def _words(messages: list[dict[str, Any]]) -> list[Any]:
    """All of the messages but their pictures."""
    return [
        (message["role"], [part for part in message["content"] if part.get("type") != "image_url"])
        if isinstance(message["content"], list)
        else (message["role"], message["content"])
        for message in messages
    ]
