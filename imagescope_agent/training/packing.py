"""Several turns about the same pictures in one row: a shared prefix, then branches that do not see one another.

Exactly what a model computes when each turn is asked alone, at a fraction of the tokens; the positions of every
branch start where the prefix ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from transformers import PreTrainedTokenizerFast

from imagescope_agent.scenes.conditions import PLURALS, Pattern
from imagescope_agent.scenes.language import SYNONYMS
from imagescope_agent.scenes.world import Scene, Thing
from imagescope_agent.training.architecture import GRID, IMAGE_TOKENS, MERGE
from imagescope_agent.training.copying import destinations, latest, sources
from imagescope_agent.training.examples import Branch

IGNORE = -100
NOTHING = 0  # the column (first token of a row) to look at for what is not there
_REST = 2.0  # weight of NOTHING beside one for every thing
KINDS = ("caption", "verdict", "judge", "text")


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
    "latest" in requests and their answers: the noun before.
    """

    row: int
    column: int
    tokens: tuple[int, ...]
    guide: str
    shares: tuple[
        float, ...
    ] = ()  # how the attention is divided over `tokens`; any division will do where empty


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Packed rows, padded on the right.

    ids (b, l); positions (3, b, l); mask (b, 1, l, l) True where attention is allowed; labels (b, l) the token to be
    predicted at each place or IGNORE; kinds (b, l) index into KINDS; images in order of appearance.
    """

    ids: torch.Tensor
    positions: torch.Tensor
    mask: torch.Tensor
    labels: torch.Tensor
    kinds: torch.Tensor
    mentions: tuple[Mention, ...]
    gazes: tuple[Gaze, ...]
    fates: tuple[tuple[int, int, str], ...]  # row, column of the end of a reference thing's name, type


class Packer:
    """Turns pictures and branches into rows of token ids with one tokenizer."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        self._tokenizer = tokenizer

        def token(name: str) -> int:
            return int(tokenizer.convert_tokens_to_ids(name))  # type: ignore[arg-type]

        self._start, self._end = token("<|im_start|>"), token("<|im_end|>")
        self._vision = token("<|vision_start|>"), token("<|image_pad|>"), token("<|vision_end|>")
        self.image_token = self._vision[1]
        words = [*PLURALS, *PLURALS.values(), *(word for more in SYNONYMS.values() for word in more)]
        self._nouns = frozenset(self._plain(" " + word)[-1] for word in words)
        self._user = [self._start, *self._plain("user\n")]
        self._answer = [self._end, *self._plain("\n"), self._start, *self._plain("assistant\n")]
        self.encode = lru_cache(maxsize=100_000)(self._encode)

    def _plain(self, text: str) -> list[int]:
        return list(self._tokenizer(text, add_special_tokens=False).input_ids)

    def _encode(self, text: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Token ids and the end of each token in characters."""
        coded = self._tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        return tuple(coded.input_ids), tuple(end for _, end in coded.offset_mapping)

    def pack(self, rows: Sequence[tuple[int, Sequence[Branch]]]) -> Batch:
        """Rows of (number of pictures in front, branches)."""
        made = [self._row(images, branches, number) for number, (images, branches) in enumerate(rows)]
        length = max(len(row.ids) for row in made)
        length += -length % 16  # few different lengths keep the allocator calm
        shape = (len(made), length)
        ids, labels = torch.zeros(shape, dtype=torch.long), torch.full(shape, IGNORE)
        kinds, branch = torch.zeros(shape, dtype=torch.long), torch.full(shape, -1)
        positions = torch.zeros((3, *shape), dtype=torch.long)
        for number, row in enumerate(made):
            n = len(row.ids)
            ids[number, :n], labels[number, :n] = torch.tensor(row.ids), torch.tensor(row.labels)
            kinds[number, :n], branch[number, :n] = torch.tensor(row.kinds), torch.tensor(row.branch)
            positions[:, number, :n] = torch.tensor(row.positions).T
        mentions = tuple(mention for row in made for mention in row.mentions)
        return Batch(
            ids=ids,
            positions=positions,
            mask=block_mask(branch),
            labels=labels,
            kinds=kinds,
            mentions=mentions,
            gazes=tuple(gaze for row in made for gaze in row.gazes),
            fates=tuple(fate for row in made for fate in row.fates),
        )

    def _row(self, images: int, branches: Sequence[Branch], number: int) -> _Row:
        row = _Row()
        row.add(self._user, branch=0)
        for _ in range(images):
            row.add([self._vision[0]], branch=0)
            row.add_image(self._vision[1])
            row.add([self._vision[2]], branch=0)
        for index, branch in enumerate(branches, start=1):
            self._branch(row, branch, index, number)
        row.look_back(number)
        return row

    def _branch(self, row: _Row, branch: Branch, index: int, number: int) -> None:
        prompt, ends = self.encode(branch.prompt)
        answer, written = self.encode(branch.answer)
        start = len(row.ids)
        named = self._names(row, branch, ends, number)
        tokens = [*prompt, *self._answer, *answer]
        row.add(tokens, branch=index)
        first = len(row.ids) - len(answer)
        if named:
            row.gazes.append(Gaze(row=number, column=first - 1, tokens=named, guide="answer"))
        if branch.kind == "caption" and branch.scene is not None:
            self._describe(row, branch, first, number)
        if branch.kind == "text":
            decided = self._fates(row, branch, ends, written, start, number)
            self._repeat(row, prompt, answer, decided, start, number)
        wanted = [*answer] if branch.kind == "verdict" else [*answer, self._end]
        for offset, token in enumerate(wanted):
            row.labels[first - 1 + offset] = token
            row.kinds[first - 1 + offset] = KINDS.index(branch.kind)

    def _names(self, row: _Row, branch: Branch, ends: tuple[int, ...], number: int) -> tuple[int, ...]:
        """Let every name look for its thing; returns the columns that the answer should look at.

        Where something that was asked for is not met, these are the places that say so.
        """
        start, columns = len(row.ids), list[int]()
        for name in branch.named:
            assert branch.scene is not None, "a branch that names things says in which scene"
            column = start + next(i for i, stop in enumerate(ends) if stop >= name.end)
            things = name.pattern.among(branch.scene)
            row.mentions.append(
                Mention(row=number, column=column, pattern=name.pattern, scene=branch.scene,
                        partner=name.partner, met=name.met)
            )  # fmt: skip
            row.look(number, column, things, "named")
            row.tally(number, column, things)
            if name.partner:
                row.gazes.append(Gaze(row=number, column=column, tokens=(columns[-1],), guide="pair"))
            columns.append(column)
        failed = [column for column, name in zip(columns, branch.named, strict=True) if name.met is False]
        return tuple(failed or columns)

    def _repeat(
        self,
        row: _Row,
        prompt: tuple[int, ...],
        answer: tuple[int, ...],
        decided: dict[int, int],
        start: int,
        number: int,
    ) -> None:
        """While words of the request are repeated, follow them there, and keep in mind what was named last."""
        first = len(row.ids) - len(answer)
        found = sources(prompt, answer)
        heads = {place for place, token in enumerate(prompt) if token in self._nouns}
        onward = destinations(found, heads)
        onward = [(decided[i],) if i in decided else place for i, place in enumerate(onward)]
        for guide, places, step in (("here", found, 0), ("onward", onward, -1)):
            for offset, tokens in enumerate(places):
                if tokens:
                    columns = tuple(start + token for token in tokens)
                    row.gazes.append(
                        Gaze(row=number, column=first + offset + step, tokens=columns, guide=guide)
                    )
        for offset, noun in enumerate(latest(row.ids[start:], self._nouns)):
            if noun is not None and (offset + number) % 2 == 0:  # half of them cost half as much
                row.gazes.append(
                    Gaze(row=number, column=start + offset, tokens=(start + noun,), guide="latest")
                )

    def _fates(
        self,
        row: _Row,
        branch: Branch,
        ends: tuple[int, ...],
        written: tuple[int, ...],
        start: int,
        number: int,
    ) -> dict[int, int]:
        """At every thing of the reference, look for what the request says of it.

        Returns, for the tokens of the answer that decide on a thing, the place of its name in the prompt.
        """
        decided = dict[int, int]()
        for fate in branch.fates:
            place = next(i for i, stop in enumerate(ends) if stop >= fate.end)
            said = [start + i for i, stop in enumerate(ends) for a, b in fate.said if a < stop <= b]
            row.fates.append((number, start + place, fate.type))
            row.gazes.append(
                Gaze(row=number, column=start + place, tokens=tuple(said) or (NOTHING,), guide="told")
            )
            twin = [start + i for i, stop in enumerate(ends) if fate.before and stop >= fate.before][:1]
            row.gazes.append(
                Gaze(row=number, column=start + place, tokens=tuple(twin) or (NOTHING,), guide="again")
            )
            for a, b in fate.decided:
                decided |= {i: place for i, stop in enumerate(written) if a < stop <= b}
        return decided

    def _describe(self, row: _Row, branch: Branch, first: int, number: int) -> None:
        """While a caption names a thing, from its article to its noun, look at that thing."""
        assert branch.scene is not None
        _, ends = self.encode(branch.answer)
        start = branch.answer.index(":") + 1
        for thing in branch.scene.things:
            stop = branch.answer.index(f"{thing.colour} {thing.kind}", start) + len(
                f"{thing.colour} {thing.kind}"
            )
            for offset, end in enumerate(ends):
                if start < end < stop:
                    row.look(number, first + offset, [thing], "next")
            start = stop


class _Row:
    """One row under construction, as plain lists."""

    def __init__(self) -> None:
        self.ids: list[int] = []
        self.labels: list[int] = []
        self.kinds: list[int] = []
        self.branch: list[int] = []
        self.positions: list[tuple[int, int, int]] = []
        self.mentions: list[Mention] = []
        self.gazes: list[Gaze] = []
        self.fates: list[tuple[int, int, str]] = []
        self.last_image = 0  # column of the last picture's first token
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
        self.last_image = len(self.ids)
        grid = [(start, start + y, start + x) for y in range(side) for x in range(side)]
        self._append([token] * IMAGE_TOKENS, 0, grid)
        self._next[0] = start + side

    def look(self, number: int, column: int, things: Sequence[Thing], guide: str) -> None:
        """Remember that `column` should attend to the last picture's tokens that `things` cover, or to NOTHING."""
        tokens = sorted({self.last_image + token for thing in things for token in covered(thing)})
        self.gazes.append(Gaze(row=number, column=column, tokens=tuple(tokens) or (NOTHING,), guide=guide))

    def tally(self, number: int, column: int, things: Sequence[Thing]) -> None:
        """Attention that can be counted with: an equal share for every thing and a fixed one for NOTHING.

        What is attended to is averaged, so that two red houses feel like one; how much is left for NOTHING tells.
        """
        tokens = (NOTHING, *(self.last_image + middle(thing) for thing in things))
        whole = _REST + len(things)
        shares = (_REST / whole, *([1 / whole] * len(things)))
        self.gazes.append(Gaze(row=number, column=column, tokens=tokens, guide="tally", shares=shares))

    def look_back(self, number: int, every: int = 4) -> None:
        """One place in four should attend to the token before it: names are put together from such looks."""
        for column in range(1 + number % every, len(self.ids), every):
            if self.branch[column] == self.branch[column - 1]:
                self.gazes.append(Gaze(row=number, column=column, tokens=(column - 1,), guide="previous"))


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


def block_mask(branch: torch.Tensor) -> torch.Tensor:
    """Who may attend to whom: (b, 1, l, l) from branch numbers (b, l); 0 is the prefix, -1 padding.

    Every token sees the prefix and its own branch, up to itself; padding sees itself only, so that no row of the
    softmax is empty.
    """
    length = branch.shape[1]
    query, key = branch[:, :, None], branch[:, None, :]
    causal = torch.ones(length, length, dtype=torch.bool).tril()
    seen = ((key == 0) | (key == query)) & (query >= 0) & (key >= 0) & causal
    return (seen | torch.eye(length, dtype=torch.bool))[:, None]
