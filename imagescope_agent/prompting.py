"""Prompts are files with named placeholders: find, check and fill them."""

from __future__ import annotations

import re
import string
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from imagescope_agent.errors import BadInput, suggest

PACKAGE = "imagescope_agent.prompts"
NO_REFERENCE = "a blank image"  # what prompts call the reference where there is none

# The placeholders each step fills in; a prompt file uses exactly these, except that it may do without OPTIONAL ones.
STEPS: dict[str, frozenset[str]] = {
    "again": frozenset({"problem"}),
    "alone": frozenset(),
    "caption": frozenset(),
    "understand": frozenset({"instruction", "reference"}),
    "predicates": frozenset({"steps"}),
    "joint": frozenset({"instruction", "reference"}),
    "compose": frozenset({"instruction", "references"}),
    "beside": frozenset({"steps"}),
    "several": frozenset({"count"}),
    "verify": frozenset({"question"}),
    "verify_beside": frozenset({"question"}),
    "verify_described": frozenset({"question", "reference"}),
    "evaluate": frozenset({"instruction", "understood"}),
    "grade": frozenset({"instruction", "understood"}),
    "best": frozenset({"instruction", "understood", "labels"}),
    "order": frozenset({"instruction", "understood", "count"}),
    "grades": frozenset({"instruction", "understood", "count"}),
    "grid": frozenset({"instruction", "understood", "count"}),
    "grid_several": frozenset({"marks"}),
    "cotrr": frozenset({"instruction", "understood", "count"}),
    "target": frozenset({"instruction", "reference"}),
    "acts": frozenset({"standing", "question", "whole", "part"}),
    "fold": frozenset({"facts", "wanted", "reference", "question", "message"}),
    "propose": frozenset({"request", "known", "captions"}),
    "ask": frozenset({"request", "question"}),
    "filter": frozenset({"today", "fields", "standing", "message"}),
    "limit": frozenset({"limit", "message"}),
    "edit": frozenset({"labels", "opening", "described"}),
    "reason": frozenset({"instruction"}),
    "annotate": frozenset({"instruction", "reference"}),
}
#: Steps that models of a prompt set were not taught; a graph does without.
NOT_ASKED: dict[str, frozenset[str]] = {
    "mini": frozenset(
        {
            "filter",
            "annotate",
            "joint",
            "beside",
            "verify_beside",
            "verify_described",
            "several",
            "grid_several",
        }
    )
}
#: `understood`: the atomic instructions, one a line, for models that a sentence is too much for; `described`: captions,
#: for models that write better about words than about pictures; `standing`, `whole`: all that is wanted, and the whole
#: message, which a small classifier does without.
OPTIONAL = frozenset({"understood", "described", "standing", "whole"})
NEGATED = re.compile(
    r"\b(?:no|not|none|nothing|never|without|remove\w*|absent|missing|exclud\w*)\b|n't\b", re.I
)
_THERE_IS = re.compile(r"^there (?:is|are) ", re.I)
_ANSWERED = re.compile(r"(?:Is|Are) (?:there )?(.+)\? (Yes|No)")
_EXAMPLE = re.compile(r"\[\[(.+?)\]\]")


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """The wording of one step, with `$name` placeholders.

    Attributes:
        text: what is said after all pictures.
        each: what is said after each of several candidates, for models that do better with what to look for beside
            what they look at; the part of the file before a line of `---`, empty in most.
        examples: answers that the text shows as examples, written [[so]] in the file; they are no answer to anything.
    """

    step: str
    text: str
    each: str = ""
    examples: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        template = string.Template(f"{self.each}\n{self.text}")
        found, wanted = set(template.get_identifiers()), STEPS[self.step]
        if not template.is_valid() or found | (wanted & OPTIONAL) != wanted:
            raise BadInput(f"prompt {self.step!r} must use exactly {_names(wanted)}, it uses {_names(found)}")

    def uses(self, name: str) -> bool:
        """Whether the words have this placeholder; they may do without one of `OPTIONAL`."""
        return name in string.Template(f"{self.each}\n{self.text}").get_identifiers()

    def fill(self, **values: str) -> str:
        """The text with every placeholder replaced; a `$` inside a value stays as it is.

        Prompts put what comes from users and pictures between <tags>; no value can close one ("</" becomes "< /").

        Raises:
            BadInput: a value is missing, or there is no placeholder for it.
        """
        return self._filled(self.text, values)

    def fill_each(self, **values: str) -> str:
        """As `fill`, what is said after each candidate.

        Raises:
            BadInput: see `fill`.
        """
        return self._filled(self.each, values)

    def _filled(self, text: str, values: Mapping[str, str]) -> str:
        if set(values) != STEPS[self.step]:
            raise BadInput(f"prompt {self.step!r} needs {_names(STEPS[self.step])}, not {_names(values)}")
        safe = {name: value.replace("</", "< /") for name, value in values.items()}
        return string.Template(text).substitute(safe)


@cache
def load_prompt(step: str, *, prompt_set: str | None = None) -> Prompt:
    """The prompt of a step: prompts/<set>/<step>.md where the set has its own words, else prompts/<step>.md.

    Raises:
        BadInput: an unknown step or set, or a file with other placeholders than the step fills in.
    """
    if step not in STEPS:
        raise BadInput(f"there is no prompt {step!r}; {suggest(step, STEPS)}")
    root = files(PACKAGE)
    if prompt_set is not None and prompt_set not in (sets := prompt_sets()):
        raise BadInput(f"there is no prompt set {prompt_set!r}; {suggest(prompt_set, sets)}")
    places = [root / prompt_set / f"{step}.md"] if prompt_set else []
    for place in [*places, root / f"{step}.md"]:
        if place.is_file():
            written = place.read_text(encoding="utf-8")
            examples = tuple(_EXAMPLE.findall(written))
            each, _, text = _EXAMPLE.sub(r"\1", written).rpartition("\n---\n")
            return Prompt(step=step, text=text.strip(), each=each.strip(), examples=examples)
    raise BadInput(f"the prompt file {step}.md is missing; install the package again")


def is_asked(step: str, prompt_set: str | None) -> bool:
    """Whether models of a prompt set can do a step at all; without a set they can."""
    return step not in NOT_ASKED.get(prompt_set or "", ())


def steps_text(steps: Iterable[Mapping[str, object]]) -> str:
    """Atomic instructions (`type`, `text`) as prompts show them: one "Type: words" a line."""
    return "\n".join(f"{step['type']}: {step['text']}" for step in steps)


def request_text(steps: Iterable[Mapping[str, object]]) -> str:
    """Atomic instructions as a person would say them: "a red boat, at night, without a heart"."""
    return ", ".join(dict.fromkeys(_spoken(str(step["type"]), str(step["text"])) for step in steps))


def _spoken(kind: str, text: str) -> str:
    text = text.strip().rstrip(".")
    if answered := _ANSWERED.fullmatch(text):
        text, kind = answered[1], "Addition" if answered[2] == "Yes" else "Removal"
    place = text.removeprefix("the scene ")
    if kind != "Removal":
        return place
    if NEGATED.search(text):
        return text
    return f"not {place}" if place != text else f"without {_THERE_IS.sub('', text)}"


def prompt_sets() -> list[str]:
    """The names of the sets: the folders of prompts/."""
    folders = (place.name for place in files(PACKAGE).iterdir() if place.is_dir())
    return sorted(name for name in folders if not name.startswith(("_", ".")))


def _names(names: object) -> str:
    return ", ".join(f"${name}" for name in sorted(names)) or "no placeholder"  # type: ignore[call-overload]
