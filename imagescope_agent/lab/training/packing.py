"""Several turns about the same pictures in one row: a shared prefix, then branches that do not see one another.

Exactly what a model computes when each turn is asked alone, at a fraction of the tokens; the positions of every
branch start where the prefix ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from transformers import PreTrainedTokenizerFast

from imagescope_agent.lab.scenes.conditions import PLURALS
from imagescope_agent.lab.scenes.language import SYNONYMS
from imagescope_agent.lab.scenes.world import Scene
from imagescope_agent.lab.training.architecture import IMAGE_TOKENS
from imagescope_agent.lab.training.batch import Packed, gaze_arrays, lessons
from imagescope_agent.lab.training.copying import destinations, latest, sources
from imagescope_agent.lab.training.examples import Branch, Name, Pictures, Said
from imagescope_agent.lab.training.packed_row import IGNORE, Found, Mention, Row

KINDS = ("caption", "verdict", "judge", "text", "talk", "grade", "best", "order", "grades", "chain",
         "decision", "match")  # fmt: skip

#: The pictures of a row, and the turns about them.
Turns = tuple[Pictures, Sequence[Branch]]
_ONE_TOKEN = ("verdict", "best")  # one token is all that is ever read of such answers


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

    def pack(self, rows: Sequence[Turns], pictures: Sequence[int] = (), share: float = 1.0) -> Packed:
        """Rows of (pictures in front, branches), and the pictures' numbers in the pool."""
        made = [self._row(shown, branches, number) for number, (shown, branches) in enumerate(rows)]
        length = max(len(row.ids) for row in made)
        length += -length % 16  # few different lengths keep the allocator calm
        shape = (len(made), length)
        ids, branch = np.zeros(shape, dtype=np.int64), np.full(shape, -1)
        labels, kinds = np.full(shape, IGNORE), np.zeros(shape, dtype=np.int64)
        positions = np.zeros((3, *shape), dtype=np.int64)
        for number, row in enumerate(made):
            n = len(row.ids)
            ids[number, :n], labels[number, :n] = row.ids, row.labels
            kinds[number, :n], branch[number, :n] = row.kinds, row.branch
            positions[:, number, :n] = np.array(row.positions).T
        where = np.nonzero(labels != IGNORE)
        return Packed(
            ids=ids,
            positions=positions,
            branch=branch,
            pictures=np.array(pictures, dtype=np.int64),
            answers={"row": where[0], "column": where[1], "token": labels[where], "kind": kinds[where]},
            lessons=lessons(
                [mention for row in made for mention in row.mentions],
                [fate for row in made for fate in row.fates],
                [found for row in made for found in row.found],
                [end for row in made for end in row.ends],
            ),
            gazes=gaze_arrays([gaze for row in made for gaze in row.gazes]),
            share=share,
            kinds=tuple(KINDS[kind] for kind in np.unique(kinds[where])),
        )

    def _row(self, pictures: Pictures, branches: Sequence[Branch], number: int) -> Row:
        row = Row(number)
        row.add(self._user, branch=0)
        before: Said | None = None
        for label, said in zip(pictures.labels, pictures.said, strict=True):
            start = len(row.ids)
            text, ends = self.encode((before.text if before else "") + label)
            row.add([*text, self._vision[0]], branch=0)
            if before:
                self._said(row, before, start, ends)
            labelled = len(row.ids) - 3  # what stands before the colon
            row.add_image(self._vision[1])
            row.labelled.append(labelled)
            if label:
                for token in range(number % 3, IMAGE_TOKENS, 3):  # a third of them will do
                    row.gaze(row.images[-1] + token, (labelled,), "label")
            row.add([self._vision[2]], branch=0)
            before = said
        if before:
            start = len(row.ids)
            text, ends = self.encode(before.text)
            row.add(text, branch=0)
            self._said(row, before, start, ends)
        for index, branch in enumerate(branches, start=1):
            self._branch(row, branch, index)
        row.look_back()
        return row

    def _said(self, row: Row, said: Said, start: int, ends: tuple[int, ...]) -> None:
        """After the last picture: keep its label in mind, look for what is named, and tell what is met."""
        columns = list[int]()
        for name in said.named:
            columns.append(start + _reaching(ends, name.end))
            things = name.pattern.among(said.scene)
            row.mentions.append(_mention(row, columns[-1], name, said.scene))
            row.look(columns[-1], things, "named")
            row.tally(columns[-1], things)
            if name.partner:
                row.gaze(columns[-1], (columns[-2],), "pair")
        label, spots = row.ids[row.labelled[-1]], list[Found]()
        for spot in said.spots:
            column = start + _reaching(ends, spot.end)
            spots.append(Found(row=row.number, column=column, grade=int(spot.met), label=label))
        end = start + _reaching(ends, len(said.text))
        row.found += spots
        row.ends.append(Found(row=row.number, column=end, grade=said.grade, label=label))
        failed = [spot.column for spot in spots if not spot.grade]
        row.gaze(end, failed or [spot.column for spot in spots], "answer")
        for column in {end, *columns, *(spot.column for spot in spots)}:
            row.gaze(column, (row.labelled[-1],), "label")

    def _branch(self, row: Row, branch: Branch, index: int) -> None:
        prompt, ends = self.encode(branch.prompt)
        answer, written = self.encode(branch.answer)
        start = len(row.ids)
        named = self._names(row, branch, ends)
        tokens = [*prompt, *self._answer, *answer]
        row.add(tokens, branch=index)
        first = len(row.ids) - len(answer)
        if named:
            row.gaze(first - 1, named, "answer")
        if branch.kind == "caption" and branch.scene is not None:
            self._describe(row, branch, first)
        if branch.kind in ("text", "talk"):
            decided = self._fates(row, branch, ends, written, start)
            self._repeat(row, prompt, answer, decided, start)
        wanted = [*answer] if branch.kind in _ONE_TOKEN else [*answer, self._end]
        for offset, token in enumerate(wanted):
            row.labels[first - 1 + offset] = token
            row.kinds[first - 1 + offset] = KINDS.index(branch.kind)
        if branch.kind == "judge":
            row.kinds[first - 1] = KINDS.index("decision")
        for kind, guide in (("graded", "block"), ("ordered", "vote")):
            for place, pictures in getattr(branch, kind):
                column = first + _reaching(written, place) if place else first - 1
                row.gaze(column, [row.ends[picture].column for picture in pictures], guide)
                if kind == "graded":
                    row.kinds[column] = KINDS.index("match")

    def _names(self, row: Row, branch: Branch, ends: tuple[int, ...]) -> tuple[int, ...]:
        """Let every name look for its thing; returns the columns that the answer should look at.

        Where something that was asked for is not met, these are the places that say so.
        """
        start, columns = len(row.ids), list[int]()
        for name in branch.named:
            assert branch.scene is not None, "a branch that names things says in which scene"
            column = start + _reaching(ends, name.end)
            things = name.pattern.among(branch.scene)
            row.mentions.append(_mention(row, column, name, branch.scene))
            row.look(column, things, "named")
            row.tally(column, things)
            if name.partner:
                row.gaze(column, (columns[-1],), "pair")
            columns.append(column)
        failed = [column for column, name in zip(columns, branch.named, strict=True) if name.met is False]
        return tuple(failed or columns)

    def _repeat(
        self,
        row: Row,
        prompt: tuple[int, ...],
        answer: tuple[int, ...],
        decided: dict[int, int],
        start: int,
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
                    row.gaze(first + offset + step, columns, guide)
        for offset, noun in enumerate(latest(row.ids[start:], self._nouns)):
            if noun is not None and (offset + row.number) % 2 == 0:  # half of them cost half as much
                row.gaze(start + offset, (start + noun,), "latest")

    def _fates(
        self,
        row: Row,
        branch: Branch,
        ends: tuple[int, ...],
        written: tuple[int, ...],
        start: int,
    ) -> dict[int, int]:
        """At every thing of the reference, look for what the request says of it.

        Returns, for the tokens of the answer that decide on a thing, the place of its name in the prompt.
        """
        decided = dict[int, int]()
        for fate in branch.fates:
            place = _reaching(ends, fate.end)
            said = [start + i for i, stop in enumerate(ends) for a, b in fate.said if a < stop <= b]
            row.fates.append((row.number, start + place, fate.type))
            row.gaze(start + place, said, "told")
            twin = [start + i for i, stop in enumerate(ends) if fate.before and stop >= fate.before][:1]
            row.gaze(start + place, twin, "again")
            for a, b in fate.decided:
                decided |= {i: place for i, stop in enumerate(written) if a < stop <= b}
        return decided

    def _describe(self, row: Row, branch: Branch, first: int) -> None:
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
                    row.look(first + offset, [thing], "next")
            start = stop


def _reaching(ends: Sequence[int], end: int) -> int:
    """The first token that reaches up to a place in characters."""
    return next(i for i, stop in enumerate(ends) if stop >= end)


def _mention(row: Row, column: int, name: Name, scene: Scene) -> Mention:
    return Mention(
        row=row.number, column=column, pattern=name.pattern, scene=scene, partner=name.partner, met=name.met
    )
