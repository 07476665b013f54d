"""Whether a message wants what it names or excludes it, by the words around it in the same clause."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from imagescope_agent.nodes.chat.language.grounding import Grounding
from imagescope_agent.nodes.chat.language.vocabulary import Vocabulary
from imagescope_agent.nodes.intent.drift import FUNCTION, content_words

NEAR = 5  # words before a thing in which a negation excludes it
_NEGATION = re.compile(
    r"no|not|none|nothing|nowhere|never|without|neither|nor|\w+n't|cannot|minus|except|exclud\w+|avoid|omit|ban|remove"
    r"|delete[sd]?|refuse|hate|dislike|detest|erase|eliminate|discard|lacks?|lacking|devoid|zero|nil|nix|spare|forbid|prohibit|veto"
    r"|rid|dispens\w+|loathe|despise|ditch|hide|sans|barring|nae"
)
_TAKING = re.compile(
    r"(?:skip|drop|forget|lose|delete|leav|hold|clear|cancel|scrap|scratch|cut|spar|los)(?:e|s|ing|ed|ping|ped)?"
)
#: What begins a withdrawal: "lose the boat", "never mind the boat".
TAKES_BACK = re.compile(
    r"(?:(?:remove|drop|forget|delete|lose|ditch|scratch|skip|omit|erase|(?:take|leave|cut) (?:away|out)|get rid of)"
    r"(?: about)? (?=(?:the|that|this|it|those|these|them|my|any|all|both)\b)|never ?mind\b)",
    re.I,
)
#: "leave the boats out", "keep any boat away".
_KEPT_OUT = re.compile(
    r"\b(?:leave|take|cut|rule|filter|keep|throw|kick)\b((?:\s+[\w']+){0,4}?)\s+(?:out|away|off)\b"
)
_CLEAR = re.compile(
    r"(?:(?<![^.,;:!?])|(?<=please)|(?<=to)|(?<=should)|(?<=must)|(?<=and)|(?<=but)|(?<=just)) ?"
    r"\b(?:steer|keep|stay) (?:well )?clear of\b"
)
_FREE = re.compile(r"\b([\w']+)-free\b|\bfree (?:of|from)\b")
#: "boats? no", "boats? none of them".
_ASKED = re.compile(
    r"(?<!\?)\?++ ?(?:\w++ )?(?:(?:no|never|nope)\b(?! (?:idea|clue|matter|doubt))|none\b|not\b)"
)
#: What is said of a thing that must not be there, after it.
_EXCLUDED = re.compile(
    r"\b(?:unwanted|unwelcome|banned|excluded|forbidden|prohibited|taboo|no-go|off limits|ruled out|no thank"
    r"|(?:is|are) the (?:very )?last (?:thing|one)"
    r"(?= (?:that )?(?:i|we) |s? on my mind|$)|out of the question|(?:is|are) (?:out|off|not wanted)$"
    r"|(?:must|should|shall|may|can|could|will|would|ca|do|does)(?:n't| ?not) (?:\w+ )?"
    r"(?:appear|occur|exist|feature|turn up|show(?: up)?$|come|be$"
    r"|be (?:there|around|in|here|visible|seen|shown|present|allowed|part|among))"
    r"|(?:must|should|shall|has to|have to|needs? to) (?:go|vanish|disappear|stay (?:away|out)))\b"
)
#: What shall not be changed or go stays: "don't replace the boat", "without changing the boat".
KEPT = re.compile(
    r"\b(?:do not|don't|dont|never|not to|(?:must|should|can|could|need)(?:n't| ?not)|without|not) (?:to )?"
    r"(?:chang|replac|swap|exchang|switch|turn(?! up)|trad|touch|remov"
    r"|delet|los|drop|ditch|discard|eras|convert|transform)"
    r"(?:p?ing|p?ed|es?|p|e|ing)?(?= )"
)
#: A negation that negates nothing: "do not forget the boat".
_AFFIRMED = re.compile(
    r"\b(?:do not|don't|never|not to) (?:forget|miss|overlook)\b|\bnot (?:only|just|sure)\b"
    r"|\bno,? (?:doubt|matter|idea|problem|sorry|wait)\b|\bwithout (?:a )?doubt\b"
)
#: "What I do not want: hearts": what stands before a colon goes on behind it, unless it is short.
_ANNOUNCED = re.compile(r"(?<![\w'])([\w']++ [\w']++ [\w']++): ")
#: Adverbs of degree, which take nothing away: "super duper large".
_DEGREE = frozenset(
    [
        "super",
        "duper",
        "really",
        "quite",
        "pretty",
        "extremely",
        "rather",
        "incredibly",
        "totally",
        "kinda",
        "mega",
    ]
)
#: "Anything but boats", "everything other than a boat".
_ANY_BUT = re.compile(
    r"\b(?:anything|everything|whatever|something|all) "
    r"(?:but|except(?: for)?|other than|apart from|besides|save(?: for)?)"
    r"(?= (?!that\b|what\b)\w)(?![^.,;:!?]*\b(?:is|are|was|were)\b)"
)
_CLAUSE = re.compile(r"[.,;:!?]|\b(?:but|and|instead|rather|only)\b")


def is_negated(text: str, message: str) -> bool:
    """Whether a message excludes what a text names: before it stands a negation, or after it that it must go."""
    clause, place = _where(text, message)
    before, after = clause[max(0, place - NEAR) : place], " ".join(clause[place + 1 :])
    return any(_NEGATION.fullmatch(each) for each in before) or bool(_EXCLUDED.search(after))


def _where(text: str, message: str) -> tuple[Sequence[str], int]:
    """The clause with most of the words of a text side by side, and where they begin."""
    named, length = Grounding([text]), len(text.split())
    best: tuple[Sequence[str], int] = ((), 0)
    most = 0
    for words in _clauses(message):
        held = [
            word not in FUNCTION and bool(content_words(word)) and not named.ungrounded(word)
            for word in words
        ]
        for place in (n for n, is_held in enumerate(held) if is_held):
            if (found := sum(held[place : place + length])) > most:
                best, most = (words, place), found
        if most >= len(named.words):
            break
    return best


def may_exclude(text: str, message: str) -> bool:
    """Whether a clause that names what a text does has a word that can take it away, where nothing stood before."""
    thing = content_words(text)
    clauses = [words for words in _clauses(message) if any(content_words(word) & thing for word in words)]
    return is_negated(text, message) or any(_TAKING.fullmatch(word) for words in clauses for word in words)


@lru_cache(maxsize=8)
def _clauses(message: str) -> tuple[list[str], ...]:
    """The words of each clause, kept because every thing that a message names is looked up in it."""
    spaced = _ANY_BUT.sub("without", " ".join(message.lower().split()))
    told = _ANNOUNCED.sub(
        r"\1 ",
        _ASKED.sub(
            " unwanted",
            _AFFIRMED.sub(" ", spelt_out(KEPT.sub(" ", spaced))),
        ),
    )
    parts = _CLAUSE.split(_KEPT_OUT.sub(r"without\1", _CLEAR.sub(" without", told)))
    return tuple(re.findall(r"[\w'-]+", clause) for clause in parts)


def spelt_out(message: str) -> str:
    """A message in lower case with "without boat," for "boat-free", and "without boats" for "free of boats"."""
    return _FREE.sub(lambda free: f"without {free[1]}, " if free[1] else "without ", message)


def is_bare(text: str, message: str, vocabulary: Vocabulary) -> bool:
    """Whether a message does nothing but describe what a text names, so that it cannot exclude it."""
    words = re.findall(r"[^\W\d_]+", message.lower())
    others = [word for word in words if word not in FUNCTION | _DEGREE and not vocabulary.has(word)]
    if not vocabulary.words or others or is_negated(text, message):
        return False
    return not any(_denies(text, words) for words in _clauses(message))


def _denies(text: str, words: Sequence[str]) -> bool:
    """Whether a clause denies a thing a property: "the house must not be red" of "a red house"."""
    named = content_words(text)
    places = [place for place, word in enumerate(words) if content_words(word) & named]
    between = words[min(places) : max(places)] if places else []
    return any(_NEGATION.fullmatch(word) for word in between)
