"""Replies that look like an answer and are none: refusals, offers of help, both answers at once, repetition."""

from __future__ import annotations

import re

AGAIN = 5  # times that a phrase stands side by side; a list of things may name one thrice

_PICTURE = r"(?:images?|pictures?|photos?|photographs?|attachments?|files?|visuals?)"
_GIVEN = (
    r"(?:provided|given|supplied|attached|uploaded|shared|sent|available|included|found|received|visible|loaded"
    r"|displayed|determined|answered|told|said|made|drawn|reached)"
)
_PLEASE = (
    r"\b(?:please|could you|can you|kindly) (?:\w+ )?(?:provide|upload|share|send|attach|supply|clarify|describe)\b"
    r"|\blet me know\b|\bhow (?:can|may) i (?:help|assist)\b"
)
_HELPS = (
    r"\b(?:happy|glad|pleased|delighted|love|like|ready|here|able|can|could|will|going) (?:to )?(?:be )?"
    rf"(?:help|assist)\b|{_PLEASE}"
)
_OFFERS = rf"\b(?:i|we)\b[^.!?]{{0,30}}(?:{_HELPS})|{_PLEASE}"
_CANNOT = (
    r"(?:can ?not|can't|could not|couldn't|unable to|not able to|impossible to|hard to|difficult to|don't|do not)"
    " "
)
_UNSURE = (
    r"\b(?:not|never) (?:\w+ )?(?:sure|certain)\b|\bnot clear (?:if|whether|from|enough)\b|\bit(?: is|'s) not clear\b"
    r"|\bun(?:sure|certain|clear)\b|\bnot enough (?:information|context|detail)"
    rf"|\b{_CANNOT}(?:\w+ )?(?:tell|say|know|answer|determine|decide|judge|respond|assist|help|comply|process"
    rf"|analy[sz]e|view|access|(?:see|find|open|load|read) (?:the |an? |any |your |this )?{_PICTURE}"
    r"(?! (?:of|with)))\b"
)
_REFUSES = (
    r"^\W*(?:i'?m |i am )?(?:so |very |terribly )?(?:sorry|afraid)\b|^\W*(?:i |my )?apologi[sz]"
    r"|^\W*as an? (?:ai|language)\b|\bi(?:'m| am) (?:just |only )?an? (?:ai|language model|text)\b"
    r"|\bi (?:must|have to) (?:decline|refuse)\b|\bi(?: am|'m) (?:unable|not able) to\b"
    r"|\bi (?:can ?not|can't|won't|will not)\b|\bi do(?: not|n't) (?:see|have|know)\b"
    rf"|\b(?:no|without an?|missing) {_PICTURE} (?:\w+ ){{0,3}}{_GIVEN}\b"
    rf"|\b{_PICTURE} (?:was|were|is|has|have|could|did|can|failed)(?: ?not|n't| to) (?:been? )?(?:load|{_GIVEN}|open)"
    rf"|^\W*there (?:is|was) no {_PICTURE}\W*$"
)
_NO = (
    rf"no (?:{_PICTURE}|problem|worries|trouble|comment|thanks?|thank you|objection|preference|context|data|input"
    r"|details?|content|text|question|description|doubt|matter|one can (?:say|tell)|need|reason)\b"
    r"|no (?:\w+ ){0,2}(?:idea|clue|opinion|answers?|response|reply|information|info|conclusion|judge?ment|way)\b"
    rf"|no (?:\w+ ){{1,4}}(?:provided|given|supplied|attached|uploaded|determined|answered|told|said|drawn)\b"
    r"|no\W{0,2}\d"
)
_EMPTY = frozenset(
    "yes no ok okay sure none null n/a na nan true false unknown nothing undefined caption description".split()  # noqa: SIM905
    + "image picture photo hello hi thanks thank you answer".split()  # noqa: SIM905
)


def non_answer(text: str) -> bool:
    """Whether a reply that begins with Yes or No answers nothing: "No idea.", "Yes, I'd be happy to help"."""
    flat = _flat(text)[:400]
    return bool(
        re.match(_NO, flat)
        or re.search(_HELPS, flat)
        or re.search(_UNSURE, flat)
        or re.match(r"(?:yes|no)\W+(?:i'?m sorry|sorry|as an ai)\b", flat)
        or re.match(r"(?:yes|no) ?\?", flat)
        or re.search(r"\b(?:what|which|how|would you|could you|do you)\b[^.!?]*\?$", flat)
    )


def refuses(text: str) -> bool:
    """Whether a description is a refusal, an offer of help, or a request for the picture."""
    flat = _flat(text)[:400]
    return bool(re.search(_REFUSES, flat) or re.search(_OFFERS, flat))


def says_nothing(text: str) -> str:
    """Why a text describes no picture; empty when it may."""
    words = re.findall(r"[\w/]+", text.casefold())
    if words and all(word in _EMPTY for word in words):
        return "it describes nothing"
    if re.match(r"\s*(?:```|[\[{]\s*[\"'\[{\d}\]])", text):
        return "it is code or JSON"
    if refuses(text):
        return "it is a refusal"
    if phrase := endless(text):
        return f"{phrase!r} is said again and again"
    return ""


def names_several(rest: str, others: list[str]) -> bool:
    """Whether what follows an answer names another one beside it: "Yes/No", "Yes and no", "A or B"."""
    named = "|".join(re.escape(other.strip().casefold()) for other in others if other.strip())
    if not named:
        return False
    return bool(
        re.match(rf"\s*(?:[/|&+]|,? ?\b(?:and|or|nor)\b)\s*[\"'*(\[]*(?:{named})\b", rest)
        or re.match(rf"[\W_]*(?:and|or|nor|but)?\s*(?:also |maybe |perhaps )?(?:{named})[\W_]*$", rest)
        or re.match(rf"[\W_]+(?:{named})\s*[.!?;/|]", rest)
    )


def endless(text: str) -> str:
    """A phrase that stands `AGAIN` times or more side by side in a text; empty when none does."""
    match = re.search(rf"\b(\w(?:.{{0,80}}?\w)?)(?:\W+\1\b){{{AGAIN - 1},}}", _flat(text).strip(" ."))
    return match[1] if match else ""


def _flat(text: str) -> str:
    plain = text.translate({0x2018: "'", 0x2019: "'", 0x201C: '"', 0x201D: '"', 0x2014: "-", 0x2013: "-"})
    return " ".join(plain.casefold().split()).strip("*\"'([ ")
