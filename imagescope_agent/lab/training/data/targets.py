"""Arrays of the auxiliary targets and the attention targets of a packed batch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from imagescope_agent.lab.scenes.conditions import Pattern
from imagescope_agent.lab.scenes.world import Scene, Thing
from imagescope_agent.lab.training.data.packed_row import (
    AttentionTarget,
    PackedGrade,
    PackedMention,
    RowBuilder,
)
from imagescope_agent.lab.training.data.turn import EDIT_LABELS

MAX_COUNT = 4  # the count head's classes are 0, 1, 2, 3 and "4 or more"

Arrays = dict[str, np.ndarray]


def auxiliary_targets(rows: Sequence[RowBuilder]) -> dict[str, Arrays]:
    """The targets of the auxiliary heads that have any in these rows, each at n places ("row", "column").

    "grounding": "count" (n,) of the things named there, "where" (n, 3) x, y, diameter if there is exactly one;
    "relation": "truth" (n, 2), whether the subject is left of the thing named there and above it, if both are unique;
    "mention_satisfied": "truth" (n, 1), whether the image satisfies what is said there;
    "edit_label": "grade" (n,), index into `EDIT_LABELS`;
    "condition_satisfied", "candidate_grade": "grade" and "label" (n,), see `PackedGrade`.
    """
    mentions = [mention for row in rows for mention in row.mentions]
    targets: dict[str, Arrays] = {}
    if mentions:
        targets["grounding"] = _grounding(mentions)
    satisfied = [(m, (m.satisfied,)) for m in mentions if m.satisfied is not None]
    for name, truths in (("relation", _relations(mentions)), ("mention_satisfied", satisfied)):
        if truths:
            truth = np.array([value for _, value in truths], dtype=np.float32)
            targets[name] = {**_places([mention for mention, _ in truths]), "truth": truth}
    labels = [label for row in rows for label in row.edit_labels]
    if labels:
        numbers, columns, types = zip(*labels, strict=True)
        grade = np.array([EDIT_LABELS.index(name) for name in types])
        targets["edit_label"] = {"row": np.array(numbers), "column": np.array(columns), "grade": grade}
    conditions = [grade for row in rows for grade in row.condition_grades]
    candidates = [grade for row in rows for grade in row.candidate_grades]
    for name, grades in (("condition_satisfied", conditions), ("candidate_grade", candidates)):
        if grades:
            targets[name] = {
                **_places(grades),
                "grade": np.array([each.grade for each in grades]),
                "label": np.array([each.label for each in grades]),
            }
    return targets


def _grounding(mentions: Sequence[PackedMention]) -> Arrays:
    things = [mention.pattern.among(mention.scene) for mention in mentions]
    where = [(t[0].x, t[0].y, t[0].diameter) if len(t) == 1 else (0.0, 0.0, 0.0) for t in things]
    return {
        **_places(mentions),
        "count": np.array([min(len(each), MAX_COUNT) for each in things]),
        "where": np.array(where, dtype=np.float32),
    }


def _relations(mentions: Sequence[PackedMention]) -> list[tuple[PackedMention, tuple[bool, bool]]]:
    """Mentions of unique things with a unique subject, and whether the subject is left of and above the thing."""
    pairs = [(m, _unique(m.subject, m.scene), _unique(m.pattern, m.scene)) for m in mentions if m.subject]
    return [(m, (a.x < b.x, a.y < b.y)) for m, a, b in pairs if a and b]


def attention_targets(targets: Sequence[AttentionTarget]) -> dict[str, Arrays]:
    """Targets by head: "row" and "column" (n,); for all their keys "index" of the target, "key" and any "weight"."""
    groups: dict[str, list[AttentionTarget]] = {}
    for target in targets:
        groups.setdefault(target.head, []).append(target)
    arrays: dict[str, Arrays] = {}
    for head, group in groups.items():
        arrays[head] = {
            **_places(group),
            "index": np.repeat(np.arange(len(group)), [len(target.keys) for target in group]),
            "key": np.array([key for target in group for key in target.keys]),
        }
        if group[0].weights:
            weights = [weight for target in group for weight in target.weights]
            arrays[head]["weight"] = np.array(weights, dtype=np.float32)
    return arrays


def _places(
    targets: Sequence[PackedMention] | Sequence[PackedGrade] | Sequence[AttentionTarget],
) -> Arrays:
    return {"row": np.array([t.row for t in targets]), "column": np.array([t.column for t in targets])}


def _unique(pattern: Pattern | None, scene: Scene) -> Thing | None:
    """The one thing that matches; None if none or several do."""
    matching = pattern.among(scene) if pattern else []
    return matching[0] if len(matching) == 1 else None
