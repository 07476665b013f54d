"""Fields of all images as columns in one file beside the index, mapped into memory.

    fields.<hash>.safetensors    row i of every column = image of entry i of the manifest

A filter reads the columns that it names and no others. Safetensors keeps plain arrays under names, is checked when it
is opened and can run nothing, which matters for an index that comes from somebody else; the package needs it anyway, so
that an index with fields opens without a further dependency. A database would read rows, and Parquet needs pyarrow.

Numbers are float64 (NaN where missing), dates int64 in microseconds (the smallest where missing), booleans int8 (-1
where missing). A text or a list of texts is its place among the distinct ones of its column, in order (-1 where
missing), so that it is compared once however many images have it.
"""

from __future__ import annotations

import hashlib
import json
import re
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from imagescope_agent.common.atomic_write import TEMPORARY_PATTERN, write_atomic
from imagescope_agent.common.untrusted import open_file, parse_json
from imagescope_agent.retrieval.index.manifest import damaged
from imagescope_agent.retrieval.metadata.kinds import KINDS, Kind, Value

MOST_FIELDS = 256
LONGEST_NAME = 100
_FILE = re.compile(r"fields\.[0-9a-f]{16}\.safetensors")
_OURS = re.compile(rf"{_FILE.pattern}(?:{TEMPORARY_PATTERN})?")
_MISSING = {"date": np.iinfo(np.int64).min, "boolean": -1, "text": -1, "list": -1}
_TYPES: dict[str, Any] = {
    "number": np.float64,
    "date": np.int64,
    "boolean": np.int8,
    "text": np.int32,
    "list": np.int32,
}

Rows = Sequence[Value | None]


@dataclass(frozen=True, kw_only=True)
class Column:
    """One field of all images.

    Attributes:
        kind: what its values are.
        values: (n,), as the module describes them.
        known: (n,) bool, whether the image has the field.
        words: of a text or list, the distinct ones in order; a list as JSON.
    """

    kind: Kind
    values: npt.NDArray[Any]
    words: tuple[str, ...] = ()

    @cached_property
    def known(self) -> npt.NDArray[np.bool_]:
        """Which images have the field: (n,)."""
        numbers = self.kind == "number"
        found: npt.NDArray[np.bool_] = (
            ~np.isnan(self.values) if numbers else self.values != _MISSING[self.kind]
        )
        return found

    def value(self, row: int) -> Any:
        """The value of one image as JSON has it, a date in ISO form; None where it is missing."""
        value = self.values[row]
        if not self.known[row]:
            return None
        if self.kind == "number":
            return int(value) if float(value).is_integer() else float(value)
        if self.kind == "boolean":
            return bool(value)
        if self.kind == "date":
            return str(np.datetime64(int(value), "us").astype("datetime64[s]"))
        return self.words[value] if self.kind == "text" else json.loads(self.words[value])


def column_of(kind: Kind, rows: Rows) -> Column:
    """A column of values as `kinds` gives them, None where an image has none."""
    if kind in ("text", "list"):
        said = [json.dumps(row, ensure_ascii=False) if kind == "list" else row for row in rows]
        texts = [None if row is None else str(text) for row, text in zip(rows, said, strict=True)]
        words = sorted({text for text in texts if text is not None})
        places: dict[str | None, int] = {text: place for place, text in enumerate(words)}
        codes = np.array([places.get(text, -1) for text in texts], dtype=np.int32)
        return Column(kind=kind, values=codes, words=tuple(words))
    empty = np.nan if kind == "number" else _MISSING[kind]
    values = [empty if row is None else row for row in rows]
    return Column(kind=kind, values=np.array(values, dtype=_TYPES[kind]))


def write_fields(out: Path, columns: Mapping[str, Column]) -> dict[str, str]:
    """Write the columns; returns what the manifest keeps. The same columns give the same bytes.

    Raises:
        OSError: the disk is full or read-only.
    """
    arrays: dict[str, npt.NDArray[Any]] = {}
    for number, column in enumerate(columns.values()):
        arrays[f"{number}.values"] = column.values
        if column.kind in ("text", "list"):
            coded = [word.encode() for word in column.words]
            arrays[f"{number}.words"] = np.frombuffer(b"".join(coded), dtype=np.uint8)
            arrays[f"{number}.ends"] = np.cumsum([0, *map(len, coded)], dtype=np.int64)
    named = json.dumps([[name, column.kind] for name, column in columns.items()])
    data = save(arrays, metadata={"fields": named})
    sha = hashlib.sha256(data).hexdigest()
    file = f"fields.{sha[:16]}.safetensors"
    write_atomic(out / file, data)
    return {"file": file, "sha256": sha}


