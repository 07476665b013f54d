"""What a message names in words of the collection's descriptions, and what a model made of it does not cover."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from imagescope_agent.nodes.chat.language.counts import counted_things, number_in, of_them, plural
from imagescope_agent.nodes.chat.language.grounding import PHRASE, Grounding, excludes
from imagescope_agent.nodes.chat.language.not_taken_up import named
from imagescope_agent.nodes.chat.language.places import PREPOSITION
from imagescope_agent.nodes.chat.language.polarity import is_negated, spelt_out
from imagescope_agent.nodes.chat.language.vocabulary import Vocabulary
from imagescope_agent.nodes.intent.drift import FUNCTION, content_words
from imagescope_agent.replies.parsing import StepAnswer
from imagescope_agent.retrieval.protocols import Embedder
from imagescope_agent.state import Fact

_DEFINITE = frozenset(["the", "that", "this", "its", "my", "whose", "those", "these"])
#: What may follow a property that is said of a thing.
_ADVERBS = frozenset(
    [
        "please",
        "too",
        "instead",
        "though",
        "actually",
        "really",
        "rather",
        "again",
        "now",
        "then",
        "thanks",
        "colour",
    ]
)
_THE = rf"(?:{'|'.join(sorted(_DEFINITE))}|all|every|each|both)"
#: What goes stands behind: "replace a boat with a car", "change the boat to a car", "instead of the cat and the dog".
_REPLACES = re.compile(
    r"(?:.* )?(?:(?:replac(?:e|es|ed|ing)|instead of|rather than|in (?:place|lieu) of)(?: (?:an?|any))?"
    r"|(?<!a )(?<!in )(?:chang(?:e|ing)|exchang(?:e|ing)|swap(?:ping)?|trad(?:e|ing)(?: in)?|substitut(?:e|ing)"
    rf"|(?:turn|switch|convert|transform)(?:ing)?)(?= {_THE}\b))(?: {_THE})*"
    rf"(?:(?: (?!(?:an?|with|by|to|into|for)\b)\w+){{1,3}} (?:and|or)(?: {_THE})+)?"
)
#: What goes stands before: "the boat should be replaced by a car".
_IS_REPLACED = re.compile(
    r"(?:(?:is|are|should|must|may|could|can|shall|will|to|be|being|gets?|has|have) )*"
    r"(?:replaced|swapped|exchanged|turned into|changed (?:in)?to|becomes?)\b"
)
_ARTICLE = re.compile(r"an?|the")
_ALL = frozenset(["everything", "everywhere"])
_BREAK = re.compile(r"[.,;:!?()\n]")


@dataclass(kw_only=True)
class Phrase:
    """A phrase of a message in words of a vocabulary.

    Attributes:
        properties: of the thing: "small", "red".
        head: the thing; "" where the phrase names none.
        place: the preposition and article before it, where it says where or when the picture is.
        definite: whether it is a thing that is known: "the boat".
        lone: whether it is one word without an indefinite article.
        of_unknown: whether a word that no caption has follows properties without a thing: "red" of "red lorries".
        told_of: whether a property is said of the thing elsewhere in the message: "the boat is red".
        replaced: whether something else is to stand in its place.
        count: how many there are, in words; "" where that is not said.
    """

    properties: list[str] = field(default_factory=list)
    head: str = ""
    place: str = ""
    definite: bool = False
    lone: bool = False
    of_unknown: bool = False
    told_of: bool = False
    replaced: bool = False
    count: str = ""

    @property
    def text(self) -> str:
        """In words: "a small red boat", "in the snow"."""
        words = [*self.properties, self.head]
        if self.place or self.count:
            return " ".join([self.place or self.count, *words])
        first = [] if self.head.endswith("s") else ["an" if words[0][0] in "aeiou" else "a"]
        return " ".join([*first, *words])

    @property
    def exactly(self) -> str:
        """In words, with a number that is meant exactly: "exactly two red boats"."""
        return f"exactly {self.text}" if self.count else self.text


@dataclass(frozen=True)
class Known:
    """What needs not be said again: the words of the answered question, and the facts that stand."""

    told: Sequence[str] = ()
    facts: Sequence[Fact] = ()

    def of(self, kind: str) -> list[str]:
        """What is known where something is excluded, or wanted."""
        same = (fact["text"] for fact in self.facts if (fact["type"] == "Removal") == (kind == "Removal"))
        return [*self.told, *same]


async def with_passed_over(
    steps: Sequence[StepAnswer],
    message: str,
    known: Known,
    embedder: Embedder | None,
    vocabulary: Vocabulary,
    *,
    about: str = "",
) -> list[StepAnswer]:
    """The steps with the things that a message names and that neither they nor anything known covers.

    A step that says less than such a phrase gives way to it: "a house" to "a big red house".

    Args:
        steps: what a model found in the message.
        message: in the user's words.
        known: what stands or was asked, beside the steps.
        embedder: tells whether other words say the same.
        vocabulary: of the collection; where it is empty only numbers of things are found.
        about: what a property belongs to where the message names nothing that has it.
    """
    held = list(steps)
    counted = (Phrase(head="things", count=text.split()[0]) for text in counted_things(message))
    for phrase in [*phrases(message, vocabulary, about=about), *counted]:
        if phrase.replaced:
            continue
        kind = "Removal" if _is_excluded(phrase, message, steps) else "Addition"
        if phrase.lone and steps and kind == "Addition":
            continue  # beside what the model found it may be no wish: "for my house"
        said = [step.text for step in held if (step.type == "Removal") == (kind == "Removal")]
        if await _is_said(phrase, Grounding([*said, *known.of(kind)], embedder)):
            continue
        covering = Grounding([phrase.text], embedder)
        held = [step for step in held if step.type != kind or covering.ungrounded(step.text)]
        if kind == "Addition":
            held = [step for step in held if step.type != "Removal" or not excludes(step.text, phrase.text)]
        else:
            held = [step for step in held if step.type == "Removal" or not _is_same(step.text, phrase.text)]
        held.append(StepAnswer(type=kind, text=phrase.text))  # type: ignore[arg-type]
    return _without_less(held, message, vocabulary)


def _is_same(text: str, excluded: str) -> bool:
    return content_words(text) == content_words(excluded)


async def _is_said(phrase: Phrase, told: Grounding) -> bool:
    """Whether a phrase was told, each property by its word: the vectors of "a large boat" and "a boat" are alike."""
    lacking = {*phrase.properties} & {*told.ungrounded(phrase.text)}
    return not lacking and await told.holds(phrase.text)


def _without_less(steps: Sequence[StepAnswer], message: str, vocabulary: Vocabulary) -> list[StepAnswer]:
    """The steps without those that say less than another one of a thing that the message names once."""
    named_heads = Counter(phrase.head for phrase in runs(message, vocabulary))

    def less(one: StepAnswer, other: StepAnswer) -> bool:
        thing = one.text.rpartition(" ")[2]
        same = one.type == other.type and thing == other.text.rpartition(" ")[2]
        return same and named_heads[thing] == 1 and content_words(one.text) < content_words(other.text)

    return [step for step in steps if not any(less(step, other) for other in steps)]


def _is_excluded(phrase: Phrase, message: str, steps: Sequence[StepAnswer]) -> bool:
    """Whether the message excludes a thing, by its words or as the model read them."""
    of_head = [step.type for step in steps if not Grounding([step.text]).ungrounded(phrase.text)]
    return is_negated(phrase.text, message) or bool(of_head and set(of_head) == {"Removal"})


def phrases(message: str, vocabulary: Vocabulary, *, about: str = "") -> list[Phrase]:
    """The phrases of a message, each property with its thing.

    "a small white cat", of "big red house, please" "a big red house", and of "the car isn't red but blue" "a blue car".
    """
    found = runs(message, vocabulary)
    if of_them(message):  # "make it two": the captions may count, too
        found = [each for each in found if each.head or not all(map(number_in, each.properties))]
    things = [phrase for phrase in found if phrase.head and not phrase.place]
    unknown = [each.split()[-1] for each in named(message) if vocabulary.lacks(each)]
    if unknown and not things:  # what no caption has may have properties, too
        things = [Phrase(head=unknown[0])]
    elif about and not things:
        known = [phrase for phrase in runs(about, vocabulary) if phrase.head and not phrase.place][-1:]
        found = [phrase for phrase in found if not phrase.of_unknown]
        things = [replace(phrase, definite=True) for phrase in known]
    whole, told, thing = list[Phrase](), dict[str, Phrase](), next(iter(things), None)
    if thing and thing.definite and not found and (count := of_them(message)):  # "there are two of them"
        counted = replace(
            thing, head=plural(thing.head), count=count, told_of=True, definite=True, lone=False
        )
        told[thing.head] = told[counted.head] = counted
        whole.append(counted)
    for phrase in found:
        if phrase.head:
            whole.append(phrase)
            thing = thing if phrase.place else phrase  # a property belongs to the last thing before it
        elif (
            thing
            and not phrase.replaced
            and (free := [each for each in phrase.properties if not is_negated(each, message)])
        ):
            told[thing.head] = _told_of(told.get(thing.head, thing), free, vocabulary)
            whole.append(told[thing.head])
    return _fullest(whole)


def _fullest(whole: Sequence[Phrase]) -> list[Phrase]:
    """Each phrase once, without those of which another one tells more of the same thing."""
    once = list({(each.text, each.told_of, each.definite, each.lone): each for each in whole}.values())
    fuller = defaultdict[str, list[Phrase]](list)
    for phrase in once:
        if phrase.told_of:
            fuller[phrase.head].append(phrase)
    return [
        phrase
        for phrase in once
        if not any(other is not phrase and _says_less(phrase, other) for other in fuller[phrase.head])
    ]


def _told_of(thing: Phrase, properties: Sequence[str], vocabulary: Vocabulary) -> Phrase:
    """The thing with further properties; one that it cannot have beside them gives way."""
    kept = [each for each in thing.properties if all(vocabulary.go_together(each, new) for new in properties)]
    properties = in_order([*kept, *properties], vocabulary)
    return replace(thing, properties=properties, told_of=True, lone=False, replaced=False)


def in_order(properties: Sequence[str], vocabulary: Vocabulary) -> list[str]:
    """Properties as the captions order them: "small red"."""
    ordered = list[str]()
    for each in dict.fromkeys(properties):
        place = next(
            (n for n, other in enumerate(ordered) if vocabulary.stands_before(each, other)), len(ordered)
        )
        ordered.insert(place, each)
    return ordered


def _says_less(phrase: Phrase, other: Phrase) -> bool:
    """Whether what is told of the same thing elsewhere is more."""
    return not phrase.place and set(phrase.properties) <= set(other.properties)


def runs(message: str, vocabulary: Vocabulary) -> list[Phrase]:
    """The runs of words of a vocabulary in the lines of a message, not yet with what is told of them elsewhere."""
    found = list[Phrase]()
    for line in _BREAK.split(spelt_out(message.lower())):
        words = re.findall(r"[\w'-]+", line)
        start = None
        for place in range(len(words) + 1):
            inside = place < len(words) and words[place] not in FUNCTION and vocabulary.has(words[place])
            if inside and start is None:
                start = place
            if start is not None and (not inside or place - start == PHRASE):
                phrase = _phrase(words[:start], words[start:place], words[place : place + 1], vocabulary)
                before, after = " ".join(words[max(0, start - 8) : start]), " ".join(words[place : place + 8])
                phrase.replaced = bool(_REPLACES.fullmatch(before) or _IS_REPLACED.match(after))
                found.append(phrase)
                start = place if inside else None
    return found


def _phrase(
    before: Sequence[str], run: Sequence[str], after: Sequence[str], vocabulary: Vocabulary
) -> Phrase:
    """A run of words with what its article and preposition tell of it, and the unknown word that may end it."""
    article = before[-1:] if before and _ARTICLE.fullmatch(before[-1]) else []
    preposition = before[-1 - len(article)] if len(before) > len(article) else ""
    if preposition in PREPOSITION and vocabulary.is_place(preposition, " ".join(run)):
        return Phrase(properties=list(run[:-1]), head=run[-1], place=" ".join([preposition, *article]))
    if place := vocabulary.place_of(run[-1]):
        if before[-1:] in (["last"], ["good"], ["next"]):  # "the match last night"
            return Phrase()
        return Phrase(head=run[-1], place=place, definite=True)
    definite = bool(before) and before[-1] in _DEFINITE and before[-2:-1] != ["of"]  # "one of the boats"
    if vocabulary.is_head(run[-1]):
        count = number_in(before[-1]) if before else ""
        lone = len(run) == 1 and not count and before[-1:] not in (["a"], ["an"], ["one"])
        return Phrase(properties=list(run[:-1]), head=run[-1], definite=definite, lone=lone, count=count)
    if _ALL & {*before[-3:]}:  # "everything was white" tells of no one thing
        return Phrase()
    unknown = bool(after) and after[0] not in FUNCTION | PREPOSITION | _ADVERBS
    if unknown and before and before[-1] in ("a", "an", "one"):
        return Phrase(properties=list(run), head=after[0])
    if unknown and preposition in PREPOSITION:  # "on green grass" tells of no thing before it
        return Phrase()
    return Phrase(properties=list(run), of_unknown=unknown)
