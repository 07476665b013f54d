"""TREC run files: "QID Q0 IMAGE RANK SCORE TAG", one line a result.

White space and "%" in ids are percent-encoded, so that a file name with a space stays one field. A ranking is
read as trec_eval reads it, by falling score, except that equal scores keep the order of the rank column.
Scores that we write fall strictly.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from itertools import compress, count, islice
from operator import gt, ne
from pathlib import Path
from urllib.parse import unquote

from imagescope_agent.errors import BadInput
from imagescope_agent.evaluation.ledger import write_atomic

FORM = "QID Q0 IMAGE RANK SCORE TAG"
FIELDS = 6
CHUNK = 16_000_000  # bytes read at a time
#: Images, scores and ranks of a query.
Block = tuple[list[bytes], list[float], list[int]]
_ENCODED = {ord(c): f"%{ord(c):02X}" for c in "% \t\r\n\v\f\x1c\x1d\x1e\x1f"}


def write_run(path: Path, rankings: Mapping[str, Iterable[str]], tag: str) -> None:
    """Write rankings `{qid: image ids, best first}` under the system's name; the score is 1 / rank."""
    lines = (
        f"{encode(qid)} Q0 {encode(image)} {rank} {1 / rank:.9f} {encode(tag) or 'run'}\n"
        for qid, ranking in rankings.items()
        for rank, image in enumerate(ranking, start=1)
    )
    write_atomic(path, lines)


def read_run(path: Path) -> dict[str, list[str]]:
    """Read a run file into `{qid: image ids, best first}`.

    Raises:
        BadInput: a missing or empty file, a line that is cut off or malformed, an image that occurs twice for
            a query.
    """
    blocks: dict[bytes, Block] = {}
    names: dict[bytes, bytes] = {}  # one object an image: the same ids come back in every query
    try:
        with path.open("rb") as file:
            while lines := file.readlines(CHUNK):
                _take(lines, blocks, names)
        decoded = {name: unquote(name.decode("utf-8")) for name in (*names, *blocks)}
    except UnicodeDecodeError:
        raise BadInput(f"{path}, line {_bad_line(path)}: not UTF-8 text") from None
    except ValueError:
        raise BadInput(
            f"{path}, line {_bad_line(path)}: expected {FORM!r}; the line may be cut off"
        ) from None
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror or error}") from None
    if not blocks:
        raise BadInput(f"{path}, line 1: the run is empty; expected lines {FORM!r}")
    return {decoded[qid]: _ordered(path, decoded[qid], *block, decoded) for qid, block in blocks.items()}


def _take(lines: list[bytes], blocks: dict[bytes, Block], names: dict[bytes, bytes]) -> None:
    """Sort many lines into blocks by query; column by column, which is several times faster than line by
    line.

    Raises:
        ValueError: a line has not six fields, a rank is no whole number or a score is no number.
    """
    fields = b"".join(lines).split()
    if len(fields) != FIELDS * len(lines) or not {b"Q0", b"q0", b"0"}.issuperset(fields[1::FIELDS]):
        fields = [field for line in lines if line.strip() for field in _fields(line)]
    qids, images = fields[0::FIELDS], fields[2::FIELDS]
    images = list(map(names.setdefault, images, images))
    ranks, scores = list(map(int, fields[3::FIELDS])), list(map(float, fields[4::FIELDS]))
    start, changes = 0, compress(count(1), map(ne, qids, islice(qids, 1, None)))
    for end in (*changes, *([len(qids)] if qids else [])):
        block = blocks.setdefault(qids[start], ([], [], []))
        block[0].extend(images[start:end])
        block[1].extend(scores[start:end])
        block[2].extend(ranks[start:end])
        start = end


def _fields(line: bytes) -> list[bytes]:
    fields = line.split()
    if len(fields) != FIELDS:
        raise ValueError(line)
    return fields


def _bad_line(path: Path) -> int:
    """The first line (from 1) that cannot be read."""
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode("utf-8")
                fields = _fields(line) if line.strip() else [b"0"] * FIELDS
                int(fields[3]), float(fields[4])
            except ValueError:
                return number
    return 0


def encode(name: str) -> str:
    """An id or tag as one field."""
    return name.translate(_ENCODED)


def line_of(path: Path, qid: str, image: str | None = None, *, occurrence: int = 1) -> int:
    """The line (from 1) on which a query, or an image of it, stands for the `occurrence`-th time."""
    first, third = encode(qid).encode("utf-8"), encode(image or "").encode("utf-8")
    found = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            parts = line.split()
            found += parts[:1] == [first] and (image is None or parts[2] == third)
            if found == occurrence:
                return number
    return 0


def _ordered(
    path: Path,
    qid: str,
    images: list[bytes],
    scores: list[float],
    ranks: list[int],
    decoded: Mapping[bytes, str],
) -> list[str]:
    if len(set(images)) < len(images):
        image = decoded[next(image for place, image in enumerate(images) if image in images[:place])]
        number = line_of(path, qid, image, occurrence=2)
        raise BadInput(f"{path}, line {number}: image {image!r} occurs twice for query {qid!r}")
    if not math.isfinite(sum(scores)) and not all(map(math.isfinite, scores)):
        place = next(place for place, score in enumerate(scores) if not math.isfinite(score))
        number = line_of(path, qid, decoded[images[place]])
        raise BadInput(f"{path}, line {number}: the score is not a finite number")
    if not all(map(gt, scores, scores[1:])):
        order = sorted(range(len(images)), key=lambda place: (-scores[place], ranks[place]))
        images = [images[place] for place in order]
    return list(map(decoded.__getitem__, images))
