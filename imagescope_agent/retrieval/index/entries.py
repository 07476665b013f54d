"""The images of an index: ids, contents and captions; of many images as columns in a file, mapped into memory.

    entries.<hash>.safetensors    row i of every column = image i of the sorted ids

A manifest holds the entries of a small collection itself. Those of a large one are read where they are needed: an id is
found by halving, since ids are in order of their UTF-8, which is that of their characters.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, overload

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from imagescope_agent.common.atomic_write import TEMPORARY_PATTERN, write_atomic
from imagescope_agent.common.untrusted import open_file
from imagescope_agent.errors import BadInput
from imagescope_agent.retrieval.index.table_ids import TableIds

FILE = re.compile(r"entries\.[0-9a-f]{16}\.safetensors")
OURS = re.compile(rf"{FILE.pattern}(?:{TEMPORARY_PATTERN})?")
INLINE = 50_000  # images that a manifest holds itself
_KEY = re.compile(r"(?:[0-9a-f]{64})?")
_TYPES = {"id_ends": "I64", "ids": "U8", "caption_ends": "I64", "captions": "U8"}
_TYPES |= {"asked": "U8", "keys": "U8", "firsts": "I32", "by_key": "I32"}
_NUMPY: dict[str, np.dtype[Any]] = {"I64": np.dtype("<i8"), "I32": np.dtype("<i4"), "U8": np.dtype("u1")}


@dataclass(frozen=True, kw_only=True)
class Entry:
    """An indexed image: relative POSIX path, sha256 of the file, caption.

    The caption is "" where the captioner gave none, and None where it was not asked yet.
    """

    id: str
    key: str
    caption: str | None


def is_valid(entry: Entry) -> bool:
    """Whether an entry names a file below the folder."""
    if not all(isinstance(text, str) for text in (entry.id, entry.key, entry.caption or "")):
        return False
    return is_valid_id(entry.id) and _KEY.fullmatch(entry.key) is not None


def is_valid_id(name: str) -> bool:
    """Whether an id is a path below the folder."""
    parts = name.split("/")  # of a million ids, a path of each would take long
    return parts[0] != "" and ".." not in parts and "\0" not in name and not {*parts} <= {"", "."}


def write_entries(out: Path, entries: Sequence[Entry]) -> dict[str, str] | None:
    """Write the entries as columns; returns what the manifest keeps, None where one does not fit into columns.

    Raises:
        OSError: the disk is full or read-only.
    """
    try:
        ids = [entry.id.encode() for entry in entries]
        captions = [(entry.caption or "").encode() for entry in entries]
    except UnicodeEncodeError:
        return None
    if any(len(entry.key) != 64 for entry in entries) or any(a >= b for a, b in pairwise(ids)):
        return None
    keys = np.frombuffer(bytes.fromhex("".join(entry.key for entry in entries)), dtype=np.uint8)
    _, firsts, which = np.unique(
        keys.reshape(-1, 32).view("V32").ravel(), return_index=True, return_inverse=True
    )
    columns: dict[str, npt.NDArray[Any]] = {
        "id_ends": np.cumsum([0, *map(len, ids)], dtype=np.int64),
        "ids": np.frombuffer(b"".join(ids), dtype=np.uint8),
        "caption_ends": np.cumsum([0, *map(len, captions)], dtype=np.int64),
        "captions": np.frombuffer(b"".join(captions), dtype=np.uint8),
        "asked": np.array([entry.caption is not None for entry in entries], dtype=np.uint8),
        "keys": keys.reshape(-1, 32),
        "firsts": firsts[which.ravel()].astype(np.int32),
        "by_key": np.argsort(which.ravel(), kind="stable").astype(np.int32),
    }
    data = save(columns)
    sha = hashlib.sha256(data).hexdigest()
    file = f"entries.{sha[:16]}.safetensors"
    write_atomic(out / file, data)
    return {"file": file, "sha256": sha}


class EntryTable(Sequence[Entry]):
    """The entries of a large collection; each is read when it is asked for.

    Args:
        path: the file, which may come from somebody else.
        sha: its sha256.

    Attributes:
        ids: as a sequence.
        firsts: (n,) the first row of the same content.
        asked: (n,) whether the captioner was asked.

    Raises:
        FileNotFoundError: it is gone.
        OSError: it is unreadable.
        ValueError: it is damaged.
    """

    def __init__(self, path: Path, sha: str) -> None:
        with open_file(path) as file:
            self._bytes = np.memmap(file, dtype=np.uint8, mode="r")
        if hashlib.sha256(self._bytes.data).hexdigest() != sha:
            raise ValueError("the entries do not match their checksum")
        self._kept = {"file": path.name, "sha256": sha}
        try:
            with safe_open(path, framework="np"):  # checks the header
                self._columns = dict(self._mapped())
        except SafetensorError as error:
            raise ValueError(str(error)) from error
        self._require_whole()
        self.firsts, self.asked = self._columns["firsts"], self._columns["asked"].astype(bool)
        self.ids = TableIds(self)

    def _mapped(self) -> Iterator[tuple[str, npt.NDArray[Any]]]:
        size = int.from_bytes(self._bytes[:8].tobytes(), "little")
        header = json.loads(self._bytes[8 : 8 + size].tobytes())
        for name, kind in _TYPES.items():
            told = header[name]
            start, end = told["data_offsets"]
            if told["dtype"] != kind:
                raise ValueError("a column of another type")
            values = np.ndarray(
                (end - start) // _NUMPY[kind].itemsize, _NUMPY[kind], self._bytes.data, 8 + size + start
            )
            yield name, values

    def _require_whole(self) -> None:
        columns = self._columns
        count = len(columns["asked"])
        for name, texts in (("id_ends", "ids"), ("caption_ends", "captions")):
            ends = columns[name]
            whole = len(ends) == count + 1 and ends[0] == 0 and ends[-1] == len(columns[texts])
            if not whole or (np.diff(ends) < 0).any():
                raise ValueError("texts that end elsewhere")
        rows = (columns["firsts"], columns["by_key"])
        fits = all(len(each) == count and (each >= 0).all() and (each < count).all() for each in rows)
        if not count or not fits or len(columns["keys"]) != 32 * count:
            raise ValueError("columns of unequal length")

    @property
    def kept(self) -> dict[str, str]:
        """What the manifest keeps of the file."""
        return dict(self._kept)

    def __len__(self) -> int:
        return len(self.asked)

    @overload
    def __getitem__(self, row: int) -> Entry: ...
    @overload
    def __getitem__(self, row: slice) -> Sequence[Entry]: ...
    def __getitem__(self, row: int | slice) -> Entry | Sequence[Entry]:
        if isinstance(row, slice):
            return [self[each] for each in range(*row.indices(len(self)))]
        return Entry(id=self.ids[row], key=self.key(row), caption=self.caption(row))

    def __eq__(self, other: object) -> bool:
        if isinstance(other, EntryTable):
            return self._kept["sha256"] == other._kept["sha256"]
        return isinstance(other, Sequence) and len(self) == len(other) and all(map(Entry.__eq__, self, other))

    __hash__ = None  # type: ignore[assignment]

    def key(self, row: int) -> str:
        """The sha256 of an image's content."""
        row = range(len(self))[row]
        return bytes(self._columns["keys"][32 * row : 32 * row + 32]).hex()

    def caption(self, row: int) -> str | None:
        """The caption of an image, as of `Entry`."""
        row = range(len(self))[row]
        return self._text("caption", row) if self.asked[row] else None

    def rows_of_key(self, key: str) -> npt.NDArray[np.int32]:
        """The rows of a content, in order; none where there is none."""
        order, keys = self._columns["by_key"], self._columns["keys"].reshape(-1, 32)
        wanted = bytes.fromhex(key) if _KEY.fullmatch(key) else b""
        low, high = 0, len(self)
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if keys[order[middle]].tobytes() < wanted else (low, middle)
        end = low
        while end < len(self) and keys[order[end]].tobytes() == wanted:
            end += 1
        return order[low:end]

    def captions(self) -> list[str]:
        """The captions of all images, "" where there is none."""
        texts = self._texts("caption")
        return [text if asked else "" for text, asked in zip(texts, self.asked.tolist(), strict=True)]

    def text_ids(self) -> list[str]:
        """The ids of all images.

        Raises:
            BadInput: one is no path below the folder.
        """
        names = self._texts("id")
        if (bad := next((row for row, name in enumerate(names) if not is_valid_id(name)), -1)) >= 0:
            self.text_of_id(bad)
        return names

    def _texts(self, name: str) -> list[str]:
        """All texts of a column, read at once."""
        ends, whole = self._columns[f"{name}_ends"].tolist(), self._columns[f"{name}s"].tobytes()
        if whole.isascii():
            text = whole.decode("ascii")
            return [text[start:end] for start, end in pairwise(ends)]
        return [whole[start:end].decode() for start, end in pairwise(ends)]

    def _text(self, name: str, row: int) -> str:
        start, end = self._columns[f"{name}_ends"][row : row + 2]
        return bytes(self._columns[f"{name}s"][start:end]).decode()

    def text_of_id(self, row: int) -> str:
        """An id, which is a path below the folder.

        Raises:
            BadInput: it is none.
        """
        if not is_valid_id(name := self._text("id", row)):
            raise BadInput(
                f"the index is damaged: {name!r} is no path below the folder; index the folder again"
            )
        return name
