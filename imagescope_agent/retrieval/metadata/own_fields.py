"""The user's own fields: `metadata.jsonl`, `metadata.csv` or `metadata.parquet` beside the images.

As in the image folders of Hugging Face `datasets`: each row names an image in `file_name`, relative to the folder of
the metadata file. What cannot be used is told row by row, and left out.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from imagescope_agent.common.untrusted import open_file, parse_json
from imagescope_agent.errors import MissingExtra, shorten
from imagescope_agent.retrieval.images import ImageProblem, inside
from imagescope_agent.retrieval.imaging.scanning import FIELD_FILES
from imagescope_agent.retrieval.metadata.kinds import Kind, Value, kind_of, kind_of_text, normal
from imagescope_agent.retrieval.metadata.table import LONGEST_NAME, MOST_FIELDS

KEY = "file_name"
LONGEST_LINE = 2**20  # characters
TOLD = 20  # problems that are told one by one

#: Kind, value, and the text that it was written as where it was text.
Typed = tuple[Kind, Value, str | None]


@dataclass
class OwnFields:
    """What the metadata files say: {field: {image id: `Typed`}}, and what cannot be used."""

    values: dict[str, dict[str, Typed]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    untold: int = 0

    def tell(self, where: str, what: str) -> None:
        """Remember a problem; only the first `TOLD` in words."""
        if len(self.problems) < TOLD:
            self.problems.append(f"{where}: {what}")
        else:
            self.untold += 1


@dataclass(frozen=True)
class _Row:
    """A row of a metadata file: where it stands, and its cells; `texts` where every cell is text."""

    where: str
    cells: Mapping[str, Any]
    texts: bool = False


def read_own_fields(folder: Path, ids: Sequence[str]) -> OwnFields:
    """Read every metadata file in the folders that hold images.

    Args:
        folder: of the images.
        ids: the images that are indexed.

    Raises:
        MissingExtra: there is a Parquet file and nothing to read it with.
    """
    found, known = OwnFields(), {normal(name): name for name in reversed(ids)}
    for parent in sorted({str(PurePosixPath(name).parent) for name in ids} | {"."}):
        for name in FIELD_FILES:
            relative = str(PurePosixPath(parent) / name)
            if (folder / relative).is_file():
                _read_file(folder, relative, known, found)
    return found


def _read_file(folder: Path, relative: str, known: Mapping[str, str], found: OwnFields) -> None:
    reader = {".jsonl": _json_lines, ".csv": _csv, ".parquet": _parquet}[PurePosixPath(relative).suffix]
    here, seen = PurePosixPath(relative).parent, set[str]()
    try:
        for row in reader(inside(folder, relative), relative, found):
            name = row.cells.get(KEY)
            path = str(here / normal(name)) if isinstance(name, str) and name.strip() else ""
            image = known.get(path, "")
            if not path:
                found.tell(row.where, f"{KEY} names no image")
            elif not image:
                found.tell(row.where, f"{shorten(path)!r} is no image of the index")
            elif image in seen:
                found.tell(row.where, f"{shorten(image)!r} has a row already")
            else:
                seen.add(image)
                _take(row, image, found)
    except ImageProblem as problem:
        found.tell(relative, problem.reason)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        found.tell(relative, f"it cannot be read on ({getattr(error, 'strerror', None) or error})")


def _take(row: _Row, image: str, found: OwnFields) -> None:
    for name, cell in row.cells.items():
        if name == KEY or cell is None or (row.texts and not str(cell).strip()):
            continue
        typed = kind_of_text(cell) if row.texts else kind_of(cell)
        if (
            not isinstance(name, str)
            or not name.isprintable()
            or not 0 < len(name) <= LONGEST_NAME
            or "`" in name
        ):
            found.tell(row.where, f"{shorten(repr(name), 60)} cannot name a field")
        elif typed is None:
            what = "a text, number, true, false or a list of texts"
            found.tell(row.where, f"{name} is {shorten(repr(cell), 40)}; give {what}")
        elif name not in found.values and len(found.values) >= MOST_FIELDS // 2:
            found.tell(row.where, f"{name!r} is one field too many; the limit is {MOST_FIELDS // 2}")
        elif image in (values := found.values.setdefault(name, {})):
            found.tell(row.where, f"another file gives {name} of {shorten(image)!r} already")
        else:
            values[image] = (*typed, cell if isinstance(cell, str) else None)


def usual_kind(values: Iterable[Typed]) -> Kind:
    """The kind that most values of a field have; text where two are as frequent."""
    counts = Counter(kind for kind, *_ in values)
    most = max(counts.values())
    kinds = [kind for kind, count in counts.items() if count == most]
    return kinds[0] if len(kinds) == 1 else "text"


def _json_lines(path: Path, relative: str, found: OwnFields) -> Iterator[_Row]:
    with io.TextIOWrapper(open_file(path), encoding="utf-8-sig", errors="replace") as file:
        for number, line in enumerate(iter(lambda: file.readline(LONGEST_LINE), ""), 1):
            where = f"{relative} line {number}"
            if not line.strip():
                continue
            try:
                cells = parse_json(line, deepest=3)
            except ValueError:
                found.tell(where, "no JSON")
                continue
            if isinstance(cells, dict):
                yield _Row(where, cells)
            else:
                found.tell(where, "no JSON object")


def _csv(path: Path, relative: str, found: OwnFields) -> Iterator[_Row]:
    with io.TextIOWrapper(open_file(path), encoding="utf-8-sig", errors="replace", newline="") as file:
        rows = csv.DictReader(file, strict=True)
        if KEY not in (rows.fieldnames or ()):
            found.tell(relative, f"it has no column {KEY}, which names the images")
            return
        for cells in rows:
            where = f"{relative} line {rows.line_num}"
            if None in cells or None in cells.values():
                found.tell(where, "it has more or fewer cells than the first line")
            else:
                yield _Row(where, cells, texts=True)


def _parquet(path: Path, relative: str, found: OwnFields) -> Iterator[_Row]:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        raise MissingExtra(
            f"{str(path)!r} needs the extra 'parquet': pip install 'imagescope-agent[parquet]'; "
            "or write it as metadata.csv"
        ) from error
    try:
        with open_file(path) as file, parquet.ParquetFile(file) as table:
            number = 0
            for batch in table.iter_batches():
                for cells in batch.to_pylist():
                    number += 1
                    yield _Row(
                        f"{relative} row {number}", {name: _plain(cell) for name, cell in cells.items()}
                    )
    except ArrowException as error:
        found.tell(relative, f"it is no Parquet file that can be read ({shorten(str(error), 80)})")


def _plain(cell: Any) -> Any:
    """Dates of Parquet as text; everything else as it is."""
    return cell.isoformat() if hasattr(cell, "isoformat") else cell
