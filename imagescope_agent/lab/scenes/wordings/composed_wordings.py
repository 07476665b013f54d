"""Composed queries in many sentence frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from imagescope_agent.lab.scenes.edits import Edit
from imagescope_agent.lab.scenes.wordings.frames import frame
from imagescope_agent.lab.scenes.wordings.text_wordings import noisy


@dataclass(frozen=True)
class FramedWording:
    """A `composed_queries.Wording` in random frames; `unseen`: those held out."""

    unseen: bool = False

    def edits(self, edits: Sequence[Edit], rng: Random) -> str:
        """See `Wording`."""
        first, *more = (self._words(edit, rng) for edit in edits)
        for other in more:
            first = self._frame("both", rng).format(a=first, b=other)
        return noisy(self._frame("start", rng).format(s=first), rng)

    def retention(self, named: str, edit: Edit, rng: Random) -> str:
        """See `Wording`."""
        return noisy(self._frame("keep", rng).format(k=named, e=self._words(edit, rng)), rng)

    def _words(self, edit: Edit, rng: Random) -> str:
        return self._frame(edit.frame, rng).format(**edit.slots)

    def _frame(self, kind: str, rng: Random) -> str:
        return frame("composed", kind, rng, unseen=self.unseen)
