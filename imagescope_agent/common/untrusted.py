"""Read what others made: regular files of limited size, JSON of limited depth, databases that hold only tables."""

from __future__ import annotations

import errno
import json
import os
import random
import re
import sqlite3
import stat
import time
import zlib
from collections.abc import Mapping, Set
from pathlib import Path
from typing import Any, BinaryIO

from imagescope_agent.errors import BadInput

DEEPEST = 64  # JSON of ours is nested ten deep at most
_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/")  # a Path has one slash of two
#: Tables of searches, conversations and traces, which may be kept in one file, and columns that they have.
_SHARED: Mapping[str, Set[str]] = {
    "checkpoints": {"thread_id", "checkpoint_id"},
    "writes": {"thread_id", "task_id"},
    "runs": {"id", "thread", "turn", "about"},
    "events": {"seq", "run", "kind", "data"},
}
_SIBLINGS = ("", "-wal", "-shm", "-journal")  # files that SQLite opens beside a database


class NotOurs(sqlite3.DatabaseError):
    """A database of something else."""


def open_file(path: Path, *, follow: bool = False) -> BinaryIO:
    """A regular file, open for reading; pipes and devices are never waited for.

    Args:
        path: the file.
        follow: take the file that a link leads to; for files which the user names or keeps, as data sets are.

    Raises:
        FileNotFoundError: there is none.
        OSError: it is no regular file, or cannot be read.
    """
    links = 0 if follow else os.O_NOFOLLOW
    handle = os.open(path, os.O_RDONLY | links | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return os.fdopen(handle, "rb")


def read_file(path: Path, most: int, *, follow: bool = False) -> bytes:
    """The content of a regular file, opened as by `open_file`.

    Raises:
        FileNotFoundError: there is none.
        OSError: it is no regular file, holds more than `most` bytes, or cannot be read.
    """
    with open_file(path, follow=follow) as file:
        if os.fstat(file.fileno()).st_size > most:
            raise OSError(errno.EFBIG, f"larger than {most} bytes", str(path))
        data = file.read(most + 1)
    if len(data) > most:
        raise OSError(errno.EFBIG, f"larger than {most} bytes", str(path))
    return data


def local_path(text: str) -> Path:
    """A file or folder of this machine that a text names.

    Raises:
        BadInput: it names nothing, or an address, whose password must not become the name of a folder.
    """
    if not text.strip():
        raise BadInput("an empty name; give a file or a folder")
    if found := _ADDRESS.match(text):
        raise BadInput(f"{found[1]}:// is an address; give a file or a folder of this machine")
    return Path(text)


def real_path(path: Path) -> Path:
    """As `Path.resolve`, which before Python 3.13 raises a RuntimeError where links lead in a circle."""
    return Path(os.path.realpath(path))


def create_file(path: Path, mode: int = 0o666) -> int:
    """A handle of a new file for writing; whatever bears its name already, a link too, is left alone.

    Args:
        path: the file.
        mode: its permissions, before the umask.

    Raises:
        FileExistsError: the name is taken.
        OSError: the disk is full or read-only.
    """
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)


