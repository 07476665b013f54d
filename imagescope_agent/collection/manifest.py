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
import re
import secrets
import stat
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import faiss
import numpy as np
import numpy.typing as npt

from imagescope_agent.collection.images import Skipped
from imagescope_agent.errors import BadInput
from imagescope_agent.untrusted import create_file, parse_json, read_file

FORMAT = 1
MANIFEST = "imagescope.json"  # no name that a data set might use itself
FOLDER_INDEX = ".imagescope"
LARGEST = 2**30  # bytes of a manifest: a few million images
_VECTORS = re.compile(r"(?:image|caption)\.[0-9a-f]{16}\.faiss")
_PARTIAL = re.compile(rf"(?:{re.escape(MANIFEST)}|{_VECTORS.pattern})\.[0-9a-f]{{16}}\.tmp")
#: What may lie in the folder of an index: its own, and what searches and conversations keep beside it.
_OURS = re.compile(
    rf"(?:journal|runs|traces|chats)\.sqlite.*|uploads|profile|{_VECTORS.pattern}.*|{re.escape(MANIFEST)}.*"
)
_FLAT, _HEADER = b"IxFI", 1024  # how FAISS marks an IndexFlatIP, and room for what comes before the rows
_KEY = re.compile(r"(?:[0-9a-f]{64})?")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """An indexed image: relative POSIX path, sha256 of the file, caption ("" when there is none)."""

    id: str
    key: str
    caption: str


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What an index holds besides vectors.

    Args:
        folder: of the images, relative to the index where that lies inside it.
        profile: the name of the models that made it; "" in an index that keeps it in a file of its own.
        exclude: patterns of what was left out (see `scanning.Excluded`).
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
    profile: str = ""


def _sound(found: Manifest) -> Manifest:
    """A manifest that was read, where every value can be what it should.

    Raises:
        ValueError, TypeError, KeyError: one cannot.
    """
    texts = (found.folder, found.embedder, found.captioner, found.profile, *found.exclude)
    if not all(isinstance(text, str) for text in texts) or "\0" in found.folder:
        raise ValueError("a name is no text")
    if not isinstance(found.dimension, int) or not 0 < found.dimension <= 2**16:
        raise ValueError("no dimension of vectors")
    for which in (found.image_vectors, found.caption_vectors):
        if not _VECTORS.fullmatch(which["file"]) or not isinstance(which["sha256"], str):
            raise ValueError("no name of a file of vectors")
    names = [entry.id for entry in found.entries]
    skipped = [text for item in found.skipped for text in (item.id, item.reason)]
    if len(set(names)) < len(names) or not all(map(_is_sound, found.entries)):
        raise ValueError("an entry is none")
    if not all(isinstance(text, str) for text in skipped):
        raise ValueError("a reason is no text")
    return found


def _is_sound(entry: Entry) -> bool:
    """Whether an entry names a file below the folder, and nothing else."""
    if not all(isinstance(text, str) for text in (entry.id, entry.key, entry.caption)):
        return False
    path = PurePosixPath(entry.id)
    below = not path.is_absolute() and ".." not in path.parts and "\0" not in entry.id and bool(path.parts)
    return below and _KEY.fullmatch(entry.key) is not None


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
    if not manifest.profile:
        del content["profile"]
    content["checksum"] = _checksum(content)
    text = json.dumps(content, ensure_ascii=False, indent=1) + "\n"
    _replace(out / MANIFEST, text.encode("utf-8"))


def tidy(out: Path) -> None:
    """Remove vectors and half-written files of this module that belong to no published index, nothing else.

    Raises:
        OSError: the disk is read-only.
    """
    keep: set[str] = set()
    if (out / MANIFEST).exists():
        current = read(out)
        keep = {current.image_vectors["file"], current.caption_vectors["file"]}
    for path in out.iterdir():
        ours = _VECTORS.fullmatch(path.name) or _PARTIAL.fullmatch(path.name)
        if ours and path.name not in keep and stat.S_ISREG(path.lstat().st_mode):
            path.unlink(missing_ok=True)


