"""Composed queries that keep a few things of the reference and change them, as "just the umbrella, red, at sunset"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from random import Random
from typing import Protocol

from imagescope_agent.lab.scenes.composed_queries import kept_things
from imagescope_agent.lab.scenes.conditions import Exists, InSetting, Pattern
from imagescope_agent.lab.scenes.edits import Edit, EditState, add, move, recolour, resize
from imagescope_agent.lab.scenes.language import join, reworded
from imagescope_agent.lab.scenes.queries import QueryStep, SceneQuery, listing, with_setting
from imagescope_agent.lab.scenes.world import Scene, Thing

_ONE_MORE_THING = 0.4  # share of additions that are of two things


class KeptWording(Protocol):
    """Puts into words what is kept and what is changed."""

    def kept(self, names: Mapping[str, str], edits: Sequence[Edit], rng: Random) -> str:
        """The words for keeping some things, changed by edits; the rest may change.

        Args:
            names: nouns of the things by their kinds.
            edits: of them; one whose slot "x" is empty is about the one thing that is kept.
            rng: what the words are drawn by.
        """
        ...


class PlainKept:
    """A few words for all of it."""

    def kept(self, names: Mapping[str, str], edits: Sequence[Edit], rng: Random) -> str:
        """See `KeptWording`."""
        orders = join([edit.order for edit in edits])
        templates = ("keep {}, {}, the rest may change", "keep only {}, {}", "just {} again: {}")
        return rng.choice(templates).format(all_kept(names), orders)


def all_kept(names: Mapping[str, str]) -> str:
    """ "the boat and the cat"."""
    return join([f"the {noun}" for noun in names.values()])


_PLAIN = PlainKept()


def kept_query(reference: Scene, rng: Random, wording: KeptWording = _PLAIN) -> SceneQuery | None:
    """A query that keeps one or two things, each the only one of its kind, with one to three edits, if any.

    The steps follow the reference from left to right, then the setting, then what is new.
    """
    kept = kept_things(reference, rng)
    state = EditState(things=tuple(kept), free=(True,) * len(kept), setting=reference.setting)
    edits: list[Edit] = []
    for make in rng.sample((_changed, _changed, move, _added), rng.choice((1, 2, 2, 2, 3))):
        if (edit := make(state, rng)) is not None:
            edits.append(edit)
            state = edit.after
    if not kept or not edits:
        return None
    names = {thing.kind: reworded(Pattern(thing.kind), rng) for thing in kept}
    return _query(reference, kept, edits, state, wording.kept(names, edits, rng))


def _changed(state: EditState, rng: Random) -> Edit | None:
    """A kept thing in another colour or size; "it" where one thing is kept."""
    edit = rng.choice((recolour, recolour, resize))(state, rng)
    if edit is None or len(state.things) > 1 or rng.random() < 0.25:
        return edit
    order = edit.order.replace(f"the {edit.slots['x']}", "it")
    return replace(edit, order=order, slots={**edit.slots, "x": ""})


def _added(state: EditState, rng: Random) -> Edit | None:
    """One thing more, or two in one order."""
    first = add(state, rng)
    if first is None or rng.random() >= _ONE_MORE_THING or (second := add(first.after, rng)) is None:
        return first
    return replace(
        first,
        order=f"{first.order} and {second.slots['a']}",
        steps=first.steps + second.steps,
        after=second.after,
        named=first.named + second.named,
    )


def _query(
    reference: Scene, kept: Sequence[Thing], edits: Sequence[Edit], state: EditState, text: str
) -> SceneQuery:
    still = [_pattern(old, new) for old, new in zip(kept, state.things, strict=False)]
    added = [pattern for edit in edits if edit.frame == "add" for pattern in edit.named]
    moved = state.setting if any(edit.frame == "move" for edit in edits) else None
    steps = [
        QueryStep(_type(old, new), Exists(pattern))
        for old, new, pattern in zip(kept, state.things, still, strict=False)
    ]
    places = [reference.things.index(old) for old in kept]
    if moved:
        steps.append(QueryStep("Modification", InSetting(moved)))
        places.append(len(reference.things))
    steps += [QueryStep("Addition", Exists(pattern)) for pattern in added]
    places += [len(reference.things) + 1] * len(added)
    shown = listing([*still, *added])
    wanted = with_setting(shown, moved)
    return SceneQuery(
        kind="kept",
        text=text,
        steps=tuple(steps),
        core=shown,
        enhanced=wanted,
        full=wanted,
        places=tuple(places),
    )


def _pattern(old: Thing, new: Thing) -> Pattern:
    return Pattern(new.kind, new.colour, None if new.size == old.size else new.size)


def _type(old: Thing, new: Thing) -> str:
    if new.size != old.size:
        return "Comparison"
    return "Retention" if new.colour == old.colour else "Modification"
