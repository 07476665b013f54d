"""Training data of a model that reasons, then embeds: triplets, chains about them, and the batches of a step."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

from imagescope_agent.errors import BadInput
from imagescope_agent.replies.chains import Chain
from imagescope_agent.retrieval.image_files import find_images
from imagescope_agent.training_data.triplet_files import Triplet, records

HELD_OUT = 0.05  # share of the references


@dataclass(frozen=True, kw_only=True)
class Example:
    """A query and its target.

    Args:
        reference: id of an image; None for a query of words alone.
        text: of the user.
        target: id of the image that is wanted.
        distractors: ids of images that are alike and not wanted.
        chain: what to write before embedding; None where nobody wrote one.
    """

    reference: str | None
    text: str
    target: str
    distractors: tuple[str, ...] = ()
    chain: Chain | None = None

    @property
    def group(self) -> str:
        """What is asked together: the queries about one reference, which are each other's hard negatives."""
        return self.reference or f"{self.target} {self.text}"

    @property
    def names(self) -> list[str]:
        """Every image that it is about."""
        return [each for each in (self.reference, self.target, *self.distractors) if each]


def read_examples(triplets: Sequence[Triplet], chains: Path, ids: Iterable[str]) -> list[Example]:
    """Triplets with the chains about them, and what else a file of chains holds.

    Args:
        triplets: of any of the forms that are read.
        chains: JSON lines of `imagescope annotate`: a triplet's keys with "caption", "reasoning", "conclusion"; the
            reference is null where words alone are asked.
        ids: of the images.

    Raises:
        BadInput: the file is missing, damaged or empty, or names an image that there is not.
    """
    known = frozenset(ids)
    found = {
        (each.reference, each.text, each.target): Example(
            reference=each.reference, text=each.text, target=each.target, distractors=each.distractors
        )
        for each in triplets
    }
    count = 0
    for place, record in records(chains):
        example = _example(record, place)
        for name in example.names:
            if name not in known:
                raise BadInput(
                    f"{place}: there is no image {name!r}; name the folder of the images (--images)"
                )
        key = (str(example.reference), example.text, example.target)
        before = found.get(key, example)
        found[key] = replace(before, chain=example.chain)
        count += 1
    if not count:
        raise BadInput(f"{str(chains)!r} holds no chains; make some with `imagescope annotate`")
    return list(found.values())


def _example(record: Mapping[str, Any], place: str) -> Example:
    """A line of a file of chains.

    Raises:
        BadInput: it lacks something.
    """
    reference, others = record.get("reference"), record.get("distractors", [])
    texts = [record.get(name) for name in ("text", "target", "caption", "reasoning", "conclusion")]
    whole = all(isinstance(each, str) and each.strip() for each in texts)
    lists = isinstance(others, list) and all(isinstance(each, str) for each in others)
    if not whole or not lists or not isinstance(reference, str | None):
        raise BadInput(
            f"{place}: a chain has texts reference (or null), text, target, caption, reasoning, conclusion and a list "
            "of distractors; make it with `imagescope annotate`"
        )
    text, target, caption, reasoning, conclusion = (str(each) for each in texts)
    chain = Chain(caption=caption, reasoning=reasoning, conclusion=conclusion)
    return Example(
        reference=reference, text=text, target=target, distractors=tuple(map(str, others)), chain=chain
    )


def split(examples: Sequence[Example]) -> tuple[list[Example], list[Example]]:
    """Training examples, and those of held-out groups; one that leads to a held-out reference is in neither."""

    def chosen(name: str) -> bool:
        return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4]) < HELD_OUT * 2**32

    held = [each for each in examples if chosen(each.group)]
    return [each for each in examples if not chosen(each.group) and not chosen(each.target)], held


class Batches:
    """The examples of every step; step `n` always has the same ones.

    Args:
        examples: to draw from.
        seed: of the draws.
        groups: references of a step, each with up to `per_group` examples.
        texts: queries of words alone.
    """

    def __init__(
        self, examples: Sequence[Example], seed: int, *, groups: int, texts: int, per_group: int = 3
    ) -> None:
        self._seed, self._groups, self._texts, self._per_group = seed, groups, texts, per_group
        grouped: dict[str, list[Example]] = {}
        for each in examples:
            if each.reference is not None:
                grouped.setdefault(each.group, []).append(each)
        self._composed = list(grouped.values())
        self._words = [each for each in examples if each.reference is None]

    def step(self, number: int, *, chains: bool) -> list[Example]:
        """The examples of a step; only ones with a chain where those are learnt."""
        rng = Random(f"{self._seed}-{number}")
        taken: list[Example] = []
        # groups without a chain are left out before the draw: most have none where few triplets were annotated
        groups = [[each for each in group if each.chain or not chains] for group in self._composed]
        groups = [group for group in groups if group]
        for usable in rng.sample(groups, min(self._groups, len(groups))):
            taken += rng.sample(usable, min(self._per_group, len(usable)))
        words = [each for each in self._words if each.chain or not chains]
        return [*taken, *rng.sample(words, min(self._texts, len(words)))]


def rivals(examples: Sequence[Example], names: Sequence[str], *, most: int) -> list[list[bool]]:
    """For every example and image, whether the image is wanted or a negative; others say nothing.

    An image that stands only with other queries about the same reference may be what is wanted as well, unless it is
    among the distractors.
    """
    users: dict[str, set[str]] = {}
    for each in examples:
        for name in shown(each, most):
            users.setdefault(name, set()).add(each.group)
    return [[name in each.names or users[name] != {each.group} for name in names] for each in examples]


def shown(example: Example, most: int) -> list[str]:
    """The images of an example that a step embeds, with at most so many distractors."""
    return [
        name for name in (example.target, example.reference, *example.distractors[:most]) if name is not None
    ]


def image_ids(folder: Path) -> list[str]:
    """The images below a folder, by relative path.

    Raises:
        BadInput: there is no such folder, or it holds none.
    """
    return [each.id for each in find_images(folder, None)[0]]
