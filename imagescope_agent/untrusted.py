"""Read what others made: regular files of limited size, JSON of limited depth, databases that hold only tables."""

from __future__ import annotations

import errno
import json
import os
import random
import sqlite3
import stat
import time
import zlib
from pathlib import Path
from typing import Any

from imagescope_agent.errors import BadInput

DEEPEST = 64  # JSON of ours is nested ten deep at most
_SIBLINGS = ("", "-wal", "-shm", "-journal")  # files that SQLite opens beside a database


def read_file(path: Path, most: int) -> bytes:
    """The content of a regular file; links are not followed, pipes and devices never waited for.

    Raises:
        FileNotFoundError: there is none.
        OSError: it is no regular file, holds more than `most` bytes, or cannot be read.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as file:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        if status.st_size > most:
            raise OSError(errno.EFBIG, f"larger than {most} bytes", str(path))
        data = file.read(most + 1)
    if len(data) > most:
        raise OSError(errno.EFBIG, f"larger than {most} bytes", str(path))
    return data


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


def parse_json(text: str | bytes, *, deepest: int = DEEPEST, most: int | None = None) -> Any:
    """What JSON text says, the same on every Python: how deep its parser goes differs from version to version.

    Args:
        text: the JSON; bytes are UTF-8.
        deepest: levels of lists and objects.
        most: values in it, since a value takes much more memory than its text; None for any number.

    Raises:
        ValueError: it is no JSON, too deep, or too much.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8")
    if most is not None and 1 + sum(map(text.count, ",[{")) > most:
        raise ValueError(f"more than {most} values")
    try:
        value = json.loads(text)
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
