"""Packs turns about the same images into one row: a shared prefix, then branches that do not attend to each other.

The model computes exactly what it does when each turn is asked alone, with a fraction of the tokens; the positions of
every branch start where the prefix ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from transformers import PreTrainedTokenizerFast

from imagescope_agent.lab.scenes.conditions import PLURALS
from imagescope_agent.lab.scenes.language import SYNONYMS
from imagescope_agent.lab.scenes.world import Scene
from imagescope_agent.lab.training.data.batch import PackedBatch
from imagescope_agent.lab.training.data.copy_alignment import copy_sources, next_sources, previous_nouns
from imagescope_agent.lab.training.data.packed_row import IGNORE, PackedGrade, PackedMention, RowBuilder
from imagescope_agent.lab.training.data.targets import attention_targets, auxiliary_targets
from imagescope_agent.lab.training.data.turn import CandidateText, ImageContext, TextMention, TrainingTurn
from imagescope_agent.lab.training.network.image_grid import IMAGE_TOKENS

#: Groups of answer tokens in the loss: kinds of turn, then the first token of a judgement and the grades in answers.
TURN_KINDS = ("caption", "verdict", "judge", "text", "talk", "grade", "best", "order", "grades", "chain",
              "decision", "match")  # fmt: skip

#: The images of a row, and the turns about them.
RowTurns = tuple[ImageContext, Sequence[TrainingTurn]]
_ONE_TOKEN = ("verdict", "best")  # kinds of which only the first token of the answer is ever used


class Packer:
    """Packs turns into batches of token ids with one tokenizer."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        self._tokenizer = tokenizer

        def token(name: str) -> int:
            return int(tokenizer.convert_tokens_to_ids(name))  # type: ignore[arg-type]

        self._start, self._end = token("<|im_start|>"), token("<|im_end|>")
        self._vision = token("<|vision_start|>"), token("<|image_pad|>"), token("<|vision_end|>")
        self.image_token = self._vision[1]
        words = [*PLURALS, *PLURALS.values(), *(word for more in SYNONYMS.values() for word in more)]
        self._nouns = frozenset(self._token_ids(" " + word)[-1] for word in words)
        self._user = [self._start, *self._token_ids("user\n")]
        self._assistant = [self._end, *self._token_ids("\n"), self._start, *self._token_ids("assistant\n")]
        self._encode = lru_cache(maxsize=100_000)(self._encode_uncached)

    def _token_ids(self, text: str) -> list[int]:
        return list(self._tokenizer(text, add_special_tokens=False).input_ids)

    def _encode_uncached(self, text: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Token ids and the end of each token in characters."""
        coded = self._tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        return tuple(coded.input_ids), tuple(end for _, end in coded.offset_mapping)

    def pack(
        self, rows: Sequence[RowTurns], images: Sequence[int] = (), loss_scale: float = 1.0
    ) -> PackedBatch:
        """Pack rows of turns; `images` are their images' numbers in the pool."""
        built = [self._row(context, turns, number) for number, (context, turns) in enumerate(rows)]
        length = max(len(row.ids) for row in built)
        length += -length % 16  # few different lengths reduce fragmentation of the allocator
        shape = (len(built), length)
        ids, branch = np.zeros(shape, dtype=np.int64), np.full(shape, -1)
        labels, kinds = np.full(shape, IGNORE), np.zeros(shape, dtype=np.int64)
        positions = np.zeros((3, *shape), dtype=np.int64)
        for number, row in enumerate(built):
            n = len(row.ids)
            ids[number, :n], labels[number, :n] = row.ids, row.labels
            kinds[number, :n], branch[number, :n] = row.kinds, row.branch
            positions[:, number, :n] = np.array(row.positions).T
        where = np.nonzero(labels != IGNORE)
        return PackedBatch(
            ids=ids,
            positions=positions,
            branch=branch,
            images=np.array(images, dtype=np.int64),
            answers={"row": where[0], "column": where[1], "token": labels[where], "kind": kinds[where]},
            auxiliary=auxiliary_targets(built),
            attention=attention_targets([target for row in built for target in row.attention]),
            loss_scale=loss_scale,
            kinds=tuple(TURN_KINDS[kind] for kind in np.unique(kinds[where])),
        )

    def _row(self, context: ImageContext, turns: Sequence[TrainingTurn], number: int) -> RowBuilder:
        row = RowBuilder(number)
        row.add_text(self._user, branch=0)
        before: CandidateText | None = None
        for label, after in zip(context.labels, context.texts, strict=True):
            self._add_text(row, before, label, [self._vision[0]])
            labelled = len(row.ids) - 3  # the token before the colon
            row.add_image(self._vision[1])
            row.image_labels.append(labelled)
            if label:
                for token in range(number % 3, IMAGE_TOKENS, 3):  # a third of the tokens suffices
                    row.attend(row.images[-1] + token, (labelled,), "label")
            row.add_text([self._vision[2]], branch=0)
            before = after
        self._add_text(row, before, "", [])
        for branch, turn in enumerate(turns, start=1):
            self._add_turn(row, turn, branch)
        row.attend_to_previous()
        return row

    def _add_text(self, row: RowBuilder, text: CandidateText | None, label: str, more: list[int]) -> None:
        """The text after the last image, if any, then the label of the next one, in one piece."""
        start = len(row.ids)
        tokens, ends = self._encode((text.text if text else "") + label)
        row.add_text([*tokens, *more], branch=0)
        if text:
            self._candidate_targets(row, text, start, ends)

    def _candidate_targets(
        self, row: RowBuilder, text: CandidateText, start: int, ends: tuple[int, ...]
    ) -> None:
        """Targets of the text after the last image: its label, grounding, conditions and grade."""
        columns = self._mention_targets(row, text.mentions, text.scene, ends, start)
        label, checks = row.ids[row.image_labels[-1]], list[PackedGrade]()
        for check in text.checks:
            column = start + _token_reaching(ends, check.end)
            checks.append(PackedGrade(row=row.number, column=column, grade=int(check.satisfied), label=label))
        end = start + _token_reaching(ends, len(text.text))
        row.condition_grades += checks
        row.candidate_grades.append(PackedGrade(row=row.number, column=end, grade=text.grade, label=label))
        failed = [check.column for check in checks if not check.grade]
        row.attend(end, failed or [check.column for check in checks], "answer")
        for column in {end, *columns, *(check.column for check in checks)}:
            row.attend(column, (row.image_labels[-1],), "label")

    def _mention_targets(
        self,
        row: RowBuilder,
        mentions: Sequence[TextMention],
        scene: Scene,
        ends: tuple[int, ...],
        start: int,
    ) -> list[int]:
        """Let every mention attend to its things in the last image; returns the mentions' columns."""
        columns = list[int]()
        for mention in mentions:
            column = start + _token_reaching(ends, mention.end)
            things = mention.pattern.among(scene)
            row.mentions.append(
                PackedMention(
                    row=row.number,
                    column=column,
                    pattern=mention.pattern,
                    scene=scene,
                    subject=mention.subject,
                    satisfied=mention.satisfied,
                )
            )
            row.attend_to_things(column, things, "grounding")
            row.attend_for_count(column, things)
            if mention.subject:
                row.attend(column, (columns[-1],), "relation")
            columns.append(column)
        return columns

    def _add_turn(self, row: RowBuilder, turn: TrainingTurn, branch: int) -> None:
        prompt, prompt_ends = self._encode(turn.prompt)
        answer, answer_ends = self._encode(turn.answer)
        start = len(row.ids)
        named = self._prompt_mentions(row, turn, prompt_ends)
        row.add_text([*prompt, *self._assistant, *answer], branch=branch)
        first = len(row.ids) - len(answer)
        if named:
            row.attend(first - 1, named, "answer")
        if turn.kind == "caption":
            self._caption_targets(row, turn, first)
        if turn.kind in ("text", "talk"):
            deciding = self._edit_targets(row, turn, prompt_ends, answer_ends, start)
            self._copy_targets(row, prompt, answer, deciding, start)
        predicted = [*answer] if turn.kind in _ONE_TOKEN else [*answer, self._end]
        for offset, token in enumerate(predicted):
            row.labels[first - 1 + offset] = token
            row.kinds[first - 1 + offset] = TURN_KINDS.index(turn.kind)
        if turn.kind == "judge":
            row.kinds[first - 1] = TURN_KINDS.index("decision")
        for marks, head in ((turn.graded, "grade"), (turn.ranked, "rank")):
            for place, images in marks:
                column = first + _token_reaching(answer_ends, place) if place else first - 1
                row.attend(column, [row.candidate_grades[image].column for image in images], head)
                if head == "grade":
                    row.kinds[column] = TURN_KINDS.index("match")

    def _prompt_mentions(self, row: RowBuilder, turn: TrainingTurn, ends: tuple[int, ...]) -> list[int]:
        """Targets of the prompt's mentions; returns the columns that the answer should attend to.

        These are the mentions of unsatisfied conditions if there are any, else all.
        """
        if not turn.mentions:
            return []
        assert turn.scene is not None, "a turn with mentions says in which scene"
        columns = self._mention_targets(row, turn.mentions, turn.scene, ends, len(row.ids))
        failed = [c for c, mention in zip(columns, turn.mentions, strict=True) if mention.satisfied is False]
        return failed or columns

    def _copy_targets(
        self,
        row: RowBuilder,
        prompt: tuple[int, ...],
        answer: tuple[int, ...],
        deciding: dict[int, int],
        start: int,
    ) -> None:
        """Let copied tokens of the answer attend to their sources, and tokens to the noun before them."""
        first = len(row.ids) - len(answer)
        sources = copy_sources(prompt, answer)
        nouns = {place for place, token in enumerate(prompt) if token in self._nouns}
        following = next_sources(sources, nouns)
        following = [(deciding[i],) if i in deciding else places for i, places in enumerate(following)]
        for head, all_places, shift in (("copy", sources, 0), ("copy_next", following, -1)):
            for offset, places in enumerate(all_places):
                if places:
                    row.attend(first + offset + shift, [start + place for place in places], head)
        for offset, noun in enumerate(previous_nouns(row.ids[start:], self._nouns)):
            if noun is not None and (offset + row.number) % 2 == 0:  # half of the tokens halves the cost
                row.attend(start + offset, (start + noun,), "noun")

    def _edit_targets(
        self,
        row: RowBuilder,
        turn: TrainingTurn,
        prompt_ends: tuple[int, ...],
        answer_ends: tuple[int, ...],
        start: int,
    ) -> dict[int, int]:
        """Let every thing of the reference attend to what the query says of it.

        Returns, for the tokens of the answer that decide about a thing, the place of its name in the prompt.
        """
        deciding = dict[int, int]()
        for edit in turn.edits:
            place = _token_reaching(prompt_ends, edit.end)
            request = [
                start + i for i, end in enumerate(prompt_ends) for a, b in edit.request_spans if a < end <= b
            ]
            row.edit_labels.append((row.number, start + place, edit.type))
            row.attend(start + place, request, "edit")
            earlier = edit.duplicate_of
            duplicate = [start + i for i, end in enumerate(prompt_ends) if earlier and end >= earlier][:1]
            row.attend(start + place, duplicate, "duplicate")
            for a, b in edit.answer_spans:
                deciding |= {i: place for i, end in enumerate(answer_ends) if a < end <= b}
        return deciding

    def _caption_targets(self, row: RowBuilder, turn: TrainingTurn, first: int) -> None:
        """While a caption names a thing, from its article to its noun, attend to that thing."""
        assert turn.scene is not None, "a caption is of a scene"
        _, ends = self._encode(turn.answer)
        start = turn.answer.index(":") + 1
        for thing in turn.scene.things:
            name = f"{thing.colour} {thing.kind}"
            stop = turn.answer.index(name, start) + len(name)
            for offset, end in enumerate(ends):
                if start < end < stop:
                    row.attend_to_things(first + offset, [thing], "caption")
            start = stop


def _token_reaching(ends: Sequence[int], end: int) -> int:
    """The first token that ends at or after a position in characters."""
    return next(i for i, stop in enumerate(ends) if stop >= end)
