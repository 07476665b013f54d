"""A user's own folder of images with queries.

Expected below the root: images at any depth, and metadata.jsonl with lines of two kinds::

    {"file_name": "a.jpg", "captions": ["a cat on a sofa", ...]}          each caption is a query for that
    image {"query": "the same in snow", "relevant": ["b.jpg"], "reference": "a.jpg", "kind": "weather", "qid":
    "7"}

`reference`, `kind` (a row of the tables) and `qid` are optional. The gallery is every image in the folder, told by
its content and found as `imagescope index` finds it; a reference is removed from its ranking. R@k asks for any
relevant image. A file with the content of a relevant image is relevant too; our graphs leave out what has the content
of the reference.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from unicodedata import normalize

from imagescope_agent.common.visible_text import said
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
from imagescope_agent.retrieval.imaging.formats import is_picture
from imagescope_agent.retrieval.imaging.scanning import scan

SPLITS = ("all",)
QUERIES = "metadata.jsonl"


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
    found, _ = scan(root, exclude=_patterns(root))
    files = {item.id: item.id for item in found if is_picture(root / item.id)}
    queries = list(_queries(root / QUERIES, files))
    gallery = Gallery(name="images", folder=root, files=files)
    return Benchmark(
        name="folder",
        split="all",
        key="folder",
        protocol="queries of metadata.jsonl; a hit is any relevant image; the reference is removed",
        gallery=f"all {len(files)} images of the folder",
        queries=tuple(_with_copies(queries, root, files)),
        measures=("R@1", "R@5", "R@10", "mAP@10", "MRR", "nDCG@10"),
        open_galleries=lambda: {"images": gallery},
        drop_reference=True,
        size=len(files),
        known={"images": frozenset(files)},
    )


def _patterns(root: Path) -> tuple[str, ...]:
    """What `imagescope index` was told to leave out."""
    if not (root / ".imagescope").is_dir():
        return ()
    from imagescope_agent.retrieval.index.manifest import patterns_of  # brings LangChain

    return patterns_of(root, None)


def _with_copies(
    queries: Iterable[BenchmarkQuery], root: Path, files: Iterable[str]
) -> Iterator[BenchmarkQuery]:
    """The queries with every file of the same content as a relevant image or a reference; ids in order."""
    by_size: dict[int, list[str]] = {}
    for name in files:
        by_size.setdefault((root / name).stat().st_size, []).append(name)
    by_content: dict[str, list[str]] = {}
    content = {}
    for name in (name for names in by_size.values() if len(names) > 1 for name in names):
        with (root / name).open("rb") as file:
            content[name] = hashlib.file_digest(file, "sha256").hexdigest()
        by_content.setdefault(content[name], []).append(name)

    def copies(name: str) -> list[str]:
        return [other for other in by_content.get(content.get(name, ""), ()) if other != name]

    for query in queries:
        left_out = [name for name in copies(query.reference or "") if name not in query.relevant]
        also = [other for name in query.relevant for other in copies(name) if other != query.reference]
        right = [name for name in dict.fromkeys([*query.relevant, *also]) if name not in left_out]
        yield replace(query, relevant=tuple(right), copies=tuple(left_out))


def _queries(path: Path, images: Mapping[str, str]) -> Iterator[BenchmarkQuery]:
    forms = {normalize("NFC", name): name for name in images}
    seen: list[tuple[object, str]] = []
    for number, record in read_jsonl(path):
        place = f"{path}, line {number}"
        for query in (
            _captions(record, number, place) if "captions" in record else _asked(record, number, place)
        ):
            query = _spelled(query, images, forms)
            for image in (*query.relevant, *([] if query.reference is None else [query.reference])):
                if image not in images:
                    raise BadInput(f"{place}: the image {image!r} is not in the folder")
            if not said(query.text):
                raise BadInput(f"{place}: the query is empty")
            seen.append((place, query.qid))
            yield query
    require_unique(seen)
    if not seen:
        raise BadInput(f"{path}, line 1: no query in it")


def _spelled(query: BenchmarkQuery, images: Mapping[str, str], forms: Mapping[str, str]) -> BenchmarkQuery:
    """The query with names in the Unicode form of the files."""

    def spelled(name: str) -> str:
        return name if name in images else forms.get(normalize("NFC", name), name)

    reference = None if query.reference is None else spelled(query.reference)
    return replace(query, reference=reference, relevant=tuple(dict.fromkeys(map(spelled, query.relevant))))


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
        qid=str(line) if record.get("qid") is None else read_id(record, "qid", place),
        text=require_field(record, "query", str, place),
        reference=reference,
        relevant=tuple(dict.fromkeys(relevant)),
        subsets=() if record.get("kind") in (None, "") else (read_id(record, "kind", place),),
    )
