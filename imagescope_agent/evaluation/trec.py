"""TREC run files, "QID Q0 IMAGE RANK SCORE TAG", one result per line.

White space and "%" in ids are percent-encoded, so that a file name with a space stays one field. A ranking is
read as trec_eval reads it, by falling score, except that equal scores keep the order of the rank column.
Scores that we write fall strictly.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import numpy as np

from imagescope_agent.common.atomic_write import write_atomic
from imagescope_agent.errors import BadInput
from imagescope_agent.evaluation.encodings import open_utf8
from imagescope_agent.evaluation.tsv import Bytes, Floats, IdCodes, Ints, decimals, pad, split

LINE_FORMAT = "QID Q0 IMAGE RANK SCORE TAG"
FIELDS = 6
COLUMNS = (0, 2, 3, 4)  # without Q0 and the tag
BLOCK_BYTES = 1 << 20  # read at a time, so that the intermediate arrays stay in the processor's cache
_ENCODED = {ord(c): f"%{ord(c):02X}" for c in "% \t\r\n\v\f\x1c\x1d\x1e\x1f"}


@dataclass(frozen=True, kw_only=True)
class RunLines:
    """A run's lines, in the order of the file: arrays (n_lines,).

    `query` and `image` are indices into `qids` and `images`, which are in order of first appearance.
    """

    qids: list[str]
    images: list[str]
    query: Ints
    image: Ints
    rank: Floats
    score: Floats

    def rankings(self) -> dict[str, list[str]]:
        """`{qid: image ids, best first}`."""
        query, image, score = self.query, self.image, self.score
        falls = np.where(query[1:] == query[:-1], score[1:] < score[:-1], query[1:] > query[:-1])
        if not falls.all():
            order = np.lexsort((self.rank, -score, query))
            query, image = query[order], image[order]
        names = np.array(self.images, dtype=object)
        ends = np.cumsum(np.bincount(query)).tolist()
        starts = [0, *ends[:-1]]
        return {
            qid: names[image[start:end]].tolist()
            for qid, start, end in zip(self.qids, starts, ends, strict=True)
        }

    def names(self, place: int) -> tuple[str, str]:
        """Query and image of a line."""
        return self.qids[self.query[place]], self.images[self.image[place]]


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
    return read_lines(path).rankings()


def read_lines(path: Path) -> RunLines:
    """Read and check a run file, without sorting it.

    Raises:
        BadInput: as `read_run` says.
    """
    qids, images = IdCodes(), IdCodes()
    blocks = []
    try:
        with open_utf8(path) as file:
            while block := file.read(BLOCK_BYTES):
                columns = _columns(block + file.readline())
                numbers = _ranks(columns[2]), _numbers(columns[3])
                blocks.append((qids.of(columns[0]), images.of(columns[1]), *numbers))
    except (ValueError, OverflowError):
        raise _bad_line(path) from None
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror or error}") from None
    if not qids.names:
        raise BadInput(f"{path}, line 1: the run is empty; expected lines {LINE_FORMAT!r}")
    query, image, rank, score = map(np.concatenate, zip(*blocks, strict=True))
    lines = RunLines(
        qids=list(qids.names), images=list(images.names), query=query, image=image, rank=rank, score=score
    )
    _check(lines, path)
    return lines


def _columns(block: bytes) -> list[Bytes]:
    """Query, image, rank and score of every line of a block.

    Raises:
        ValueError: a line has not six fields.
    """
    if found := split(block, FIELDS, COLUMNS):
        return found
    lines = [_fields(line) for line in block.split(b"\n") if line.strip()]
    return [pad([fields[place] for fields in lines]) for place in COLUMNS]


def _fields(line: bytes) -> list[bytes]:
    fields = line.split()
    if len(fields) != FIELDS or b"\0" in line:
        raise ValueError(line)
    return fields


def _numbers(column: Bytes) -> Floats:
    """A column of numbers as an array.

    Raises:
        ValueError: a field is none.
    """
    found = decimals(column, points=True)
    return np.fromiter(map(float, column.tolist()), np.float64, len(column)) if found is None else found


def _ranks(column: Bytes) -> Floats:
    """A column of whole numbers, however they are written: "1", "1.0".

    Raises:
        ValueError: a field is none.
    """
    found = _numbers(column)
    if not (np.isfinite(found) & (found == np.floor(found))).all():
        raise ValueError("a rank that is no whole number")
    return found


def _check(lines: RunLines, path: Path) -> None:
    """Check that no image comes twice for a query, and that scores can be compared.

    Raises:
        BadInput: naming the line.
    """
    pairs = lines.query * len(lines.images) + lines.image
    ordered = np.sort(pairs)
    if (ordered[1:] == ordered[:-1]).any():
        order = np.argsort(pairs, kind="stable")
        place = order[1:][pairs[order[1:]] == pairs[order[:-1]]].min()
        qid, image = lines.names(place)
        number = line_of(path, qid, image, occurrence=2)
        raise BadInput(f"{path}, line {number}: image {image!r} occurs twice for query {qid!r}")
    if not np.isfinite(lines.score).all():
        number = line_of(path, *lines.names(np.flatnonzero(~np.isfinite(lines.score))[0]))
        raise BadInput(f"{path}, line {number}: the score is not a finite number")


def _bad_line(path: Path) -> BadInput:
    """The error for the first line that cannot be read."""
    try:
        file = open_utf8(path)
    except UnicodeDecodeError:
        return BadInput(f"{path}, line 1: not UTF-8 text")
    with file:
        for number, line in enumerate(file, start=1):
            try:
                if line.strip():
                    qid, _, image, rank, score, _ = _fields(line)
                    qid.decode("utf-8"), image.decode("utf-8"), float(score)
                    _ranks(pad([rank]))
            except UnicodeDecodeError:
                return BadInput(f"{path}, line {number}: not UTF-8 text")
            except (ValueError, OverflowError):
                return BadInput(f"{path}, line {number}: expected {LINE_FORMAT!r}; the line may be cut off")
    return BadInput(f"{path}: changed while it was read")


def encode(name: str) -> str:
    """An id or tag as one field."""
    return name.translate(_ENCODED)


def line_of(path: Path, qid: str, image: str | None = None, *, occurrence: int = 1) -> int:
    """The line (from 1) of the `occurrence`-th result of a query, or of an image for it."""
    found = 0
    with open_utf8(path) as file:
        for number, line in enumerate(file, start=1):
            parts = line.split()
            found += _spells(parts[:1], qid) and (image is None or _spells(parts[2:3], image))
            if found == occurrence:
                return number
    return 0


def _spells(spelled: list[bytes], name: str) -> bool:
    """Whether a field is an id, with any characters percent-encoded."""
    return spelled == [encode(name).encode("utf-8")] or (
        b"%" in b"".join(spelled) and unquote(spelled[0].decode("utf-8")) == name
    )
