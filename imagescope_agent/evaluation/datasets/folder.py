"""A user's own folder of images with queries.

Expected below the root: images at any depth, and metadata.jsonl with lines of two kinds::

    {"file_name": "a.jpg", "captions": ["a cat on a sofa", ...]}          each caption is a query for that
    image {"query": "the same in snow", "relevant": ["b.jpg"], "reference": "a.jpg", "kind": "weather", "qid":
    "7"}

`reference`, `kind` (a row of the tables) and `qid` are optional. The gallery is every image in the folder; a
reference is removed from its ranking. R@k asks for any relevant image.
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from pathlib import Path
from typing import Any

from PIL import Image

from imagescope_agent.errors import BadInput
from imagescope_agent.evaluation.datasets.annotations import (
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
from imagescope_agent.retrieval.images import FORMATS, scan

SPLITS = ("all",)
QUERIES = "metadata.jsonl"
ENDINGS = frozenset(ending for ending, form in Image.registered_extensions().items() if form in FORMATS)


def required_files(root: Path, *, split: str | None = None) -> list[RequiredFile]:
    """The files this data set reads."""
    choose_split("folder", split, SPLITS)
    return [
        RequiredFile(
            path=root / QUERIES, source="written by you: see imagescope_agent/evaluation/datasets/folder.py"
        ),
        RequiredFile(path=root, source="your images", images=True),
    ]


def load(root: Path, *, split: str | None = None) -> Benchmark:
    """Read the queries of a folder.

    Raises:
        BadInput: the file is missing or malformed, or names an image that is not there.
    """
    choose_split("folder", split, SPLITS)
    files = {found.id: found.id for found in scan(root)[0] if Path(found.id).suffix.lower() in ENDINGS}
    gallery = Gallery(name="images", folder=root, files=files)
    return Benchmark(
        name="folder",
        split="all",
        key="folder",
        protocol="queries of metadata.jsonl; a hit is any relevant image; the reference is removed",
        gallery=f"all {len(files)} images of the folder",
        queries=tuple(_queries(root / QUERIES, files)),
        measures=("R@1", "R@5", "R@10", "mAP@10", "MRR", "nDCG@10"),
        open_galleries=lambda: {"images": gallery},
        drop_reference=True,
        size=len(files),
        known={"images": frozenset(files)},
    )


def _queries(path: Path, images: Container[str]) -> Iterator[BenchmarkQuery]:
    seen: list[tuple[object, str]] = []
    for number, record in read_jsonl(path):
        place = f"{path}, line {number}"
        for query in (
            _captions(record, number, place) if "captions" in record else _asked(record, number, place)
        ):
            for image in (*query.relevant, *([query.reference] if query.reference else [])):
                if image not in images:
                    raise BadInput(f"{place}: the image {image!r} is not in the folder")
            if not query.text.strip():
                raise BadInput(f"{place}: the query is empty")
            seen.append((place, query.qid))
            yield query
    require_unique(seen)
    if not seen:
        raise BadInput(f"{path}, line 1: no query in it")


def _captions(record: dict[str, Any], line: int, place: str) -> Iterator[BenchmarkQuery]:
    image = require_field(record, "file_name", str, place)
    for number, text in enumerate(require_strings(record, "captions", place)):
        yield BenchmarkQuery(qid=f"{line}#{number}", text=text, relevant=(image,))


def _asked(record: dict[str, Any], line: int, place: str) -> Iterator[BenchmarkQuery]:
    relevant = require_strings(record, "relevant", place)
    reference = (
        require_field(record, "reference", str, place) if record.get("reference") is not None else None
    )
    if not relevant or reference in relevant:
        raise BadInput(f"{place}: a query needs at least one relevant image, and none may be its reference")
    yield BenchmarkQuery(
        qid=str(record.get("qid", line)),
        text=require_field(record, "query", str, place),
        reference=reference,
        relevant=tuple(dict.fromkeys(relevant)),
        subsets=(str(record["kind"]),) if record.get("kind") else (),
    )
