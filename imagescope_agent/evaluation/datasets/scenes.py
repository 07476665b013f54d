"""The drawn world: text queries, composed queries and dialogs with exact ground truth.

Expected below the root (`imagescope scenes make` writes it; an empty or missing root is filled by
`prepare`)::

    images/*.png  tir.jsonl  cir.jsonl  chat.jsonl  multi.jsonl  hard.jsonl  paraphrase.jsonl  wordings.jsonl
    strangers.jsonl  none.jsonl  scenes.jsonl

The ground truth is every image that satisfies the query, so R@k asks whether any of them is among the first
k. A composed query's references are removed from its ranking. Splits: all (text and composed queries), tir,
cir, chat, multi (several references), single (the same wishes with the first of these references alone: the same
relevant images, what the others show said in words), hard (queries of tir, cir and multi that some images miss by one
property; NegAbove@10 is the share of queries with one of these in the first ten above the last right image), paraphrase
(wishes in six wordings that no model was taught; the spread of R@1 over them), wordings (the same in twelve wordings,
written by somebody who had not seen what models are taught), strangers (in twelve more, by somebody who knew nothing of
this project), none (queries that nothing fulfils: only
how often a first place is shown as fitting all the same is measured).
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from imagescope_agent.errors import BadInput
from imagescope_agent.evaluation.datasets.annotations import (
    read_id,
    read_jsonl,
    require_field,
    require_strings,
    require_unique,
)
from imagescope_agent.evaluation.datasets.base import (
    Benchmark,
    BenchmarkQuery,
    Gallery,
    RequiredFile,
    choose_split,
)

SPLITS = (
    "all",
    "tir",
    "cir",
    "chat",
    "multi",
    "single",
    "hard",
    "paraphrase",
    "wordings",
    "strangers",
    "none",
)
MEASURES = ("R@1", "R@5", "R@10", "mAP@5", "mAP@10", "MRR", "nDCG@10")
COUNT = 1000
_Make = Callable[[dict[str, Any], str, str], Iterator[BenchmarkQuery]]


def will_draw(root: Path) -> bool:
    """Whether `prepare` draws a world: there is none, or a part of one, yet.

    Raises:
        BadInput: the folder holds other things.
    """
    if (root / "tir.jsonl").exists() or (root / "images").exists():
        return False
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise BadInput(
            f"{str(root)!r} holds no drawn world: name an empty folder, or run `imagescope scenes make` first"
        )
    return True


def prepare(root: Path, *, seed: int) -> None:
    """Draw a world of 1,000 scenes where there is none yet; a killed process leaves nothing behind.

    Raises:
        BadInput: the folder holds other things.
    """
    if not will_draw(root):
        return
    from imagescope_agent.lab.scenes.make import make_world

    root.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".scenes-", dir=root.parent) as folder:
        world = Path(folder) / "world"
        make_world(world, seed, COUNT)
        world.replace(root)


def required_files(root: Path, *, split: str | None = None) -> list[RequiredFile]:
    """The files this data set reads."""
    source = f"`imagescope scenes make --seed N --count {COUNT} --out {root}`"
    names = _files(choose_split("scenes", split, SPLITS))
    return [RequiredFile(path=root / name, source=source) for name in names] + [
        RequiredFile(path=root / "images", source=source, images=True)
    ]


def load(root: Path, *, split: str | None = None) -> Benchmark:
    """Read the queries of a drawn world.

    Raises:
        BadInput: a file is missing or malformed, or a query names an image that does not exist.
    """
    split = choose_split("scenes", split, SPLITS)
    gallery = Gallery(name="images", folder=root, files=_images(root))
    make = _MAKE.get(split, _query)
    queries = [query for name in _files(split) for query in _queries(root / name, gallery.files, make)]
    return Benchmark(
        name="scenes",
        split=split,
        key=f"scenes/{split}",
        protocol="drawn scenes; a hit is any satisfying image; the reference of a composed query is removed",
        gallery=f"all {len(gallery.files)} drawn images",
        queries=tuple(queries),
        measures=_measures(split),
        open_galleries=lambda: {gallery.name: gallery},
        drop_reference=True,
        size=len(gallery.files),
        known={gallery.name: frozenset(gallery.files)},
    )


def _measures(split: str) -> tuple[str, ...]:
    if split == "none":
        return ()
    return (*MEASURES, "NegAbove@10", "NegRecall@10") if split == "hard" else MEASURES


def _files(split: str) -> list[str]:
    if split == "all":
        return ["tir.jsonl", "cir.jsonl"]
    return ["multi.jsonl" if split == "single" else f"{split}.jsonl"]


def _images(root: Path) -> Mapping[str, str]:
    names = sorted(path.name for path in (root / "images").glob("*.png"))
    if not names:
        raise BadInput(
            f"{str(root / 'images')!r} holds no images: make them with `imagescope scenes make --out {root}`"
        )
    return {f"images/{name}": f"images/{name}" for name in names}


def _queries(path: Path, images: Mapping[str, str], make: _Make) -> Iterator[BenchmarkQuery]:
    seen: list[tuple[object, str]] = []
    for number, record in read_jsonl(path):
        place = f"{path}, line {number}"
        record["qid"] = read_id(record, "qid", place)
        seen.append((place, record["qid"]))
        for query in make(record, path.stem, place):
            for image in (*query.relevant, *query.negatives, *query.shown):
                if image not in images:
                    raise BadInput(f"{place}: the image {image!r} does not exist")
            yield query
    require_unique(seen)


def _query(record: dict[str, Any], kind: str, place: str) -> Iterator[BenchmarkQuery]:
    targets = require_strings(record, "targets", place)
    reference = require_field(record, "reference", str, place) if kind == "cir" else None
    if not targets or reference in targets:
        raise BadInput(f"{place}: a query needs at least one target, and none may be its reference")
    yield BenchmarkQuery(
        qid=record["qid"],
        text=require_field(record, "text", str, place),
        reference=reference,
        relevant=tuple(targets),
        subsets=(kind, require_field(record, "kind", str, place)),
    )


def _several(record: dict[str, Any], kind: str, place: str) -> Iterator[BenchmarkQuery]:
    targets = require_strings(record, "targets", place)
    references = require_strings(record, "references", place)
    if not targets or len(references) < 2 or set(references) & set(targets):
        raise BadInput(f"{place}: a query needs several references and a target, and no image may be both")
    yield BenchmarkQuery(
        qid=record["qid"],
        text=require_field(record, "text", str, place),
        reference=references[0],
        references=tuple(references),
        relevant=tuple(targets),
        subsets=(kind, require_field(record, "kind", str, place)),
    )


def _single(record: dict[str, Any], kind: str, place: str) -> Iterator[BenchmarkQuery]:
    text = require_field(record, "single", str, place)
    for query in _several(record, "single", place):
        yield replace(query, text=text, references=())


def _dialog(record: dict[str, Any], kind: str, place: str) -> Iterator[BenchmarkQuery]:
    dialog = require_strings(record, "dialog", place)
    target = require_field(record, "target", str, place)
    for turn in range(len(dialog)):
        yield BenchmarkQuery(
            qid=f"{record['qid']}-{turn}",
            text=", ".join(dialog[: turn + 1]),
            relevant=(target,),
            target=target,
            subsets=(kind, f"round {turn}"),
            group=record["qid"],
            turn=turn,
            said=dialog[turn],
        )


def _hard(record: dict[str, Any], kind: str, place: str) -> Iterator[BenchmarkQuery]:
    several = "references" in record
    negatives = require_strings(record, "negatives", place)
    made = _several if several else _query
    group = "cir" if "reference" in record else "tir"
    for query in made(record, "multi" if several else group, place):
        if not negatives or set(negatives) & {*query.relevant, *query.shown}:
            raise BadInput(f"{place}: a near miss is needed, and none may be a target or a reference")
        yield replace(query, negatives=tuple(negatives))


def _wish(record: dict[str, Any], kind: str, place: str) -> Iterator[BenchmarkQuery]:
    references = require_strings(record, "references", place)
    targets, texts = (require_strings(record, key, place) for key in ("targets", "texts"))
    if not targets or len(texts) < 2 or set(references) & set(targets):
        raise BadInput(f"{place}: a wish needs several wordings and a target, and no image may be both")
    group, _, _ = require_field(record, "kind", str, place).partition(",")
    for number, text in enumerate(texts, 1):
        yield BenchmarkQuery(
            qid=f"{record['qid']}-{number}",
            text=text,
            reference=references[0] if references else None,
            references=tuple(references) if len(references) > 1 else (),
            relevant=tuple(targets),
            subsets=(group, record["kind"]),
            wish=record["qid"],
            wording=number,
        )


def _nothing(record: dict[str, Any], kind: str, place: str) -> Iterator[BenchmarkQuery]:
    reference = require_field(record, "reference", str, place) if "reference" in record else None
    yield BenchmarkQuery(
        qid=record["qid"],
        text=require_field(record, "text", str, place),
        reference=reference,
        subsets=(kind, require_field(record, "kind", str, place)),
    )


_MAKE: dict[str, _Make] = {
    "chat": _dialog,
    "multi": _several,
    "single": _single,
    "hard": _hard,
    "paraphrase": _wish,
    "wordings": _wish,
    "strangers": _wish,
    "none": _nothing,
}
