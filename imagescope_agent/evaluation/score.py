"""`imagescope score`: the figures of any run or submission file, by the same code as our own runs; no model
is loaded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from unicodedata import normalize

from imagescope_agent.errors import BadInput
from imagescope_agent.evaluation import datasets, scoring, trec
from imagescope_agent.evaluation.datasets.annotations import key_line, read_json, read_text
from imagescope_agent.evaluation.datasets.base import Benchmark
from imagescope_agent.evaluation.encodings import open_utf8
from imagescope_agent.evaluation.trec import Lines


def score(
    dataset: str, *, root: Path | str, run_file: Path | str, split: str | None = None
) -> dict[str, Any]:
    """Score a TREC run, or an official submission of a data set that has a server.

    Args:
        dataset: a name of `datasets.DATASETS`.
        root: where the data set lies; its images are not needed.
        run_file: a TREC run, or a JSON submission.
        split: the split the run was made for.

    Returns:
        "dataset", "split", "protocol", "gallery", "run", "queries", "failed" (queries without a ranking:
        counted, not scored), "metrics" as in metrics.json with the one stage "final".

    Raises:
        BadInput: the file is malformed, of another split, or holds duplicates or images that are not in the
            gallery.
    """
    path = Path(run_file)
    benchmark = datasets.load(dataset, Path(root), split=split)
    if not benchmark.measures:
        raise BadInput(
            f"{dataset} {benchmark.split}: a test server holds the ground truth; upload the submission there"
        )
    if is_json(path):
        if benchmark.parse is None:
            raise BadInput(f"{path}, line 1: {dataset} has no submission format; give a TREC run")
        rankings, measures = benchmark.parse(read_json(path), path)
        check_ids(benchmark, rankings, path)
    else:
        lines = _as_published(trec.read_lines(path), benchmark, path)
        rankings, measures = lines.rankings(), benchmark.measures
        check_ids(benchmark, rankings, path, images=lines.images)
    return _score(benchmark, rankings, tuple(measures), path)


def _as_published(lines: Lines, benchmark: Benchmark, path: Path) -> Lines:
    """The run with ids as the data set spells them, where they differ in their Unicode form alone.

    Raises:
        BadInput: two spellings of one id for one query.
    """
    images = _respelled(lines.images, [name for known in (benchmark.known or {}).values() for name in known])
    qids = _respelled(lines.qids, [query.qid for query in benchmark.queries])
    if images == lines.images and qids == lines.qids:
        return lines
    if len(set(images)) < len(images) or len(set(qids)) < len(qids):
        raise BadInput(f"{path}, line 1: an id is spelled in two Unicode forms; write it in one")
    return replace(lines, images=images, qids=qids)


def _respelled(names: list[str], published: list[str]) -> list[str]:
    known = frozenset(published)
    if all(name in known for name in names):
        return names
    forms = {normalize("NFC", name): name for name in published}
    return [name if name in known else forms.get(normalize("NFC", name), name) for name in names]


def is_json(path: Path) -> bool:
    """Whether a file begins like a JSON document.

    Raises:
        BadInput: it cannot be read.
    """
    try:
        with open_utf8(path) as file:
            return file.read(64).lstrip().startswith((b"{", b"["))
    except UnicodeDecodeError:
        raise BadInput(f"{path}, line 1: not UTF-8 text") from None
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror or error}") from None


def check_ids(
    benchmark: Benchmark,
    rankings: Mapping[str, list[str]],
    path: Path,
    *,
    images: Sequence[str] | None = None,
) -> None:
    """Check that a run is about this split and this gallery.

    Args:
        benchmark: the split.
        rankings: `{qid: image ids}`.
        path: the run's file.
        images: the run's different images; where every gallery has them all, rankings are not looked through.

    Raises:
        BadInput: a query or an image that the split does not have, naming file and line.
    """
    queries = {query.qid: query for query in benchmark.queries}
    galleries = benchmark.known or {}
    if images is not None and all(known.issuperset(images) for known in galleries.values()):
        galleries = {}
    for qid, ranking in rankings.items():
        query = queries.get(qid)
        if query is None:
            found = sum(name in queries for name in rankings)
            raise BadInput(
                f"{_where(path, qid)}: {benchmark.name} {benchmark.split} has no query {qid!r}, only {found} "
                f"of the run's {len(rankings)}: is this a run for another split?"
            )
        known = galleries.get(query.gallery)
        if known is not None and not known.issuperset(ranking):
            image = next(image for image in ranking if image not in known)
            raise BadInput(
                f"{_where(path, qid, image)}: query {qid!r}: image {image!r} is not in the gallery"
            )


def _score(
    benchmark: Benchmark, rankings: Mapping[str, list[str]], measures: tuple[str, ...], path: Path
) -> dict[str, Any]:
    answered = [query for query in benchmark.queries if query.qid in rankings]
    values = scoring.score(benchmark, answered, [rankings[query.qid] for query in answered])
    chosen = {name: value for name, value in values.items() if name in measures or name == "rank"}
    table = scoring.tabulate(answered, chosen, macro=benchmark.macro, worst_rank=benchmark.size)
    return {
        "dataset": benchmark.name,
        "split": benchmark.split,
        "protocol": benchmark.protocol,
        "protocol_key": benchmark.key,
        "gallery": benchmark.gallery,
        "run": str(path),
        "queries": len(benchmark.queries),
        "failed": len(benchmark.queries) - len(answered),
        "metrics": {"final": scoring.means(table)},
    }


def _where(path: Path, qid: str, image: str | None = None) -> str:
    if is_json(path):
        return f"{path}, line {key_line(read_text(path), qid)}"
    return f"{path}, line {trec.line_of(path, qid, image)}"
