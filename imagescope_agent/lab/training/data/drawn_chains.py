"""Drawn triplets and text queries with exact chains of thought: what is shown, what changes, what is wanted."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from imagescope_agent.errors import BadInput
from imagescope_agent.lab.scenes.composed_queries import COMPOSED_KINDS, composed_group
from imagescope_agent.lab.scenes.conditions import satisfies
from imagescope_agent.lab.scenes.draw import draw
from imagescope_agent.lab.scenes.held_out import check_parts, concerns
from imagescope_agent.lab.scenes.language import caption
from imagescope_agent.lab.scenes.lines import write_jsonl
from imagescope_agent.lab.scenes.mixed_queries import any_query
from imagescope_agent.lab.scenes.queries import SceneQuery
from imagescope_agent.lab.scenes.world import Scene
from imagescope_agent.prompting import NO_REFERENCE, steps_text

QUERIES_PER_GROUP = 3


@dataclass(frozen=True, kw_only=True)
class _Group:
    """A reference with three targets and a near miss of each: seven scenes, with their names and queries."""

    scenes: list[Scene]
    names: list[str]
    queries: list[SceneQuery]


def make_chains(
    out: Path, seed: int, groups: int, *, side: int | None = None, without: Collection[str] = ()
) -> int:
    """Write `groups` groups of seven images and their training data into `out`; the seed determines every byte.

    images/NNNNNN.png; triplets.jsonl as `imagescope triplets` writes them; chains.jsonl as `imagescope annotate` does,
    with two text queries for every three composed ones (their reference is null).

    Args:
        out: the folder.
        seed: never one that is evaluated on.
        groups: how many.
        side: of the images in pixels; as drawn when None.
        without: kinds of instruction, colours and kinds of things that are left out, to be measured on later
            (`held_out.concerns`).

    Returns:
        How many images there are.

    Raises:
        BadInput: there is nothing of that name, or too few kinds of instruction are left.
    """
    check_parts(without)
    kinds = [kind for kind in COMPOSED_KINDS if kind not in without]
    if len(kinds) < QUERIES_PER_GROUP:
        raise BadInput(f"of {', '.join(COMPOSED_KINDS)}, at least {QUERIES_PER_GROUP} must be left")
    rng = Random(f"chains {seed}")
    (out / "images").mkdir(parents=True, exist_ok=True)
    made = _drawn(rng, kinds, groups, without)
    for group in made:
        for name, scene in zip(group.names, group.scenes, strict=True):
            picture = draw(scene)
            (picture if side is None else picture.resize((side, side), resample=3)).save(out / name)
    composed = [line for group in made for line in _composed(group)]
    write_jsonl(out / "triplets.jsonl", ({k: line[k] for k in _TRIPLET} for line in composed))
    write_jsonl(out / "chains.jsonl", [*composed, *(line for group in made for line in _texts(group, rng))])
    return sum(len(group.names) for group in made)


def _drawn(rng: Random, kinds: Sequence[str], groups: int, without: Collection[str]) -> list[_Group]:
    made: list[_Group] = []
    while len(made) < groups:
        found = composed_group(rng, rng.sample(kinds, QUERIES_PER_GROUP))
        if found is not None and not any(concerns(query, found[0], without) for query in found[1]):
            first = len(made) * len(found[0])
            names = [f"images/{first + number:06d}.png" for number in range(len(found[0]))]
            made.append(_Group(scenes=found[0], names=names, queries=found[1]))
    return made


_TRIPLET = ("reference", "text", "target", "distractors")


def _composed(group: _Group) -> Iterator[dict[str, Any]]:
    for number, query in enumerate(group.queries):
        target = 1 + 2 * number
        yield {
            "reference": group.names[0],
            "text": query.text,
            "target": group.names[target],
            "distractors": _wrong(group, query, (target + 1, 1, 3, 5)),
            **_chain(caption(group.scenes[0]), query),
        }


def _wrong(group: _Group, query: SceneQuery, numbers: Iterable[int]) -> list[str]:
    """Those of a group's images that are not what the query wants; hard negatives."""
    return [group.names[each] for each in numbers if not satisfies(group.scenes[each], query.conditions)]


def _texts(group: _Group, rng: Random) -> Iterator[dict[str, Any]]:
    for number in rng.sample(range(len(group.scenes)), 2):
        query = any_query(group.scenes[number], rng)
        wrong = _wrong(group, query, range(len(group.scenes)))
        yield {
            "reference": None,
            "text": query.text,
            "target": group.names[number],
            "distractors": rng.sample(wrong, min(2, len(wrong))),
            **_chain(NO_REFERENCE, query),
        }


def _chain(shown: str, query: SceneQuery) -> dict[str, str]:
    steps = [{"type": step.type, "text": step.condition.words()} for step in query.steps]
    return {"caption": shown, "reasoning": steps_text(steps), "conclusion": query.full}
