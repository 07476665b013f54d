"""Dialogue state tracking without a chat model: phrases of the messages are added, exchanged and taken back."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from typing import Any

from imagescope_agent.nodes.chat.language.framing import without_framing
from imagescope_agent.nodes.chat.read_message import anew, misunderstood
from imagescope_agent.nodes.intent.drift import content_words
from imagescope_agent.prompting import request_text
from imagescope_agent.retrieval.exclusions import ANYTHING, split_exclusions
from imagescope_agent.retrieval.protocols import Embedder
from imagescope_agent.state import Fact, State

ALIKE = 0.3  # cosine of two phrases from which one may stand in the place of the other: "a cat" of "a dog"
_PHRASE = re.compile(
    r",|\s+(?=(?:and|with|on|in|at|near|by|under|behind|beside|next to|in front of|during|wearing|holding)\s)"
)
_LEADS = re.compile(r"^(?:and|with|of)\s+", re.I)
_HANGING = re.compile(r"\s+(?:is|are|was|were|has|have|had)$", re.I)
_JOINED = re.compile(
    r"(?:and|with|on|in|at|near|by|under|behind|beside|next|during|wearing|holding|of)\b", re.I
)
_TAKES_BACK = re.compile(
    r"(?:remove|drop|forget|delete|lose|ditch|scratch|skip|omit|erase|(?:take|leave|cut) (?:away|out)|get rid of)\b"
    r"(?: about)?|never ?mind\b",
    re.I,
)
_BACK = re.compile(r"\b(?:it|that|this|them|those|these|one)\b", re.I)


class FoldWords:
    """The message's own words, a phrase a fact; nothing is understood of them but what is excluded and taken back.

    A phrase that excludes what stands takes its place, as a correction does whose words lie near it. No call.

    Args:
        embedder: tells which phrase another one corrects.
    """

    def __init__(self, embedder: Embedder) -> None:
        self.embedder = embedder

    async def __call__(self, state: State) -> dict[str, Any]:
        """Return `facts`, `intent`, whose descriptions are what is wanted, `request` and `remarks`."""
        return await asyncio.to_thread(self._folded, state)

    def _folded(self, state: State) -> dict[str, Any]:
        facts, remarks = list(state["facts"]), list[str]()
        for part in state["acts"]:
            text = without_framing(part["text"])
            if part["act"] == "withdrawal" or _TAKES_BACK.match(text):
                kept = taken_back(facts, text)
                remarks += [misunderstood(part["text"])] if kept == facts else []
                facts = kept
            elif part["act"] in ("wish", "answer", "correction"):
                facts = self._added(facts, text, corrects=part["act"] == "correction")
        wanted = in_words(facts)
        steps = [{"type": fact["type"], "text": fact["text"]} for fact in facts]
        said = request_text(fact for fact in facts if fact["type"] == "Removal")
        request = ", ".join(filter(None, [wanted, said])) or ANYTHING
        intent = {"steps": steps, **dict.fromkeys(("core", "enhanced", "full"), wanted or ANYTHING)}
        told = {"remarks": [*state["remarks"], *remarks], "predicates": []}
        return {
            **anew(),
            "facts": facts,
            "intent": intent,
            "request": request,
            "query": request,
            **told,
        }

    def _added(self, facts: Sequence[Fact], text: str, *, corrects: bool) -> list[Fact]:
        """The facts with those of a text; what it excludes and what it corrects no longer stands."""
        wish = split_exclusions(text)
        new = [fact for phrase in phrases(wish.wanted) if content_words((fact := _wanted(phrase))["text"])]
        found, place, gone = list(facts), len(facts), False
        for each in wish.excluded:
            named = [number for number, fact in enumerate(found) if _names(fact, each)]
            if named and new:  # "not a dog, a cat"
                place, gone = named[0], True
            elif not named or not corrects:
                found.append({"type": "Removal", "text": each, "predicates": []})
            found = [fact for number, fact in enumerate(found) if number not in named]
        if corrects and new and not gone and (number := self._nearest(found, new[0])) is not None:
            found, place = [*found[:number], *found[number + 1 :]], number
        place = min(place, len(found))
        known = {fact["text"].lower() for fact in found}
        new = [fact for fact in new if fact["text"].lower() not in known]
        wanted = set[str]().union(*(content_words(fact["text"]) for fact in new))
        kept = [
            fact for fact in found if fact["type"] != "Removal" or not content_words(fact["text"]) & wanted
        ]
        return [*kept[:place], *new, *kept[place:]]

    def _nearest(self, facts: Sequence[Fact], new: Fact) -> int | None:
        """The wanted phrase that a new one most likely corrects: one that shares a word, else the nearest."""
        wanted = [number for number, fact in enumerate(facts) if fact["type"] != "Removal"]
        sharing = [
            number for number in wanted if content_words(facts[number]["text"]) & content_words(new["text"])
        ]
        if sharing or not wanted:
            return sharing[-1] if sharing else None
        vectors = self.embedder.texts([new["text"], *(facts[number]["text"] for number in wanted)])
        alike = vectors[1:] @ vectors[0]
        return wanted[int(alike.argmax())] if float(alike.max()) >= ALIKE else None


def taken_back(facts: Sequence[Fact], text: str) -> list[Fact]:
    """The facts without those that a withdrawal names; without the last one where it only points back."""
    kept = [fact for fact in facts if not content_words(fact["text"]) & content_words(text)]
    if len(kept) < len(facts):
        return kept
    return list(facts[:-1]) if _BACK.search(text) else list(facts)


def phrases(text: str) -> list[str]:
    """A description in pieces that may be taken back one by one: "a dog", "on a couch"."""
    return [piece for part in _PHRASE.split(text) if (piece := _HANGING.sub("", part.strip(" \t,.;:!?")))]


def in_words(facts: Sequence[Fact]) -> str:
    """What is wanted, the phrases of a description joined again."""
    said = ""
    for fact in facts:
        if fact["type"] != "Removal":
            gap = " " if _JOINED.match(fact["text"]) else ", "
            said = f"{said}{gap}{fact['text']}" if said else _LEADS.sub("", fact["text"])
    return said


def _wanted(text: str) -> Fact:
    return {"type": "Addition", "text": text, "predicates": []}


def _names(fact: Fact, excluded: str) -> bool:
    return fact["type"] != "Removal" and bool(content_words(fact["text"]) & content_words(excluded))
