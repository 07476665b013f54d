"""How queries about several references are put into words: plainly, or in many sentence frames."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from imagescope_agent.lab.scenes.conditions import CARDINALS
from imagescope_agent.lab.scenes.language import SETTING_WORDS, join, with_article
from imagescope_agent.lab.scenes.references import phrases
from imagescope_agent.lab.scenes.wordings.frames import frame, frames
from imagescope_agent.lab.scenes.wordings.spoken import amid_small_talk, place_words, with_marks
from imagescope_agent.lab.scenes.wordings.text_wordings import excluded
from imagescope_agent.lab.scenes.world import Scene

_WHOLE_SENTENCE = 0.3  # share of queries whose clauses all name the reference in one way of their own
_ORDERS = (*phrases.ORDERS, "colour ", "let ", "make ", "use ", "what ", "with ", "in ")


class PlainReferences:
    """The words of the queries that are evaluated, and more of their kind."""

    #: Numbers of references, and how often each.
    counts: tuple[tuple[int, ...], tuple[int, ...]] = ((2, 3, 4, 5), (70, 22, 5, 3))
    #: Whether things of two references may be said in one sentence, see `pair`.
    pairs = False

    def __init__(self, rng: Random) -> None:
        self.rng = rng

    def names(self, references: Sequence[Scene]) -> tuple[str, ...]:
        """What each reference is called."""
        rng = self.rng
        return self._numbered(rng.choice(phrases.NAMES[rng.random() < 0.3]), len(references))

    def _numbered(self, style: str, count: int) -> tuple[str, ...]:
        if "the" not in style:
            return tuple(style.format(number) for number in range(1, count + 1))
        spelt = self.rng.random() < 0.2
        return tuple(style.format(phrases.ORDINALS[number][spelt]) for number in range(count))

    def things(self, nouns: str, name: str, number: int) -> str:
        """The clause of things that are kept; `number` clauses come before it."""
        return self.of(nouns, name)

    def noun(self, bare: str) -> str:
        """A thing of a reference."""
        return f"the {bare}"

    def of(self, nouns: str, name: str) -> str:
        """The nouns with the name of their reference."""
        if self.rng.random() < 0.08 and not name.startswith(("the", "#")):
            return f"{name}'s {nouns.removeprefix('the ')}"
        forms = phrases.FIRST if self.rng.random() < 0.12 else phrases.ATTACHED
        return self.rng.choice(forms).format(nouns, name)

    def place(self, name: str) -> str:
        """The place of a reference."""
        return self.rng.choice(phrases.PLACES).format(name)

    def painted(self) -> str:
        """A form for a thing in the colour of another."""
        return self.rng.choice(phrases.PAINTED)

    def sized(self) -> str:
        """A form for a thing in the size of another."""
        return self.rng.choice(phrases.SIZED)

    def recoloured(self, noun: str, name: str, model: str, model_name: str) -> str:
        """A sentence about a thing in the colour of another, each with its reference; empty without one."""
        return ""

    def pair(self, noun: str, name: str, other: str, other_name: str) -> str:
        """A sentence about two things, each with its reference, that are kept."""
        return join([self.of(noun, name), self.of(other, other_name)])

    def placed(self, noun: str, name: str, place: str) -> str:
        """A sentence about a thing of one reference in the place of another."""
        return f"{self.of(noun, name)}, {self.place(place)}"

    def setting(self, name: str) -> str:
        """Where the scene is."""
        return self.rng.choice(SETTING_WORDS[name])

    def besides(self, said: str, *, whole: bool = False) -> str:
        """The words for what is wanted in addition, after a reference that is kept `whole`."""
        forms = ("with {}", "and {}", "plus {}", "but with {}", "and add {}")
        return self.rng.choice(forms if whole else ("and {}", "plus {}", "with {}", "and add {}")).format(
            said
        )

    def gone(self, noun: str) -> str:
        """What follows a whole reference of which one thing is not wanted."""
        return self.rng.choice((" without {}", ", but without {}", " minus {}")).format(noun)

    def joined(self, clauses: Sequence[str]) -> str:
        """The clauses in a row."""
        if self.rng.random() < 0.7:
            return join(clauses)
        return self.rng.choice((", ", " with ", " and ")).join(clauses)

    def without(self, bare: str) -> str:
        """The words that a thing must not be there."""
        form = self.rng.choice(phrases.WITHOUT)
        return form.format(with_article(bare) if form.startswith("without") else bare)

    def added(self, text: str, clause: str) -> str:
        """The text with a clause after it, or before it where the end must stay the end."""
        if text.endswith("change"):
            return f"{clause}, {text}"
        return text + self.rng.choice((" ", ", ")) + clause

    def finished(self, text: str) -> str:
        """The whole query."""
        return text

    def whole(self, name: str) -> str:
        """A reference as it is."""
        forms = ("like {}", "the same as {}", "{}", "{} as it is", "everything of {}")
        return self.rng.choice(forms).format(name)

    def sentence(self, named: str, clauses: Sequence[str]) -> str:
        """The clauses in a sentence."""
        framed = not any(clause.startswith(phrases.ORDERS) for clause in clauses)
        return self.rng.choice(phrases.FRAMES if framed else ("{}", "please {}")).format(named)


class FramedReferences(PlainReferences):
    """The same in the frames of `wordings/frames.toml`; `unseen`: those held out."""

    counts = ((2, 3, 4, 5, 6, 7, 8), (64, 23, 7, 3, 1, 1, 1))
    pairs = True

    def __init__(self, rng: Random, *, unseen: bool = False) -> None:
        super().__init__(rng)
        self.unseen = unseen
        sentences = rng.random() < _WHOLE_SENTENCE
        self._sentences = False
        self._clause = rng.choice(frames("several", "clause", unseen=unseen)) if sentences else ""

    def _frame(self, kind: str) -> str:
        return frame("several", kind, self.rng, unseen=self.unseen)

    def names(self, references: Sequence[Scene]) -> tuple[str, ...]:
        """By number, or by what only that reference shows."""
        rng, count = self.rng, len(references)
        if rng.random() < 0.1:
            kinds = [{thing.kind for thing in scene.things} for scene in references]
            alone = [
                sorted(own - {kind for j, other in enumerate(kinds) if j != i for kind in other})
                for i, own in enumerate(kinds)
            ]
            if all(alone):
                style = self._frame("shows")
                return tuple(style.format(n=with_article(rng.choice(each))) for each in alone)
        if rng.random() < 0.4:
            return super().names(references)
        rows = [row.split(" | ") for row in frames("several", "rows", unseen=self.unseen)]
        if (fit := [row for row in rows if len(row) == count]) and rng.random() < 0.35:
            return tuple(rng.choice(fit))
        return self._numbered_by(self._frame("numbered"), count)

    def _numbered_by(self, style: str, count: int) -> tuple[str, ...]:
        word, digit = self.rng.random() < 0.2, self.rng.random() < 0.2
        return tuple(
            style.format(n=CARDINALS[number] if word else number + 1, o=phrases.ORDINALS[number][digit])
            for number in range(count)
        )

    def things(self, nouns: str, name: str, number: int) -> str:
        """A clause of the query's own way of naming, or as `of`."""
        if not self._clause:
            return (
                self.of(nouns, name) if self.rng.random() < 0.9 else self._frame("first").format(nouns, name)
            )
        first, later = self._clause.split(" | ")
        return (later if number else first).format(nouns, name)

    def noun(self, bare: str) -> str:
        """A thing of a reference, at times with another article or none."""
        if self.rng.random() < 0.78:
            return f"the {bare}"
        return self.rng.choice((with_article(bare), with_article(bare), bare, f"that {bare}", f"this {bare}"))

    def of(self, nouns: str, name: str) -> str:
        """The nouns with the name of their reference."""
        possessive = nouns.startswith("the ") and not name.startswith(("the", "#"))
        if possessive and self.rng.random() < 0.08:
            return f"{name}'s {nouns.removeprefix('the ')}"
        if self.rng.random() < 0.4:
            return self.rng.choice(phrases.ATTACHED).format(nouns, name)
        return self._frame("attached").format(nouns, name)

    def place(self, name: str) -> str:
        """The place of a reference."""
        return self._frame("places").format("", name)

    def painted(self) -> str:
        """A form for a thing in the colour of another."""
        return self._stated(self._frame("painted"), "{0}")

    def sized(self) -> str:
        """A form for a thing in the size of another."""
        return self._stated(self._frame("sized"), "{0}")

    def _stated(self, form: str, start: str) -> str:
        """The form; whether the query is a row of sentences is noted, where it begins otherwise than with a noun."""
        self._sentences |= not form.startswith(start)
        return form

    def recoloured(self, noun: str, name: str, model: str, model_name: str) -> str:
        """A sentence about both; mostly empty."""
        if self.rng.random() < 0.55:
            return ""
        self._sentences = True
        return self._frame("recoloured").format(a=noun, b=name, c=model, d=model_name)

    def pair(self, noun: str, name: str, other: str, other_name: str) -> str:
        """A sentence about both."""
        self._sentences = True
        return self._frame("pair").format(a=noun, b=name, c=other, d=other_name)

    def placed(self, noun: str, name: str, place: str) -> str:
        """A sentence about both."""
        self._sentences = True
        return self._frame("placed").format(a=noun, b=name, d=place)

    def setting(self, name: str) -> str:
        """Where the scene is."""
        return self._frame("where").format(p=place_words(name, self.rng, self.unseen))

    def besides(self, said: str, *, whole: bool = False) -> str:
        """The words for what is wanted in addition; a sentence stays one."""
        if whole and self._clause:
            return self.rng.choice(("and {}", "also {}", "but {}", "{}")).format(said)
        return self._frame("besides").format(t=said)

    def gone(self, noun: str) -> str:
        """What follows a whole reference of which one thing is not wanted."""
        return self._frame("gone").format(x=noun)

    def joined(self, clauses: Sequence[str]) -> str:
        """The clauses in a row, more often than not as usual."""
        if self.rng.random() < 0.5:
            return super().joined(clauses)
        first, *others = clauses
        for other in others:
            first = self._frame("link").format(a=first, b=other)
        return first

    def added(self, text: str, clause: str) -> str:
        """The text with a clause before or after it."""
        if self.rng.random() < 0.3 and not text.startswith(("and", "but", "with")):
            return f"{clause}{self.rng.choice((', ', ': ', '; ', ', '))}{text}"
        return text + self.rng.choice((" ", ", ", "; ", " - ", ", ", ". ")) + clause

    def without(self, bare: str) -> str:
        """The words that a thing must not be there."""
        return excluded("", bare, self.rng, self.unseen).strip(" ,;.:")

    def finished(self, text: str) -> str:
        """The whole query, perhaps with small talk around it; its clauses are not changed."""
        return with_marks(amid_small_talk(text, self.rng, self.unseen), self.rng)

    def whole(self, name: str) -> str:
        """A reference as it is."""
        return self._stated(self._frame("whole"), "{1}").format("", name)

    def sentence(self, named: str, clauses: Sequence[str]) -> str:
        """The clauses in a sentence, unless they are sentences."""
        if self._sentences:
            return named
        whole = bool(self._clause) or any(clause.startswith(_ORDERS) for clause in clauses)
        return named if whole and self.rng.random() < 0.8 else self._frame("frames").format(t=named)
