"""One process at a time writes to a file: an exclusive lock that ends with its process."""

from __future__ import annotations

import fcntl
import os
import stat
from pathlib import Path
from typing import IO

from imagescope_agent.errors import BadInput


def hold_file(path: Path, busy: str) -> IO[str]:
    """Hold an exclusive lock, which the system releases when it is closed or this process ends, however it ends.

    Args:
        path: the lock's file, made where there is none; never what a link leads to.
        busy: what to say when another process holds it.

    Raises:
        BadInput: another process holds it, or it is no regular file.
        OSError: nothing can be written there.
    """
    if os.path.lexists(path) and not stat.S_ISREG(os.lstat(path).st_mode):
        raise BadInput(f"{str(path)!r} is no regular file; choose another place with --out")
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    file = os.fdopen(handle, "w", encoding="utf-8")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise BadInput(busy) from None
    return file
