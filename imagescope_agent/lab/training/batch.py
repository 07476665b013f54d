"""A packed batch: as arrays, the way a worker process hands it over, and as tensors on the device that trains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch

from imagescope_agent.lab.scenes.conditions import Pattern
from imagescope_agent.lab.scenes.world import Scene, Thing
from imagescope_agent.lab.training.examples import FATES
from imagescope_agent.lab.training.packed_row import Found, Gaze, Mention

MOST = 4  # the count head tells 0, 1, 2, 3 and "4 or more" apart

Arrays = dict[str, np.ndarray]
Tensors = Mapping[str, torch.Tensor]


class Packed(NamedTuple):
    """Rows of turns, padded on the right.

    Attributes:
        ids: tokens (b, l).
        positions: (3, b, l).
        branch: (b, l), 0 for what all turns of a row begin with, -1 for padding.
        pictures: numbers in the pool, in order of appearance.
        answers: "row", "column", "token" and "kind" (index into `packing.KINDS`) of every token to be predicted.
        lessons: by name what a head is asked, see `lessons`.
        gazes: by guide "row" and "column" of n gazes, "which" of them may look at "token", and its "share" if told.
        share: of its kinds' weight in the loss.
        kinds: of turn that are in it.
    """

    ids: np.ndarray
    positions: np.ndarray
    branch: np.ndarray
    pictures: np.ndarray
    answers: Arrays
    lessons: dict[str, Arrays]
    gazes: dict[str, Arrays]
    share: float
    kinds: tuple[str, ...]


class Batch(NamedTuple):
    """The same as tensors; `mask` (b, 1, l, l) is True where attention is allowed."""

    ids: torch.Tensor
    positions: torch.Tensor
    mask: torch.Tensor
    answers: Tensors
    lessons: Mapping[str, Tensors]
    gazes: Mapping[str, Tensors]
    share: float
    kinds: tuple[str, ...]  # of turn that are in it


def on_device(packed: Packed, device: torch.device) -> Batch:
    """Copy a batch to where it is learnt from."""

    def moved(array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(array).to(device)

    def all_of(arrays: Arrays) -> Tensors:
        return {name: moved(array) for name, array in arrays.items()}

    return Batch(
        ids=moved(packed.ids),
        positions=moved(packed.positions),
        mask=block_mask(moved(packed.branch)),
        answers=all_of(packed.answers),
        lessons={name: all_of(arrays) for name, arrays in packed.lessons.items()},
        gazes={name: all_of(arrays) for name, arrays in packed.gazes.items()},
        share=packed.share,
        kinds=packed.kinds,
    )


def block_mask(branch: torch.Tensor) -> torch.Tensor:
    """Who may attend to whom: (b, 1, l, l) from branch numbers (b, l); 0 is the prefix, -1 padding.

    Every token sees the prefix and its own branch, up to itself; padding sees itself only, so that no row of the
    softmax is empty.
    """
    length = branch.shape[1]
    query, key = branch[:, :, None], branch[:, None, :]
    causal = torch.ones(length, length, dtype=torch.bool, device=branch.device).tril()
    seen = ((key == 0) | (key == query)) & (query >= 0) & (key >= 0) & causal
    return (seen | torch.eye(length, dtype=torch.bool, device=branch.device))[:, None]


def gaze_arrays(gazes: Sequence[Gaze]) -> dict[str, Arrays]:
    """Gazes by guide."""
    groups: dict[str, list[Gaze]] = {}
    for gaze in gazes:
        groups.setdefault(gaze.guide, []).append(gaze)
    made: dict[str, Arrays] = {}
    for guide, group in groups.items():
        made[guide] = {
            **_places(group),
            "which": np.repeat(np.arange(len(group)), [len(gaze.tokens) for gaze in group]),
            "token": np.array([token for gaze in group for token in gaze.tokens]),
        }
        if group[0].shares:
            made[guide]["share"] = np.array([s for gaze in group for s in gaze.shares], dtype=np.float32)
    return made


def lessons(
    mentions: Sequence[Mention],
    fates: Sequence[tuple[int, int, str]],
    found: Sequence[Found],
    ends: Sequence[Found],
) -> dict[str, Arrays]:
    """What the heads are asked, each at some places ("row", "column").

    "grounding": "count" of the things named there (n,), and of the only one its "where" (n, 3) x, y, diameter;
    "sides": "truth" (n, 2), the thing named before is left of this one, is above it, where both are the only ones;
    "met": "truth" (n, 1), whether what is said is fulfilled;
    "fates": "grade", index of what becomes of a thing; "found", "ends": "grade" and "label", see `Found`.
    """
    made: dict[str, Arrays] = {}
    if mentions:
        things = [mention.pattern.among(mention.scene) for mention in mentions]
        where = [(t[0].x, t[0].y, t[0].diameter) if len(t) == 1 else (0.0, 0.0, 0.0) for t in things]
        count = np.array([min(len(each), MOST) for each in things])
        made["grounding"] = {
            **_places(mentions),
            "count": count,
            "where": np.array(where, dtype=np.float32),
        }
    beside = [(m, _only(m.partner, m.scene), _only(m.pattern, m.scene)) for m in mentions if m.partner]
    sides = [(m, (a.x < b.x, a.y < b.y)) for m, a, b in beside if a and b]
    met = [(m, (m.met,)) for m in mentions if m.met is not None]
    for name, flags in (("sides", sides), ("met", met)):
        if flags:
            truth = np.array([told for _, told in flags], dtype=np.float32)
            made[name] = {**_places([mention for mention, _ in flags]), "truth": truth}
    if fates:
        rows, columns, types = zip(*fates, strict=True)
        grade = np.array([FATES.index(name) for name in types])
        made["fates"] = {"row": np.array(rows), "column": np.array(columns), "grade": grade}
    for name, marks in (("found", found), ("ends", ends)):
        if marks:
            grade, label = np.array([m.grade for m in marks]), np.array([m.label for m in marks])
            made[name] = {**_places(marks), "grade": grade, "label": label}
    return made


def _places(marks: Sequence[Mention] | Sequence[Found] | Sequence[Gaze]) -> Arrays:
    return {"row": np.array([m.row for m in marks]), "column": np.array([m.column for m in marks])}


def _only(pattern: Pattern | None, scene: Scene) -> Thing | None:
    """The one thing that is meant, if it is one."""
    found = pattern.among(scene) if pattern else []
    return found[0] if len(found) == 1 else None
