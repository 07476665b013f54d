"""The chain of thought of CIR-CoT: what the reference shows, what changes, what is therefore looked for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from imagescope_agent.errors import UnreadableReply
from imagescope_agent.replies.parsing import MAX_STEPS, STEP_TYPES
from imagescope_agent.state import Instruction

#: The parts of a chain in the order in which they are written and read, and what begins each. The paper's <reasoning>
#: is <steps> here: <reasoning> begins what any reply may think aside, which is no part of its answer.
PARTS = {"caption": "<caption>", "reasoning": "<steps>", "conclusion": "<conclusion>"}
#: What each part is to a reader.
MEANS = {
    "caption": "The reference shows",
    "reasoning": "What changes and what stays",
    "conclusion": "So this is looked for",
}
_FORM = re.compile(r"\s*<caption>(.*?)<steps>(.*?)<conclusion>(.*)", re.S)
_TAG = re.compile(r"</?(?:caption|steps|conclusion)>")


@dataclass(frozen=True, kw_only=True)
class Chain:
    """A whole chain.

    Args:
        caption: of the reference.
        reasoning: what is added, removed, changed, and what stays; one a line.
        conclusion: the wanted image, described.
    """

    caption: str
    reasoning: str
    conclusion: str

    def __str__(self) -> str:
        """As a model writes it."""
        return "".join(f"{tag}{_TAG.sub('', getattr(self, part)).strip()}" for part, tag in PARTS.items())

    def to_dict(self) -> dict[str, str]:
        """Plain values, in the reader's order."""
        return {part: str(getattr(self, part)) for part in PARTS}


def parse_chain(text: str) -> Chain:
    """A reply -> its chain; closing tags are let pass.

    Raises:
        UnreadableReply: a part is missing, empty, or stands in another place.
    """
    found = _FORM.fullmatch(text)
    written = found.groups() if found else ()
    parts = [_TAG.sub("", each).strip() for each in written]
    if not written or not all(parts) or any(tag in each for each in written for tag in PARTS.values()):
        raise UnreadableReply("it is not <caption>, <steps> and <conclusion>, each with words", reply=text)
    return Chain(**dict(zip(PARTS, parts, strict=True)))


def chain_lines(chain: Mapping[str, str]) -> list[tuple[str, list[str]]]:
    """A chain's plain values in the reader's order: what each part is, and its lines; [] for no chain."""
    return [(name, chain[part].splitlines()) for part, name in MEANS.items() if chain.get(part)]


def steps_of(chain: Chain) -> list[Instruction]:
    """The reasoning as atomic instructions, one a line; a line without a type of its own is a modification."""
    steps: list[Instruction] = []
    for line in chain.reasoning.splitlines():
        kind, _, text = line.strip().lstrip("-*• ").partition(":")
        if kind.strip().capitalize() in STEP_TYPES and text.strip():
            steps.append({"type": kind.strip().capitalize(), "text": text.strip()})
        elif line.strip():
            steps.append({"type": "Modification", "text": line.strip()})
    return steps[:MAX_STEPS]
