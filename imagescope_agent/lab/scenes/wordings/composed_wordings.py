"""Composed queries in many sentence frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from imagescope_agent.lab.scenes.edits import Edit
from imagescope_agent.lab.scenes.language import join, plural
from imagescope_agent.lab.scenes.wordings.frames import frame, frames
from imagescope_agent.lab.scenes.wordings.spoken import colour_words, place_words, spoken, thing_words


@dataclass(frozen=True)
class FramedWording:
    """A `composed_queries.Wording` and a `kept_queries.KeptWording` in random frames; `unseen`: those held out."""

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

    def kept(self, named: str, edits: Sequence[Edit], rng: Random) -> str:
        """See `KeptWording`."""
        *before, last = (self._words(edit, rng) for edit in edits)
        changes = ", ".join(before)
        if before:
            last = rng.choice(("{a}, {b}", self._frame("both", rng))).format(a=changes, b=last)
        return spoken(self._frame("keep", rng).format(k=named, e=last), rng, self.unseen)

    def _words(self, edit: Edit, rng: Random) -> str:
        slots = dict(edit.slots)
        if slots.get("x") == "":
            return self._of_it(edit, rng)
        if "x" in slots:
            slots["m"] = plural(slots["x"])
        if "a" in slots:
            slots["a"] = join([thing_words(thing, rng, self.unseen) for thing in edit.named])
        if "c" in slots:
            slots["c"] = colour_words(slots["c"], rng, self.unseen)
        if "p" in slots:
            slots["p"] = place_words(edit.after.setting, rng, self.unseen)
        return self._frame(edit.frame, rng).format(**slots)

    def _of_it(self, edit: Edit, rng: Random) -> str:
        """The edit of the only thing kept: frames about "the {x}" say "it"."""
        form = rng.choice(
            [each for each in self._frames(edit.frame) if each.count("{x}") == each.count("the {x}") == 1]
        )
        form = form.replace("the {x}'s", "its").replace("the {x}", "it")
        return form.format(**edit.slots)

    def _frames(self, kind: str) -> Sequence[str]:
        return frames("composed", kind, unseen=self.unseen)

    def _frame(self, kind: str, rng: Random) -> str:
        return frame("composed", kind, rng, unseen=self.unseen)
