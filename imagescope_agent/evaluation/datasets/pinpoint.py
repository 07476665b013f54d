"""PinPoint (Mahadev et al., CVPR 2026, arXiv 2603.04598): composed queries with explicit negatives and paraphrases.

Expected below the root, as https://github.com/pinterest/pinpoint-dataset publishes it, with the images beside it under
their signatures (`https://i.pinimg.com/736x/ab/cd/ef/<signature>.jpg`, where the signature begins with abcdef)::

    pinpoint_licensed.parquet   index_signatures.txt   images/<signature>.jpg

The table has the columns query_id, query_image_signature, query_image_signature2 (empty for one reference),
instruction, positive_candidates and negative_candidates; reading it takes the extra `parquet`. Queries of the same
references are wordings of one wish, numbered in order of the table.

Protocol (evaluate.py there): the gallery are the images of index_signatures.txt, and nothing is removed from a ranking;
AP@k divides by min(positives, k); NegRecall@k is the share of the negatives among the first k, of min(negatives, k);
mAP_noNeg@k is mAP@k of the ranking without the negatives. The range of P@10 over the wordings, in the mean over wishes
of several, is its `ling_sens_range`. Subsets: by number of references.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from imagescope_agent.common.untrusted import open_file
from imagescope_agent.errors import BadInput, MissingExtra, shorten
from imagescope_agent.evaluation.datasets.annotations import (
    key_line,
    read_id,
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
)

SPLITS = ("test",)
IMAGES = 109_599
LENGTH = 50  # images of a query that the official script looks at
SOURCE = "https://github.com/pinterest/pinpoint-dataset"
TABLE, NAMES = "pinpoint_licensed.parquet", "index_signatures.txt"
#: The first one is what the spread over wordings is told of.
MEASURES = (
    "P@10",
    "P@1",
    *(f"{name}@{k}" for name in ("mAP", "mAP_noNeg", "NegRecall", "recall") for k in (10, 50)),
)


def required_files(root: Path, *, split: str | None = None) -> list[RequiredFile]:
    """The files this data set reads."""
    choose_split("pinpoint", split, SPLITS)
    return [RequiredFile(path=root / name, source=SOURCE) for name in (TABLE, NAMES)] + [
        RequiredFile(
            path=root / "images", source="https://i.pinimg.com, see the README of the data set", images=True
        )
    ]


def load(root: Path, *, split: str | None = None) -> Benchmark:
    """Read the queries.

    Raises:
        BadInput: a file is missing or malformed.
        MissingExtra: the extra `parquet` is not installed.
    """
    split = choose_split("pinpoint", split, SPLITS)
    names = _signatures(root / NAMES)
    queries = tuple(_queries(root / TABLE))
    files = {name: f"{name}.jpg" for name in names}
    outside = {name: f"{name}.jpg" for query in queries for name in query.shown if name not in files}
    gallery = Gallery(name="images", folder=root / "images", files=files, outside=outside)
    return Benchmark(
        name="pinpoint",
        split=split,
        key="pinpoint/test",
        protocol="PinPoint; AP@k divided by min(positives, k); NegRecall@k of min(negatives, k); nothing is removed",
        gallery=f"index_signatures.txt, {len(names)} of {IMAGES} images",
        queries=queries,
        measures=MEASURES,
        open_galleries=lambda: {"images": gallery},
        size=len(names),
        known={"images": frozenset(names)},
        submit=lambda rankings: {
            "results.json": {qid: {"retrieved_items": found[:LENGTH]} for qid, found in rankings.items()}
        },
        parse=lambda document, path: (_results(document, path), MEASURES),
    )


def _signatures(path: Path) -> list[str]:
    lines = [(number, line.strip()) for number, line in enumerate(read_text(path).splitlines(), 1)]
    found = [(f"{path}, line {number}", line) for number, line in lines if line]
    if bad := next(((place, name) for place, name in found if not name.isalnum()), None):
        raise BadInput(f"{bad[0]}: {shorten(repr(bad[1]), 40)} is no signature; obtain the file again")
    require_unique(found)
    return [name for _, name in found]


def _queries(path: Path) -> Iterator[BenchmarkQuery]:
    seen: list[tuple[object, str]] = []
    wordings = Counter[str]()
    for number, record in enumerate(_rows(path), 1):
        place = f"{path}, row {number}"
        qid = read_id(record, "query_id", place).removeprefix("query_").zfill(5)
        seen.append((place, qid))
        shown = [require_field(record, "query_image_signature", str, place)]
        shown += [second] if (second := record.get("query_image_signature2")) else []
        if not all(isinstance(name, str) and name.isalnum() for name in shown):
            raise BadInput(f"{place}: a reference is no signature; obtain the file again")
        wordings[wish := " ".join(shown)] += 1
        yield BenchmarkQuery(
            qid=qid,
            text=require_field(record, "instruction", str, place),
            reference=shown[0],
            references=tuple(shown) if len(shown) > 1 else (),
            relevant=tuple(dict.fromkeys(require_strings(record, "positive_candidates", place))),
            negatives=tuple(dict.fromkeys(_negatives(record, place))),
            subsets=("one reference" if len(shown) == 1 else "two references",),
            wish=wish,
            wording=wordings[wish],
        )
    require_unique(seen)


def _negatives(record: Mapping[str, Any], place: object) -> list[str]:
    listed = record.get("negative_candidates")
    return require_strings({"negative_candidates": listed or []}, "negative_candidates", place)


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of the table.

    Raises:
        BadInput: it is missing or no Parquet file.
        MissingExtra: nothing can read it here.
    """
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        raise MissingExtra(
            f"{str(path)!r} needs the extra 'parquet': pip install 'imagescope-agent[parquet]'"
        ) from error
    try:
        with open_file(path) as file, parquet.ParquetFile(file) as table:
            for batch in table.iter_batches():
                yield from batch.to_pylist()
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror or error}; obtain it from {SOURCE}") from None
    except ArrowException as error:
        raise BadInput(
            f"{path}: no Parquet file that can be read ({shorten(str(error), 80)}); obtain it again"
        ) from error


def _results(document: Any, path: Path) -> dict[str, list[str]]:
    """A results file of the official script: query id -> {"retrieved_items": signatures, best first}.

    Raises:
        BadInput: it has another form, or an image twice in a list.
    """
    if not isinstance(document, dict):
        raise BadInput(f"{path}, line 1: expected an object of query id and retrieved_items")
    rankings: dict[str, list[str]] = {}
    for qid, given in document.items():
        found = given.get("retrieved_items") if isinstance(given, dict) else None
        if not isinstance(found, list) or not all(isinstance(image, str) for image in found):
            problem = "expected retrieved_items, a list of signatures"
        elif len(set(found)) < len(found):
            problem = (
                f"image {next(each for at, each in enumerate(found) if each in found[:at])!r} occurs twice"
            )
        else:
            rankings[qid] = found
            continue
        raise BadInput(f"{path}, line {key_line(read_text(path), qid)}: query {qid!r}: {problem}")
    return rankings
