"""Readings that say what the words of their query do not: an exclusion, things that nobody named, no colour taken over.

Only English is judged, and only where the words are clear; everything else is left to the model.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from imagescope_agent.nodes.chat.language.polarity import is_negated
from imagescope_agent.nodes.intent.drift import content_words, is_english
from imagescope_agent.nodes.intent.said_references import said_references
from imagescope_agent.prompting import NEGATED, request_text
from imagescope_agent.state import Instruction, Intent

#: Any word that could exclude something; a wide list, since it only ever stops a doubt.
_EXCLUDES = re.compile(
    r"\b(?:not?|none|nothing|nobody|nowhere|never|nor|neither|cannot|without|w/o|sans|minus|less|except\w*|exclu\w*|remov\w*"
    r"|delet\w*|eras\w*|absen\w*|missing|lack\w*|free|devoid|omit\w*|drop\w*|skip\w*|avoid\w*|leav\w*|left out|away|out"
    r"|instead|rather|but|hid\w*|gone|unless|forget|rid|lose|lost|un(?!der|til\b|it)\w+"
    r"|zero|nil|nix|hat(?:e[sd]?|ing)|dislik\w*|detest\w*|loath\w*|despis\w*|ban(?:s|ned|ning)?|refus\w*|reject\w*|veto\w*"
    r"|forbid\w*|forbad\w*|prohibit\w*|bar(?:ring|red)|taboo|apart|aside|besides|other than|save for|only|sole\w*"
    r"|alone|lone\w*|on (?:its|their|his|her) own|by (?:itself|themselves)|empty|vacant|deserted|abandoned"
    r"|ditch\w*|eliminat\w*|discard\w*|scrap\w*|scratch|allergic|last thing)\b"
    r"|\b(?:keep|kept|stay)\b[\w\s]*\boff\b"
    r"|(?:\b(?:ai|are|is|was|were|do|does|did|have|has|had|ca|could|wo|would|should|sha|must|need|might)n['’]?|n['’])t\b"
    r"|less\b|-free\b",
    re.I,
)
_COLOUR = r"(?:colou?r(?:ing|wise)?|hue|shade|tint|tone)s?"
_PAINT = r"(?:re)?(?:(?:colou?r|paint|tint)(?:ed|ing)?|dye(?:d|ing)?)"
COLOUR = re.compile(rf"\b{_COLOUR}\b|\b{_PAINT}\b", re.I)  # what speaks of a colour as such
_THING = r"((?:[^\w,.;:!?]+[\w'’]+){1,7})"
#: Words among which the first thing lends its colour: "the boat's colour", "painted like the boat", "the colour of it".
_LENDS = (
    rf"([\w'’]+)['’]s?\s+{_COLOUR}\b(?! (?:should|must|shall|ought|has|is|to|becomes?|changed|set|turned|match\w*)\b)",
    rf"\b{_PAINT}\b.*?\b(?:like|as|after|match\w*|way){_THING}",
    rf"\b{_COLOUR}\s+(?:(?:taken|borrowed|copied|lifted|coming|got) )?(?:of|from|in|that|which|as){_THING}",
    rf"\b{_COLOUR}\b[\w\s,]*?\b(?:that|those|the one) of{_THING}",
    rf"\bmatch\w*\b[\w\s]*?\b(?:to|with){_THING}",
    rf"\b(?:what|which|whatever|whichever|the|that|same)\s+{_COLOUR}\s+(?:the|that|this|an?)"
    r"((?:\s+[\w'’]+){1,3}?)\s+(?:is|was|has|had)\b",
)
#: Words among which the first thing takes a colour: "please colour the house", "the colour should be on the house".
_TAKES = (
    rf"(?<!the )(?<!that )(?<!same )(?<!what )(?<!which )(?<!ever )\b{_PAINT}\s+(?:the|an?|that|this){_THING}",
    rf"((?:[\w'’]+[^\w,.;:!?]+){{1,9}})in (?:that|this|the same|such a) {_COLOUR}\b(?! (?:as|of|that|the)\b)",
    rf"\b{_COLOUR}\b[\w\s,]*?\b(?:on|onto){_THING}",
)
#: "apply its hue to the house", but also "set its hue to the one of the house".
_MAY_TAKE = rf"\b{_COLOUR}\b[\w\s,]*?\b(?:for|to){_THING}"


#: Words by which a thing keeps the colour that it has: "keep the boat's colour", "in its own colour", "its hue stays".
_KEEPS_COLOUR = re.compile(
    r"(?:\b(?:ke(?:ep|pt)|leav|stay|remain|retain|preserv|maintain)"
    r"|(?:\bnot|n['’]?t|\bnever|\bwithout) (?:chang|alter|touch))\w*"
    rf"(?:\s+(?:the|its|their|his|her|all|both|same|original|this|that|[\w]+['’]s?))*\s+{_COLOUR}\b"
    rf"|\b(?:own|original)\s+{_COLOUR}\b"
    rf"|\b(?:in|with|of) (?:its|their)\s+{_COLOUR}\b(?! (?:taken|from|to|like|as|of|that)\b)"
    rf"|\b{_COLOUR}(?:\s+(?!and\b|but\b|then\b)[\w'’]+){{0,6}}?\s+"
    r"(?:(?:stay|remain)\w*|unchanged|untouched|kept|(?:left )?as (?:it|they) (?:is|are|was|were))\b"
    rf"|\bsame\s+{_COLOUR} as (?:before|now|it|they)\b|(?:\bnot|n['’]?t|\bnever|\bwithout)\s+{_PAINT}\b",
    re.I,
)
PLACE = re.compile(
    r"\b(?:places?|locations?|settings?|back(?:ground|drop)s?|surroundings?|environment|landscape|scener?y?|site|spot|where"
    r"|d[eé]cor(?:ation)?|ambien[ct]e|atmosphere|venue|terrain|habitat)\b",
    re.I,
)
_WHOLE = re.compile(
    r"\b(?:like|as|same|similar|all|every\w*|whole|entire\w*|complete\w*|rest|copy|exact\w*|unchanged|otherwise)\b",
    re.I,
)


def unsaid_exclusion(intent: Intent, query: str) -> bool:
    """Whether something is excluded though no word of an English query excludes anything."""
    removed = [step["text"] for step in intent["steps"] if step["type"] == "Removal"]
    if not removed or not is_english(query) or _EXCLUDES.search(query):
        return False
    return not any(is_negated(text, query) for text in removed)


def excluded_unsaid(intent: Intent, query: str) -> str:
    """What an `unsaid_exclusion` excludes, in words; "" where there is none."""
    removed = ", ".join(repr(step["text"]) for step in intent["steps"] if step["type"] == "Removal")
    return (
        f"{removed} is excluded though no known word excludes anything"
        if unsaid_exclusion(intent, query)
        else ""
    )


def turns_around(first: Intent, second: Intent) -> bool:
    """Whether the second reading wants what the first excludes."""
    removed = [content_words(step["text"]) for step in first["steps"] if step["type"] == "Removal"]
    wanted = [content_words(step["text"]) for step in second["steps"] if step["type"] != "Removal"]
    return any(thing and thing <= each for thing in removed for each in wanted)


def untaken_colour(intent: Intent, query: str, captions: Sequence[str]) -> bool:
    """Whether an English query speaks of a colour as such, and every instruction keeps what a reference shows.

    Not where the words say that a thing keeps its colour.

    Args:
        intent: what was understood.
        query: about several references.
        captions: of these.
    """
    if not COLOUR.search(query) or not is_english(query):
        return False
    if _KEEPS_COLOUR.search(query):
        return False
    shown = " ".join(captions).lower()
    kept = [_property_of(step["text"]) in shown for step in _about(intent)]
    return bool(kept) and all(kept)


def _property_of(text: str) -> str:
    """The thing of an instruction with the last word before it: "red boat" of "a large red boat"."""
    words = re.sub(r"^(?:an?|the) ", "", text.lower()).split()
    return " ".join(words[-2:] if len(words) == 3 else words)


def unnamed_things(intent: Intent, query: str) -> bool:
    """Whether more is kept of two references than an English query names: a place, and things that no word is about.

    What speaks of a reference as a whole ("like image 1") or excludes something may well keep what it does not name.
    """
    excluded = NEGATED.search(query) or any(step["type"] == "Removal" for step in intent["steps"])
    if excluded or _WHOLE.search(query) or not PLACE.search(query) or not is_english(query):
        return False
    named = content_words(query)
    kept = [step for step in _about(intent) if step["type"] == "Retention"]
    return sum(not content_words(step["text"]) & named for step in kept) > 1


def unused_place(intent: Intent, query: str, captions: Sequence[str]) -> bool:
    """Whether an English query speaks of a place, and all that was understood is about one of two references."""
    about = {step.get("reference") for step in intent["steps"]}
    if len(captions) != 2 or len(about) != 1 or None in about or NEGATED.search(query):
        return False
    return bool(PLACE.search(query)) and is_english(query)


def in_plain_place(query: str, captions: Sequence[str]) -> str:
    """A query about a thing of one of two references in the place of the other, in the plainest words.

    "" where it names several things, or one that both show and no word says of which.
    """
    known = [content_words(caption) for caption in captions]
    named = {word: [stem in each for each in known] for word, stem in named_in(query, known)}
    if len(known) != 2 or len(named) != 1:
        return ""
    word, shown = next(iter(named.items()))
    number = placed(query, word, shown)
    return f"the {word} of image {number} in the place of image {3 - number}" if number else ""


def placed(query: str, word: str, shown: Sequence[bool]) -> int:
    """The number of that of two references whose thing is wanted in the place of the other; 0 where that is not told.

    Args:
        query: that speaks of a place.
        word: of it, the thing.
        shown: whether each reference shows it.
    """
    place = PLACE.findall(query.lower())[:1]
    said = said_references(query, [word, *place], 2)
    other = next((3 - said[each] for each in place if each in said), 0)
    number = said.get(word) or other or (1 + shown.index(True) if sum(shown) == 1 else 0)
    return number if number and shown[number - 1] else 0


def in_plain_colour(intent: Intent, query: str, captions: Sequence[str]) -> str:
    """A query about a thing of one reference in the colour of a thing of another, in the plainest words.

    What the first reading found beside these things is said behind it. "" where the words do not tell which thing
    lends its colour to which, or which references they are of.
    """
    apart = [step for step in intent["steps"] if "reference" not in step]
    told = content_words(" ".join(step["text"] for step in apart))
    known = [content_words(caption) for caption in captions]
    named = {stem: word for word, stem in named_in(query, known) if stem not in told}
    if len(named) != 2 or (lends := _lender(query, named)) is None:
        return ""
    takes = next(stem for stem in named if stem != lends)
    said = said_references(query, [named[takes], named[lends]], len(captions))
    if (
        pair := _references(intent, takes, lends, known, [said.get(named[each]) for each in (takes, lends)])
    ) is None:
        return ""
    plain = f"the {named[takes]} of image {pair[0]} in the colour of the {named[lends]} of image {pair[1]}"
    return ", ".join(filter(None, (plain, request_text(apart))))


def named_in(query: str, known: Sequence[set[str]]) -> Iterator[tuple[str, str]]:
    """The words of a query that captions have too, with their stems."""
    for word in re.findall(r"[^\W\d_]{3,}", query.lower()):
        yield from ((word, stem) for stem in content_words(word) if any(stem in each for each in known))


def _about(intent: Intent) -> list[Instruction]:
    """The instructions that are about a reference."""
    return [step for step in intent["steps"] if "reference" in step]


def _lender(query: str, named: dict[str, str]) -> str | None:
    """Which of two things lends its colour, by its stem; where nothing says so, the first behind the colour's word."""
    if found := told_lender(query, named):
        return found
    if taker := _first(query, [_MAY_TAKE], named):
        return next(stem for stem in named if stem != taker)
    return _first(query, [rf"\b{_COLOUR}\b(.*)"], named)


