"""The report of one run of the indexer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from imagescope_agent.retrieval.images import Skipped


@dataclass(frozen=True, kw_only=True)
class IndexReport:
    """Counts, notes and cost of one run of the indexer.

    `new` images were captioned and embedded, `copies` have the content of another image and cost no model,
    `unchanged` were done before, `removed` are gone from the folder or no longer readable. `captioned` of those that
    were done before got their caption now, and `uncaptioned` have none yet, by the user's wish. `built` says what index
    was built for approximate search, and how many of the exact results it finds.
    """

    folder: str
    index: str
    images: int
    new: int
    copies: int
    unchanged: int
    removed: int
    skipped: tuple[Skipped, ...]
    notes: tuple[dict[str, str], ...]
    usage: dict[str, Any]
    seconds: float
    captioned: int = 0
    uncaptioned: int = 0
    built: tuple[str, ...] = ()
    nodes: dict[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        """A summary, then one line for each file that was skipped."""
        lines = [
            f"{self.images} images indexed in {self.index}: {self.new} new, {self.copies} copies, "
            f"{self.unchanged} unchanged, {self.removed} removed, {len(self.skipped)} skipped"
        ]
        if self.captioned or self.uncaptioned:
            lines.append(
                f"{self.captioned} captions added later, {self.uncaptioned} pictures without one yet"
            )
        if self.nodes:
            lines.append(f"computed by {shares(self.nodes)}")
        lines += self.built
        lines += [f"skipped {item.id!r}: {item.reason}" for item in self.skipped]
        lines += [f"{note['kind']}: {note['detail']}" for note in self.notes]
        return "\n".join(line.replace("\n", "\\n") for line in lines)


def shares(nodes: Mapping[str, int]) -> str:
    """How many nodes of a cluster did something, and how much each."""
    counts = ", ".join(f"{name[:8]} {count}" for name, count in sorted(nodes.items()))
    return f"{len(nodes)} {'node' if len(nodes) == 1 else 'nodes'}: {counts}"
