"""Self-repairs within a message: "a grey... no, a black house" means a black house and excludes nothing.

As in the analysis of disfluencies (Shriberg, 1994), what is taken back (the reparandum) stands before an editing term
("no", "I mean", "or rather"), and what replaces it (the repair) begins with a word of the same kind: an article, a
number, a preposition, a thing, or another value of the same property.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from imagescope_agent.nodes.chat.language.grounding import NUMBERS
from imagescope_agent.nodes.chat.language.places import PREPOSITION
from imagescope_agent.nodes.chat.language.vocabulary import Vocabulary
from imagescope_agent.nodes.intent.drift import FUNCTION, content_words

_PAUSE = r"(?:\s*[,.;:!\u2013\u2014\u2026]+\s*|\s+-+\s*)"
_FILLER = r"(?:u+h+m*|u+m+|e+r+m*|h+m+|oh|oops|well|ah|wait|hang on|hold on)"
_ARTICLE = rf"(?:an?|the|some|{'|'.join(NUMBERS[1:])})"
#: What says that something before it is taken back; "no" is one before a pause or an article: "no boats" excludes.
_EDITING = re.compile(
    rf"""(?:{_PAUSE}(?:{_FILLER}\b[\s,.!]*)*
        (?:no(?:pe)?\b(?=\s*[,.!\u2026]|\s+(?:{_ARTICLE}|no|wait|not|sorry)\b)|sorry|pardon|correction|rather|actually
          |{_FILLER}(?=\s*,|\s+{_ARTICLE}\b|\s+i\s+mean))
      |\s*,?\s+(?:or\s+rather|(?:no,?\s+)?i\s+mean(?:t)?(?:\s+to\s+say)?|scratch\s+that|strike\s+that|make\s+(?:that|it)))\b
    (?:[\s,.!\u2026-]+(?:no|sorry|i\s+mean|i\s+meant|rather|make\s+that|not\s+an?\s+\w+|{_FILLER})\b)*[\s,.!\u2026-]*""",
    re.I | re.X,
)
_WORD = re.compile(r"[\w'\u2019]+")
_KINDS = (PREPOSITION, frozenset(["with", "without"]))
_LONGEST = 6  # words that are taken back


def repaired(message: str, vocabulary: Vocabulary) -> str:
    """A message without what its author takes back in the same breath.

    Args:
        message: in the user's words.
        vocabulary: of the collection, which the repair must have a word of; nothing is repaired where it is empty.

    >>> repaired("plus a white, sorry, a black cat", read_captions(("a white cat", "a black cat")))
    'plus a black cat'
    """
    place = 0
    while match := _EDITING.search(message, place):
        before, after = message[: match.start()], message[match.end() :]
        whole = _joined(before, after, vocabulary)
        message, place = (whole, len(before) // 2) if whole else (message, match.end())
    return message


def _joined(before: str, after: str, vocabulary: Vocabulary) -> str:
    """What is said with the repair in the place of what it replaces; "" where it repairs nothing."""
    sentence = max(before.rfind("?"), before.rfind("\n")) + 1
    said = list(_WORD.finditer(before, sentence))[-_LONGEST:]
    repair = [found[0].lower() for found in _WORD.finditer(after.partition("?")[0])]
    if not repair or repair[1:2] in (["one"], ["ones"]) or not any(map(vocabulary.has, repair[:3])):
        return ""
    first = repair[0]
    if re.fullmatch(_ARTICLE, first) or any(first in kind for kind in _KINDS):
        start = _begins(said, repair, vocabulary)
        return "" if start is None else before[:start] + after
    fits = _alike(first, vocabulary)
    old = next((found for found in reversed(said) if fits(found[0].lower())), None)
    if old is None:
        return ""
    tail = before[old.end() :].strip(" ,.!-\u2026")
    if not tail or (len(repair) > 1 and vocabulary.has(repair[1])):
        return before[: old.start()] + after
    new = _WORD.match(after)
    assert new is not None
    return f"{before[: old.start()]}{new[0]} {tail}{after[new.end() :]}"


def _begins(said: Sequence[re.Match[str]], repair: Sequence[str], vocabulary: Vocabulary) -> int | None:
    """Where what is taken back begins: at the last word of the kind that the repair begins with.

    Where the repair names the same thing, at the last one before that: "the cat and the tree, no, a red cat".
    """
    kind = next((kind for kind in _KINDS if repair[0] in kind), None)
    heads = [content_words(word) for word in repair[1:5] if vocabulary.is_head(word)][:1]
    same = [n for n, found in enumerate(said) if content_words(found[0]) in heads]
    before = said[: same[-1]] if same and kind is None else said
    for found in reversed(before):
        word = found[0].lower()
        if word in kind if kind else re.fullmatch(_ARTICLE, word):
            return found.start()
    return None


def _alike(word: str, vocabulary: Vocabulary) -> Callable[[str], bool]:
    """What a word that names a thing, or a value of a property, may stand in the place of."""
    if word in FUNCTION or not vocabulary.has(word):
        return lambda other: False
    thing = vocabulary.is_head(word)

    def fits(other: str) -> bool:
        if other in FUNCTION or not vocabulary.has(other) or content_words(other) == content_words(word):
            return False
        if thing or vocabulary.is_head(other):
            return thing and vocabulary.is_head(other)
        return not vocabulary.go_together(other, word)

    return fits