def find(path: Path) -> Path:
    """The folder of the index for what a user names: the indexed folder or the index itself.

    Raises:
        BadInput: nothing is indexed there.
    """
    try:
        for place in (path / FOLDER_INDEX, path):
            if os.path.lexists(place / MANIFEST):
                require_no_way_out(place, path)
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


def require_no_way_out(index: Path, folder: Path) -> None:
    """Make sure that the index of a folder is not a link to somewhere else, put there by whoever made the folder.

    Raises:
        BadInput: it is.
    """
    if index != folder and index.is_symlink() and not index.resolve().is_relative_to(folder.resolve()):
        raise BadInput(
            f"{str(index)!r} is a link to {os.fspath(index.resolve())!r}; "
            "where that is what you want, name the index itself (--out of `imagescope index`)"
        )


def require_ours(out: Path, journal: str) -> None:
    """Make sure that indexing into a folder touches nothing that is somebody else's.

    Raises:
        BadInput: it holds other things and no index.
    """
    if any((out / name).is_file() for name in (MANIFEST, journal)):
        return
    if other := next((name for name in sorted(os.listdir(out)) if not _OURS.fullmatch(name)), None):
        raise BadInput(
            f"{str(out)!r} is no index and holds {other!r}; choose an empty or a new folder with --out"
        )


def read(out: Path) -> Manifest:
    """Read and check the manifest.

    Raises:
        BadInput: it is damaged or of another version.
    """
    try:
        content = parse_json(read_file(out / MANIFEST, LARGEST))
        found, version = content.pop("checksum"), content.pop("format")
        if version != FORMAT:
            raise damaged(out, f"its format is {version!r}, not {FORMAT}")
        if found != _checksum({"format": version, **content}):
            raise damaged(out, f"{MANIFEST} does not match its checksum")
        content["entries"] = tuple(Entry(**entry) for entry in content["entries"])
        content["skipped"] = tuple(Skipped(**item) for item in content["skipped"])
        content["exclude"] = tuple(content.get("exclude", ()))
        return _sound(Manifest(**content))
    except OSError as error:
        raise damaged(out, f"{MANIFEST} is unreadable ({error.strerror})") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise damaged(out, f"{MANIFEST} is not what was written") from error


def read_vectors(out: Path, manifest: Manifest, which: dict[str, str]) -> faiss.IndexFlatIP:
    """Read one of the two FAISS indices.

    Raises:
        FileNotFoundError: it is gone; a newer index may have been published meanwhile.
        BadInput: it is damaged.
    """
    file, most = which["file"], 4 * manifest.dimension * len(manifest.entries) + _HEADER
    try:
        data = read_file(out / file, most)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise damaged(out, f"{file} is unreadable ({error.strerror})") from error
    if hashlib.sha256(data).hexdigest() != which["sha256"]:
        raise damaged(out, f"{file} does not match its checksum")
    if not data.startswith(_FLAT):
        raise damaged(out, f"{file} holds another kind of index")
    try:
        index: Any = faiss.deserialize_index(np.frombuffer(data, dtype=np.uint8))
    except RuntimeError as error:
        raise damaged(out, f"{file} is not what was written") from error
    if index.ntotal != len(manifest.entries) or index.d != manifest.dimension:
        raise damaged(out, f"{file} does not fit {MANIFEST}")
    if not np.isfinite(faiss.rev_swig_ptr(index.get_xb(), index.ntotal * index.d)).all():
        raise damaged(out, f"{file} holds a number that is none")
    return index  # type: ignore[no-any-return]


def damaged(out: Path, why: str) -> BadInput:
    """The error for an index that cannot be used as it is."""
    return BadInput(
        f"the index in {str(out)!r} is damaged: {why}; run `imagescope index` on its folder again"
    )


def _checksum(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _replace(target: Path, data: bytes) -> None:
    """Write a file so that it has its whole new content, or its old, after a crash at any moment."""
    temporary = target.with_name(f"{target.name}.{secrets.token_hex(8)}.tmp")
    try:
        with os.fdopen(create_file(temporary), "wb") as file:
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
