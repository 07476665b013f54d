"""Sources of pictures as fsspec sees them: a file system, an archive on one, or a list of addresses."""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import IO, Any
from urllib.parse import unquote, urlsplit

from imagescope_agent.common.redact import redact
from imagescope_agent.errors import BadInput, MissingExtra, shorten

ARCHIVE_BYTES = 100 * 2**30  # of archives behind web addresses, in all
SHARDS = 500  # archives of a pattern, each an open file
LIST_BYTES = 256 * 2**20  # of a list of addresses
ARCHIVES = {  # how the name of an archive ends: its file system, and the compression of its whole
    ".zip": ("zip", None), ".tar": ("tar", None), ".tar.gz": ("tar", "gzip"), ".tgz": ("tar", "gzip"),
    ".tar.bz2": ("tar", "bz2"), ".tar.xz": ("tar", "xz"),
}  # fmt: skip
_WEB = ("http", "https")


@dataclass(frozen=True, kw_only=True)
class Item:
    """A file of a source.

    Args:
        name: its path below the source.
        version: changes when the file may have; "" where that is not known.
        size: bytes, as the source tells; None where it does not.
        open: opens it for reading.
        concurrent: whether several may be read at a time.
    """

    name: str
    version: str
    size: int | None
    open: Callable[[], AbstractContextManager[IO[bytes]]]
    concurrent: bool


@dataclass(frozen=True, kw_only=True)
class Source:
    """An opened source: a file system and what to take of it, or addresses."""

    shown: str
    fs: Any = None
    root: str = ""
    addresses: tuple[str, ...] = ()
    archive: bool = False
    shards: tuple[tuple[str, Source], ...] = ()  # name and archive of each
    copied: int = 0  # bytes of the archive, where it was copied from a web address


@contextmanager
def open_source(text: str) -> Iterator[Source]:
    """Open what a user names, while its files are read.

    Raises:
        MissingExtra: fsspec, or what it needs for this source, is not installed.
        BadInput: there is no such source, or it cannot be opened.
    """
    try:
        import fsspec
    except ImportError as error:
        raise MissingExtra("other sources need an extra: pip install 'imagescope-agent[remote]'") from error
    shown = redact(text)
    with ExitStack() as stack:
        try:
            source = _opened(fsspec, text, stack)
        except ImportError as error:
            raise MissingExtra(f"{shown!r} needs a package more: {shorten(str(error))}") from error
        except BadInput:
            raise
        except Exception as error:  # every file system of fsspec has exceptions of its own
            raise _unusable(shown, error) from error
        yield source


def _opened(fsspec: Any, text: str, stack: ExitStack) -> Source:
    shown = redact(text)
    if _path(text).endswith(".txt"):
        with fsspec.open(text, "rb") as file:
            return Source(shown=shown, addresses=_addresses(file.read(LIST_BYTES + 1), shown))
    chained = text.startswith(("zip:", "tar:"))
    if chained or _ending(_path(text)) is None:
        fs, root = fsspec.url_to_fs(text)
        return Source(shown=shown, fs=fs, root=root, archive=chained)
    if "*" in text:
        return Source(shown=shown, archive=True, shards=_shards(fsspec, text, stack))
    fs, path = fsspec.url_to_fs(text)
    return _archive(fsspec, fs, path, stack, most=ARCHIVE_BYTES)


def _archive(fsspec: Any, place: Any, path: str, stack: ExitStack, *, most: int) -> Source:
    """An archive on a file system, at a path that is no pattern whatever is in it; `most` bytes are copied."""
    copied = 0
    if _is_web(path):
        file = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
        copied = _download(place, path, file, most)
    else:
        file = stack.enter_context(place.open(path, "rb"))
    kind, compression = ARCHIVES[str(_ending(_path(path)))]
    options = {"compression": compression} if compression else {}
    # a file system of its own: fsspec would give the one of an earlier file with the same number
    fs = fsspec.filesystem(kind, fo=file, skip_instance_cache=True, **options)
    return Source(shown=redact(path), fs=fs, archive=True, copied=copied)


def _ending(path: str) -> str | None:
    """Which of `ARCHIVES` it ends with."""
    return next((end for end in sorted(ARCHIVES, key=len, reverse=True) if path.lower().endswith(end)), None)


def _shards(fsspec: Any, text: str, stack: ExitStack) -> tuple[tuple[str, Source], ...]:
    """The archives that a pattern names, as shards-*.tar, in order of their names.

    Raises:
        BadInput: there is none, or more than may be open at a time.
    """
    fs, pattern = fsspec.url_to_fs(text)
    found = sorted(fs.glob(pattern))
    if not 0 < len(found) <= SHARDS:
        raise BadInput(f"{len(found)} archives are {redact(text)!r}; give a pattern of 1 to {SHARDS}")
    above = re.split(r"[*?\[]", _place(pattern))[0].rpartition("/")[0]  # no pattern
    shards, left = [], ARCHIVE_BYTES
    for path in found:
        name = _place(path).removeprefix(above).lstrip("/")  # the same name may be in several folders
        shards.append((name[: -len(str(_ending(name)))], _archive(fsspec, fs, path, stack, most=left)))
        left -= shards[-1][1].copied
    return tuple(shards)