def parse_json(text: str | bytes, *, deepest: int = DEEPEST, most: int | None = None, **hooks: Any) -> Any:
    """What JSON text says, the same on every Python: how deep its parser goes differs from version to version.

    Args:
        text: the JSON; bytes are UTF-8.
        deepest: levels of lists and objects.
        most: values in it, since a value takes much more memory than its text; None for any number.
        hooks: as `json.loads` takes them.

    Raises:
        ValueError: it is no JSON, too deep, or too much.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8")
    if most is not None and 1 + sum(map(text.count, ",[{")) > most:
        raise ValueError(f"more than {most} values")
    try:
        value = json.loads(text, **hooks)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    level = [value]
    for _ in range(deepest):
        level = [inner for each in level for inner in _inside(each)]
        if not level:
            return value
    raise ValueError(f"nested more than {deepest} deep")


def inflate(data: bytes, most: int) -> bytes:
    """What zlib compressed.

    Args:
        data: the compressed bytes.
        most: bytes that may come out.

    Raises:
        ValueError: it is damaged, cut off, or more than that.
    """
    unpacker = zlib.decompressobj()
    try:
        plain = unpacker.decompress(data, most + 1)
    except zlib.error as error:
        raise ValueError(str(error)) from error
    if len(plain) > most or not unpacker.eof:
        raise ValueError("it is too large, or cut off")
    return plain


def _inside(value: Any) -> list[Any]:
    """The lists and objects directly in a value; the value itself need not be one."""
    if isinstance(value, dict):
        return [each for each in value.values() if isinstance(each, dict | list)]
    return [each for each in value if isinstance(each, dict | list)] if isinstance(value, list) else []


def beside(folder: Path, name: str) -> Path:
    """The place of a database in somebody's folder, where nothing leads it elsewhere.

    Raises:
        BadInput: a link, a pipe or another thing that is no file bears its name.
    """
    for suffix in _SIBLINGS:
        path = folder / (name + suffix)
        try:
            mode = path.lstat().st_mode
        except OSError:
            continue
        if not stat.S_ISREG(mode):
            raise BadInput(f"{str(path)!r} is no regular file; remove it, or name another place")
    return folder / name


def require_tables_only(base: sqlite3.Connection) -> None:
    """Make sure that a database runs nothing of its own: no triggers, views or virtual tables.

    Raises:
        sqlite3.DatabaseError: it does, or it cannot be read.
    """
    base.execute("pragma trusted_schema=off")
    for kind, name, sql in base.execute("select type, name, sql from sqlite_schema"):
        virtual = isinstance(sql, str) and sql.lstrip()[:14].lower() == "create virtual"
        if kind not in ("table", "index") or virtual:
            raise sqlite3.DatabaseError(f"it holds the {kind} {str(name)[:40]!r}, which is not ours")


def require_own_tables(base: sqlite3.Connection, own: Mapping[str, Set[str]], *, there: bool = False) -> None:
    """Make sure that a database may be written to: it is new, or holds tables of ours.

    Args:
        base: the connection; nothing was written with it yet.
        own: by name, the columns that tables have at least.
        there: they must be there already.

    Raises:
        NotOurs: it is a database of something else.
        sqlite3.Error: it cannot be read.
    """
    query = "select name from sqlite_schema where type = 'table' and name not like 'sqlite\\_%' escape '\\'"
    found = {str(name) for (name,) in base.execute(query)}
    ours = {**_SHARED, **own}
    if (there or found - ours.keys()) and not found >= own.keys():
        raise NotOurs("it is a database of something else" if found else "it holds nothing")
    for table in ours.keys() & found:
        if not ours[table] <= {str(row[1]) for row in base.execute(f'pragma table_info("{table}")')}:
            raise NotOurs(f"its table {table!r} is not ours")


def connect_for_reading(path: Path, timeout: float) -> sqlite3.Connection:
    """A connection that writes nothing; it takes the file as it is where nothing may be written beside it either.

    Raises:
        sqlite3.Error: it cannot be read.
    """
    for mode in ("mode=ro", "immutable=1"):
        base = sqlite3.connect(
            f"{path.absolute().as_uri()}?{mode}",
            timeout=timeout,
            check_same_thread=False,
            isolation_level=None,
            uri=True,
        )
        try:
            base.execute("select 1 from sqlite_schema").fetchone()
        except sqlite3.Error as error:
            base.close()
            if mode == "immutable=1" or getattr(error, "sqlite_errorname", "") != "SQLITE_CANTOPEN":
                raise
        else:
            break
    return base


def use_write_ahead_log(base: sqlite3.Connection, timeout: float) -> None:
    """Let a database be read while it is written; other connections may ask for the same at this moment.

    SQLite waits for locks by itself, but not for this one: of two that switch a new file over together, one is
    told "database is locked" at once.

    Args:
        base: the connection.
        timeout: seconds to try again.

    Raises:
        sqlite3.Error: it is still locked then, or cannot be written.
    """
    end = time.monotonic() + timeout
    while True:
        try:
            base.execute("pragma journal_mode=wal")
        except sqlite3.OperationalError as error:
            if not error.sqlite_errorname.startswith("SQLITE_BUSY") or time.monotonic() > end:
                raise
            time.sleep(random.uniform(0.005, 0.05))
        else:
            return
