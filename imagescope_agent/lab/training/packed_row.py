"""One row of a packed batch under construction: tokens, places, and where its places should look."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from imagescope_agent.lab.scenes.conditions import Pattern
from imagescope_agent.lab.scenes.world import Scene, Thing
from imagescope_agent.lab.training.architecture import GRID, IMAGE_TOKENS, MERGE

IGNORE = -100
NOTHING = 0  # the column (first token of a row) to look at for what is not there
_REST = 2.0  # weight of NOTHING beside one for every thing


@dataclass(frozen=True, kw_only=True)
class Mention:
    """A thing named in a packed batch: where its name ends, the scene it is sought in, and the rest of its `Name`."""

    row: int
    column: int
    pattern: Pattern
    scene: Scene
    partner: Pattern | None = None
    met: bool | None = None


@dataclass(frozen=True, kw_only=True)
class Found:
    """Where something about one of several pictures has been found in a packed batch.

    `grade` is 0 or 1 for a single thing that is asked for, and counts up to the best where all was looked at.
    """

    row: int
    column: int
    grade: int
    label: int


@dataclass(frozen=True, kw_only=True)
class Gaze:
    """Where a place in a packed batch should look: columns of the image tokens that some things cover, or NOTHING.

    `guide` is
    "previous" where the token before is meant;
    "named" at the name of a thing in a question or request, and "tally" there too for counting;
    "pair" at the second name of a relation, looking at the first;
    "answer" at the end of a question, looking at the names;
    "next" where a caption is about to describe a thing;
    "here" and "onward" in answers that repeat words of the request: where the present word was found, and the next;
    "told" at a thing of the reference: where the request says what becomes of it, or NOTHING;
    "again" there too: the thing before that looks like it, or NOTHING;
    "latest" in requests and their answers: the noun before;
    "label" in a picture and in what is said after it: its label;
    "block" where a picture is graded: the end of what is said after it;
    "vote" where pictures are named in order: the same of the next one.
    """

    row: int
    column: int
    tokens: tuple[int, ...]
    guide: str
    shares: tuple[
        float, ...
    ] = ()  # how the attention is divided over `tokens`; any division will do where empty


class Row:
    """One row under construction, as plain lists."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.ids: list[int] = []
        self.labels: list[int] = []
        self.kinds: list[int] = []
        self.branch: list[int] = []
        self.positions: list[tuple[int, int, int]] = []
        self.mentions: list[Mention] = []
        self.gazes: list[Gaze] = []
        self.fates: list[tuple[int, int, str]] = []
        self.images: list[int] = []  # columns of the pictures' first tokens
        self.labelled: list[int] = []  # columns of their labels
        self.found: list[Found] = []  # single things that are asked for
        self.ends: list[Found] = []  # by picture, where all of it was looked at
        self._next = {0: 0}

    def _append(self, tokens: Sequence[int], branch: int, positions: Sequence[tuple[int, int, int]]) -> None:
        self.ids += tokens
        self.labels += [IGNORE] * len(tokens)
        self.kinds += [0] * len(tokens)
        self.branch += [branch] * len(tokens)
        self.positions += positions

    def add(self, tokens: Sequence[int], *, branch: int) -> None:
        """Text: the three position axes move on together, from the prefix's end in every branch."""
        start = self._next.get(branch, self._next[0])
        self._append(tokens, branch, [(start + i,) * 3 for i in range(len(tokens))])
        self._next[branch] = start + len(tokens)

    def add_image(self, token: int) -> None:
        """A picture: time stands still while height and width count (M-RoPE)."""
        start, side = self._next[0], GRID // MERGE
        self.images.append(len(self.ids))
        grid = [(start, start + y, start + x) for y in range(side) for x in range(side)]
        self._append([token] * IMAGE_TOKENS, 0, grid)
        self._next[0] = start + side

    def gaze(self, column: int, tokens: Iterable[int], guide: str) -> None:
        """Remember that `column` should attend to some of `tokens`, or to NOTHING where there are none."""
        chosen = tuple(tokens) or (NOTHING,)
        self.gazes.append(Gaze(row=self.number, column=column, tokens=chosen, guide=guide))

    def look(self, column: int, things: Sequence[Thing], guide: str) -> None:
        """Remember that `column` should attend to the last picture's tokens that `things` cover, or to NOTHING."""
        tokens = sorted({self.images[-1] + token for thing in things for token in covered(thing)})
        self.gaze(column, tokens, guide)

    def tally(self, column: int, things: Sequence[Thing]) -> None:
        """Attention that can be counted with: an equal share for every thing and a fixed one for NOTHING.

        What is attended to is averaged, so that two red houses feel like one; how much is left for NOTHING tells.
        """
        tokens = (NOTHING, *(self.images[-1] + middle(thing) for thing in things))
        whole = _REST + len(things)
        shares = (_REST / whole, *([1 / whole] * len(things)))
        self.gazes.append(Gaze(row=self.number, column=column, tokens=tokens, guide="tally", shares=shares))

    def look_back(self, every: int = 4) -> None:
        """One place in four should attend to the token before it: names are put together from such looks."""
        for column in range(1 + self.number % every, len(self.ids), every):
            if self.branch[column] == self.branch[column - 1]:
                self.gaze(column, (column - 1,), "previous")


def middle(thing: Thing) -> int:
    """The image token (row by row, from 0) in which a thing's centre lies."""
    side = GRID // MERGE
    return min(int(thing.y * side), side - 1) * side + min(int(thing.x * side), side - 1)


def covered(thing: Thing) -> list[int]:
    """The image tokens (row by row, from 0) whose middle lies within or just outside a thing."""
    side = GRID // MERGE
    reach = thing.diameter / 2 + 0.2 / side
    middles = [(i + 0.5) / side for i in range(side)]
    return [
        y * side + x
        for y, down in enumerate(middles)
        for x, right in enumerate(middles)
        if abs(right - thing.x) < reach and abs(down - thing.y) < reach
    ]
