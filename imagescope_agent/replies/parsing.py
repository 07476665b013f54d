"""A reply's text to a typed value, or UnreadableReply: nothing is guessed or replaced by a default."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError

from imagescope_agent import state
from imagescope_agent.errors import UnreadableReply
from imagescope_agent.records import NoteDict, note
from imagescope_agent.replies.non_answers import refuses, says_nothing
from imagescope_agent.replies.reader import clean, first_choice, placed_objects, without_thoughts

MAX_STEPS = 16
MAX_PREDICATES = 16
MAX_FACTS = 64
MAX_QUESTIONS = 8
MAX_QUESTION = 300  # characters
PER_STEP = 3  # predicates of one instruction; more repeat each other, and each is asked of every candidate
NO_TARGET = "none"  # the answer where no edit leads to a candidate
AGAIN = 3  # times that an instruction may be given; beyond it the model repeats itself


def _capital(value: Any) -> Any:
    return value.strip().rstrip(".").capitalize() if isinstance(value, str) else value


def _clean(value: Any) -> Any:
    return clean(value) if isinstance(value, str) else value


_Line = Annotated[
    str, BeforeValidator(_clean), StringConstraints(strip_whitespace=True, min_length=1, max_length=400)
]
_Text = Annotated[
    str, BeforeValidator(_clean), StringConstraints(strip_whitespace=True, min_length=1, max_length=1600)
]
_Kind = Literal["Addition", "Removal", "Modification", "Comparison", "Retention"]
STEP_TYPES: tuple[str, ...] = get_args(_Kind)


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


class EditAnswer(_Answer):
    """The reply to `edit`, and the schema a decoder can hold it to; without a target there are no words."""

    target: Annotated[str, BeforeValidator(_clean), StringConstraints(min_length=1, max_length=20)]
    type: Annotated[_Kind | None, BeforeValidator(_capital)] = None
    text: _Line | None = None


_Model = TypeVar("_Model", bound=BaseModel)


def parse_intent(reply: str, told: str = "") -> state.Intent:
    """The intent in a reply that holds one JSON object with steps, core, enhanced and full.

    Args:
        reply: the model's.
        told: the request, whose own words are never a refusal.

    Raises:
        UnreadableReply: there is no such object, or its steps contradict or repeat each other.
    """
    answer = parse_json(reply, IntentAnswer)
    _check_steps(answer.steps, reply)
    _check_texts((answer.core, answer.enhanced, answer.full), reply, told)
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
        UnreadableReply: there is no such object, or its steps contradict or repeat each other.
    """
    answer = parse_json(reply, FoldAnswer)
    _check_steps(answer.steps, reply)
    _check_texts((answer.core, answer.enhanced, answer.full), reply)
    return answer


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
        UnreadableReply: it starts with neither, or answers nothing: "No idea", "Yes and no".
    """
    text = re.sub(r"^[\W_]+", "", without_thoughts(reply))
    place = first_choice(text, ("Yes", "No"))
    match = re.search(r"\b(?:yes|no)(?![^\W_])[\s\W_]*", text, flags=re.IGNORECASE)
    if place is None or match is None:
        raise UnreadableReply("an answer must start with Yes or No", reply=reply)
    return place == 0, text[match.end() :].strip()


def parse_caption(reply: str) -> str:
    """A description on one line.

    Raises:
        UnreadableReply: the reply holds no word, or describes nothing: a refusal, JSON, endless repetition.
    """
    plain = without_thoughts(reply)
    text = " ".join(plain.split()).strip("` ")
    text = (
        text.strip("\"' ") if text.startswith(('"', "'")) else text
    )  # a quote at its end alone is the caption's
    if not re.search(r"\w", text):
        raise UnreadableReply("a caption must hold words", reply=reply)
    if problem := says_nothing(plain):
        raise UnreadableReply(f"a caption must describe the picture: {problem}", reply=reply)
    return text


def parse_json(reply: str, model: type[_Model]) -> _Model:
    """The first JSON object in the reply, checked by `model`; words around it (a code fence) are ignored.

    Raises:
        UnreadableReply: there is no JSON object, it does not fit, or several differ.
    """
    broken = misfit = ""
    found: _Model | None = None
    end = 0
    for value, after in placed_objects(without_thoughts(reply)):
        if isinstance(value, ValueError):
            broken = broken or f"the JSON is broken ({value})"
            continue
        if found is not None and after <= end:
            continue  # a part of what was found
        try:
            fits = model.model_validate(value)
            if found is not None and fits != found:
                raise UnreadableReply("there are several JSON objects, and they differ", reply=reply)
            found, end = fits, after
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"]) or "the object"
            misfit = misfit or f"{where}: {first['msg']}"
    if found is not None:
        return found
    raise UnreadableReply(misfit or broken or "there is no JSON object", reply=reply)


def parse_edit(reply: str, labels: Sequence[str]) -> EditAnswer | None:
    """The proposed edit in a reply that holds one JSON object with target, type and text; None for no target.

    Raises:
        UnreadableReply: there is no such object, or it names none of the labels.
    """
    answer = parse_json(reply, EditAnswer)
    if answer.target.lower() == NO_TARGET:
        return None
    if answer.target not in labels:
        raise UnreadableReply(f"target: {answer.target!r} is none of {', '.join(labels)}", reply=reply)
    if answer.type is None or answer.text is None:
        raise UnreadableReply("type and text are wanted for a target", reply=reply)
    return answer


def unique_predicates(
    predicates: list[state.Predicate], steps: int = MAX_PREDICATES
) -> tuple[list[state.Predicate], list[NoteDict]]:
    """The predicates without repeated questions, the first of each kept, at most `PER_STEP` an instruction.

    A contradiction, and what was left out, leave a note.

    Args:
        predicates: as they came.
        steps: how many instructions they check.
    """
    kept: dict[str, state.Predicate] = {}
    notes: list[NoteDict] = []
    for predicate in predicates:
        first = kept.setdefault(_flat(predicate["question"]), predicate)
        if first["expected"] != predicate["expected"]:
            detail = f"{predicate['question']!r} is expected both Yes and No; {first['expected']!r} was kept"
            notes.append(note("predicates", "contradiction", detail))
    found, most = list(kept.values()), PER_STEP * steps
    if len(found) > most:
        detail = f"{len(found)} predicates for {steps} instructions; the first {most} were kept"
        notes.append(note("predicates", "repaired", detail))
    return found[:most], notes


def contradiction(steps: Iterable[tuple[str, str]]) -> str:
    """Which of the instructions (type, text) is both added and removed, as a problem; empty when none is."""
    kinds: dict[str, set[str]] = {}
    for kind, text in steps:
        kinds.setdefault(_flat(text), set()).add(kind)
    both = [text for text, found in kinds.items() if {"Addition", "Removal"} <= found]
    return f"{both[0]!r} is both added and removed" if both else ""


def _check_steps(steps: Sequence[StepAnswer], reply: str) -> None:
    """Refuse instructions that no one gives: the same to be added and removed, or one over and over."""
    if problem := contradiction((step.type, step.text) for step in steps):
        raise UnreadableReply(f"steps: {problem}", reply=reply)
    for text, times in Counter(_flat(step.text) for step in steps).items():
        if times > AGAIN:
            raise UnreadableReply(f"steps: {text!r} is given {times} times", reply=reply)


def _check_texts(texts: Sequence[str], reply: str, told: str = "") -> None:
    """Refuse descriptions that are refusals, in other words than those of the request."""
    if found := next((text for text in texts if refuses(text) and _flat(text) not in _flat(told)), ""):
        raise UnreadableReply(f"{found!r} describes nothing that could be searched for", reply=reply)


def _flat(text: str) -> str:
    return " ".join(text.lower().split()).rstrip(".")
