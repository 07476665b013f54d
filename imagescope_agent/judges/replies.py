"""Parsers of judge replies; numbers in replies count from 1, the results from 0."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from imagescope_agent.errors import UnreadableReply
from imagescope_agent.replies.parsing import parse_json
from imagescope_agent.replies.reader import without_thoughts

_MOST = 64  # candidates in one question
_GRADE = 200  # characters within which a grade stands


class _Answer(BaseModel):
    # a decoder held to a schema that allows extra keys may write them without end
    model_config = ConfigDict(json_schema_extra={"additionalProperties": False})


class OrderAnswer(_Answer):
    """The reply to `order`: numbers of the candidates, best first."""

    order: list[int] = Field(min_length=1, max_length=_MOST)


class GradesAnswer(_Answer):
    """The reply to `grades`: a grade from 0 to 10 for every candidate as shown."""

    grades: list[int] = Field(min_length=1, max_length=_MOST)


class Evaluation(_Answer):
    """CoTRR's second step for one candidate."""

    image: int
    reason: str = Field(default="", max_length=400)  # before the grade: what is written first can be built on
    grade: Literal["excellent", "good", "partial", "poor"]


class CotrrAnswer(_Answer):
    """The reply to `cotrr`: the three steps in their order."""

    components: list[str] = Field(min_length=1, max_length=16)
    evaluations: list[Evaluation] = Field(min_length=1, max_length=_MOST)
    order: list[int] = Field(min_length=1, max_length=_MOST)
    reasoning: str = Field(default="", max_length=1600)


def parse_order(reply: str, count: int) -> list[int]:
    """The order in a reply, as positions: a JSON {"order": [...]}, or "[2] > [1] > [3]".

    Unknown and repeated numbers are left out; missing ones are the caller's to append.

    Raises:
        UnreadableReply: it names none of the candidates.
    """
    text = " ".join(without_thoughts(reply).split())
    if "{" in text:
        numbers = parse_json(text, OrderAnswer).order
    elif re.fullmatch(r"\W*\d+(?: ?\]? ?[>,] ?\[? ?\d+)*\W*", text):
        numbers = [int(number) for number in re.findall(r"\d{1,4}", text)]
    else:
        raise UnreadableReply('an order must look like {"order": [2, 1]} or [2] > [1]', reply=reply)
    return _places(numbers, count, reply)


def from_one(numbers: list[int], count: int, reply: str) -> list[int]:
    """Numbers of candidates as counted from 1: a reply that uses 0 counts from 0.

    Raises:
        UnreadableReply: it uses 0 and `count`, so that it counts from neither.
    """
    if 0 not in numbers:
        return numbers
    if count in numbers:
        raise UnreadableReply(f"candidates are numbered from 1 to {count}, not from 0", reply=reply)
    return [number + 1 for number in numbers]


def parse_cotrr(reply: str, count: int) -> tuple[list[int], CotrrAnswer]:
    """The order, as positions, and the parsed chain of thought.

    Raises:
        UnreadableReply: it is not the JSON object asked for, or names none of the candidates.
    """
    answer = parse_json(reply, CotrrAnswer)
    images = [each.image for each in answer.evaluations]
    numbers = from_one([*answer.order, *images], count, reply)
    for each, number in zip(answer.evaluations, numbers[len(answer.order) :], strict=True):
        each.image = number
    return _places(numbers[: len(answer.order)], count, reply), answer


# what holds numbers that are no grade: the scale, the candidate's number, the number of a list's first entry
_NO_GRADE = re.compile(
    r"\(?\s*(?:from\s+|between\s+)?\b[01]\s*(?:-|–|—|to|and|\.\.)\s*(?:10|5|100)\b\s*\)?"
    r"|\b(?:image|picture|photo|candidate|option|item|number|no)\.?\s*[#\[(]?\s*\d+\b\s*[\])]?"
    r"|#\s*\d+\b|\[\d+\](?=\W*\d)|^\W*\d+[.)]\s+(?=\D*\d)",
    re.IGNORECASE,
)
_GRADED = re.compile(
    r"(?P<sign>(?:^|(?<=[\s:(*]))[-−–])?(?<![\w.,])(?P<grade>\d+)(?P<point>[.,]\d+)?"
    r"(?:\s*\(?(?:/|out of|of)\s*(?P<most>\d+)\b)?"
)
_LABEL = re.compile(
    r"\b(?:grades?|scor(?:es?|ed)|rat(?:ed?|ings?)|marks?)\b(?:\W+[A-Za-z]+){0,4}\W*$", re.IGNORECASE
)
_NOT_WHOLE = re.compile(
    r"\s*(?:%|percent|per cent|stars?\b|(?:-|–|—|to|or|and|/)\s*\d|\.\d|e\d)", re.IGNORECASE
)


def parse_grade(reply: str) -> float:
    """A whole grade from 0 to 10, or a share of another whole ("3 out of 5"), to 0..1.

    Raises:
        UnreadableReply: there is none, or it may be read in two ways.
    """
    text = _NO_GRADE.sub(" ", without_thoughts(reply).strip()[:_GRADE])
    match = _the_grade(text)
    if match is None:
        raise UnreadableReply("a grade must be a whole number from 0 to 10", reply=reply)
    grade, most = int(match["grade"]), int(match["most"] or 10)
    fraction = match["point"] is not None and int(match["point"][1:]) != 0
    odd = match["sign"] or fraction or (not match["most"] and _NOT_WHOLE.match(text, match.end()))
    if odd or most not in (5, 10, 20, 100) or grade > most:
        raise UnreadableReply("a grade must be a whole number from 0 to 10", reply=reply)
    return grade / most


def _the_grade(text: str) -> re.Match[str] | None:
    """The number that is the grade: one that is called so, one that all begins with, or the only one."""
    numbers = list(_GRADED.finditer(text))
    labelled = [each for each in numbers if _LABEL.search(text[: each.start()])]
    if labelled or not numbers:
        return labelled[0] if labelled else None
    first = numbers[0]
    begins = not re.search(r"\w", text[: first.start()]) and re.match(
        r"[\s*_]*(?:$|[^\w\s]|because\b|since\b|as\b)", text[first.end() :]
    )
    return first if begins or len(numbers) == 1 else None


def parse_grades(reply: str, count: int) -> list[float]:
    """A grade for each of `count` candidates, to 0..1.

    Raises:
        UnreadableReply: not so many, or out of range.
    """
    grades = parse_json(reply, GradesAnswer).grades
    if len(grades) != count or not all(0 <= grade <= 10 for grade in grades):
        raise UnreadableReply(f"there must be {count} grades from 0 to 10", reply=reply)
    return [grade / 10 for grade in grades]


def _places(numbers: list[int], count: int, reply: str) -> list[int]:
    numbers = from_one(numbers, count, reply)
    known = [number - 1 for number in dict.fromkeys(numbers) if 1 <= number <= count]
    if not known:
        raise UnreadableReply(f"an order must name candidates from 1 to {count}", reply=reply)
    return known
