"""Atomic replacement of a file's content: readers, and a crash at any moment, see all of the old or all of the new."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from imagescope_agent.common.untrusted import create_file, real_path

#: How the names of unfinished files end; whoever owns a folder may remove those that a killed process left there.
TEMPORARY_SUFFIX = ".tmp"
#: What `write_atomic` adds to a name; who shares a folder with other people's files removes only names that match.
TEMPORARY_PATTERN = r"\.[0-9a-f]{16}\.tmp"


def write_atomic(
    path: Path,
    content: bytes | str | Iterable[str] | Iterable[bytes],
    *,
    durable: bool = True,
    mode: int = 0o666,
) -> None:
    """Write a new file and put it in the place of the old one.

    Args:
        path: the file; its folder exists.
        content: bytes, or text, which is written as UTF-8, in one or several pieces.
        durable: wait until the disk holds the file; without it a power cut may leave a damaged one, which suits caches
            that check what they read.
        mode: permissions of the file, before the umask.

    Raises:
        OSError: the disk is full or read-only; the old file is untouched.
    """
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(8)}{TEMPORARY_SUFFIX}")
    parts = [content] if isinstance(content, bytes | str) else content
    try:
        with os.fdopen(create_file(temporary, mode), "wb") as file:
            file.writelines(part.encode("utf-8") if isinstance(part, str) else part for part in parts)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    if durable:
        _sync_folder(path.parent)


def write_output(path: Path, content: bytes) -> None:
    """Write what the user asked for where the user said: a file as by `write_atomic`, through links, or a device.

    Raises:
        OSError: the disk is full or read-only, links lead in a circle, nobody reads a pipe.
    """
    try:
        regular = stat.S_ISREG(path.stat().st_mode)
    except FileNotFoundError:
        regular = True
    if regular:
        write_atomic(real_path(path), content)
        return
    handle = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    os.set_blocking(handle, True)
    with os.fdopen(handle, "wb") as file:
        file.write(content)


def _sync_folder(folder: Path) -> None:
    """Make the renaming itself durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
