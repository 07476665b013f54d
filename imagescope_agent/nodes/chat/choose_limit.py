"""A filter by choice: what a message mentions is looked up, and a classifier tells what the message says of each."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from imagescope_agent.errors import BadInput
from imagescope_agent.mllms.role import Request, Role
from imagescope_agent.nodes.chat.language.limits import (
    LABELS,
    NUMBERS,
    OPERATORS,
    Message,
    Values,
    added,
    lifted,
)
from imagescope_agent.nodes.chat.language.mentions import Mention, mentions
from imagescope_agent.prompting import Prompt
from imagescope_agent.records import NoteDict, at_step, note
from imagescope_agent.retrieval.metadata.where import (
    Compared,
    Expression,
    Joined,
    Known,
    Literal,
    Not,
    parse_where,
)
from imagescope_agent.retrieval.metadata.written import fields_of, joined, written

ANY = "any"  # for "without any": every limit that stands is lifted
EVERYWHERE = frozenset(
    ["everything", "filter", "limit", "restriction", "anywhere", "everywhere", "collection"]
)
OF_FIELDS = {"date": ("year", "month", "day", "time", "when", "old", "age"), "folder": ("directory", "album")}
GRAMMAR = frozenset(["and", "or", "not", "in", "is", "contains", "like", "missing"])
SURE = 0.6  # a limit less probable than this is a wish


@dataclass(kw_only=True)
class ChosenLimit:
    """What a message says of the possible limits in it.

    Attributes:
        where: the filter from now on; None where the message changes none.
        said: the values that it limits by, as it says them.
        fields: that it names so, those whose limits are lifted too.
        usage, notes: of the choices.
    """

    where: str | None = None
    said: list[str] = field(default_factory=list)
    fields: list[str] = field(default_factory=list)
    usage: dict[str, Any] = field(default_factory=dict)
    notes: list[NoteDict] = field(default_factory=list)


async def choose_limit(classifier: Role, prompt: Prompt, message: Message, standing: str) -> ChosenLimit:
    """Ask a classifier about every possible limit in a message, all in one batch; nothing is asked where there is none.

    Raises:
        BadInput: a value that is chosen cannot be compared so.
        RequestRefused: the classifier refuses every question.
    """
    found = await asyncio.to_thread(mentions, message)
    lifts = _liftable(message.text, standing)
    told = [*(mention.limit for mention in found), *(f"without {name}" for name in lifts)]
    if not told:
        return ChosenLimit()
    asked = [Request(text=prompt.fill(limit=limit, message=message.text)) for limit in told]
    choice = await classifier.choose(asked, LABELS, max_tokens=4)
    chosen = [max(range(len(LABELS)), key=lambda place: row[place]) for row in choice.probabilities]
    sure = [row[best] for row, best in zip(choice.probabilities, chosen, strict=True)]
    meant = [
        (mention, OPERATORS[best], probability)
        for mention, best, probability in zip(found, chosen, sure, strict=False)
        if best < len(OPERATORS) and probability >= SURE
    ]
    kept = _apart(meant)
    gone = [name for name, best in zip(lifts, chosen[len(found) :], strict=False) if best == 0]
    answer = ChosenLimit(usage=choice.usage, notes=at_step("filter", choice.notes))
    try:
        return _with_filter(answer, kept, gone, message, standing)
    except BadInput as error:  # as what was found in the message cannot be compared
        answer.notes.append(note("filter", "fallback", f"a limit was left out: {error}"))
        return answer


def _liftable(text: str, standing: str) -> list[str]:
    """The limits that stand and that the message names, by their field or a value; `ANY` where it names all of them."""
    if not standing:
        return []
    said, standing_fields = _words(text), sorted(fields_of(parse_where(standing)))
    named = [name for name in standing_fields if said & {*_words(name), *OF_FIELDS.get(name, ())}]
    if said & EVERYWHERE or (not named and said & _words(standing) - GRAMMAR):
        named = standing_fields
    return [*named, *([ANY] if said & EVERYWHERE else [])]


def _words(text: str) -> set[str]:
    """The words of a text or of a filter, several as one ("folders")."""
    return {word.removesuffix("s") for word in re.findall(r"\w+", text.casefold().replace("_", " "))}


def _with_filter(
    answer: ChosenLimit,
    kept: Sequence[tuple[Mention, str]],
    gone: Sequence[str],
    message: Message,
    standing: str,
) -> ChosenLimit:
    if not kept and not gone:
        return answer
    where = "" if ANY in gone else standing
    for name in gone:
        where = lifted(name, where) if where and name in fields_of(parse_where(where)) else where
    if kept:
        where = added(written(_expression(kept, message)), where, message)
    answer.where = where
    answer.said = [message.text[mention.start : mention.end] for mention, _ in kept]
    answer.fields = [*dict.fromkeys([*(mention.field for mention, _ in kept), *gone])]
    return answer


def _apart(meant: Sequence[tuple[Mention, str, float]]) -> list[tuple[Mention, str]]:
    """The limits without those in the place of another one that is said in more words, or surer; in order."""
    kept = list[tuple[Mention, str]]()
    for mention, operator, _ in sorted(meant, key=lambda each: (each[0].start - each[0].end, -each[2])):
        if not any(mention.start < other.end and other.start < mention.end for other, _ in kept):
            kept.append((mention, operator))
    return sorted(kept, key=lambda each: each[0].start)


def _expression(kept: Sequence[tuple[Mention, str]], message: Message) -> Expression:
    """All limits together; of several values that a field may have any will do."""
    parts = list[Expression]()
    for name in dict.fromkeys(mention.field for mention, _ in kept):
        values = message.fields[name]
        of_field = [(mention.value, operator) for mention, operator in kept if mention.field == name]
        equal = [_compared(name, "=", value, values) for value, operator in of_field if operator == "="]
        parts += [joined(tuple(equal), every=False)] if equal else []
        parts += [_compared(name, operator, value, values) for value, operator in of_field if operator != "="]
    return joined(tuple(parts))


def _compared(name: str, operator: str, value: str, values: Values) -> Expression:
    if values.kind == "list":
        contains = Compared(name, "contains", (Literal("text", value),))
        return contains if operator == "=" else Joined(True, (Known(name), Not(contains)))
    if values.kind in ("number", "boolean"):
        value = str(NUMBERS.index(value.casefold())) if value.casefold() in NUMBERS else value
        return Compared(name, operator, (Literal(values.kind, value),))
    return Compared(name, operator, (Literal("text", value),))
