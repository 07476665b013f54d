"""Which standing facts a message takes back, corrects or overrules."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from imagescope_agent.nodes.chat.language.coverage import Phrase, in_order, phrases
from imagescope_agent.nodes.chat.language.grounding import NUMBERS, Grounding
from imagescope_agent.nodes.chat.language.places import SURROUNDINGS, place_in
from imagescope_agent.nodes.chat.language.polarity import KEPT, is_negated
from imagescope_agent.nodes.chat.language.vocabulary import Vocabulary
from imagescope_agent.nodes.chat.read_message import has_act
from imagescope_agent.nodes.intent.drift import content_words
from imagescope_agent.replies.parsing import StepAnswer
from imagescope_agent.state import Fact, State

_ANY = re.compile(r"\b(?:any|whatever|whichever|either|matter|care|mind)\b", re.I)
#: Words that only name something in the place of something else.
_IN_PLACE = re.compile(r"\b(?:replac\w+|instead of|rather than|in (?:place|lieu) of)\b", re.I)
#: What leads to what comes: "swap the boat for a car"; "turn the car to the house" only tells where it goes.
_COMES = (
    rf"\b(?:for|to|into|with|by|against|becomes?) (?:(?:an?|some|{'|'.join(NUMBERS)}) (?:[\w-]+ ){{0,3}})?"
)
#: A question about what was done before is no instruction.
_ABOUT_BEFORE = re.compile(r"\W*(?:did|do|does|why|how|who|when|was|were|have|has)\b[^.;!\n]*\?", re.I)
#: What lies beside what stands, and so takes nothing's place.
BESIDE = r"(?:next to|beside|near|behind|above|below|under) (?:it|that|this|them)"
_SECOND = re.compile(r"\w \w.* (?:an?|the) ")  # of another thing: "a heart above a car"
_FORM = ("exactly", "thing", "things", "scene")


def is_meant(
    text: str, steps: Sequence[StepAnswer], facts: Sequence[Fact], state: State, heard: Grounding
) -> bool:
    """Whether a message may drop the fact with this text: it takes it back, excludes it, or says something instead.

    Args:
        text: of the fact.
        steps: what the message says.
        facts: all that stand.
        state: with the acts of the message.
        heard: the message.
    """
    if not has_act(state, "withdrawal") and says_less(text, steps, heard):
        return False
    named = overlap(text, heard) > 0 or bool(place_in(text) and SURROUNDINGS.search(heard.told))
    if has_act(state, "withdrawal") or is_negated(text, heard.told):
        return named
    told = [step.text for step in steps if step.type != "Removal"]
    if place_in(text):
        return any(place_in(each) for each in told) and (named or has_act(state, "correction"))
    if any(head(text) == head(each) for each in told) or any(step.type == "Removal" for step in steps):
        return named or has_act(state, "correction")
    things = [each for each in told if not place_in(each)]
    other = not lies_beside(heard.told) and not any(alike(fact["text"], steps) for fact in facts)
    return has_act(state, "correction") and bool(things) and (alike(text, steps) or named or other)


def lies_beside(message: str) -> bool:
    """Whether a message tells of something beside what stands."""
    return re.search(rf"\b{BESIDE}\b", message, re.I) is not None


def says_nothing_new(facts: Sequence[Fact], said: Sequence[Phrase]) -> bool:
    """Whether all that a message names is wanted already; a talker that drops some of it reads a withdrawal."""
    wanted = Grounding([fact["text"] for fact in facts if fact["type"] != "Removal"])
    return bool(said) and not any(wanted.ungrounded(phrase.text) for phrase in said)


def says_less(text: str, steps: Sequence[StepAnswer], heard: Grounding) -> bool:
    """Whether a step would leave a fact with less than it says, though the message takes nothing of it back."""
    less = any(is_part_of(step, text) for step in steps)
    return less and not _ANY.search(heard.told) and not is_negated(text, heard.told)


def is_part_of(step: StepAnswer, text: str) -> bool:
    """Whether a step says of a thing less than a fact with this text does."""
    less = content_words(step.text) < content_words(text)
    return less and step.type != "Removal" and head(step.text) == head(text)


def without_replaced(steps: Sequence[StepAnswer], gone: Sequence[Fact]) -> list[StepAnswer]:
    """The steps without those that only repeat what another one of them replaces."""
    old = {plainly(fact["text"]) for fact in gone}
    new = {head(step.text) for step in steps if plainly(step.text) not in old}
    return [step for step in steps if plainly(step.text) not in old or head(step.text) not in new]


def plainly(text: str) -> str:
    """An instruction by which it can be told from others: "the scene in the snow" is "in the snow"."""
    return (place_in(text) or text).lower()


def named_facts(facts: Sequence[Fact], heard: Grounding) -> list[int]:
    """The numbers of the facts that a withdrawal names best by its words: of one thing before how two things lie."""
    shared = {number: overlap(fact["text"], heard) for number, fact in enumerate(facts, 1)}
    if SURROUNDINGS.search(heard.told):
        shared |= {number: 1 for number, fact in enumerate(facts, 1) if place_in(fact["text"])}
    most = max(shared.values(), default=0)
    best = [number for number, count in shared.items() if most and count == most]
    single = [number for number in best if not _SECOND.search(facts[number - 1]["text"])]
    return single or best


def named_in_full(facts: Sequence[Fact], heard: Grounding, taken: list[int]) -> list[int]:
    """The numbers of the facts that a withdrawal takes back.

    Those that the talker took, or the one fact all of whose words it has, where that is none of them.
    """
    named = [n for n in named_facts(facts, heard) if not heard.ungrounded(facts[n - 1]["text"])]
    return named if len(named) == 1 and named[0] not in taken else taken


def alike(text: str, steps: Sequence[StepAnswer]) -> bool:
    """Whether an instruction shares a word with new ones."""
    return any(overlap(step.text, Grounding([text])) for step in steps)


def replaced(facts: Sequence[Fact], steps: Sequence[StepAnswer]) -> list[int]:
    """The number of the one fact about the same thing, or the surroundings, as a correction."""
    told = [step for step in steps if step.type != "Removal"]
    same = [
        number
        for number, fact in enumerate(facts, 1)
        if fact["type"] != "Removal" and any(_takes_place(step, fact["text"]) for step in told)
    ]
    return same if len(same) == 1 else []


def _takes_place(step: StepAnswer, text: str) -> bool:
    """Whether a step is about what a fact with this text is; how two things lie is about neither alone."""
    same = head(step.text) == head(text) and not is_part_of(step, text)
    related = (_SECOND.search(each) is not None for each in (step.text, text) if not place_in(each))
    return same and len({*related}) < 2


def other_things(facts: Sequence[Fact], said: Sequence[str], vocabulary: Vocabulary) -> str:
    """What parts of a message name, where none of it is what stands."""
    wanted = Grounding([fact["text"] for fact in facts])
    things = [phrase for phrase in phrases(", ".join(said), vocabulary) if phrase.head]
    return ", ".join(p.text for p in things) if all(wanted.ungrounded(p.head) for p in things) else ""


def given_up(
    facts: Sequence[Fact], said: Sequence[Phrase], steps: Sequence[StepAnswer], message: str
) -> list[int]:
    """The numbers of the wanted facts in whose place something else is to stand: "swap the boat for a car".

    Without something new that comes nothing goes: "turn the car around", "don't replace the car but add a dog".
    """
    gone = [phrase.text for phrase in said if phrase.replaced and not is_negated(phrase.text, message)]
    if (
        not gone
        or _ABOUT_BEFORE.match(message)
        or KEPT.search(message.lower())
        or not any(_coming(facts, said, steps, message))
    ):
        return []
    return [
        number
        for number, fact in enumerate(facts, 1)
        if fact["type"] != "Removal" and any(not Grounding([fact["text"]]).ungrounded(text) for text in gone)
    ]


def _coming(
    facts: Sequence[Fact], said: Sequence[Phrase], steps: Sequence[StepAnswer], message: str
) -> Iterator[str]:
    """The new things that a message names as what comes in the place of another one."""
    standing = Grounding([fact["text"] for fact in facts if fact["type"] != "Removal"])
    things = [" ".join([*each.properties, each.head]) for each in said if each.head and not each.replaced]
    for text in [*things, *(head(step.text) for step in steps if step.type != "Removal")]:
        leads = _IN_PLACE.search(message) or re.search(_COMES + re.escape(text) + r"\b", message, re.I)
        if leads and standing.ungrounded(text) and not is_negated(text, message):
            yield text


def head(text: str) -> str:
    """What an instruction is about: its last word, or the surroundings."""
    return "the surroundings" if place_in(text) else text.lower().rstrip(". ").rpartition(" ")[2]


def overlap(text: str, heard: Grounding) -> int:
    """How many words of a text are grounded."""
    words = [word for word in Grounding([text]).words if word not in _FORM]
    return sum(not heard.ungrounded(word) and not _only_begins(word, heard.words) for word in words)


def _only_begins(word: str, heard: Sequence[str]) -> bool:
    """Whether a short word is no more than the beginning of those that have its stem: "star" of "start"."""
    short = word.removesuffix("s")
    same = [other for other in heard if len(short) == 4 and other.startswith(short)]
    return bool(same) and not any(re.fullmatch(rf"{short}(?:e?s|ed|ing)?", other) for other in same)


def overruled(
    facts: Sequence[Fact], steps: list[StepAnswer], said: Sequence[Phrase], vocabulary: Vocabulary
) -> tuple[list[int], list[StepAnswer]]:
    """The facts that a property of their thing replaces, and the steps with what of them still holds.

    Of "a small red car", "the car is blue" leaves "a small blue car".
    """
    gone, changed = list[int](), list(steps)
    for phrase in said:
        known = [(n, old) for n, fact in enumerate(facts, 1) if (old := plain(fact, vocabulary))]
        same = [(n, old) for n, old in known if _same_head(old, phrase) and _of_all(old, phrase, said)]
        if not (phrase.told_of and phrase.definite) or len(same) != 1:
            continue
        number, old = same[0]
        kept = [
            each
            for each in old.properties
            if all(_beside(each, new, vocabulary) for new in phrase.properties)
        ]
        whole = _whole(phrase, [*kept, *phrase.properties], old, vocabulary)
        place = next((n for n, step in enumerate(changed) if _covers(phrase, step)), None)
        if place is None or (set(whole.properties), whole.count) == (set(old.properties), old.count):
            continue
        gone.append(number)
        changed[place] = StepAnswer(type=changed[place].type, text=whole.exactly)
    return gone, changed


def _of_all(old: Phrase, new: Phrase, said: Sequence[Phrase]) -> bool:
    """Whether what is told of several is told of all: "the boats are red", not "the boat is" or "red and blue"."""
    told = {tuple(each.properties) for each in said if each.told_of and _same_head(each, new)}
    return not old.count or bool(new.count) or (new.head == old.head and len(told) == 1)


def _whole(new: Phrase, properties: Sequence[str], old: Phrase, vocabulary: Vocabulary) -> Phrase:
    """A thing with all that holds of it, as many as were said last."""
    head_of = new if new.count or not old.count else old
    return Phrase(
        properties=in_order(properties, vocabulary), head=head_of.head, count=new.count or old.count
    )


def within_relations(
    gone: Sequence[Fact], steps: Sequence[StepAnswer], said: Sequence[Phrase], vocabulary: Vocabulary
) -> list[StepAnswer]:
    """The steps, each property of one thing of a relation that goes told in that, so that the other thing stays.

    Of "a house below a star", "the star is white" leaves "a house below a white star"; "only a white star" does not.
    """
    changed = list(steps)
    for fact in gone:
        things = [phrase for phrase in phrases(fact["text"], vocabulary) if phrase.head and not phrase.place]
        excluded = {head(step.text) for step in steps if step.type == "Removal"}
        if fact["type"] == "Removal" or len({each.head for each in things} - excluded) < 2:
            continue
        text, told = fact["text"], list[int]()
        for place, step in enumerate(changed):
            new = plain({"type": step.type, "text": step.text, "predicates": []}, vocabulary)
            same = [old for old in things if new and _same_head(old, new)]
            if not new or len(same) != 1:
                continue
            of_thing = any(each.told_of and each.definite and _covers(each, step) for each in said)
            whole = "" if new.count or not of_thing else _with_phrase(text, same[0], new, vocabulary)
            if not whole:  # what is said in other words may replace the relation as a whole
                told = []
                break
            text, told = whole, [*told, place]
        if told:
            changed[told[0]] = StepAnswer(type="Addition", text=text)
            changed = [step for place, step in enumerate(changed) if place not in told[1:]]
    return changed


def _with_phrase(text: str, old: Phrase, new: Phrase, vocabulary: Vocabulary) -> str:
    """A text with what is newly told of one of its things; "" where that is not there in these words."""
    kept = [p for p in old.properties if all(_beside(p, each, vocabulary) for each in new.properties)]
    told = Phrase(properties=in_order([*kept, *new.properties], vocabulary), head=old.head, count=old.count)
    found = re.sub(rf"\b{re.escape(old.text)}\b", told.text, text, count=1, flags=re.I)
    return found if found != text else ""


def plain(fact: Fact, vocabulary: Vocabulary) -> Phrase | None:
    """A fact that is one wanted thing with its properties; None for any other."""
    found = phrases(fact["text"], vocabulary)
    words = content_words(fact["text"])
    words -= content_words("exactly")
    one = len(found) == 1 and not found[0].place and words == content_words(found[0].text)
    return found[0] if one and fact["type"] != "Removal" else None


def _same_head(old: Phrase, new: Phrase) -> bool:
    return content_words(old.head) == content_words(new.head)


def _beside(old: str, new: str, vocabulary: Vocabulary) -> bool:
    return old == new or vocabulary.go_together(old, new)


def _covers(phrase: Phrase, step: StepAnswer) -> bool:
    """Whether a step is this phrase and no more."""
    return step.type != "Removal" and content_words(step.text) == content_words(phrase.text)
