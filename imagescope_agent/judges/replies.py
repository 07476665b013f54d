"""What judges are answered in words, to numbers; numbers in replies count from 1, ours from 0."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from imagescope_agent.errors import UnreadableReply
from imagescope_agent.parsing import parse_json
from imagescope_agent.reader import without_thoughts

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
    """The reply to `cotrr`: the three steps in the order they are thought."""

    components: list[str] = Field(min_length=1, max_length=16)
    evaluations: list[Evaluation] = Field(min_length=1, max_length=_MOST)
    order: list[int] = Field(min_length=1, max_length=_MOST)
    reasoning: str = Field(default="", max_length=1600)


def parse_order(reply: str, count: int) -> list[int]:
    """The places that a reply puts in order: a JSON {"order": [...]}, or "[2] > [1] > [3]".

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


def parse_cotrr(reply: str, count: int) -> tuple[list[int], CotrrAnswer]:
    """The places in order, and the whole chain of thought.

    Raises:
        UnreadableReply: it is not the JSON object asked for, or names none of the candidates.
    """
    answer = parse_json(reply, CotrrAnswer)
    return _places(answer.order, count, reply), answer


def parse_grade(reply: str) -> float:
    """A whole grade from 0 to 10, to 0..1.

    Raises:
        UnreadableReply: there is none.
    """
    text = without_thoughts(reply).strip()[:_GRADE]
    match = re.match(r"\W*(?:[A-Za-z]+\W+){0,3}(\d+)(?:\s*/\s*10|\s*out of 10)?(?![\d.]*\d)", text)
    if match is None or int(match[1]) > 10:
        raise UnreadableReply("a grade must be a whole number from 0 to 10", reply=reply)
    return int(match[1]) / 10


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
    known = [number - 1 for number in dict.fromkeys(numbers) if 1 <= number <= count]
    if not known:
        raise UnreadableReply(f"an order must name candidates from 1 to {count}", reply=reply)
    return known
