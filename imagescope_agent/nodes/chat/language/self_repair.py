"""Self-repairs within a message: "a grey... no, a black house" means a black house and excludes nothing.

As in the analysis of disfluencies (Shriberg, 1994), what is taken back (the reparandum) stands before an editing term
("no", "I mean", "or rather"), and what replaces it (the repair) begins with a word of the same kind: an article, a
number, a preposition, a thing, or another value of the same property.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import islice

from imagescope_agent.nodes.chat.language.grounding import NUMBERS
from imagescope_agent.nodes.chat.language.places import PREPOSITION
from imagescope_agent.nodes.chat.language.vocabulary import Vocabulary
from imagescope_agent.nodes.intent.drift import FUNCTION, content_words

_MARKS = r",.;:!\u2013\u2014\u2026"
#: Marks, or a dash between spaces, each run of them from its beginning only.
_PAUSE = rf"(?:(?<![\s{_MARKS}-])(?=\s*+(?:[{_MARKS}]|(?<=\s)-))[\s{_MARKS}-]++)"
_HESITATION = r"(?:u+h+m*|u+m+|e+r+m*|h+m+|oh|well|ah)"
_FILLER = rf"(?:{_HESITATION}|oops|wait|hang\s+on|hold\s+on)"
_ARTICLE = rf"(?:an?|the|some|{'|'.join(NUMBERS[1:])})"
#: A "no" before a pause or an article: "no boats" excludes.
_NO = rf"no(?:pe)?\b(?=\s*+[,.!\u2026]|\s++(?:{_ARTICLE}|no|wait|not|sorry|hang|hold)\b)"
#: What says that something before it is taken back.
_EDITING = re.compile(
    rf"""(?:{_PAUSE}(?:{_FILLER}\b[\s,.!]*+)*
        (?:{_NO}|sorry|pardon|correction|rather|actually
          |{_FILLER}(?=\s*+,|\s++{_ARTICLE}\b|\s++i\s++mean))
      |(?<!\s)(?:\s*+,)?\s++(?:or\s++rather|(?:no,?\s++)?i\s++mean(?:t)?(?:\s++to\s++say)?|scratch\s++that|strike\s++that
        |make\s++(?:that|it)))\b
    (?:[\s,.!\u2026-]++(?:{_NO}|sorry|i\s++mean|i\s++meant|rather|make\s++that|not\s++an?\s++\w+|{_FILLER})\b)*
    [\s,.!\u2026-]*+""",
    re.I | re.X,
)
_WORD = re.compile(r"[\w'\u2019]+")
_KINDS = (PREPOSITION, frozenset(["with", "without"]))
#: What is said beside what stands before, and not in its place: "oh, a house as well".
_FURTHER = re.compile(r"\b(?:also|too$|as well|another)\b")
#: The verb of a clause of its own: "actually the house was red".
_VERB = re.compile(
    r"(?<!that )(?<!which )\b(?:(?:is|are|was|were|has|had|have)(?:n['\u2019]?t)?|sits|stands|lies)\b(?! what\b)"
)
_CLAUSE = re.compile(r"[^\n,.;:!?]*+")
_HESITATES = re.compile(rf"\W*+(?:{_HESITATION}\b\W*+)+", re.I)
_LONGEST = 6  # words that are taken back
_REACH = 200  # letters in which they stand


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
        hesitates = _HESITATES.fullmatch(match[0]) is not None
        kept, rest = (
            _turned(before, after)
            or _joined(before, after, vocabulary, hesitates=hesitates)
            or (message[: match.end()], after)
        )
        message, place = kept + rest, len(kept)
    return message


#: Where one thing lies beside another one; the other way round is another place.
_SIDE = re.compile(r"(?:(?:to|on)\s+the\s+)?\b(left|right|above|below|over|under(?:neath)?|beneath)\b", re.I)
_ACROSS = frozenset(["left", "right"])  # these are said with "of", the others without
_OF = re.compile(r"\s+of\b", re.I)
_IS_SIDE = re.compile(r"\s*(?:$|[.,;!?]|of\b|side\b)", re.I)
_OF_WHAT = re.compile(r"\s+(?:of|the|an?|it|them|this|that)\b", re.I)


def _turned(before: str, after: str) -> tuple[str, str] | None:
    """As `_joined`, of a relation that is said the other way round: "left, er, right of the car"."""
    new, sides = _SIDE.match(after), list(_SIDE.finditer(re.split(r"[.?!\n]", before)[-1]))
    if not new or not sides or sides[-1][1].lower() == new[1].lower():
        return None
    across = new[1].lower() in _ACROSS
    if across and not _IS_SIDE.match(after[new.end() :]):  # "no, right under it"
        return None
    old, start = sides[-1], len(before) - len(re.split(r"[.?!\n]", before)[-1])
    kept, tail, rest = before[: start + old.start()], before[start + old.end() :], after[new.end() :]
    if _OF_WHAT.match(rest):
        return kept + after[: new.end()], rest
    return kept + new[0] + (" of" if across and tail else "") + _OF.sub("", tail, count=1), rest


def _joined(before: str, after: str, vocabulary: Vocabulary, *, hesitates: bool) -> tuple[str, str] | None:
    """What stays of the words before an editing term, and the repair with what follows; None where it repairs nothing.

    A hesitation alone, as "um" between two things of a list, takes back only what was broken off before its thing.
    """
    sentence = max(before.rfind("?"), before.rfind("\n"), len(before) - _REACH - 1) + 1
    said = list(_WORD.finditer(before, sentence))[-_LONGEST:]
    repair = [found[0].lower() for found in islice(_WORD.finditer(after.partition("?")[0]), _LONGEST)]
    if not repair or repair[1:2] in (["one"], ["ones"]) or not any(map(vocabulary.has, repair[:3])):
        return None
    whole = bool(re.fullmatch(_ARTICLE, repair[0])) or any(repair[0] in kind for kind in _KINDS)
    begins = _begins if whole else _begins_alike
    start = begins([found[0].lower() for found in said], repair, vocabulary)
    if start is None or _adds(before[said[start].start() :].lower(), after, vocabulary, hesitates=hesitates):
        return None
    old = said[start]
    tail = before[old.end() :].strip(" ,.!-\u2026")
    if whole or not tail or (len(repair) > 1 and vocabulary.has(repair[1])):
        return before[: old.start()], after
    new = _WORD.match(after)
    assert new is not None
    return f"{before[: old.start()]}{new[0]} {tail}", after[new.end() :]


def _adds(old: str, after: str, vocabulary: Vocabulary, *, hesitates: bool) -> bool:
    """Whether what follows an editing term is said beside what it would replace, and not in its place."""
    clause = "" if (found := _CLAUSE.match(after)) is None else found[0].strip().lower()
    old_things, new_things = (
        {frozenset(content_words(word)) & vocabulary.heads for word in _WORD.findall(text)} - {frozenset()}
        for text in (old, clause)
    )
    if _FURTHER.search(clause) or (hesitates and old_things):
        return True
    return (
        bool(old_things)
        and not old_things & new_things
        and bool(_VERB.search(clause)) > bool(_VERB.search(old))
    )


def _begins(said: Sequence[str], repair: Sequence[str], vocabulary: Vocabulary) -> int | None:
    """Where what is taken back begins: at the last word of the kind that the repair begins with.

    Where the repair names the same thing, at the last one before that: "the cat and the tree, no, a red cat".
    """
    kind = next((kind for kind in _KINDS if repair[0] in kind), None)
    heads = [content_words(word) for word in repair[1:5] if vocabulary.is_head(word)][:1]
    same = [n for n, word in enumerate(said) if content_words(word) in heads]
    end = same[-1] if same and kind is None else len(said)
    fits = (n for n in reversed(range(end)) if (said[n] in kind if kind else re.fullmatch(_ARTICLE, said[n])))
    return next(fits, None)


def _begins_alike(said: Sequence[str], repair: Sequence[str], vocabulary: Vocabulary) -> int | None:
    """The place of the last word that the first one of the repair may stand in the place of."""
    fits = _alike(repair[0], vocabulary)
    return next((n for n in reversed(range(len(said))) if fits(said[n])), None)


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
