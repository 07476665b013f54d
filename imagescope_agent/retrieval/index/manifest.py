"""The published index: a manifest and what it names in a vector store, replaced atomically.

    imagescope.json      which images (sorted by id), captions, weights, and what the store keeps of each vector space
    *.faiss              in the default store (see `stores.faiss_flat`), a file for each space
    fields.*             what images may be filtered by (see `metadata.table`)
    entries.*            the images and captions of a large collection (see `entries`)

Vectors are written under new names and the manifest is replaced last, so a process killed anywhere leaves the previous
index whole. The same images, captions and weights give the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from imagescope_agent.common.atomic_write import TEMPORARY_PATTERN, write_atomic
from imagescope_agent.common.untrusted import parse_json, read_file, real_path
from imagescope_agent.errors import BadInput
from imagescope_agent.retrieval.images import Skipped
from imagescope_agent.retrieval.index import entries
from imagescope_agent.retrieval.index.entries import Entry as Entry
from imagescope_agent.retrieval.index.entries import EntryTable, write_entries
from imagescope_agent.retrieval.protocols import CAPTION, IMAGE, StoredSpace

FORMAT = 1
MANIFEST = "imagescope.json"  # a name that no data set uses
FOLDER_INDEX = ".imagescope"
LARGEST = 2**30  # bytes of a manifest: a few million images
SMALL = 16 * 2**20  # bytes that a manifest may have whatever lies beside it
PER_BYTE = 16  # bytes that it may have beyond for each one of vectors: an image has 512 of them at least
DEFAULT_STORE = "faiss"
MOST_SPACES = 64
SPACE_NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")
CAPTIONS = (
    "all",
    "lazy",
    "none",
)  # which images get a caption: all when indexed, those that searches reach, none
#: How nearest vectors are looked for; "auto" compares all vectors of a small collection, and some of a large one.
INDEX_KINDS = ("auto", "exact", "hnsw", "ivfpq", "pq4", "sq8")
PARTIAL = re.compile(rf"{re.escape(MANIFEST)}{TEMPORARY_PATTERN}")
_VECTORS = re.compile(rf"journal\.sqlite|{SPACE_NAME.pattern}\.[0-9a-f]{{16}}\.faiss")


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """The metadata of an index.

    Args:
        folder: of the images, relative to the index where that lies inside it.
        embedder: weights behind the spaces "image" and "caption".
        dimension: of the vectors in these two.
        image_vectors, caption_vectors: what the store keeps of these two.
        profile: the name of the models that made it; "" in an index that keeps it in a file of its own.
        exclude: patterns of what was left out (see `scanning.Excluded`).
        store: the kind of vector store, as `stores.open_store` takes it.
        spaces: further vector spaces.
        captions: which images get a caption: one of `CAPTIONS`.
        index: how nearest vectors are looked for: one of `INDEX_KINDS`.
        fields: what `metadata.table.write_fields` returned; {} in an index of before there were fields.
    """

    folder: str
    embedder: str
    captioner: str
    dimension: int
    image_vectors: dict[str, Any]
    caption_vectors: dict[str, Any]
    entries: Sequence[Entry]
    skipped: tuple[Skipped, ...]
    exclude: tuple[str, ...] = ()
    profile: str = ""
    store: str = DEFAULT_STORE
    spaces: tuple[StoredSpace, ...] = ()
    captions: str = CAPTIONS[0]
    index: str = INDEX_KINDS[0]
    fields: dict[str, Any] = field(default_factory=dict)

    @property
    def ids(self) -> Sequence[str]:
        """The images, sorted."""
        if isinstance(self.entries, EntryTable):
            return self.entries.ids
        return tuple(entry.id for entry in self.entries)

    @property
    def all_spaces(self) -> tuple[StoredSpace, ...]:
        """Every vector space: "image", "caption", and the further ones."""
        kept = {IMAGE: self.image_vectors, CAPTION: self.caption_vectors}
        default = [
            StoredSpace(name=name, dimension=self.dimension, weights=self.embedder, kept=kept[name])
            for name in kept
        ]
        return *default, *self.spaces


def _checked(found: Manifest) -> Manifest:
    """Check the types and values of a manifest that was read.

    Raises:
        ValueError, TypeError, KeyError: one is invalid.
    """
    texts = (found.folder, found.embedder, found.captioner, found.profile, found.store, *found.exclude)
    if not all(isinstance(text, str) for text in texts) or "\0" in found.folder:
        raise ValueError("a name is no text")
    known = found.captions in CAPTIONS and found.index in INDEX_KINDS
    if not known or not isinstance(found.fields, dict):
        raise ValueError("no known captions, index or fields")
    spaces = [space.name for space in found.all_spaces]
    if len(set(spaces)) < len(spaces) or len(spaces) > MOST_SPACES:
        raise ValueError("spaces of one name, or too many")
    if not all(map(_is_valid_space, found.all_spaces)):
        raise ValueError("no space of vectors")
    skipped = [text for item in found.skipped for text in (item.id, item.reason)]
    if not isinstance(found.entries, EntryTable):  # which reads each when it is asked for
        names = [entry.id for entry in found.entries]
        if len(set(names)) < len(names) or not all(map(entries.is_valid, found.entries)):
            raise ValueError("an entry is malformed")
    if not all(isinstance(text, str) for text in skipped):
        raise ValueError("a reason is no text")
    return found


def _is_valid_space(space: StoredSpace) -> bool:
    """Whether every value of a space can be what it should; what `kept` holds is for the store to check."""
    size = isinstance(space.dimension, int) and 0 < space.dimension <= 2**16
    return (
        size
        and isinstance(space.weights, str)
        and SPACE_NAME.fullmatch(space.name) is not None
        and isinstance(space.kept, dict)
    )


def folder_as_stored(folder: Path, out: Path) -> str:
    """The folder of images as the manifest names it: relative when both move together.

    Raises:
        BadInput: its name is no text.
    """
    here, there = real_path(out), real_path(folder)
    name = Path(os.path.relpath(there, here)).as_posix() if here.is_relative_to(there) else str(there)
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise BadInput(
            f"the name of the folder {name!a} is not valid UTF-8; rename it, or keep the index inside it"
        ) from error
    return name


def write(out: Path, manifest: Manifest) -> None:
    """Publish the index: when this returns, readers see it.

    Raises:
        OSError: the disk is full or read-only; the index before is untouched.
    """
    content: dict[str, Any] = {"format": FORMAT, **asdict(replace(manifest, entries=()))}
    content["entries"] = _kept_entries(out, manifest.entries)
    # unwritten, as in earlier versions
    defaults = {"profile": "", "store": DEFAULT_STORE, "spaces": (), "captions": CAPTIONS[0], "fields": {}}
    defaults["index"] = INDEX_KINDS[0]
    content = {key: value for key, value in content.items() if key not in defaults or value != defaults[key]}
    content["checksum"] = _checksum(content)
    text = json.dumps(content, ensure_ascii=False, indent=1) + "\n"
    write_atomic(out / MANIFEST, text)


def _kept_entries(out: Path, listed: Sequence[Entry]) -> Any:
    """Entries as the manifest has them: few as they are, many in a file of their own."""
    kept = write_entries(out, listed) if len(listed) > entries.INLINE else None
    return [vars(entry) for entry in listed] if kept is None else kept


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
    """Refuse an index folder that is a link out of the folder of images, which may be untrusted.

    Raises:
        BadInput: it is.
    """
    if index != folder and index.is_symlink() and not real_path(index).is_relative_to(real_path(folder)):
        raise BadInput(
            f"{str(index)!r} is a link to {os.fspath(real_path(index))!r}; "
            "where that is what you want, name the index itself (--out of `imagescope index`)"
        )


def read(out: Path) -> Manifest:
    """Read and check the manifest.

    Raises:
        BadInput: it is damaged or of another version.
    """
    try:
        return _read(out)
    except FileNotFoundError:  # published anew between the manifest and the entries: look once more
        try:
            return _read(out)
        except FileNotFoundError as error:
            raise damaged(out, f"{Path(error.filename).name} is missing") from error


def _read(out: Path) -> Manifest:
    try:
        content = parse_json(read_file(out / MANIFEST, _most_bytes(out)))
        found, version = content.pop("checksum"), content.pop("format")
        if version != FORMAT:
            raise damaged(out, f"its format is {version!r}, not {FORMAT}")
        if found != _checksum({"format": version, **content}):
            raise damaged(out, f"{MANIFEST} does not match its checksum")
        content["entries"] = _entries(out, content["entries"])
        content["skipped"] = tuple(Skipped(**item) for item in content["skipped"])
        content["exclude"] = tuple(content.get("exclude", ()))
        content["spaces"] = tuple(StoredSpace(**space) for space in content.get("spaces", ()))
        return _checked(Manifest(**content))
    except FileNotFoundError as error:
        if Path(error.filename).name != MANIFEST:
            raise
        raise damaged(out, f"{MANIFEST} is unreadable ({error.strerror})") from error
    except OSError as error:
        raise damaged(out, f"{Path(error.filename).name} is unreadable ({error.strerror})") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise damaged(out, f"{MANIFEST} is not what was written") from error


def _entries(out: Path, kept: list[dict[str, Any]] | dict[str, str]) -> Sequence[Entry]:
    """The entries that a manifest holds, or names the file of."""
    if isinstance(kept, list):
        return tuple(Entry(**entry) for entry in kept)
    if not entries.FILE.fullmatch(kept["file"]):
        raise ValueError("no file of entries")
    return EntryTable(out / kept["file"], kept["sha256"])


def _most_bytes(out: Path) -> int:
    """How large the manifest may be: about as many images as there are vectors for, here or in the journal."""
    found = [item.stat(follow_symlinks=False) for item in os.scandir(out) if _VECTORS.fullmatch(item.name)]
    kept = sum(min(each.st_size, 512 * each.st_blocks) for each in found if stat.S_ISREG(each.st_mode))
    return min(LARGEST, SMALL + PER_BYTE * kept)


def patterns_of(folder: Path, out: Path | None) -> tuple[str, ...]:
    """The patterns that an index was made with; none where there is no readable index."""
    place = out if out is not None else folder / FOLDER_INDEX
    try:
        return read(place).exclude if (place / MANIFEST).is_file() else ()
    except (OSError, BadInput):
        return ()


def damaged(out: Path, why: str) -> BadInput:
    """The error for an index that cannot be used as it is."""
    return BadInput(
        f"the index in {str(out)!r} is damaged: {why}; run `imagescope index` on its folder again"
    )


def _checksum(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
