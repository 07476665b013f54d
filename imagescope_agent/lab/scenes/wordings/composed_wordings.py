"""Composed queries in many sentence frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

from imagescope_agent.lab.scenes.edits import Edit
from imagescope_agent.lab.scenes.kept_queries import all_kept
from imagescope_agent.lab.scenes.language import join, plural
from imagescope_agent.lab.scenes.wordings.frames import frame, frames, frames_with
from imagescope_agent.lab.scenes.wordings.spoken import colour_words, place_words, spoken, thing_words

_WHOLE = 0.7  # share of queries that keep things in whole frames, where there is one


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

    def kept(self, names: Mapping[str, str], edits: Sequence[Edit], rng: Random) -> str:
        """See `KeptWording`."""
        text = self._whole(names, edits, rng) if rng.random() < _WHOLE else None
        if text is None:
            *before, last = (self._words(edit, rng) for edit in edits)
            if before:
                both = rng.choice(("{a}, {b}", self._frame("both", rng)))
                last = both.format(a=", ".join(before), b=last)
            text = self._frame("keep", rng).format(k=all_kept(names), e=last)
        return spoken(text, rng, self.unseen)

    def _whole(self, names: Mapping[str, str], edits: Sequence[Edit], rng: Random) -> str | None:
        """All in one frame; None where none has a place for each change.

        "x" is a kept thing and "y" the other; "c" and "w" are the colour and the size of x, "d" the colour of y.
        """
        kinds = rng.sample(list(names), len(names))
        slots: dict[str, str] = {}
        for edit in edits:
            of_first = bool(edit.named) and edit.named[0].kind == kinds[0]
            if edit.frame == "recolour":
                slots["c" if of_first else "d"] = colour_words(edit.slots["c"], rng, self.unseen)
            elif edit.frame == "resize":
                if not of_first:
                    return None
                slots["w"] = edit.slots["w"]
            elif edit.frame == "move":
                slots["p"] = place_words(edit.after.setting, rng, self.unseen)
            else:
                slots |= {
                    name: thing_words(a, rng, self.unseen) for name, a in zip("ab", edit.named, strict=False)
                }
        kind = "one" if len(names) == 1 else "two"
        fitting = frames_with("kept", kind, frozenset(slots), unseen=self.unseen)
        nouns = dict(zip("xy", (names[kind] for kind in kinds), strict=False))
        return rng.choice(fitting).format(k=f"the {nouns['x']}", **nouns, **slots) if fitting else None

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
        every = frames("composed", edit.frame, unseen=self.unseen)
        form = rng.choice([each for each in every if each.count("{x}") == each.count("the {x}") == 1])
        return form.replace("the {x}'s", "its").replace("the {x}", "it").format(**edit.slots)

    def _frame(self, kind: str, rng: Random) -> str:
        return frame("composed", kind, rng, unseen=self.unseen)
