"""What the talker read in a message, held to how the message says it: wanted or not, and which thing has a property."""

from __future__ import annotations

import re
from collections.abc import Sequence

from imagescope_agent.nodes.chat.language.coverage import phrases, runs
from imagescope_agent.nodes.chat.language.grounding import Grounding
from imagescope_agent.nodes.chat.language.not_taken_up import named
from imagescope_agent.nodes.chat.language.polarity import is_bare, is_negated
from imagescope_agent.nodes.chat.language.relations import relates_to_itself
from imagescope_agent.nodes.chat.language.standing_facts import head, says_nothing_new
from imagescope_agent.nodes.chat.language.vocabulary import Vocabulary
from imagescope_agent.nodes.chat.read_message import has_act
from imagescope_agent.nodes.intent.drift import content_words, is_english
from imagescope_agent.prompting import NEGATED
from imagescope_agent.records import NoteDict, note
from imagescope_agent.replies.parsing import StepAnswer
from imagescope_agent.state import Fact, State

STEP = "fold"
_CLAUSE = re.compile(r"[.,;:!?()\n]|\b(?:and|but|or)\b")
#: What only names a thing; any other word may be what takes it away: "lose the boat", "the boat can go".
_NAMING = frozenset(
    ["a", "an", "the", "that", "this", "those", "these", "my", "its", "of", "with", "in", "on", "at", "by"]
)
_POINTS_BACK = re.compile(r"\b(?:it|them|one|ones)\b", re.I)
#: What is said of one thing is said of another one too: "a red car and a house of the same colour".
_SHARED = re.compile(
    r"\b(?:same|as|like\w*|too|also|both|so|either|all|each|every|match\w*|equally)\b|\bthat colou?r\b",
    re.I,
)
_CROSSED = " is said of another thing and was left out"


def as_said(
    told: tuple[list[NoteDict], list[str]],
    steps: Sequence[StepAnswer],
    message: str,
    state: State,
    vocabulary: Vocabulary,
) -> list[StepAnswer]:
    """The steps as the message says them; a note is added for each that was read otherwise.

    What the message negates is a removal, what it only names is none, and what it says of one thing is not said of
    another one. The words of a negation are English ones; a message in another language keeps what the talker read.

    Args:
        told: the notes and the remarks, which are added to.
        steps: as the talker gave them.
        message: in the user's words.
        state: with the facts that stand and the acts of the message.
        vocabulary: of the collection.
    """
    notes, remarks = told
    held = list[StepAnswer]()
    for step in steps:
        excluded = step.type == "Removal"
        if step.type != "Removal" and is_negated(step.text, message):
            notes.append(
                note(STEP, "repaired", f"{step.text!r} was to be added, and the message excludes it")
            )
            step = StepAnswer(type="Removal", text=step.text)
        elif step.type == "Removal" and is_bare(step.text, message, vocabulary):
            notes.append(note(STEP, "repaired", f"{step.text!r} was to be left out, and is only named"))
            step = StepAnswer(type="Addition", text=step.text)
        elif step.type == "Removal" and _is_turned(step.text, message, state, vocabulary):
            notes.append(note(STEP, "drifted", f"{step.text!r} was to be left out, and the message does not"))
            remarks.append(f'"{step.text}" was not left out: the message does not seem to say so.')
            continue
        if not excluded and (problem := misread(step.text, message, vocabulary)):
            notes.append(note(STEP, "drifted", f"{step.text!r}{problem}"))
            continue
        held.append(step)
    return held


def misread(text: str, message: str, vocabulary: Vocabulary) -> str:
    """What is wrong with an instruction that gives a thing another one's property or place; "" for nothing."""
    if relates_to_itself(text, message, vocabulary):
        return " relates a thing to itself and was left out"
    return _CROSSED if says_of_another(text, message, vocabulary) else ""


def says_of_another(text: str, message: str, vocabulary: Vocabulary) -> bool:
    """Whether an instruction gives a thing what the message says of another one, and not of several."""
    return not _SHARED.search(message) and is_crossed(text, message, vocabulary)


