"""Vectors in files as others keep them: the folders of clip-retrieval, and a plain .npy with a list of ids.

img_emb/img_emb_0.npy, ...  and  metadata/metadata_0.parquet, ...    clip-retrieval: row i is image_path i
vectors.npy  and  ids.txt                                            row i is line i; vectors.json says what made them
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from imagescope_agent.common.atomic_write import write_atomic
from imagescope_agent.common.untrusted import parse_json, read_file
from imagescope_agent.errors import BadInput, MissingExtra, shorten
from imagescope_agent.retrieval.vectors import Vectors

NAMES, ABOUT, ROWS = "ids.txt", "vectors.json", "vectors.npy"
NAME_COLUMNS = (
    "image_path",
    "id",
    "path",
    "file",
    "filename",
    "key",
    "url",
)  # of a table, the first that is there
LIST_BYTES, ABOUT_BYTES = 2**31, 2**20
LARGEST = 2**16  # numbers of a vector


@dataclass(frozen=True, kw_only=True)
class VectorFiles:
    """Vectors with the names of their images, in parts.

    Attributes:
        parts: (names, rows (n, d)) each; the rows are mapped and not in memory.
        dimension: d.
        weights: what the files say made them; "" where they do not.
    """

    parts: tuple[tuple[Sequence[str], npt.NDArray[Any]], ...]
    dimension: int
    weights: str


def read_vectors(place: Path) -> VectorFiles:
    """Open a folder of vectors, or a .npy beside its ids.

    Raises:
        BadInput: it holds no such files, or they do not fit each other.
        MissingExtra: a table needs the extra `parquet`.
    """
    found = sorted((place / "img_emb").glob("img_emb_*.npy"), key=_number) if place.is_dir() else []
    if found:
        parts = [(_table(place / "metadata" / f"metadata_{_number(each)}.parquet"), each) for each in found]
        weights = ""
    else:
        rows = place / ROWS if place.is_dir() else place
        beside = [rows.with_suffix(".txt"), rows.parent / NAMES]
        names = next((each for each in beside if each.is_file()), beside[-1])
        parts, weights = [(_lines(names), rows)], _told(rows.parent / ABOUT)
    opened = tuple((names, _rows(file, len(names))) for names, file in parts)
    sizes = {rows.shape[1] for _, rows in opened}
    if len(sizes) != 1:
        raise BadInput(f"the vectors in {str(place)!r} have {sorted(sizes)} numbers; give those of one model")
    return VectorFiles(parts=opened, dimension=sizes.pop(), weights=weights)


def match_names(files: VectorFiles, ids: Sequence[str]) -> tuple[dict[str, tuple[int, int]], int]:
    """Where the vector of each image is, as (part, row), and how many vectors are of no image.

    A name is an id, or a longer path that ends with one.

    Raises:
        BadInput: two vectors are of the same image.
    """
    known, found, foreign = set(ids), dict[str, tuple[int, int]](), 0
    for part, (names, _) in enumerate(files.parts):
        for row, name in enumerate(names):
            pieces = name.replace("\\", "/").split("/")
            ends = ("/".join(pieces[start:]) for start in range(len(pieces)))
            image = next((end for end in ends if end in known), None)
            if image is None:
                foreign += 1
            elif image in found:
                raise BadInput(f"two vectors are of {shorten(image)!r}; leave one out")
            else:
                found[image] = part, row
    return found, foreign


def unit_row(files: VectorFiles, place: tuple[int, int], name: str) -> Vectors:
    """A vector at unit length, (d,) float32.

    Raises:
        BadInput: it has none.
    """
    row = np.asarray(files.parts[place[0]][1][place[1]], dtype=np.float64)
    length = float(np.linalg.norm(row)) if np.isfinite(row).all() else 0.0
    if not length:
        raise BadInput(f"the vector of {shorten(name)!r} is zero or not finite; leave it out or make it anew")
    unit: Vectors = (row / length).astype(np.float32)
    return unit


def write_plain(out: Path, ids: Sequence[str], rows: Iterator[Vectors], about: dict[str, Any]) -> None:
    """Write vectors.npy, ids.txt and vectors.json."""
    _write_npy(out / ROWS, len(ids), int(about["dimension"]), rows)
    write_atomic(out / NAMES, "".join(f"{name}\n" for name in ids))
    write_atomic(out / ABOUT, json.dumps(about, indent=1) + "\n")


def write_clip_retrieval(
    out: Path, ids: Sequence[str], rows: Iterator[Vectors], dimension: int, captions: Sequence[str]
) -> None:
    """Write img_emb/img_emb_0.npy and metadata/metadata_0.parquet.

    Raises:
        MissingExtra: without the extra `parquet`.
    """
    arrow, parquet = _parquet()
    for name in ("img_emb", "metadata"):
        (out / name).mkdir(parents=True, exist_ok=True)
    _write_npy(out / "img_emb" / "img_emb_0.npy", len(ids), dimension, rows)
    table = arrow.table({"image_path": list(ids), "caption": list(captions)})
    parquet.write_table(table, out / "metadata" / "metadata_0.parquet")


def _write_npy(file: Path, count: int, dimension: int, rows: Iterator[Vectors]) -> None:
    array = np.lib.format.open_memmap(file, mode="w+", dtype=np.float32, shape=(count, dimension))
    for place, row in enumerate(rows):
        array[place] = row
    array.flush()


def _rows(file: Path, count: int) -> npt.NDArray[Any]:
    try:
        rows = np.load(file, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise BadInput(
            f"cannot read {str(file)!r}: {shorten(str(error))}; give an .npy of numbers"
        ) from error
    if not isinstance(rows, np.ndarray) or rows.dtype.kind != "f" or rows.ndim != 2:
        raise BadInput(f"{str(file)!r} holds no rows of numbers; give an .npy of shape (images, dimension)")
    if not 0 < rows.shape[1] <= LARGEST:
        raise BadInput(
            f"the vectors of {str(file)!r} have {rows.shape[1]} numbers; at most {LARGEST} are used"
        )
    if len(rows) != count:
        raise BadInput(f"{str(file)!r} holds {len(rows)} vectors for {count} names; give both of one export")
    return rows


def _lines(file: Path) -> list[str]:
    try:
        return read_file(file, LIST_BYTES, follow=True).decode("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(
            f"cannot read the ids in {str(file)!r}; write the id of each row's image, a line each, "
            "or give a folder of clip-retrieval"
        ) from error


def _table(file: Path) -> list[str]:
    _, parquet = _parquet()
    try:
        columns = parquet.ParquetFile(file).schema_arrow.names
        name = next(each for each in NAME_COLUMNS if each in columns)
        return [str(value) for value in parquet.read_table(file, columns=[name])[name].to_pylist()]
    except StopIteration:
        raise BadInput(f"{str(file)!r} has none of the columns {', '.join(NAME_COLUMNS)}") from None
    except Exception as error:  # what the library raises for a damaged file has no common class
        raise BadInput(f"cannot read {str(file)!r}: {shorten(str(error))}; give a parquet file") from error


def _told(file: Path) -> str:
    try:
        return str(parse_json(read_file(file, ABOUT_BYTES)).get("weights", ""))
    except (OSError, ValueError, AttributeError):
        return ""


def _parquet() -> tuple[Any, Any]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise MissingExtra("parquet files need an extra: pip install 'imagescope-agent[parquet]'") from error
    return pyarrow, parquet


def _number(file: Path) -> int:
    found = re.search(r"_(\d+)\.", file.name)
    return int(found[1]) if found else 0
