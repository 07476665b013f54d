"""CIRR (Liu et al., ICCV 2021, arXiv 2108.04024): composed queries on real photographs, full and subset
setting.

Expected below the root, as the data set's repository lays it out (or one level down, in cirr/)::

    captions/cap.rc2.{val,test1}.json  image_splits/split.rc2.{val,test1}.json  dev/*.png  test1/*.png

Annotations: https://github.com/Cuberick-Orion/CIRR (branch cirr_dataset). Images: NLVR2, on request at
https://lil.nlp.cornell.edu/nlvr/.

Protocol: the gallery is every image of the split and the reference is removed from the ranking; R@k asks for
`target_hard`. R_subset@k keeps only the other five members of the query's group, in ranked order. The ground
truth of test1 is held by https://cirr.cecs.anu.edu.au/test_process/. One caption of test1 (pairid 27098) is
empty; it is read as "the same image", as ImageScope does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from imagescope_agent.errors import BadInput
from imagescope_agent.evaluation.datasets.annotations import (
    key_line,
    read_json,
    read_json_records,
    read_text,
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
    first_existing,
)
from imagescope_agent.evaluation.reporting.submissions import check_rankings, read_lists

SPLITS = ("val", "test1")
VERSION = "rc2"
EMPTY = "the same image"
FULL, SUBSET = ("R@1", "R@5", "R@10", "R@50"), ("R_subset@1", "R_subset@2", "R_subset@3")
LENGTHS = {"recall": 50, "recall_subset": 3}


def required_files(root: Path, *, split: str | None = None) -> list[RequiredFile]:
    """The files this data set reads."""
    split = choose_split("cirr", split, SPLITS)
    repository = "https://github.com/Cuberick-Orion/CIRR, branch cirr_dataset"
    images = root / ("dev" if split == "val" else "test1")
    return [
        RequiredFile(path=_captions(root, split), source=repository),
        RequiredFile(path=_split_file(root, split), source=repository),
        RequiredFile(
            path=images, source="NLVR2, on request at https://lil.nlp.cornell.edu/nlvr/", images=True
        ),
    ]


def load(root: Path, *, split: str | None = None) -> Benchmark:
    """Read the queries of a split.

    Raises:
        BadInput: a file is missing or malformed, or names an image that the split does not have.
    """
    split = choose_split("cirr", split, SPLITS)
    files = _gallery(_split_file(root, split))
    queries = tuple(_queries(_captions(root, split), files, hidden=split == "test1"))
    gallery = Gallery(name=split, folder=root, files=files)
    return Benchmark(
        name="cirr",
        split=split,
        key=f"cirr/{split}/reference-removed",
        protocol="CIRR rc2; reference removed; subset: ranked order of the group's other 5 images",
        gallery=f"all {len(files)} images of {split}, without the query's reference",
        queries=queries,
        measures=() if split == "test1" else FULL + SUBSET,
        open_galleries=lambda: {"images": gallery},
        drop_reference=True,
        depth=None,
        size=len(files),
        known={"images": frozenset(files)},
        submit=lambda rankings: _submit(queries, files, rankings),
        parse=_parse,
    )


def _captions(root: Path, split: str) -> Path:
    name = f"captions/cap.rc2.{split}.json"
    return first_existing(root, name, f"cirr/{name}")


def _split_file(root: Path, split: str) -> Path:
    name = f"image_splits/split.rc2.{split}.json"
    return first_existing(root, name, f"cirr/{name}")


def _gallery(path: Path) -> dict[str, str]:
    files = read_json(path)
    if not isinstance(files, dict):
        raise BadInput(f"{path}, line 1: expected an object of image name and path")
    for name, file in files.items():
        if not isinstance(file, str):
            raise BadInput(f"{path}, line {key_line(read_text(path), name)}: {name!r} has no path")
    return {name: file.removeprefix("./") for name, file in files.items()}


def _queries(path: Path, files: Mapping[str, str], *, hidden: bool) -> Iterator[BenchmarkQuery]:
    seen: list[tuple[object, str]] = []
    for place, record in read_json_records(path):
        pair = str(require_field(record, "pairid", int, place))
        reference = require_field(record, "reference", str, place)
        members = require_strings(require_field(record, "img_set", dict, place), "members", place, length=6)
        target = None if hidden else require_field(record, "target_hard", str, place)
        if reference not in members or len(set(members)) < len(members):
            raise BadInput(f"{place}: the group should hold six different images, the reference among them")
        for image in (*members, *([target] if target else [])):
            if image not in files:
                raise BadInput(f"{place}: the image {image!r} is not in the split")
        seen.append((place, pair))
        yield BenchmarkQuery(
            qid=pair,
            text=require_field(record, "caption", str, place).strip() or EMPTY,
            reference=reference,
            relevant=(target,) if target else (),
            target=target,
            members=tuple(member for member in members if member != reference),
        )
    require_unique(seen)


def _submit(
    queries: Sequence[BenchmarkQuery], files: Mapping[str, str], rankings: Mapping[str, list[str]]
) -> dict[str, object]:
    full, subset = {}, {}
    for query in queries:
        ranking = [image for image in rankings[query.qid] if image != query.reference]
        full[query.qid] = ranking[: LENGTHS["recall"]]
        subset[query.qid] = [image for image in ranking if image in query.members][: LENGTHS["recall_subset"]]
    documents: dict[str, object] = {}
    for metric, lists in (("recall", full), ("recall_subset", subset)):
        check_rankings(queries, lists, files, length=LENGTHS[metric], without_reference=True)
        if metric == "recall_subset":
            _check_members(queries, lists)
        documents[f"submission_{metric}.json"] = {"version": VERSION, "metric": metric, **lists}
    return documents


def _check_members(queries: Sequence[BenchmarkQuery], lists: Mapping[str, list[str]]) -> None:
    for query in queries:
        if stranger := set(lists[query.qid]) - set(query.members):
            raise BadInput(f"submission: query {query.qid!r}: {min(stranger)!r} is not in the query's group")


def _parse(document: Any, path: Path) -> tuple[dict[str, list[str]], Sequence[str]]:
    head = (
        {key: document.pop(key, None) for key in ("version", "metric")} if isinstance(document, dict) else {}
    )
    if head.get("version") != VERSION:
        raise BadInput(
            f"{path}, line 1: 'version' is {head.get('version')!r}; CIRR's server wants {VERSION!r}"
        )
    if head["metric"] not in LENGTHS:
        wanted = " or ".join(LENGTHS)
        raise BadInput(f"{path}, line 1: 'metric' is {head['metric']!r}; CIRR's server wants {wanted}")
    lists = read_lists(document, path, kind=str, length=LENGTHS[head["metric"]])
    return lists, FULL if head["metric"] == "recall" else SUBSET
