"""Composed queries in many sentence frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from imagescope_agent.lab.scenes.edits import Edit
from imagescope_agent.lab.scenes.language import plural
from imagescope_agent.lab.scenes.wordings.frames import frame
from imagescope_agent.lab.scenes.wordings.spoken import colour_words, place_words, spoken, thing_words


@dataclass(frozen=True)
class FramedWording:
    """A `composed_queries.Wording` in random frames; `unseen`: those held out."""

    unseen: bool = False

    def edits(self, edits: Sequence[Edit], rng: Random) -> str:
        """See `Wording`."""
        first, *more = (self._words(edit, rng) for edit in edits)
        for other in more:
            first = self._frame("both", rng).format(a=first, b=other)
        return spoken(self._frame("start", rng).format(s=first), rng, self.unseen)

    def retention(self, named: str, edit: Edit, rng: Random) -> str:
        """See `Wording`."""
        kept = self._frame("keep", rng).format(k=named, e=self._words(edit, rng))
        return spoken(kept, rng, self.unseen)

    def _words(self, edit: Edit, rng: Random) -> str:
        slots = dict(edit.slots)
        if "x" in slots:
            slots["m"] = plural(slots["x"])
        if "a" in slots:
            slots["a"] = thing_words(edit.named[0], rng, self.unseen)
        if "c" in slots:
            slots["c"] = colour_words(slots["c"], rng, self.unseen)
        if "p" in slots:
            slots["p"] = place_words(edit.after.setting, rng, self.unseen)
        return self._frame(edit.frame, rng).format(**slots)

    def _frame(self, kind: str, rng: Random) -> str:
        return frame("composed", kind, rng, unseen=self.unseen)
