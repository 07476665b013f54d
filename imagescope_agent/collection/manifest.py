"""The published index: a manifest and two FAISS files, seen by readers all at once or not at all.

    imagescope.json      which images (sorted by id), captions, weights; names the two files and their sha256
    image.<hash>.faiss   IndexFlatIP, row i = image of entry i
    caption.<hash>.faiss IndexFlatIP, row i = its caption

The vector files carry their hash in the name and the manifest is replaced last, so a process killed anywhere
leaves the previous index whole. The same images, captions and weights give the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import numpy.typing as npt

from imagescope_agent.collection.images import Skipped
from imagescope_agent.errors import BadInput

FORMAT = 1
MANIFEST = "imagescope.json"  # no name that a data set might use itself
FOLDER_INDEX = ".imagescope"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """An indexed image: relative POSIX path, sha256 of the file, caption ("" when there is none)."""

    id: str
    key: str
    caption: str


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What an index holds besides vectors; `folder` is relative to the index where that lies inside it.

    `exclude` are the patterns of what was left out (see `scanning.Excluded`).
    """

    folder: str
    embedder: str
    captioner: str
    dimension: int
    image_vectors: dict[str, str]
    caption_vectors: dict[str, str]
    entries: tuple[Entry, ...]
    skipped: tuple[Skipped, ...]
    exclude: tuple[str, ...] = ()


def folder_as_stored(folder: Path, out: Path) -> str:
    """The folder of images as the manifest names it: relative when both move together."""
    here, there = out.resolve(), folder.resolve()
    return Path(os.path.relpath(there, here)).as_posix() if here.is_relative_to(there) else str(there)


def write_vectors(
    out: Path, name: str, rows: Iterable[npt.NDArray[np.float32]], dimension: int
) -> dict[str, str]:
    """Write an IndexFlatIP of the rows; gives the file's name and sha256.

    Raises:
        OSError: the disk is full or read-only.
    """
    index = faiss.IndexFlatIP(dimension)
    for chunk in rows:
        index.add(np.ascontiguousarray(chunk, dtype=np.float32))
    data = faiss.serialize_index(
        index
    ).tobytes()  # written by Python, since FAISS does not report a full disk
    sha = hashlib.sha256(data).hexdigest()
    file = f"{name}.{sha[:16]}.faiss"
    _replace(out / file, data)
    return {"file": file, "sha256": sha}


def write(out: Path, manifest: Manifest) -> None:
    """Publish: when this returns readers see the new index.

    Raises:
        OSError: the disk is full or read-only; the index before is untouched.
    """
    content: dict[str, Any] = {"format": FORMAT, **asdict(manifest)}
    content["checksum"] = _checksum(content)
    text = json.dumps(content, ensure_ascii=False, indent=1) + "\n"
    _replace(out / MANIFEST, text.encode("utf-8"))


def tidy(out: Path) -> None:
    """Remove vectors and half-written files that belong to no published index.

    Raises:
        OSError: the disk is read-only.
    """
    keep: set[str] = set()
    if (out / MANIFEST).exists():
        current = read(out)
        keep = {current.image_vectors["file"], current.caption_vectors["file"]}
    for path in [*out.glob("*.faiss"), *out.glob("*.tmp")]:
        if path.name not in keep:
            path.unlink(missing_ok=True)


def find(path: Path) -> Path:
    """The folder of the index for what a user names: the indexed folder or the index itself.

    Raises:
        BadInput: nothing is indexed there.
    """
    try:
        for place in (path / FOLDER_INDEX, path):
            if (place / MANIFEST).is_file():
                return place
        there, file = path.exists(), path.is_file()
    except OSError as error:
        raise BadInput(f"cannot open {str(path)!r}: {error.strerror}; give an indexed folder") from error
    if not there:
        raise BadInput(
            f"there is no collection {str(path)!r}; give a folder and run `imagescope index` on it first"
        )
    if file:
        raise BadInput(f"{str(path)!r} is a file; give an indexed folder")
    raise BadInput(f"{str(path)!r} is not indexed; run `imagescope index {path}` first")


def read(out: Path) -> Manifest:
    """Read and check the manifest.

    Raises:
        BadInput: it is damaged or of another version.
    """
    try:
        content = json.loads((out / MANIFEST).read_text(encoding="utf-8"))
        found, version = content.pop("checksum"), content.pop("format")
        if version != FORMAT:
            raise damaged(out, f"its format is {version!r}, not {FORMAT}")
        if found != _checksum({"format": version, **content}):
            raise damaged(out, f"{MANIFEST} does not match its checksum")
        content["entries"] = tuple(Entry(**entry) for entry in content["entries"])
        content["skipped"] = tuple(Skipped(**item) for item in content["skipped"])
        content["exclude"] = tuple(map(str, content.get("exclude", ())))
        return Manifest(**content)
    except OSError as error:
        raise damaged(out, f"{MANIFEST} is unreadable ({error.strerror})") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise damaged(out, f"{MANIFEST} is not what was written") from error


def read_vectors(out: Path, manifest: Manifest, which: dict[str, str]) -> faiss.IndexFlatIP:
    """Read one of the two FAISS indices.

    Raises:
        FileNotFoundError: it is gone; a newer index may have been published meanwhile.
        BadInput: it is damaged.
    """
    try:
        data = (out / which["file"]).read_bytes()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise damaged(out, f"{which['file']} is unreadable ({error.strerror})") from error
    if hashlib.sha256(data).hexdigest() != which["sha256"]:
        raise damaged(out, f"{which['file']} does not match its checksum")
    index = faiss.deserialize_index(np.frombuffer(data, dtype=np.uint8))
    if not isinstance(index, faiss.IndexFlatIP):
        raise damaged(out, f"{which['file']} holds another kind of index")
    if index.ntotal != len(manifest.entries) or index.d != manifest.dimension:
        raise damaged(out, f"{which['file']} does not fit {MANIFEST}")
    return index


def damaged(out: Path, why: str) -> BadInput:
    """The error for an index that cannot be used as it is."""
    return BadInput(
        f"the index in {str(out)!r} is damaged: {why}; run `imagescope index` on its folder again"
    )


def _checksum(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _replace(target: Path, data: bytes) -> None:
    """Write a file so that it has its whole new content, or its old, after a crash at any moment."""
    temporary = target.with_name(target.name + ".tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except OSError:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    _sync_folder(target.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
