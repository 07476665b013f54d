"""FAISS indices as files beside the manifest: written in pieces, and mapped into memory where they are large.

A file carries its hash in the name; the manifest keeps {"file", "sha256"}. Up to `MAPPED_ABOVE` bytes a file is read
and compared with its hash when it is opened. A larger one is mapped: its size and number of rows are compared and its
hash is not, since reading it all would take longer than a search may.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import numpy.typing as npt

from imagescope_agent.common.atomic_write import TEMPORARY_PATTERN, write_atomic
from imagescope_agent.common.untrusted import open_file, read_file
from imagescope_agent.retrieval.index.manifest import SPACE_NAME, damaged
from imagescope_agent.retrieval.protocols import StoredSpace
from imagescope_agent.retrieval.stores.faiss_marks import holds_only_ours
from imagescope_agent.retrieval.vectors import Vectors

FILE = re.compile(rf"{SPACE_NAME.pattern}\.[0-9a-f]{{16}}\.faiss")
OURS = re.compile(rf"{FILE.pattern}(?:{TEMPORARY_PATTERN})?")
MAPPED_ABOVE = 2**28  # bytes
_FLAT, _HEADER = b"IxFI", 1024  # how FAISS marks an IndexFlatIP, and room for what comes before the rows


def write_flat(
    location: Path, name: str, count: int, dimension: int, vectors: Iterable[Vectors]
) -> dict[str, str]:
    """Write vectors as FAISS writes an IndexFlatIP, without holding more than a chunk; the same give the same file.

    Args:
        location: the folder.
        name: of the space.
        count: of rows.
        dimension: of each.
        vectors: chunks (n, d).

    Returns:
        {"file", "sha256"}.

    Raises:
        OSError: the disk is full or read-only.
        ValueError: there are more or fewer rows.
    """
    return _write(location, name, _flat_pieces(count, dimension, vectors))


def write_index(location: Path, name: str, index: faiss.Index) -> dict[str, str]:
    """Write an index of any kind; returns {"file", "sha256"}.

    Raises:
        OSError: the disk is full or read-only.
    """
    # written by Python, since FAISS does not report a full disk
    return _write(location, name, [faiss.serialize_index(index).data])


def _flat_pieces(count: int, dimension: int, vectors: Iterable[Vectors]) -> Iterator[bytes]:
    header = bytearray(faiss.serialize_index(faiss.IndexFlatIP(dimension)).tobytes())
    struct.pack_into("<q", header, len(_FLAT) + 4, count)  # after the mark and the dimension
    struct.pack_into("<Q", header, len(header) - 8, count * dimension)  # in numbers, before the first of them
    yield bytes(header)
    written = 0
    for chunk in vectors:
        written += len(chunk)
        yield np.ascontiguousarray(chunk, dtype="<f4").tobytes()
    if written != count:
        raise ValueError(f"{written} vectors for {count} images")


def _write(location: Path, name: str, pieces: Iterable[Any]) -> dict[str, str]:
    whole = hashlib.sha256()

    def hashed() -> Iterator[bytes]:
        for piece in pieces:
            whole.update(piece)
            yield piece

    first = location / f"{name}.{secrets.token_hex(8)}.faiss"  # the hash is known when all is written
    write_atomic(first, hashed())
    sha = whole.hexdigest()
    file = f"{name}.{sha[:16]}.faiss"
    os.replace(first, location / file)
    return {"file": file, "sha256": sha}


def read_flat(location: Path, count: int, space: StoredSpace) -> faiss.IndexFlatIP:
    """One space's index of `count` rows.

    Raises:
        FileNotFoundError: it is gone; a newer index may have been published meanwhile.
        BadInput: it is damaged.
    """
    most = 4 * space.dimension * count + _HEADER
    index, mapped = read_index(location, space.kept, space.name, most, (_FLAT,))
    if index.ntotal != count or index.d != space.dimension:
        raise damaged(location, f"{space.kept['file']} does not fit the manifest")
    if not mapped and not np.isfinite(rows_of(index)).all():
        raise damaged(location, f"{space.kept['file']} holds a number that is none")
    flat: faiss.IndexFlatIP = index
    return flat


def read_index(
    location: Path, kept: dict[str, Any], name: str, most: int, marks: tuple[bytes, ...]
) -> tuple[Any, bool]:
    """An index, and whether it is mapped and thus not compared with its hash.

    Args:
        location: the folder, which may come from somebody else.
        kept: {"file", "sha256"}.
        name: of the space, for messages.
        most: bytes that the file may have.
        marks: the kinds of index that it may be, as FAISS marks them.

    Raises:
        FileNotFoundError, BadInput: as `read_flat`.
    """
    file, sha = kept.get("file"), kept.get("sha256")
    if not isinstance(file, str) or not FILE.fullmatch(file):
        raise damaged(location, f"it names no file of vectors for {name!r}")
    try:
        data = _bytes_of(location / file, most)
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:  # an empty file cannot be mapped
        raise damaged(location, f"{file} is unreadable ({error})") from error
    mapped = isinstance(data, np.memmap)
    if not mapped and hashlib.sha256(data.data).hexdigest() != sha:
        raise damaged(location, f"{file} does not match its checksum")
    if data[:4].tobytes() not in marks or not holds_only_ours(data):  # which FAISS may read from any path
        raise damaged(location, f"{file} holds another kind of index")
    try:
        index = _deserialized(data)
    except RuntimeError as error:
        raise damaged(location, f"{file} is not what was written") from error
    return index, mapped


def _bytes_of(path: Path, most: int) -> npt.NDArray[np.uint8]:
    """A small file's content, or a large one mapped, privately: vectors that are replaced stay in memory."""
    with open_file(path) as file:
        size = os.fstat(file.fileno()).st_size
        if MAPPED_ABOVE < size <= most:
            return np.memmap(file, dtype=np.uint8, mode="c")
    return np.frombuffer(read_file(path, most), dtype=np.uint8)


def _deserialized(data: npt.NDArray[np.uint8]) -> Any:
    if not isinstance(data, np.memmap):
        return faiss.deserialize_index(data)
    library: Any = faiss  # its annotations leave this out
    index = library.read_index(library.ZeroCopyIOReader(library.swig_ptr(data), data.size))
    index.referenced_objects = [data]  # the file stays mapped as long as the index is there
    return index


def rows_of(index: faiss.IndexFlatIP) -> Vectors:
    """All vectors of an index, not copied: (n, d)."""
    rows: Vectors = faiss.rev_swig_ptr(index.get_xb(), index.ntotal * index.d).reshape(index.ntotal, index.d)
    return rows
