"""Dialogue state tracking without a chat model: phrases of the messages are added, exchanged and taken back."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from typing import Any

from imagescope_agent.nodes.chat.act_remarks import misunderstood
from imagescope_agent.nodes.chat.language.framing import without_framing
from imagescope_agent.nodes.chat.language.polarity import TAKES_BACK
from imagescope_agent.nodes.chat.read_message import anew
from imagescope_agent.nodes.intent.drift import content_words
from imagescope_agent.prompting import request_text
from imagescope_agent.retrieval.exclusions import ANYTHING, split_exclusions
from imagescope_agent.retrieval.protocols import Embedder
from imagescope_agent.state import Fact, State

ALIKE = 0.29  # cosine of two phrases from which one may stand in the place of the other: "a cat" of "a dog"
NOTHING_LEFT = "Nothing in particular is looked for now. Say what the picture shows."
KNOWN = "That is looked for already."
_PHRASE = re.compile(
    r",| (?=(?:and|with|on|in|at|near|by|under|behind|beside|next to|in front of|during|wearing|holding) )"
)
_LEADS = re.compile(r"^(?:and|with|of) ", re.I)
_HANGING = re.compile(r" (?:is|are|was|were|has|have|had)$", re.I)
_JOINED = re.compile(
    r"(?:and|with|on|in|at|near|by|under|behind|beside|next|during|wearing|holding|of)\b", re.I
)
_BACK = re.compile(
    r"\b(?:it|that|this|them|those|these|one)\b"
    r"(?= *(?:$|[,.!?;]|(?:back|away|out|off|again|one|please|was|were|is)\b))",
    re.I,
)
_CLAUSE = re.compile(r"[,;.!] ?| and (?=(?:find|look|search|show|get|give|add)\b)")
_NUMBER = re.compile(r"\d+|one|two|three|four|five|six|seven|eight|nine|ten|an?|the", re.I)


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
        remarks = list[str]()
        before = state["intent"]["full"]  # of a store of before it may be all that is known
        facts = list(state["facts"]) or ([] if before == ANYTHING else self._added([], before))
        for act, text in _parts(state):
            if act == "withdrawal":
                kept = taken_back(facts, text)
                remarks += [misunderstood(text)] if kept == facts else []
            else:
                kept = self._added(facts, without_framing(text), corrects=act == "correction")
                remarks += [KNOWN] if kept == facts and KNOWN not in remarks else []
            facts = kept
        remarks += [] if facts else [NOTHING_LEFT]
        wanted = in_words(facts)
        steps = [{"type": fact["type"], "text": fact["text"]} for fact in facts]
        said = request_text(fact for fact in facts if fact["type"] == "Removal")
        request = ", ".join(filter(None, [wanted, said])) or ANYTHING
        intent = {"steps": steps, **dict.fromkeys(("core", "enhanced", "full"), wanted or ANYTHING)}
        told = {"remarks": [*state["remarks"], *remarks], "predicates": [], "question": None}
        return {**anew(), "facts": facts, "intent": intent, "request": request, "query": request, **told}

    def _added(self, facts: Sequence[Fact], text: str, *, corrects: bool = False) -> list[Fact]:
        """The facts with those of a text; what it excludes and what it corrects no longer stands."""
        wish = split_exclusions(text)
        new = [_wanted(phrase) for phrase in phrases(wish.wanted) if _words(phrase)]
        standing = set[str]().union(*(_words(fact["text"]) for fact in facts if fact["type"] != "Removal"))
        denies = bool(new) and all(_words(fact["text"]) <= standing for fact in new)  # "the car is not red"
        found, place, gone = list(facts), len(facts), False
        for each in wish.excluded:
            named = [number for number, fact in enumerate(found) if _names(fact, each)]
            found = [fact for number, fact in enumerate(found) if number not in named]
            if named:
                place, gone = named[0], True
            if denies or not (named and new):  # but for "not a dog, a cat"
                found.append({"type": "Removal", "text": each, "predicates": []})
        if new and not gone and (number := self._replaced(found, new[0], corrects=corrects)) is not None:
            found, place = [*found[:number], *found[number + 1 :]], number
        if wish.excluded and denies:
            left = set[str]().union(*(_words(fact["text"]) for fact in found if fact["type"] != "Removal"))
            new = [fact for fact in new if not _words(fact["text"]) <= left]
        known = {fact["text"].lower() for fact in found if fact["type"] != "Removal"}
        new = [fact for fact in new if fact["text"].lower() not in known]
        wanted = set[str]().union(*(_words(fact["text"]) for fact in new)) if not denies else set[str]()
        kept = [fact for fact in found if fact["type"] != "Removal" or not _words(fact["text"]) & wanted]
        return [*kept[:place], *new, *kept[place:]]

    def _replaced(self, facts: Sequence[Fact], new: Fact, *, corrects: bool) -> int | None:
        """The wanted phrase that a new one replaces: one with another number or, in a correction, the most alike."""
        wanted = [number for number, fact in enumerate(facts) if fact["type"] != "Removal"]
        for number in wanted:
            if _apart_from_number(facts[number]["text"]) == _apart_from_number(new["text"]):
                return number
        if not corrects or not wanted:
            return None
        if sharing := [number for number in wanted if _words(facts[number]["text"]) & _words(new["text"])]:
            return sharing[-1]
        vectors = self.embedder.texts([new["text"], *(facts[number]["text"] for number in wanted)])
        alike = vectors[1:] @ vectors[0]
        return wanted[int(alike.argmax())] if float(alike.max()) >= ALIKE else None


def _parts(state: State) -> list[tuple[str, str]]:
    """The act and the text of each part that says something; what follows a withdrawal in it is a wish."""
    found = list[tuple[str, str]]()
    for part in state["acts"]:
        text = " ".join(part["text"].split())
        if part["act"] not in ("wish", "answer", "correction", "withdrawal"):
            continue
        bare = without_framing(text)
        if part["act"] == "withdrawal" or TAKES_BACK.match(bare):
            clause = _CLAUSE.search(bare)
            first, rest = (bare[: clause.start()], bare[clause.end() :]) if clause else (bare, "")
            found.append(("withdrawal", first))
            found += [("wish", rest)] if re.search(r"\w", rest) else []
        else:
            found.append((part["act"], text))
    return found


def taken_back(facts: Sequence[Fact], text: str) -> list[Fact]:
    """The facts without those that a withdrawal names; without the last one where it only points back."""
    kept = [fact for fact in facts if not _words(fact["text"]) & content_words(text)]
    if len(kept) < len(facts):
        return kept
    return list(facts[:-1]) if _BACK.search(text) else list(facts)


def phrases(text: str) -> list[str]:
    """A description in pieces that may be taken back one by one: "a dog", "on a couch"; each once."""
    pieces = (_HANGING.sub("", part.strip(" ,.;:!?")) for part in _PHRASE.split(" ".join(text.split())))
    return list(dict.fromkeys(filter(None, pieces)))


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


def _words(text: str) -> set[str]:
    """The words that tell; of a text without such, all."""
    return content_words(text) or set(re.findall(r"\w+", text.lower()))


def _names(fact: Fact, excluded: str) -> bool:
    return fact["type"] != "Removal" and bool(_words(fact["text"]) & _words(excluded))


def _apart_from_number(text: str) -> frozenset[str]:
    return frozenset(
        content_words(" ".join(word for word in text.split() if not _NUMBER.fullmatch(word)))
    ) or frozenset([text])
