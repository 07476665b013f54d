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
    r"|\bun(?:sure|certain|clear)\b|\b(?:not enough|more|insufficient|lack of) (?:information|context|detail|data)"
    r"|\b(?:cannot|can't|could not) be (?:determined|told|answered|judged|said|known)\b"
    r"|\btoo \w+ to (?:tell|say|judge)\b"
    rf"|\b{_PICTURE} (?:is |was )?(?:not found|missing|(?:did not|didn't|failed to) load)\b"
    r"|\b(?:can ?not|can't|could not|couldn't) be (?:\w+ )?(?:sure|certain)\b"
    r"|\bi (?:do not|don't|did not|didn't) (?:have|see|get|find|receive) (?:the|your|any|an?) "
    rf"{_PICTURE}\b(?! (?:of|with))"
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
_NO_NOUN = rf"no (?:\w+ ){{0,2}}(?:{_PICTURE}|one can (?:say|tell)|answers?|reply|response)\b(?! (?:of|with|on|in)\b)"
_HEDGES = (
    r"^(?:yes|no)\W+(?:but |only )*(?:if|unless|assuming|provided|(?:it |that )?depend\w*|maybe|perhaps)\b"
    r"|\b(?:50|fifty)\W{0,2}(?:%|percent|50|fifty)|^no\W{0,2}\d+\b(?!\s?%)|^no,? thank"
    r"|^(?:yes|no)\W+(?:it |that |there )?(?:could|might|may) be\b"
)
_MANNERS = (
    rf"^yes\W+(?:please|sir|of course|certainly|sure)\W*$"
    r"|^(?:yes|no)\W+(?:i'?m sorry|sorry|as an? (?:ai|language)|as a large)\b"
    rf"|^yes\W+i (?:(?:can|could|do) )?(?:see|view|analy[sz]e|process|read|understand|describe|have) "
    rf"(?:the |an? |any |your |this |these )?{_PICTURE}\b(?! (?:of|with|that|shows?|contains?|depicts?))"
)
# what the model says of itself, not of what it sees: "Yes, I am ready"
_ITSELF = (
    r"^(?:yes|no)\W+(?:because |as |since |that )?"
    r"i(?:'m|'d|'ll|'ve)?+\b(?! (?:(?:can|could|do|did|would|am|cannot|can't"
    r"|could not|couldn't|don't|didn't|not|also|clearly|just|only|really|even|actually|definitely|quite|pretty) )*"
    r"(?:see|saw|notice|find|found|spot|detect|observe|recogni[sz]e|identify|make out|think|believe|say|count|perceive"
    r"|sure|certain|confident|positive)\b)"
    r"|^(?:yes|no)\W+(?:n/?a|null|unknown|undefined|undecided|error|ok(?:ay)?|sure thing|thanks|hello|hi|understood"
    r"|got it|go ahead|ask me anything|let's start)\W*$"
)
_UNSURE_ABROAD = (
    r"\bno (?:lo |la |se )?s[eé]\b|\bno (?:tengo|estoy|puedo|se puede|entiendo)\b|\bnon (?:lo )?so\b"
    r"|\bahnung\b|\bwei(?:ß|ss) (?:es |ich )?nicht"
    r"|\bsais pas\b|\bn[aã]o sei\b|\bweet (?:het |ik )?niet\b"
)
# Words by which a sentence goes on that explains an answer; "No" before any other word is a determiner, or foreign.
_GOES_ON = re.compile(
    r" (?:there|it|its|this|that|these|those|the|he|she|they|his|her|their|i|we|you|in|on|at|as|a|an|is|are|does|do"
    r"|can|has|have|was|because|since|both|all|not|only|but|indeed|of course|to|for|from|\w+ly)\b(?! way\b)"
)
_SEEN = re.compile(
    r"\b(?:visible|seen|shown|present|depicted|pictured|appears?|exists?|there|here"
    rf"|(?:in|on) (?:the|this|that) {_PICTURE})\b"
)
_COMMON = frozenset(
    "the this that there image picture photo are does can any yes answer question reply only word".split()  # noqa: SIM905
)
_QUOTES = re.compile(
    r"\b(?:says?|said|saying|reads?|reading|words?|letters?|text|spells?|written|labell?ed)\W+$"
)
_EMPTY = frozenset(
    "yes no ok okay sure none null n/a na nan true false unknown nothing undefined caption description".split()  # noqa: SIM905
    + "image picture photo hello hi thanks thank you answer".split()  # noqa: SIM905
)


def non_answer(text: str, about: str = "") -> bool:
    """Whether a reply that begins with Yes or No answers nothing: "No idea.", "No sé", "Yes... I mean no".

    Read are the word alone, the word and punctuation, and the word and a sentence that explains it. Without
    punctuation the sentence must go on as explanations do ("Yes there is"), say what is seen ("No dog is visible"), or
    name what was asked about ("No dogs"). It must neither be a question nor take the answer back.

    Args:
        text: the reply.
        about: the question.
    """
    flat = _flat(re.sub(r"\s*\n\s*", ". ", text.strip()))[:400]
    label = flat[:3] if flat.startswith("yes") else flat[:2]
    rest = flat[len(label) :]
    first = re.split(r"[.!;](?:\s|$)|(?<=\?)", rest, maxsplit=1)[0]
    if first.endswith("?") or re.search(r"\b(?:what|which|how|would you|could you|do you)\b[^.!?]*\?$", flat):
        return True
    if any(re.search(each, flat) for each in (_HEDGES, _MANNERS, _ITSELF, _HELPS, _UNSURE, _UNSURE_ABROAD)):
        return True
    if _takes_back(rest, "no" if label == "yes" else "yes"):
        return True
    if label == "no" and re.match(_NO_NOUN, flat):
        return True
    if not re.match(r"[\W_]*\s\w", rest) or not re.match(r"[*_\"')\]]* \w", rest):
        return False
    explains = _GOES_ON.match(re.sub(r"^[*_\"')\]]+", "", rest)) or _SEEN.search(first)
    return not (explains or rest.startswith(f" {label}") or _shares(first, about))


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


def _takes_back(rest: str, other: str) -> bool:
    """Whether the other answer follows as an answer, not as a word of the sentence: "... I mean no", "wait, yes"."""
    alone = rf"\b{other}\b" + (r"(?![-'\"]?\s*[\"']?\w)" if other == "no" else r"(?!-)")
    return any(not _QUOTES.search(rest[: match.start()]) for match in re.finditer(alone, rest))


def _shares(text: str, about: str) -> bool:
    """Whether a text names what a question is about, in some form of the word."""
    said, asked = (
        {word.rstrip("s")[:4] for word in re.findall(r"\w{3,}", each) if word not in _COMMON}
        for each in (text, about.casefold())
    )
    return bool(said & asked)


def _flat(text: str) -> str:
    plain = text.translate({0x2018: "'", 0x2019: "'", 0x201C: '"', 0x201D: '"', 0x2014: "-", 0x2013: "-"})
    return " ".join(plain.casefold().split()).strip("*\"'([ ")
