"""A reply's text to a typed value, or UnreadableReply: nothing is guessed or replaced by a default."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError

from imagescope_agent import state
from imagescope_agent.errors import UnreadableReply

MAX_STEPS = 16
MAX_PREDICATES = 16
MAX_FACTS = 64
MAX_QUESTIONS = 8
MAX_QUESTION = 300  # characters


def _capital(value: Any) -> Any:
    return value.strip().rstrip(".").capitalize() if isinstance(value, str) else value


_Line = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=400)]
_Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1600)]
_Kind = Literal["Addition", "Removal", "Modification", "Comparison", "Retention"]


class _Answer(BaseModel):
    # The schema forbids extra keys, or a constrained decoder may write them without end; reading skips them.
    model_config = ConfigDict(json_schema_extra={"additionalProperties": False})


class StepAnswer(_Answer):
    """One atomic instruction."""

    type: Annotated[_Kind, BeforeValidator(_capital)]
    text: _Line


class IntentAnswer(_Answer):
    """The reply to `understand`, and the schema a decoder can hold it to."""

    steps: list[StepAnswer] = Field(min_length=1, max_length=MAX_STEPS)
    core: _Text
    enhanced: _Text
    full: _Text


class PredicateAnswer(_Answer):
    """One question with the answer that speaks for a candidate."""

    question: _Line
    expected: Annotated[Literal["Yes", "No"], BeforeValidator(_capital)]


class PredicatesAnswer(_Answer):
    """The reply to `predicates`, and the schema a decoder can hold it to."""

    predicates: list[PredicateAnswer] = Field(min_length=1, max_length=MAX_PREDICATES)


class FoldAnswer(_Answer):
    """The reply to `fold`, and the schema a decoder can hold it to."""

    topic: Literal["same", "new"] = "same"
    answer: Annotated[Literal["Yes", "No", "None"], BeforeValidator(_capital)] = "None"
    drop: list[int] = Field(default_factory=list, max_length=MAX_FACTS)
    steps: list[StepAnswer] = Field(default_factory=list, max_length=MAX_STEPS)
    core: _Text
    enhanced: _Text
    full: _Text


class ProposalAnswer(_Answer):
    """The reply to `propose`, and the schema a decoder can hold it to."""

    questions: list[_Line] = Field(min_length=1, max_length=MAX_QUESTIONS)


_Model = TypeVar("_Model", bound=BaseModel)


def parse_intent(reply: str) -> state.Intent:
    """The intent in a reply that holds one JSON object with steps, core, enhanced and full.

    Raises:
        UnreadableReply: there is no such object.
    """
    answer = parse_json(reply, IntentAnswer)
    steps: list[state.Instruction] = [{"type": step.type, "text": step.text} for step in answer.steps]
    return {"steps": steps, "core": answer.core, "enhanced": answer.enhanced, "full": answer.full}


def parse_predicates(reply: str) -> list[state.Predicate]:
    """The predicates in a reply that holds one JSON object {"predicates": [...]}, in order, as they came.

    Raises:
        UnreadableReply: there is no such object.
    """
    answer = parse_json(reply, PredicatesAnswer)
    return [{"question": each.question, "expected": each.expected} for each in answer.predicates]


def parse_fold(reply: str) -> FoldAnswer:
    """What a message changes, from a reply that holds one JSON object of `FoldAnswer`'s keys.

    Raises:
        UnreadableReply: there is no such object.
    """
    return parse_json(reply, FoldAnswer)


def parse_proposal(reply: str) -> list[str]:
    """The questions in a reply that holds one JSON object {"questions": [...]}, each once, in order.

    Raises:
        UnreadableReply: there is no such object, or one of them is no question.
    """
    questions = list(dict.fromkeys(parse_json(reply, ProposalAnswer).questions))
    if not all(each.endswith("?") for each in questions):
        raise UnreadableReply("every question must end with '?'", reply=reply)
    return questions


def parse_question(reply: str) -> str:
    """A question on one line.

    Raises:
        UnreadableReply: the reply holds no word, or is no single question.
    """
    text = parse_caption(reply)
    if not text.endswith("?") or len(text) > MAX_QUESTION:
        raise UnreadableReply(f"a question must end with '?' within {MAX_QUESTION} characters", reply=reply)
    return text


def parse_yes_no(reply: str) -> tuple[bool, str]:
    """A reply that starts with Yes or No, and the words after it.

    Raises:
        UnreadableReply: it starts with neither.
    """
    text = _without_thoughts(reply).strip()
    match = re.match(r"[\W_]*(yes|no)\b[\s\W_]*", text, flags=re.IGNORECASE)
    if match is None:
        raise UnreadableReply("an answer must start with Yes or No", reply=reply)
    return match[1].lower() == "yes", text[match.end() :].strip()


def parse_caption(reply: str) -> str:
    """A description on one line.

    Raises:
        UnreadableReply: the reply holds no word.
    """
    text = " ".join(_without_thoughts(reply).split()).strip("\"'` ")
    if not re.search(r"\w", text):
        raise UnreadableReply("a caption must hold words", reply=reply)
    return text


def parse_json(reply: str, model: type[_Model]) -> _Model:
    """The first JSON object in the reply, checked by `model`; words around it (a code fence) are ignored.

    Raises:
        UnreadableReply: there is no JSON object, or it does not fit.
    """
    text = _without_thoughts(reply)
    start = text.find("{")
    if start < 0:
        raise UnreadableReply("there is no JSON object", reply=reply)
    try:
        value, _ = json.JSONDecoder().raw_decode(text, start)
    except (json.JSONDecodeError, RecursionError) as error:
        raise UnreadableReply(f"the JSON is broken ({error})", reply=reply) from error
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the object"
        raise UnreadableReply(f"{where}: {first['msg']}", reply=reply) from error


def unique_predicates(predicates: list[state.Predicate]) -> tuple[list[state.Predicate], list[state.Note]]:
    """The predicates without repeated questions, the first of each kept; a contradiction leaves a note."""
    kept: dict[str, state.Predicate] = {}
    notes: list[state.Note] = []
    for predicate in predicates:
        first = kept.setdefault(" ".join(predicate["question"].lower().split()), predicate)
        if first["expected"] != predicate["expected"]:
            detail = f"{predicate['question']!r} is expected both Yes and No; {first['expected']!r} was kept"
            notes.append({"step": "predicates", "kind": "contradiction", "detail": detail})
    return list(kept.values()), notes


def complete_order(order: list[str], ids: list[str]) -> list[str]:
    """A permutation of `ids` that follows `order`: unknown and repeated names go, missing ones come last."""
    known = [name for name in dict.fromkeys(order) if name in set(ids)]
    return known + [name for name in ids if name not in set(known)]


def _without_thoughts(reply: str) -> str:
    """What follows a closed block of thoughts, where a reasoning model wrote one."""
    return reply.rpartition("</think>")[2]
