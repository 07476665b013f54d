"""How queries about several references are put into words: plainly, or in many sentence frames."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from imagescope_agent.lab.scenes.language import with_article
from imagescope_agent.lab.scenes.references import phrases
from imagescope_agent.lab.scenes.wordings.frames import frame, frames
from imagescope_agent.lab.scenes.wordings.spoken import amid_small_talk
from imagescope_agent.lab.scenes.wordings.text_wordings import excluded
from imagescope_agent.lab.scenes.world import Scene

_CONTENT = ("the one with {}", "the picture with {}", "the image showing {}", "the one that shows {}",
            "the photo of {}", "the picture where {} is")  # fmt: skip
_NUMBERS = ("pic {}", "img {}", "ref {}", "example {}", "photograph {}", "image number {}", "picture no. {}", "[{}]",
            "shot {}", "image {}", "reference no. {}", "the {} reference image", "the {} example", "the {} shot",
            "the {} of these", "the {} picture I gave")  # fmt: skip
_WHOLE_SENTENCE = 0.3  # share of queries whose clauses all name the reference in one way of their own
_ORDERS = (*phrases.ORDERS, "colour ", "let ", "make ", "use ", "what ", "with ", "in ")


class PlainReferences:
    """The words of the queries that are evaluated, and more of their kind."""

    #: Numbers of references, and how often each.
    counts: tuple[tuple[int, ...], tuple[int, ...]] = ((2, 3, 4, 5), (70, 22, 5, 3))

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

    def __init__(self, rng: Random, *, unseen: bool = False) -> None:
        super().__init__(rng)
        self.unseen = unseen
        sentences = rng.random() < _WHOLE_SENTENCE
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
                style = rng.choice(_CONTENT)
                return tuple(style.format(with_article(rng.choice(each))) for each in alone)
        if rng.random() < 0.5:
            return super().names(references)
        return self._numbered(rng.choice(_NUMBERS), count)

    def things(self, nouns: str, name: str, number: int) -> str:
        """A clause of the query's own way of naming, or as `of`."""
        if not self._clause:
            return self.of(nouns, name)
        first, later = self._clause.split(" | ")
        return (later if number else first).format(nouns, name)

    def of(self, nouns: str, name: str) -> str:
        """The nouns with the name of their reference."""
        if self.rng.random() < 0.5:
            return super().of(nouns, name)
        return self._frame("attached").format(nouns, name)

    def place(self, name: str) -> str:
        """The place of a reference."""
        return self._frame("places").format("", name)

    def painted(self) -> str:
        """A form for a thing in the colour of another."""
        return self._frame("painted")

    def added(self, text: str, clause: str) -> str:
        """The text with a clause before or after it."""
        if self.rng.random() < 0.3 and not text.startswith(("and", "but", "with")):
            return f"{clause}{self.rng.choice((', ', ': ', '; ', ' '))}{text}"
        return text + self.rng.choice((" ", ", ", "; ", " - ", ", ")) + clause

    def without(self, bare: str) -> str:
        """The words that a thing must not be there."""
        return excluded("", bare, self.rng, self.unseen).strip(" ,;.:")

    def finished(self, text: str) -> str:
        """The whole query, perhaps with small talk around it; its clauses are not changed."""
        return amid_small_talk(text, self.rng, self.unseen)

    def whole(self, name: str) -> str:
        """A reference as it is."""
        return self._frame("whole").format("", name)

    def sentence(self, named: str, clauses: Sequence[str]) -> str:
        """The clauses in a sentence, unless they are sentences."""
        whole = bool(self._clause) or any(clause.startswith(_ORDERS) for clause in clauses)
        return named if whole and self.rng.random() < 0.8 else self._frame("frames").format(t=named)
