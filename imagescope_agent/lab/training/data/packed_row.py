"""One row of a packed batch under construction: tokens, positions, and targets by column."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from imagescope_agent.lab.scenes.conditions import Pattern
from imagescope_agent.lab.scenes.world import Scene, Thing
from imagescope_agent.lab.training.network.image_grid import (
    IMAGE_TOKENS,
    TOKEN_GRID,
    centre_token,
    covered_tokens,
)

IGNORE = -100
SINK = 0  # the column (first token of a row) to attend to where nothing matches
_SINK_WEIGHT = 2.0  # in counting attention, beside 1 for every thing


@dataclass(frozen=True, kw_only=True)
class PackedMention:
    """A `TextMention` in a packed batch: the column where the name ends, and the scene it is looked for in."""

    row: int
    column: int
    pattern: Pattern
    scene: Scene
    subject: Pattern | None = None
    satisfied: bool | None = None


@dataclass(frozen=True, kw_only=True)
class PackedGrade:
    """A class to be predicted at a column about one of several candidates.

    `grade` is 0 or 1 for a single condition, an index into `GRADES` for the whole candidate; `label` is the token of
    the candidate's label.
    """

    row: int
    column: int
    grade: int
    label: int


@dataclass(frozen=True, kw_only=True)
class AttentionTarget:
    """The columns `keys` that a column should attend to with one supervised head; `SINK` where nothing matches.

    `weights` says how the attention is divided over `keys`; if empty, any division is right. `head` is
    "previous": to the token before;
    "grounding": from the name of a thing to the image tokens it covers; "count" the same with weights for counting;
    "relation": from the second name of a relation to the first;
    "answer": from the end of a question to the names in it;
    "caption": from a phrase of a caption to the thing it describes;
    "copy" and "copy_next": from a token of an answer that repeats the prompt to its source, and to the next one;
    "edit": from a thing of the reference to what the modification text says about it;
    "duplicate": from the same to an earlier thing that looks like it;
    "noun": in queries and their answers, to the noun before;
    "label": from an image and the text after it to its label;
    "grade": from before an image's grade to the end of the text after it;
    "rank": from before an image's number in an order to the end of the text after that image.
    """

    row: int
    column: int
    keys: tuple[int, ...]
    head: str
    weights: tuple[float, ...] = ()


class RowBuilder:
    """Collects the tokens and targets of one row as plain lists."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.ids: list[int] = []
        self.labels: list[int] = []
        self.kinds: list[int] = []
        self.branch: list[int] = []
        self.positions: list[tuple[int, int, int]] = []
        self.mentions: list[PackedMention] = []
        self.attention: list[AttentionTarget] = []
        self.edit_labels: list[tuple[int, int, str]] = []  # row, column, label
        self.condition_grades: list[PackedGrade] = []
        self.candidate_grades: list[PackedGrade] = []
        self.images: list[int] = []  # columns of the images' first tokens
        self.image_labels: list[int] = []  # columns of their labels
        self._next = {0: 0}

    def _append(self, tokens: Sequence[int], branch: int, positions: Sequence[tuple[int, int, int]]) -> None:
        self.ids += tokens
        self.labels += [IGNORE] * len(tokens)
        self.kinds += [0] * len(tokens)
        self.branch += [branch] * len(tokens)
        self.positions += positions

    def add_text(self, tokens: Sequence[int], *, branch: int) -> None:
        """Append text: all three position axes advance, in every branch from the prefix's end."""
        start = self._next.get(branch, self._next[0])
        self._append(tokens, branch, [(start + i,) * 3 for i in range(len(tokens))])
        self._next[branch] = start + len(tokens)

    def add_image(self, token: int) -> None:
        """Append an image to the prefix: the temporal axis is constant, height and width advance (M-RoPE)."""
        start = self._next[0]
        self.images.append(len(self.ids))
        grid = [(start, start + y, start + x) for y in range(TOKEN_GRID) for x in range(TOKEN_GRID)]
        self._append([token] * IMAGE_TOKENS, 0, grid)
        self._next[0] = start + TOKEN_GRID

    def attend(self, column: int, keys: Iterable[int], head: str) -> None:
        """Let `column` attend to any of `keys`, or to `SINK` if there are none."""
        chosen = tuple(keys) or (SINK,)
        self.attention.append(AttentionTarget(row=self.number, column=column, keys=chosen, head=head))

    def attend_to_things(self, column: int, things: Sequence[Thing], head: str) -> None:
        """Let `column` attend to the tokens of the last image that `things` cover, or to `SINK`."""
        keys = sorted({self.images[-1] + token for thing in things for token in covered_tokens(thing)})
        self.attend(column, keys, head)

    def attend_for_count(self, column: int, things: Sequence[Thing]) -> None:
        """Attention that tells the count: equal weights for all things and a fixed one for `SINK`.

        Attention averages, so that two red houses give the same value as one; the sink's share tells the number.
        """
        keys = (SINK, *(self.images[-1] + centre_token(thing) for thing in things))
        total = _SINK_WEIGHT + len(things)
        weights = (_SINK_WEIGHT / total, *([1 / total] * len(things)))
        self.attention.append(
            AttentionTarget(row=self.number, column=column, keys=keys, head="count", weights=weights)
        )

    def attend_to_previous(self, every: int = 4) -> None:
        """Let one column in `every` attend to the one before it, which composes multi-token names."""
        for column in range(1 + self.number % every, len(self.ids), every):
            if self.branch[column] == self.branch[column - 1]:
                self.attend(column, (column - 1,), "previous")
