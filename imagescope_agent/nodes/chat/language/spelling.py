"""Typing errors in words of a collection's descriptions: "a gren baot" among green boats."""

from __future__ import annotations

import re

from imagescope_agent.nodes.chat.language.vocabulary import Vocabulary
from imagescope_agent.nodes.intent.drift import FUNCTION, is_english
from imagescope_agent.retrieval.proper_names import as_they_stand
from imagescope_agent.state import MessagePart, State

_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_VOWELS = frozenset("aeiou")
_SOUNDS = _VOWELS | {"y"}
_NEGATIONS = ("without", "nothing", "never")  # which must not be missed
#: English words that are another one with two letters exchanged, one of a double letter missing, or a key missed.
_OTHERS = frozenset(
    """
    angel angle beard bet board bread broad calm chose clam coma comma cop dairy desert dessert diary diner dinner fed
    filing filling form from god good holly holy hop hoping hopping later latter lion liver loin loose lose lot loot
    lover met planing planning points pole poll red river root rot rover sacred scared silver sliver son soon super
    supper ten tiny tinny trail trial unite united untie untied won
    """.split()  # noqa: SIM905
)
#: Words around a wish that make another one of it where they are missed.
_COMMON = (
    "without", "never", "nothing", "should", "would", "could", "shall", "instead", "rather", "please", "there",
    "remove", "forget", "leave", "change", "picture", "another", "three", "seven", "eight",
    "above", "below", "under", "beside", "right",
)  # fmt: skip
_SHORT = 4  # letters up to which only an exchanged or a doubled one is a typing error
_LONG = 6  # letters from which a vowel may be mistaken for another


def corrected(
    state: State, vocabulary: Vocabulary, english: frozenset[str] = frozenset()
) -> tuple[State, list[str]]:
    """The state with a message without typing errors, and what is said about each that was found.

    Args:
        state: with the message and its parts.
        vocabulary: of the captions, whose words are looked for.
        english: words that are none with an error; empty where they are not known, and less is then read.
    """
    words = re.findall(r"[^\W\d_]+", state["query"])
    names = as_they_stand(state["query"])
    if not is_english(state["query"]):
        english = frozenset()
    read = {
        word: found
        for word in dict.fromkeys(words)
        if (found := meant(word.lower(), vocabulary, frozenset() if word.lower() in names else english))
    }
    if not read:
        return state, []
    acts: list[MessagePart] = [
        {"text": _with(read, part["text"]), "act": part["act"]} for part in state.get("acts", [])
    ]
    told: State = {**state, "query": _with(read, state["query"]), "acts": acts}
    return told, [f'I read "{word}" as "{found}".' for word, found in read.items()]


def _with(read: dict[str, str], text: str) -> str:
    return re.sub(r"[^\W\d_]+", lambda found: read.get(found[0], found[0]), text)


def meant(word: str, vocabulary: Vocabulary, english: frozenset[str] = frozenset()) -> str:
    """The one word of the vocabulary that this is with a typing error; "" where it is known, or none or several are.

    A word that is not English may have any one error, where English is known (Damerau, 1964: most have one).
    """
    if not vocabulary.words or word in FUNCTION or len(word) < 3:
        return ""
    if word in _NEGATIONS or word in _OTHERS or word in vocabulary.forms:
        return ""
    known = [*vocabulary.near(word), *(each for each in _NEGATIONS if each not in vocabulary.words)]
    found = [each for each in known if is_misspelling(word, each)]
    whole = len(word) >= _SHORT or not _SOUNDS & {*word}  # "fsh" is no short word of another language
    if not found and english and whole and word not in english:
        common = [each for each in _COMMON if abs(len(each) - len(word)) <= 1 and each not in known]
        found = [each for each in known if one_edit(word, each)] or [
            each for each in common if one_edit(word, each)
        ]
    return found[0] if len(found) == 1 else ""


def one_edit(word: str, known: str) -> bool:
    """Whether one letter that is missing, too many or another one makes a word of a known one, or their order does."""
    if sorted(word) == sorted(known):
        return word[0] == known[0]
    pairs = zip(word, known, strict=False)
    start = next((n for n, (one, other) in enumerate(pairs) if one != other), min(len(word), len(known)))
    rest, of_known = word[start:], known[start:]
    return rest[1:] == of_known[1:] or rest == of_known[1:] or rest[1:] == of_known


def is_misspelling(word: str, known: str) -> bool:
    """Whether one typing error makes a word of a known one; the first letter is right."""
    if word[0] != known[0] or len(known) < 3 or abs(len(word) - len(known)) > 1:
        return False
    start = next(
        (n for n, (a, b) in enumerate(zip(word, known, strict=False)) if a != b), min(len(word), len(known))
    )
    if len(word) < len(known):
        # any other letter that is missing makes real words alike: "bride" and "bridge", "hose" and "house"
        return known[start] == known[start - 1] and word[start:] == known[start + 1 :]
    if len(word) > len(known):
        doubled = word[start] == word[start - 1] or (
            len(known) > _SHORT and _near(word[start], word[start - 1])
        )
        return doubled and word[start + 1 :] == known[start:]
    if word[start : start + 2] == known[start : start + 2][::-1] and word[start + 2 :] == known[start + 2 :]:
        return True
    mistaken = len(known) > _SHORT and _near(word[start], known[start])
    vowels = len(known) >= _LONG and {word[start], known[start]} <= _VOWELS
    return (mistaken or vowels) and word[start + 1 :] == known[start + 1 :]


def _near(one: str, other: str) -> bool:
    """Whether two letters are side by side on a keyboard."""
    return any(one in row and other in row and abs(row.index(one) - row.index(other)) == 1 for row in _ROWS)