def tidy_fields(location: Path, kept: Mapping[str, Any]) -> None:
    """Remove columns that the published index does not name.

    Raises:
        OSError: the disk is read-only.
    """
    for path in location.iterdir():
        if (
            _OURS.fullmatch(path.name)
            and path.name != kept.get("file")
            and stat.S_ISREG(path.lstat().st_mode)
        ):
            path.unlink(missing_ok=True)


class FieldTable:
    """The columns of a published index; a column is read when it is first asked for.

    Args:
        location: the folder of the index, which may come from somebody else.
        kept: what `write_fields` returned.
        count: of images.

    Attributes:
        kinds: of every field, in order.

    Raises:
        FileNotFoundError: the file is gone; a newer index may have been published meanwhile.
        BadInput: it is damaged.
    """

    def __init__(self, location: Path, kept: Mapping[str, Any], count: int) -> None:
        self._location, self._count, self._columns = location, count, dict[str, Column]()
        self._name, self._sha = str(kept.get("file")), kept.get("sha256")
        if not _FILE.fullmatch(self._name):
            raise damaged(location, "it names no file of fields")
        try:
            with open_file(location / self._name) as file:  # no link, no pipe
                self._bytes = np.memmap(file, dtype=np.uint8, mode="r")
            self._file = safe_open(location / self._name, framework="np")
            self.kinds: dict[str, Kind] = dict(self._named())
        except FileNotFoundError:
            raise
        except OSError as error:
            raise damaged(location, f"{self._name} is unreadable ({error.strerror})") from error
        except (SafetensorError, ValueError, TypeError) as error:
            raise damaged(location, f"{self._name} is not what was written") from error

    def column(self, name: str) -> Column:
        """The column of a field.

        Raises:
            KeyError: there is none.
            BadInput: it is damaged.
        """
        if name not in self._columns:
            self._require_whole()
            kind, number = self.kinds[name], list(self.kinds).index(name)
            try:
                self._columns[name] = self._read(number, kind)
            except (SafetensorError, ValueError) as error:
                raise damaged(self._location, f"the field {name!r} is not what was written") from error
        return self._columns[name]

    def _named(self) -> list[tuple[str, Kind]]:
        fields = parse_json((self._file.metadata() or {}).get("fields", "null"))
        pairs = [(name, kind) for name, kind in fields]
        texts = all(isinstance(name, str) and kind in KINDS for name, kind in pairs)
        if not texts or len(dict(pairs)) < len(pairs) or len(pairs) > MOST_FIELDS:
            raise ValueError("no fields")
        return pairs

    def _require_whole(self) -> None:
        """Compare the checksum, once, before the first column is read: who never filters does not wait for it."""
        expected = self._sha  # read once: another thread may be done with it meanwhile
        if expected is not None and hashlib.sha256(self._bytes.data).hexdigest() != expected:
            raise damaged(self._location, f"{self._name} does not match its checksum")
        self._sha = None

    def _read(self, number: int, kind: Kind) -> Column:
        values = self._file.get_tensor(f"{number}.values")
        if values.shape != (self._count,) or values.dtype != _TYPES[kind]:
            raise ValueError("a column of another length or type")
        if kind not in ("text", "list"):
            return Column(kind=kind, values=values)
        ends = self._file.get_tensor(f"{number}.ends").tolist()
        data = self._file.get_tensor(f"{number}.words").tobytes()
        words = tuple(data[start:end].decode() for start, end in pairwise(ends))
        if ((values < -1) | (values >= len(words))).any() or any(a > b for a, b in pairwise(words)):
            raise ValueError("words out of order")
        if kind == "list" and not all(isinstance(parse_json(word, deepest=1), list) for word in words):
            raise ValueError("a list that is none")
        return Column(kind=kind, values=values, words=words)