def told_lender(query: str, named: dict[str, str]) -> str | None:
    """Which of two things lends its colour, by its stem, where the words say so."""
    if found := _first(query, _LENDS, named):
        return found
    taker = _first(query, _TAKES, named)
    return next((stem for stem in named if stem != taker), None) if taker else None


def _first(query: str, forms: Sequence[str], named: dict[str, str]) -> str | None:
    """The first of the things among the words that one of the forms marks."""
    for form in forms:
        for found in re.finditer(form, query, re.I):
            for word in re.findall(r"[^\W\d_]{3,}", found[1].lower()):
                if stems := content_words(word) & named.keys():
                    return stems.pop()
    return None


def _references(
    intent: Intent, takes: str, lends: str, known: Sequence[set[str]], said: Sequence[int | None]
) -> tuple[int, int] | None:
    """The numbers of the references that the two things are of: as is said, as both are shown, as was read."""
    numbers = range(1, len(known) + 1)
    pairs = [
        (i, j) for i in numbers for j in numbers if i != j and takes in known[i - 1] and lends in known[j - 1]
    ]
    if told := [pair for pair in pairs if list(pair) == list(said)]:
        return told[0]
    if len(pairs) > 1:
        read = {step.get("reference") for step in _about(intent) if takes in content_words(step["text"])}
        pairs = [pair for pair in pairs if pair[0] in read]
    return pairs[0] if len(pairs) == 1 else None
