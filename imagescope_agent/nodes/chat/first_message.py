"""The first message of a conversation, without what neither it nor the reference gives the ground for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from langgraph.runtime import Runtime

from imagescope_agent.mllms.role import Role
from imagescope_agent.nodes.chat.act_remarks import misunderstood
from imagescope_agent.nodes.chat.described_target import described
from imagescope_agent.nodes.chat.language.corrections import without_opening
from imagescope_agent.nodes.chat.language.grounding import Grounding
from imagescope_agent.nodes.chat.language.not_taken_up import not_taken_up
from imagescope_agent.nodes.chat.language.polarity import may_exclude
from imagescope_agent.nodes.chat.language.rewording import as_meant
from imagescope_agent.nodes.chat.language.vocabulary import Vocabulary, vocabulary_of
from imagescope_agent.nodes.chat.message_check import misread
from imagescope_agent.nodes.intent.drift import is_english
from imagescope_agent.nodes.intent.joint import UnderstandJointly
from imagescope_agent.nodes.intent.named_things import with_named
from imagescope_agent.nodes.intent.understand import query_as_intent, reference_words
from imagescope_agent.prompting import request_text
from imagescope_agent.records import note
from imagescope_agent.replies.parsing import StepAnswer
from imagescope_agent.retrieval.protocols import Collection, Embedder
from imagescope_agent.settings import Settings
from imagescope_agent.state import Instruction, Intent, MessagePart, State, plain_intent, references_of

#: What a query calls a picture: "a sketch of", "a nice black and white photo of".
_CALLED = re.compile(
    r"\b(?:an?|some) (?:(?:[^\W\d_]+[ -]+){0,4}(?:picture|photo(?:graph)?|image|drawing|shot|scene)s?|[^\W\d_]+) of\b",
    re.I,
)
ALIKE = "like this picture"  # the request where nothing is to be changed


class UnderstandFirst(UnderstandJointly):
    """As `UnderstandJointly`, without instructions that neither the query nor the reference gives the ground for.

    Args:
        reasoner, embedder, several: as `UnderstandJointly`.
        images: as `UpdateDialogueState`.
    """

    def __init__(
        self,
        reasoner: Role,
        embedder: Embedder | None = None,
        images: Collection | None = None,
        several: Role | None = None,
    ) -> None:
        super().__init__(reasoner, embedder, several)
        self.images = images

    async def __call__(self, state: State, runtime: Runtime[Settings], again: str = "") -> dict[str, Any]:
        """Return `intent` and `request`, and predicates that came with an intent that stays; errors as `Understand`."""
        words = vocabulary_of(self.images)
        state, reread = await as_meant(state, words, self.embedder)
        update = await super().__call__(state, runtime, again)
        if reread:
            told = [*state.get("remarks", []), *reread]
            update = {**update, "query": state["query"], "remarks": told}  # retrieved by what was read, too
        intent, query = update["intent"], state["query"]
        grounding = Grounding(
            [query, known := reference_words(state)], self.embedder, words.stems, stands=bool(known)
        )
        held = [step for step in intent["steps"] if await grounding.holds(step["text"])]
        if not state["reference"]:
            held = [step for step in held if not misread(step["text"], query, words)]
        said, repaired = (held, []) if state["reference"] else _as_said(held, query)
        steps = await self._complete(said, query) if held or not state["reference"] else []
        if steps and not state["reference"] and (missed := _passed_over(query, steps, words)):
            told = update.get("remarks", state.get("remarks", []))
            update = {**update, "remarks": [*told, *map(misunderstood, missed)]}
        if steps == intent["steps"]:
            return {**update, "request": await self._in_words(intent, state, grounding)}
        notes = [
            note(self.step, "drifted", f"{step['text']!r} is not in the message and was left out")
            for step in intent["steps"]
            if step not in held
        ]
        notes += [
            note(self.step, "repaired", f"{text!r} was to be left out, and is wanted") for text in repaired
        ]
        steps = steps or [Instruction(type="Addition", text=without_opening(query))]
        changed = plain_intent(described(steps), steps)
        return {
            **update,
            "request": await self._in_words(changed, state, grounding),
            "notes": [*update["notes"], *notes],
            "intent": changed,
            "given_predicates": [],
        }

    async def as_named(self, state: State) -> dict[str, Any]:
        """Fallback: what the query names in words of the captions, wanted or not; the query where that is nothing."""
        if state["reference"]:
            return query_as_intent(state)
        told, reread = await as_meant(state, vocabulary_of(self.images), self.embedder)
        steps = await self._complete([], told["query"])
        if not steps:
            return query_as_intent(state)
        return {
            "intent": plain_intent(described(steps), steps),
            "query": told["query"],
            "request": described(steps),
            "remarks": [*state.get("remarks", []), *reread],
        }

    async def _in_words(self, intent: Intent, state: State, grounding: Grounding) -> str:
        """What is wanted, as later turns say it; of one picture, what is to change in it.

        A description that says what nobody said, or leaves out what is wanted, gives way to the steps; about several
        pictures the user's own words stay, since steps do not say which picture is meant.
        """
        if len(references_of(state)) > 1:
            return state["request"]
        if state["reference"]:
            return request_text(intent["steps"]) or state["request"]
        whole = Grounding([intent["full"]], self.embedder)
        wanted = [step["text"] for step in intent["steps"] if step["type"] != "Removal"]
        if grounding.ungrounded(intent["full"]) or not all([await whole.holds(text) for text in wanted]):
            return described(intent["steps"]) or state["request"]
        return intent["full"]

    async def _complete(self, steps: Sequence[Instruction], query: str) -> list[Instruction]:
        """Each step once, with what the query names and they lack."""
        given = [StepAnswer(type=step["type"], text=step["text"]) for step in steps]  # type: ignore[arg-type]
        once = [step for place, step in enumerate(given) if step not in given[:place]]
        whole: list[Instruction] = []
        for step in await with_named(once, query, self.embedder, vocabulary_of(self.images)):
            plain: Instruction = {"type": step.type, "text": step.text}
            same = [each for each in steps if {**each, "reference": 0} == {**plain, "reference": 0}]
            numbered = [each for place, each in enumerate(same) if each not in same[:place]]
            whole += numbered or [plain]  # the same words may be said about several references
        return whole


def _passed_over(query: str, steps: Sequence[Instruction], vocabulary: Vocabulary) -> list[str]:
    """What a query names, no caption has, and no step takes up; not what it calls a picture: "a sketch of a boat"."""
    if not vocabulary.words:
        return []
    acts: list[MessagePart] = [{"text": _CALLED.sub(" ", query), "act": "wish"}]
    missed = not_taken_up(acts, [step["text"] for step in steps], [])
    return [text for text in missed if vocabulary.lacks(text)]


def _as_said(steps: Sequence[Instruction], query: str) -> tuple[list[Instruction], list[str]]:
    """The steps, and the texts of those that are wanted though they were read as excluded.

    Nothing stands yet that an English message could take away without a negation.
    """
    wrong = [
        step["text"]
        for step in steps
        if step["type"] == "Removal" and is_english(query) and not may_exclude(step["text"], query)
    ]
    said = [
        Instruction(type="Addition", text=step["text"]) if step["text"] in wrong else step for step in steps
    ]
    return said, wrong


async def picture_alone(state: State) -> dict[str, Any]:
    """The intent of a picture whose message changes nothing in it: its caption; makes no model call."""
    unclear = [part["text"] for part in state["acts"] if part["act"] == "unclear"]
    return {
        "intent": plain_intent(
            " and ".join(state.get("reference_captions", [])) or state["reference_caption"]
        ),
        "request": ALIKE,
        "query": ALIKE,
        "remarks": [*map(misunderstood, unclear), "These are like the picture you sent."],
    }
