"""Where the conversations under test are kept: SQLite, and PostgreSQL where Debian's is installed."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


def _programs() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return found[-1].parent if found else None


@pytest.fixture(scope="session")
def server() -> Iterator[Path]:
    """The socket folder of a PostgreSQL server that lives as long as the tests."""
    programs = _programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    if importlib.util.find_spec("psycopg") is None:
        pytest.skip("psycopg is not installed (the extra `postgres`)")
    base = Path(tempfile.mkdtemp(prefix="pg"))
    asroot: dict[str, Any] = {"cwd": base, "check": True, "capture_output": True}
    if os.geteuid() == 0:  # the server refuses to run as root
        shutil.chown(base, "postgres")
        asroot["user"] = "postgres"
    data = str(base / "data")
    options = f"-k {base} -c listen_addresses='' -c fsync=off"
    try:
        subprocess.run(
            [str(programs / "initdb"), "-D", data, "-A", "trust", "-U", "tests", "--no-sync"], **asroot
        )
        started = [
            str(programs / "pg_ctl"),
            "-D",
            data,
            "-w",
            "-t",
            "600",
            "-l",
            str(base / "log"),
            "-o",
            options,
            "start",
        ]
        subprocess.run(started, **asroot)
        yield base
    finally:
        subprocess.run(
            [str(programs / "pg_ctl"), "-D", data, "-m", "immediate", "stop"], **{**asroot, "check": False}
        )
        shutil.rmtree(base, ignore_errors=True)


@pytest.fixture(params=["sqlite", "postgres"])
def store(request: Any, tmp_path: Path) -> str:
    """A new store, as `open_chats` is told it."""
    if request.param == "sqlite":
        return str(tmp_path / "chats.sqlite")
    import psycopg

    base = request.getfixturevalue("server")
    name = f"t{os.urandom(6).hex()}"
    with psycopg.connect(f"postgresql:///postgres?host={base}&user=tests", autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    return f"postgresql:///{name}?host={base}&user=tests"
