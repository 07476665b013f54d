"""Records of a training example: a prompt with its answer, and where in both the auxiliary targets lie.

Positions are in characters; `packing` turns them into columns of a packed row.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from imagescope_agent.lab.scenes.conditions import Pattern
from imagescope_agent.lab.scenes.queries import QueryStep
from imagescope_agent.lab.scenes.world import Scene
from imagescope_agent.prompting import load_prompt

PROMPT_SET = "mini"

#: What a composed query does with a thing of the reference, see `EditLabel`.
EDIT_LABELS = ("Retention", "Removal", "Modification", "Comparison", "duplicate", "none")

#: Places in the answer (characters) with the positions of the images that each of them is about.
AnswerMarks = tuple[tuple[int, tuple[int, ...]], ...]


@dataclass(frozen=True, kw_only=True)
class TextMention:
    """A thing named in a text.

    Attributes:
        end: where its name ends.
        pattern: the name's kind, colour and size.
        subject: at the second name of a relation, the pattern of the first.
        satisfied: in a query to be judged, whether the image satisfies the condition that this name completes.
    """

    end: int
    pattern: Pattern
    subject: Pattern | None = None
    satisfied: bool | None = None


@dataclass(frozen=True, kw_only=True)
class EditLabel:
    """What a composed query does with a thing of the reference.

    Attributes:
        end: where the thing's name ends in the prompt.
        type: of the first step about it; "duplicate" for a retained thing with the kind and colour of an earlier one;
            "none" if there is no step.
        duplicate_of: where the name of that earlier thing ends.
        request_spans: of the modification text in the prompt that refer to it; empty if none does.
        answer_spans: for each step about it, the answer from the step before up to the step's first noun phrase.
    """

    end: int
    type: str
    duplicate_of: int | None
    request_spans: tuple[tuple[int, int], ...]
    answer_spans: tuple[tuple[int, int], ...]


@dataclass(frozen=True, kw_only=True)
class ConditionCheck:
    """Where the text after an image has stated a condition, and whether the image satisfies it."""

    end: int
    satisfied: bool


@dataclass(frozen=True, kw_only=True)
class CandidateText:
    """The text after a candidate image: what it names, the conditions it states, and the image's overall grade."""

    text: str
    scene: Scene
    mentions: tuple[TextMention, ...]
    checks: tuple[ConditionCheck, ...]
    grade: int


@dataclass(frozen=True, kw_only=True)
class ImageContext:
    """The images in front of the turns of a row: the label before each (may be empty) and the text after it."""

    labels: tuple[str, ...] = ()
    texts: tuple[CandidateText | None, ...] = ()

    @classmethod
    def unlabelled(cls, count: int) -> ImageContext:
        """`count` images without labels or texts."""
        return cls(labels=("",) * count, texts=(None,) * count)


NO_IMAGES = ImageContext()


@dataclass(frozen=True, kw_only=True)
class TrainingTurn:
    """One user prompt, the answer to be learnt, and auxiliary targets.

    Attributes:
        prompt: text of the user, after any images.
        answer: text of the assistant.
        kind: group of turns in the loss, one of `packing.TURN_KINDS`.
        mentions: things that the prompt names, in order.
        scene: of the image that they are looked for in.
        edits: labels of the reference's things.
        graded: in a comparison, places before the grade of an image, with that image.
        ranked: places before an image is named in rank order, with the images that may come there (ties).
    """

    prompt: str
    answer: str
    kind: str
    mentions: tuple[TextMention, ...] = ()
    scene: Scene | None = None
    edits: tuple[EditLabel, ...] = ()
    graded: AnswerMarks = ()
    ranked: AnswerMarks = ()


def compact_json(value: object) -> str:
    """JSON without spaces: every token of an answer costs a forward pass."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def fill_prompt(step: str, **values: str) -> str:
    """A step's prompt from the mini models' prompt set."""
    return load_prompt(step, prompt_set=PROMPT_SET).fill(**values)


def plain_steps(steps: Iterable[QueryStep]) -> list[dict[str, str]]:
    """Steps as the search state holds them."""
    return [{"type": step.type, "text": step.condition.words()} for step in steps]
