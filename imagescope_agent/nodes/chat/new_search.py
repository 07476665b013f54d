"""A message that begins a new search: nothing that stood counts, and what it says beside that is a first message."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from imagescope_agent.dialogue_acts import ACTS
from imagescope_agent.nodes.chat.language.framing import without_framing
from imagescope_agent.nodes.intent.drift import content_words
from imagescope_agent.state import OF_TOPIC, MessagePart, new_conversation

NEW_SEARCH = "This is a new search: what was said before no longer counts."
WHAT_NEXT = "Say what the picture shows."
SURE = 0.9  # probability from which words that are no phrase for it are taken for a new start
#: What the other parts do where nothing stands that they could answer or change.
_NOW = {"answer": "wish", "correction": "wish", "withdrawal": "restart"}
_SO_FAR = r"(?:\s+(?:so\s+far|above|before|until\s+now|(?:that\s+)?i(?:['’]ve|\s+have)?\s+(?:said|wanted)))?"
_PHRASE = rf"""(?:
      (?:let(?:['’]?s|\s+us|\s+me)\s+|(?:can|could|may)\s+(?:we|i)\s+|(?:i['’]?d\s+like|i\s+want)\s+to\s+|we\s+)?
      (?:start|begin)\s+(?:all\s+)?(?:over(?:\s+again)?|again|afresh|anew|(?:again\s+)?from\s+(?:scratch|zero|nothing))
    | (?:(?:start|begin)\s+)?(?:a\s+)?(?:whole\s+|completely\s+)?new\s+search
    | (?:forget|scratch|drop|clear|scrap|bin|ignore|discard|erase|delete|cancel|undo|wipe|reset)\s+(?:about\s+)?
      (?:it\s+all|all(?:\s+of)?\s+(?:that|this|it)|everything|all(?=\s*(?:[,.;:!-]|$)|\s+and\b)){_SO_FAR}
    | (?:instead\s+of|in\s+place\s+of|rather\s+than)\s+(?:all\s+(?:of\s+)?(?:that|this)|everything){_SO_FAR}
    | forget\s+the\s+(?:rest|lot)
    | (?:(?:now|i\s+want|let['’]?s\s+(?:try|do))\s+)?(?:for\s+)?
      something\s+(?:else|(?:completely|entirely|totally|quite)\s+(?:else|different|new))(?:\s+(?:entirely|altogether))?
    )(?:\s+(?:now|then|please))*"""
_OPENERS = r"(?:(?:ok(?:ay)?|no|nah|wait|well|so|please|now|actually|right|alright|sorry|hm+|oh)\b[\s,.!-]*)*"
_FIRST = re.compile(
    rf"\s*(?P<phrase>{_OPENERS}{_PHRASE})(?:\s*[,.;:!\u2013\u2014-]+\s*|\s+(?=with|and|without)|\s*$)",
    re.I | re.X,
)
_LAST = re.compile(rf"[,.;:!\u2013\u2014]\s*(?:and\s+)?(?P<phrase>{_PHRASE})\W*$", re.I | re.X)
_LINK = re.compile(r"\s*(?:(?:and|then|now|with|by)\b[\s,:]*)+", re.I)
_TAKES_BACK = re.compile(
    r"\W*(?:remove|forget|drop|scratch|clear|scrap|bin|erase|delete|cancel|undo|wipe|ditch|lose|no|not|never)\b",
    re.I,
)
#: Words of new starts that name nothing to be seen.
_STARTING = content_words("""
    new anew afresh fresh start started restart begin beginning over again scratch zero nothing square first top back
    reset wipe wiped clear clean slate blank board drawing forget drop scrap bin throw away toss ditch dump discard
    ignore erase delete cancel undo void chuck everything lot said wrong wanted idea plan topic subject search target
    round time attempt try another different else altogether entirely completely totally quite let go want like need
    please good now later mind never changed rid get turn leaf whole thing out done finished once
""")


_POLITE = content_words("please pls thanks thank now then ok okay sorry again")


class Restart(NamedTuple):
    """A phrase that begins a new search, and what is said beside it, "" for nothing."""

    phrase: str
    rest: str


def split_restart(text: str) -> Restart | None:
    """A part of a message at the phrase that begins a new search; None where it neither begins nor ends with one.

    >>> split_restart("start over with a cat")
    Restart(phrase='start over', rest='a cat')
    """
    if first := _FIRST.match(text):
        rest = (
            _LINK.sub("", text[first.end() :], count=1)
            if _LINK.match(text, first.end())
            else text[first.end() :]
        )
        return Restart(first["phrase"].strip(), _named(rest))
    if last := _LAST.search(text):
        return Restart(last["phrase"].strip(), _named(text[: last.start()]))
    return None


def names_more(text: str) -> bool:
    """Whether a text without a phrase for it says more than that something begins."""
    return not content_words(text) <= _STARTING


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
    if named and not _TAKES_BACK.match(part):
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
    wishes = part["act"] == "withdrawal" and names_more(part["text"]) and not _TAKES_BACK.match(part["text"])
    return {"text": part["text"], "act": "wish"} if wishes else part


def _named(rest: str) -> str:
    """The words of a wish, "" where they are none but framing."""
    said = without_framing(rest)
    return said if content_words(said) - _POLITE else ""