def _download(place: Any, address: str, copy: IO[bytes], most: int) -> int:
    """Copy an archive from a web address, since many servers give no parts of a file; returns its bytes.

    Raises:
        BadInput: it is too large.
    """
    size = 0
    with place.open(address, "rb", block_size=0) as file:  # read from beginning to end
        while chunk := file.read(2**20):
            size += len(chunk)
            if size > most:
                raise BadInput(f"archives have more than {ARCHIVE_BYTES // 2**30} GiB; unpack them yourself")
            copy.write(chunk)
    copy.seek(0)
    return size


def list_items(source: Source) -> Iterator[Item]:
    """The files of a source, in order of their names; of an archive regular files only.

    Raises:
        BadInput: it cannot be listed.
    """
    if source.addresses:
        yield from _of_addresses(source.addresses)
        return
    if source.shards:
        for shard, part in source.shards:
            for item in list_items(part):
                yield replace(item, name=f"{shard}/{item.name}")
        return
    try:
        found = _found(source)
    except Exception as error:  # every file system of fsspec has exceptions of its own
        raise _unusable(source.shown, error) from error
    root = source.root.rstrip("/")
    for path in sorted(found):
        info = found[path]
        if info.get("type", "file") != "file":
            continue
        if path == source.root:
            name = _name_of(path)
        else:
            name = path[len(root) :].removeprefix("/") if root else path
            name = unquote(name) if _is_web(path) else name
        yield Item(
            name=name,
            version=_version(info),
            size=info.get("size"),
            open=lambda path=path: source.fs.open(path, "rb"),  # type: ignore[misc]
            concurrent=not source.archive,
        )


def _found(source: Source) -> dict[str, Any]:
    """What a file system tells of each file: of one file, or of all below a folder."""
    single = _is_web(source.root) and re.search(r"\.\w{2,5}$", _path(source.root)) is not None
    if single or (not _is_web(source.root) and source.root and source.fs.isfile(source.root)):
        return {source.root: source.fs.info(source.root)}
    found: dict[str, Any] = source.fs.find(source.root, detail=True)
    if _is_web(source.root):  # a page links to other places, too
        found = {path: info for path, info in found.items() if path.startswith(source.root.rstrip("/") + "/")}
    if not found and not source.archive and not source.fs.exists(source.root):
        raise FileNotFoundError("there is nothing there")
    return found


def _of_addresses(addresses: tuple[str, ...]) -> Iterator[Item]:
    """A file for each address, named as there; a second one of a name gets a hash of its address."""
    import fsspec

    taken: set[str] = set()
    for address in addresses:
        name = _name_of(address)
        if name in taken:
            stem, dot, suffix = name.rpartition(".")
            name = f"{stem or suffix}-{hashlib.sha256(address.encode()).hexdigest()[:12]}{dot}{suffix if stem else ''}"
        taken.add(name)
        yield Item(
            name=name,
            version=f"address:{address}",  # what an address shows is fetched once
            size=None,
            open=lambda address=address: fsspec.open(address, "rb"),  # type: ignore[misc]
            concurrent=True,
        )


def _addresses(content: bytes, shown: str) -> tuple[str, ...]:
    """The lines of a list that are no comments.

    Raises:
        BadInput: it is too large, holds nothing, or a line is no address: a list may not name files of this machine.
    """
    if len(content) > LIST_BYTES:
        raise BadInput(f"the list {shown!r} has more than {LIST_BYTES // 2**20} MiB; give a part of it")
    lines = [line.strip() for line in content.decode("utf-8", "replace").splitlines()]
    lines = list(dict.fromkeys(line for line in lines if line and not line.startswith("#")))
    for line in lines:
        if (
            "::" in line
            or not re.match(r"[a-z][a-z0-9+.]{1,20}://", line)
            or line.startswith(("file:", "local:"))
        ):
            raise BadInput(
                f"{shorten(line, 80)!r} in {shown!r} is no address; write one a line, as https://..."
            )
    if not lines:
        raise BadInput(f"the list {shown!r} is empty; write an address a line")
    return tuple(lines)


def _version(info: dict[str, Any]) -> str:
    """What tells whether a file changed: its tag where there is one, else size and time."""
    for name in ("ETag", "etag", "md5Hash", "checksum", "CRC"):
        if info.get(name):
            return f"{name}:{info[name]}:{info.get('size')}"
    for name in ("LastModified", "mtime", "last_modified", "date_time", "created"):
        if info.get(name):
            return f"{name}:{info[name]}:{info.get('size')}"
    return ""


def _path(text: str) -> str:
    """The path of an address, in small letters; of anything else all of it."""
    return (urlsplit(text).path if _is_web(text) else text).lower() if text else ""


def _name_of(address: str) -> str:
    """The name of the file that an address shows."""
    return _place(address).rstrip("/").rsplit("/", 1)[-1]


def _place(address: str) -> str:
    """The path of an address, as it is read; of anything else all of it."""
    return unquote(urlsplit(address).path) if _is_web(address) else address


def _is_web(text: str) -> bool:
    return text.split("://", 1)[0].lower() in _WEB


def _unusable(shown: str, error: Exception) -> BadInput:
    return BadInput(
        f"cannot open {shown!r}: {shorten(f'{type(error).__name__}: {error}')}; check the address, the name and the key"
    )