def is_crossed(text: str, message: str, vocabulary: Vocabulary) -> bool:
    """Whether an instruction gives a thing a property that the message gives another one.

    Of "a small cat beside the flower" "a small flower".
    """
    whole = [phrase for phrase in runs(message, vocabulary) if phrase.head]
    whole += [each for each in phrases(message, vocabulary) if each.told_of and each.definite]
    for told in phrases(text, vocabulary):
        own = [each for each in whole if content_words(each.head) == content_words(told.head)]
        if not own or any(each.lone and not each.definite for each in own):
            continue  # "a black cat and dog" may tell of both
        of_own = content_words(" ".join(each.text for each in own))
        of_others = content_words(" ".join(" ".join(each.properties) for each in whole if each not in own))
        if (content_words(" ".join(told.properties)) & of_others) - of_own:
            return True
    return False


def _is_turned(text: str, message: str, state: State, vocabulary: Vocabulary) -> bool:
    """Whether an English message would exclude what stands, though a clause of it only names that."""
    if has_act(state, "withdrawal", "answer") or is_negated(text, message) or not is_english(message):
        return False
    if _POINTS_BACK.search(message) or not _only_names(text, message, vocabulary):
        return False
    wanted = (fact["text"] for fact in state["facts"] if fact["type"] != "Removal")
    return any(not Grounding([fact]).ungrounded(head(text)) for fact in wanted)


def _only_names(text: str, message: str, vocabulary: Vocabulary) -> bool:
    """Whether every clause that names what a text is about holds nothing but words of the captions."""
    thing = content_words(head(text))
    clauses = [re.findall(r"[\w'-]+", clause) for clause in _CLAUSE.split(message.lower())]
    naming = [words for words in clauses if any(content_words(word) & thing for word in words)]
    return bool(naming) and all(word in _NAMING or vocabulary.has(word) for words in naming for word in words)


def without_held(notes: Sequence[NoteDict], steps: Sequence[StepAnswer]) -> list[NoteDict]:
    """The notes without those on steps that the message gives all the same."""
    held = {f"{step.text!r}{_CROSSED}" for step in steps}
    return [each for each in notes if each["detail"] not in held]


def says_more(
    heard: Grounding, facts: Sequence[Fact], dropped: Sequence[int], vocabulary: Vocabulary
) -> bool:
    """Whether a correction names something that can be seen, and that what it replaces did not."""
    gone = Grounding([facts[number - 1]["text"] for number in dropped], heard.embedder)
    return any(vocabulary.has(word) and gone.ungrounded(word) for word in heard.words)


def repeats(facts: Sequence[Fact], message: str) -> bool:
    """Whether a message says again what stands."""
    return any(not Grounding([fact["text"]]).ungrounded(message) for fact in facts)


def names_new(facts: Sequence[Fact], message: str, vocabulary: Vocabulary) -> bool:
    """Whether a message names something that does not stand; "doesn't ring a bell" excludes no bell."""
    if [each for each in named(message) if vocabulary.lacks(each)] and not NEGATED.search(message):
        return True
    told = re.findall(r"[^\W_]+", message.lower())
    return any(map(vocabulary.has, told)) and not says_nothing_new(facts, phrases(message, vocabulary))


def own_words(notes: list[NoteDict], state: State, message: str, vocabulary: Vocabulary) -> list[StepAnswer]:
    """The message as one instruction, where nothing that the talker found in it is grounded.

    An English text that names nothing new says nothing; one in another language stays as it was said.
    """
    if (
        (is_english(message) and vocabulary.words and not names_new(state["facts"], message, vocabulary))
        or not has_act(state, "wish", "correction")
        or repeats(state["facts"], message)
    ):
        return []
    text = message.strip(" .,;!?")[:400]
    notes.append(note(STEP, "fallback", "no instruction was found in the message; its own words were taken"))
    return [StepAnswer(type="Removal" if NEGATED.search(text) else "Addition", text=text)]
