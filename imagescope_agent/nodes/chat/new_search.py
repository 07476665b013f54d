"""A message that begins a new search: nothing that stood counts, and what it says beside that is a first message."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from imagescope_agent.dialogue_acts import ACTS
from imagescope_agent.nodes.chat.language.coverage import phrases
from imagescope_agent.nodes.chat.language.framing import without_framing
from imagescope_agent.nodes.chat.language.grounding import Grounding
from imagescope_agent.nodes.chat.language.new_search_phrases import (
    FIRST,
    LAST,
    LINK,
    NAMES,
    POLITE,
    SEARCHES,
    STARTING,
    TAKES_BACK,
    TURN,
    TURNED_AWAY,
)
from imagescope_agent.nodes.chat.language.vocabulary import Vocabulary
from imagescope_agent.nodes.intent.drift import content_words
from imagescope_agent.state import OF_TOPIC, Fact, MessagePart, new_conversation

NEW_SEARCH = "This is a new search: what was said before no longer counts."
WHAT_NEXT = "Say what the picture shows."
SURE = 0.9  # probability from which words that are no phrase for it are taken for a new start
#: What the other parts do where nothing stands that they could answer or change.
_NOW = {"answer": "wish", "correction": "wish", "withdrawal": "restart"}


class Restart(NamedTuple):
    """A phrase that begins a new search, and what is said beside it, "" for nothing."""

    phrase: str
    rest: str


def split_restart(text: str) -> Restart | None:
    """A part of a message at the phrase that begins a new search; None where it neither begins nor ends with one.

    >>> split_restart("start over with a cat")
    Restart(phrase='start over', rest='a cat')
    """
    if first := FIRST.match(text):
        rest = (
            LINK.sub("", text[first.end() :], count=1)
            if LINK.match(text, first.end())
            else text[first.end() :]
        )
        return Restart(first["phrase"].strip(), _named(rest))
    if last := LAST.search(text):
        return Restart(last["phrase"].strip(), _named(text[: last.start()]))
    return None


def split_turn(part: str) -> list[str]:
    """A part of a message that turns away from what was said and asks for something else, as two.

    >>> split_turn("forget that, I am looking for a cat")
    ['forget that', 'I am looking for a cat']
    """
    turn = TURN.match(part)
    return [turn["away"].strip(), part[turn.end() :]] if turn else [part]


def turned(acts: Sequence[MessagePart], facts: Sequence[Fact], vocabulary: Vocabulary) -> list[MessagePart]:
    """The acts, where turning away from what was said begins a new search if a search for some thing follows.

    Behind a part that names something only that is taken back: "the boat was a mistake, forget it, show me a car". So
    it is where something else of a kind that stands is named, without asking to search: "scratch that, a blue car".
    """
    found = list(acts)
    standing = Grounding([fact["text"] for fact in facts])
    for place, (part, after) in enumerate(pairwise(acts)):
        named = [phrase for phrase in phrases(after["text"], vocabulary) if phrase.head]
        things = [phrase.head for phrase in named]
        if any(each.definite and not standing.ungrounded(each.text) for each in named):
            continue  # "drop it, I want the red car back"
        points_back = any(phrases(before["text"], vocabulary) for before in acts[:place])
        if not things or points_back or not TURNED_AWAY.fullmatch(part["text"]):
            continue
        others = NAMES.match(after["text"]) and all(map(standing.ungrounded, things))
        if others or SEARCHES.match(after["text"]):
            found[place] = {"text": part["text"], "act": "restart"}
    return found


def names_more(text: str) -> bool:
    """Whether a text without a phrase for it says more than that something begins."""
    return not content_words(text) <= STARTING


def without_doubtful_restart(row: Sequence[float], part: str, *, named: bool) -> Sequence[float]:
    """The probabilities of a part's acts, without a new start where its words do not say one.

    Args:
        row: a probability for each of `ACTS`.
        part: begins and ends with no phrase for a new start.
        named: whether it names something; such a part is a wish, if it takes nothing back.
    """
    restart, wish = ACTS.index("restart"), ACTS.index("wish")
    doubtful = row[restart] == max(row) and len(set(row)) > 1 and (named or row[restart] < SURE)
    if not doubtful:
        return row
    kept = [*row]
    kept[restart] = 0.0
    if named and not TAKES_BACK.match(part):
        kept[wish] += row[restart]
    return [each / total for each in kept] if (total := sum(kept)) else row


def nothing_stands() -> dict[str, Any]:
    """The keys of the state for what is wanted, empty; limits of the collection stand."""
    reset = {*OF_TOPIC, "request", "intent", "facts", "anchor", "anchors"}
    kept = {name: value for name, value in new_conversation().items() if name in reset}
    pictures: dict[str, Any] = {"reference_captions": [], "references": [], "unlike": []}
    return {**kept, **pictures, "reference": None, "reference_caption": ""}


def left_over(acts: Sequence[MessagePart]) -> list[MessagePart]:
    """The acts of the parts where nothing stands any more."""
    return [
        MessagePart(text=part["text"], act=_NOW.get(part["act"], part["act"]))
        for part in map(_as_first, acts)
    ]


def _as_first(part: MessagePart) -> MessagePart:
    """A part that may take something back, as a wish where its words do not: "a cat without a collar"."""
    wishes = part["act"] == "withdrawal" and names_more(part["text"]) and not TAKES_BACK.match(part["text"])
    return {"text": part["text"], "act": "wish"} if wishes else part


def _named(rest: str) -> str:
    """The words of a wish, "" where they are none but framing."""
    said = without_framing(rest)
    return said if content_words(said) - POLITE else ""
