"""What a message mentions that images may be limited by: times, values of fields, numbers beside a field's name."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from imagescope_agent.nodes.chat.language.limits import Message, Values
from imagescope_agent.nodes.chat.language.periods import period_of
from imagescope_agent.nodes.intent.drift import FUNCTION, content_words

_LONGEST = 6  # words of a time
_NUMBER = re.compile(r"\d+(?:\.\d+)?|zero|one|two|three|four|five|six|seven|eight|nine|ten", re.I)
#: What leads to a value, or follows it: "taken with my ...", "in the ... folder".
_SAYS = frozenset(
    """
    from taken shot made in of by with only just the my dated during since before after until to till folder album
    directory camera date on a an and but those ones picture photo image not nothing is are was were it that which whose
    marked tagged at least most more less than or between i took
    """.split()  # noqa: SIM905
)
_TO, _YEAR = re.compile(r"\s*(?:and|to|till|until|through|-)\s*", re.I), re.compile(r"\b\d{4}$")
_LEADING = frozenset(["in", "on", "at", "from", "of", "during"])
MOST = 12  # mentions that are looked into


@dataclass(frozen=True)
class Mention:
    """A possible limit: a field with what a message says of it.

    Attributes:
        field, value: as a filter names them; the value as the message has it.
        start, end: where in the message.
    """

    field: str
    value: str
    start: int
    end: int

    @property
    def limit(self) -> str:
        """As a model is shown it."""
        return f"{self.field}: {self.value}"


def mentions(message: Message) -> list[Mention]:
    """The possible limits in a message, in order; of a field none that lies within a longer one."""
    found = [each for name, values in message.fields.items() for each in _of_field(name, values, message)]
    whole = [each for each in found if not any(_within(each, other) for other in found)]
    return sorted(dict.fromkeys(whole), key=lambda each: (each.start, each.field))[:MOST]


def without_words(text: str, said: Sequence[str], names: Sequence[str]) -> str:
    """A part of a message without the words of its limits, each with what leads to it: "from", "in the ... folder".

    Args:
        text: the part.
        said: the values.
        names: of the fields.
    """
    words = re.findall(r"\S+", text)
    gone = set[int]()
    for value in said:
        told = [_bare(word) for word in value.split()]
        for place in range(len(words) - len(told) + 1):
            if [_bare(word) for word in words[place : place + len(told)]] == told:
                gone |= {*range(place, place + len(told))}
    leading = {_bare(name) for name in names}
    for step in (-1, 1):
        for place in sorted(gone, reverse=step < 0):
            beside = place + step
            while 0 <= beside < len(words) and beside not in gone and _leads(_bare(words[beside]), leading):
                gone.add(beside)
                beside += step
    left = " ".join(word for place, word in enumerate(words) if place not in gone).strip(" ,.;:!?-")
    return left if content_words(left) else ""


def _bare(word: str) -> str:
    return word.strip(".,;:!?'\"()").casefold().removesuffix("'s").removesuffix("s")


def _leads(word: str, names: set[str]) -> bool:
    return not word or word in names or word in _SAYS or f"{word}s" in _SAYS


def _within(one: Mention, other: Mention) -> bool:
    inside = one.field == other.field and other.start <= one.start and one.end <= other.end
    return inside and (one.start, one.end) != (other.start, other.end)


def _of_field(name: str, values: Values, message: Message) -> Iterator[Mention]:
    if values.kind == "date":
        yield from _times(name, message)
    elif values.kind == "boolean":
        yield from _texts(name, [name.replace("_", " ")], message.text, value="true")
    elif values.kind == "number":
        if content_words(name) & content_words(message.text):
            for match in re.finditer(rf"(?<![\w.])(?:{_NUMBER.pattern})(?!\w)", message.text, re.I):
                yield Mention(name, match[0], match.start(), match.end())
    else:
        listed = [item for word in values.words for item in _items(word, values)]
        yield from _texts(name, [*dict.fromkeys(listed)], message.text)


def _items(word: str, values: Values) -> list[str]:
    """The ways in which a text of a field may be said: itself, a part of a path, the first words of a longer name."""
    if values.kind == "list":
        return [str(item) for item in json.loads(word)]
    words = word.split()
    return [word, *word.split("/"), *(" ".join(words[:n]) for n in range(1, len(words))), *words]


def _texts(name: str, said: Sequence[str], text: str, value: str = "") -> Iterator[Mention]:
    for each in said:
        if len(each) < 2 or each.casefold() in FUNCTION:
            continue
        pattern = r"[\s_-]+".join(map(re.escape, re.split(r"[\s_-]+", each)))
        for match in re.finditer(rf"(?<!\w){pattern}(?:'?s)?(?!\w)", text, re.I):
            yield Mention(name, value or each, match.start(), match.end())


def _times(name: str, message: Message) -> Iterator[Mention]:
    """The times in a message, each of the most words; "May" of "between May and July 2023" is one of that year."""
    words, found, place = list(re.finditer(r"[\w'/-]+", message.text)), list[Mention](), 0
    while place < len(words):
        for count in range(min(_LONGEST, len(words) - place), 0, -1):
            start, end = words[place].start(), words[place + count - 1].end()
            said = message.text[start:end]
            if words[place][0].lower() not in _LEADING and period_of(said, message.today):
                found.append(Mention(name, said, start, end))
                place += count - 1
                break
        place += 1
    for number, mention in enumerate(found, 1):
        after = found[number] if number < len(found) else None
        year = after and _TO.fullmatch(message.text[mention.end : after.start]) and _YEAR.search(after.value)
        dated = f"{mention.value} {year[0]}" if year and mention.value.isalpha() else ""
        yield replace(mention, value=dated) if period_of(dated, message.today) else mention
