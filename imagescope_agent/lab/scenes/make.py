"""Writes a synthetic data set: images with text queries, composed queries and dialogs, with exact ground truth."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from random import Random

from tqdm import tqdm

from imagescope_agent.lab.scenes.composed_queries import COMPOSED_KINDS, composed_group
from imagescope_agent.lab.scenes.conditions import Condition, predicates, satisfies
from imagescope_agent.lab.scenes.dialog.dialogs import dialog
from imagescope_agent.lab.scenes.draw import draw
from imagescope_agent.lab.scenes.lines import write_jsonl
from imagescope_agent.lab.scenes.multi_queries import multi_lines
from imagescope_agent.lab.scenes.probes.hard_negatives import near_misses, unfulfilled_query
from imagescope_agent.lab.scenes.probes.paraphrased_queries import wish_lines
from imagescope_agent.lab.scenes.queries import SceneQuery
from imagescope_agent.lab.scenes.text_queries import TEXT_KINDS, text_query
from imagescope_agent.lab.scenes.world import Scene, random_scene

#: Composed queries, text queries and dialogs per image (at least `_LEAST` of each).
_SHARE = 0.3
_LEAST = 10
_TARGETS_PER_GROUP = 3

_Dataset = tuple[list[Scene], list[tuple[int, SceneQuery]]]


def make_world(out: Path, seed: int, count: int) -> None:
    """Write `count` images and their queries into `out`; the seed determines every byte.

    images/NNNNNN.png, and one JSON line each in scenes.jsonl (the scene graphs), tir.jsonl, cir.jsonl, chat.jsonl,
    multi.jsonl (queries with several references, each with a twin of one), hard.jsonl (those of the former that some
    images narrowly miss, with these), paraphrase.jsonl, wordings.jsonl and strangers.jsonl (wishes in six wordings and
    in twelve, and in twelve by people who know nothing of this project) and none.jsonl (queries that nothing fulfils).
    `targets` holds EVERY image that satisfies the query (a composed query's reference excepted). The images are groups
    (a reference, three queries about it, a target and a near miss for each) and unrelated scenes.
    """
    rng = Random(f"world {seed}")
    scenes, composed = _composed_groups(rng, count)
    names = [f"images/{number:06d}.png" for number in range(count)]
    out.mkdir(parents=True, exist_ok=True)
    (out / "images").mkdir(exist_ok=True)
    for name, scene in zip(tqdm(names, desc="drawing", unit="image", disable=None), scenes, strict=True):
        draw(scene).save(out / name)
    write_jsonl(out / "scenes.jsonl", ({"id": n, **asdict(s)} for n, s in zip(names, scenes, strict=True)))
    write_jsonl(out / "cir.jsonl", _composed_lines(scenes, names, composed))
    texts = _text_queries(scenes, max(_LEAST, round(_SHARE * count)), rng)
    write_jsonl(out / "tir.jsonl", _text_lines(scenes, names, texts))
    write_jsonl(out / "chat.jsonl", _dialog_lines(scenes, names, max(_LEAST, round(_SHARE * count)), rng))
    several = Random(f"several {seed}")  # of its own: what was drawn before stays as it was
    wanted = max(_LEAST, round(_SHARE * count))
    multi = multi_lines(scenes, names, wanted, several)
    write_jsonl(out / "multi.jsonl", (line for line, _ in multi))
    single = [*_composed_lines(scenes, names, composed), *_text_lines(scenes, names, texts)]
    asked = [
        (line, query.conditions)
        for line, query in zip(single, [*(q for _, q in composed), *texts], strict=True)
    ]
    write_jsonl(out / "hard.jsonl", _hard_lines(scenes, names, [*asked, *multi]))
    write_jsonl(
        out / "paraphrase.jsonl", wish_lines(scenes, names, composed, wanted, Random(f"wishes {seed}"))
    )
    more = wish_lines(scenes, names, composed, wanted, Random(f"more wishes {seed}"), "more_wordings")
    write_jsonl(out / "wordings.jsonl", more)
    others = wish_lines(scenes, names, composed, wanted, Random(f"others' wishes {seed}"), "strangers")
    write_jsonl(out / "strangers.jsonl", others)
    write_jsonl(out / "none.jsonl", _none_lines(scenes, names, wanted, Random(f"nothing {seed}")))


def _composed_groups(rng: Random, count: int) -> _Dataset:
    """Scenes in random order, and pairs (index of the reference, composed query), the five kinds in turn."""
    # a group of three queries takes seven images
    wanted = min(max(_LEAST, round(_SHARE * count)), 3 * count // 8)
    scenes: list[Scene] = []
    queries: list[tuple[int, SceneQuery]] = []
    while len(queries) < wanted:
        size = min(_TARGETS_PER_GROUP, wanted - len(queries))
        made = composed_group(rng, [COMPOSED_KINDS[(len(queries) + i) % 5] for i in range(size)])
        if made is None:
            continue
        queries.extend((len(scenes), query) for query in made[1])
        scenes.extend(made[0])
    scenes.extend(random_scene(rng) for _ in range(count - len(scenes)))
    order = list(range(len(scenes)))
    rng.shuffle(order)
    new_index = {old: new for new, old in enumerate(order)}
    return [scenes[i] for i in order], [(new_index[i], query) for i, query in queries]


def _targets(scenes: list[Scene], names: list[str], conditions: tuple[Condition, ...]) -> list[str]:
    return [name for name, scene in zip(names, scenes, strict=True) if satisfies(scene, conditions)]


def _composed_lines(
    scenes: list[Scene], names: list[str], pairs: list[tuple[int, SceneQuery]]
) -> Iterable[dict[str, object]]:
    for number, (position, query) in enumerate(pairs):
        reference = names[position]
        targets = [name for name in _targets(scenes, names, query.conditions) if name != reference]
        yield {"qid": f"cir-{number:04d}", "kind": query.kind, "reference": reference, "text": query.text,
               "predicates": predicates(query.conditions), "targets": targets}  # fmt: skip


def _text_queries(scenes: list[Scene], wanted: int, rng: Random) -> list[SceneQuery]:
    made: list[SceneQuery] = []
    while len(made) < wanted:
        query = text_query(rng.choice(scenes), TEXT_KINDS[len(made) % 5], rng)
        made.extend([query] if query else [])
    return made


def _text_lines(
    scenes: list[Scene], names: list[str], queries: Iterable[SceneQuery]
) -> Iterable[dict[str, object]]:
    for number, query in enumerate(queries):
        targets = _targets(scenes, names, query.conditions)
        yield {"qid": f"tir-{number:04d}", "kind": query.kind, "text": query.text,
               "predicates": predicates(query.conditions), "targets": targets}  # fmt: skip


def _hard_lines(
    scenes: list[Scene],
    names: list[str],
    asked: Iterable[tuple[dict[str, object], tuple[Condition, ...]]],
) -> Iterable[dict[str, object]]:
    for line, conditions in asked:
        shown = line.get("references") or [line.get("reference")]
        missed = near_misses(scenes, names, conditions, without=shown)  # type: ignore[arg-type]
        if missed:
            kept = {key: value for key, value in line.items() if key not in ("single", "predicates")}
            yield {**kept, "negatives": missed}


def _none_lines(
    scenes: list[Scene], names: list[str], wanted: int, rng: Random
) -> Iterable[dict[str, object]]:
    for number in range(wanted):
        made = unfulfilled_query(scenes, number % 2 == 1, rng)
        if made is None:
            continue
        query, place = made
        reference = {} if place is None else {"reference": names[place]}
        yield {
            "qid": f"none-{number:04d}",
            "kind": query.kind,
            **reference,
            "text": query.text,
            "targets": [],
        }


def _dialog_lines(
    scenes: list[Scene], names: list[str], wanted: int, rng: Random
) -> Iterable[dict[str, object]]:
    for number, target in enumerate(rng.sample(range(len(scenes)), min(wanted, len(scenes)))):
        yield {"qid": f"chat-{number:04d}", "target": names[target], "dialog": dialog(scenes[target], rng)}
