"""Messages as people write them: phrased in many ways, several acts at once, hedged, misspelt, foreign, or senseless.

`informing` says in many phrasings what changes the request; here it stands beside what changes nothing: "no idea",
"show me more", "thanks".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from imagescope_agent.lab.scenes.conditions import Absent, Exists, Pattern
from imagescope_agent.lab.scenes.dialog import changing_phrases, idle_phrases, phrases
from imagescope_agent.lab.scenes.dialog.foreign import foreign, nonsense
from imagescope_agent.lab.scenes.dialog.informing import act_of, saying
from imagescope_agent.lab.scenes.dialog.messages import UserMessage
from imagescope_agent.lab.scenes.queries import QueryStep
from imagescope_agent.lab.scenes.world import COLOURS, Scene

Piece = tuple[str, str]  # words and their dialogue act


@dataclass(frozen=True, kw_only=True)
class Utterance:
    """A message of one or more pieces.

    Attributes:
        pieces: in order, with the spaces and commas between them.
        update: what it means; its `message` holds the pieces that say what is wanted, and nothing else.
        question: the pending question that it answers or ignores; "" for none.
    """

    pieces: tuple[Piece, ...]
    update: UserMessage
    question: str = ""

    @property
    def text(self) -> str:
        """The whole message."""
        return "".join(words for words, _ in self.pieces)


def utterance(scene: Scene, facts: Sequence[QueryStep], question: str, rng: Random) -> Utterance:
    """A random message while `question` is pending, or "" is.

    One half says something, with or without what changes nothing around it; the other half changes nothing.
    """
    if rng.random() < 0.45:
        return idle(question, rng)
    update, asked = saying(scene, facts, rng)
    act, before, after = act_of(update, asked), list[Piece](), list[Piece]()
    if rng.random() < 0.25:
        before = [_beside(asked, rng)]
    elif rng.random() < 0.15:
        after = [_beside(asked, rng)]
    middle = polite(update.message, act, rng)
    if update.new:
        text, (start, end) = update.message, update.wish
        pieces = (text[:start], "withdrawal"), (text[start:end], "wish"), (text[end:], "withdrawal")
        middle = [piece for piece in pieces if piece[0]]
    joined = tuple(_joined([*before, *middle, *after], rng))
    return Utterance(pieces=joined, update=update, question=asked or (question if rng.random() < 0.5 else ""))


def idle(question: str, rng: Random) -> Utterance:
    """A message that says nothing of what is wanted: no idea, more, an aside, another language, nonsense."""
    if rng.random() < 0.03:
        return Utterance(
            pieces=((rng.choice(changing_phrases.RESTARTS), "withdrawal"),), update=UserMessage(message="")
        )
    pieces = [_idle_piece(rng)]
    if rng.random() < 0.2:
        pieces.append(_idle_piece(rng))
    if not question and rng.random() < 0.1:
        pieces = [(rng.choice((*phrases.YES, *phrases.NO)), "aside")]  # there is nothing to answer
    joined = _joined([each for words, act in pieces for each in polite(words, act, rng)], rng)
    return Utterance(pieces=tuple(joined), update=UserMessage(message=""), question=question)


def stranger_wish(rng: Random) -> UserMessage:
    """A wish for what the drawn world lacks."""
    colour = rng.choice((*phrases.STRANGE_COLOURS, *COLOURS)) if rng.random() < 0.5 else None
    pattern = Pattern(rng.choice(phrases.STRANGERS), colour)
    slots = {"x": pattern.words(), "bare": pattern.bare, "many": f"{pattern.bare}s"}
    if rng.random() < 0.8:
        step, forms = QueryStep("Addition", Exists(pattern)), phrases.EXISTS
    else:
        step, forms = QueryStep("Removal", Absent(pattern)), phrases.ABSENT
    return UserMessage(message=rng.choice(forms).format(**slots), steps=(step,))


def polite(message: str, act: str, rng: Random) -> list[Piece]:
    """The message with what people put around it, in other letters, sometimes misspelt."""
    before, after = "", ""
    if rng.random() < 0.2:
        before = rng.choice(idle_phrases.OPENINGS)
    if rng.random() < 0.12:
        message, after = message.rstrip(".!") or message, rng.choice(idle_phrases.CLOSINGS)
    if rng.random() < 0.25 and not before:
        message = message[:1].upper() + message[1:]
    if rng.random() < 0.15 and message[-1].isalnum() and not after:
        message += rng.choice(("!", ".", ".", "..."))
    if rng.random() < 0.03:
        message = message.upper()
    message = misspelt(message, rng) if rng.random() < 0.2 else message
    return [(words, what) for words, what in ((before, "aside"), (message, act), (after, "aside")) if words]


def misspelt(message: str, rng: Random) -> str:
    """The message with one typing error in a word of four letters or more, where there is one."""
    words = message.split(" ")
    long = [place for place, word in enumerate(words) if len(word) > 3 and word.isalpha()]
    if not long:
        return message
    place = rng.choice(long)
    word, at = words[place], rng.randrange(1, len(words[place]) - 1)
    swapped = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    near = word[:at] + rng.choice("abcdefghijklmnopqrstuvwxyz") + word[at + 1 :]
    words[place] = rng.choice((swapped, word[:at] + word[at + 1 :], word[:at] + word[at] + word[at:], near))
    return " ".join(words)


def _beside(asked: str, rng: Random) -> Piece:
    """What stands beside an informing piece; beside an answer no other answer does."""
    choices = [(idle_phrases.ASIDES, "aside"), (idle_phrases.SKIPS, "skip")]
    words, act = rng.choice(choices[: 1 if asked else 2])
    return rng.choice(words), act


def _idle_piece(rng: Random) -> Piece:
    kind = rng.random()
    if kind < 0.35:
        return rng.choice(idle_phrases.SKIPS), "skip"
    if kind < 0.5:
        return rng.choice(idle_phrases.MORES), "more"
    if kind < 0.7:
        return rng.choice(idle_phrases.ASIDES), "aside"
    return (foreign(rng) if kind < 0.87 else nonsense(rng)), "unclear"


def _joined(pieces: Sequence[Piece], rng: Random) -> list[Piece]:
    """The pieces with marks between those that have none."""
    joined = []
    for number, (words, act) in enumerate(pieces, 1):
        if (
            number < len(pieces)
            and not words.endswith(" ")
            and not pieces[number][0].startswith((",", ".", "!", " "))
        ):
            words += " " if words[-1] in ".!?" else rng.choice((", ", ". ", "; ", ", but "))
        joined.append((words, act))
    return joined
