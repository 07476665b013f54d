"""A served page: in a process of its own, as a user would start it."""

from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
Served = tuple[str, Path]


@contextmanager
def serving(folder: Path, *more: str) -> Iterator[Served]:
    """The address of a page about eight coloured squares, and their folder."""
    if importlib.util.find_spec("gradio") is None:
        pytest.skip("the extra `ui` is not installed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "tests.browser.serve", str(folder), str(port), *more]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, cwd=ROOT, env=environment) as server:
        try:
            for _ in range(1200):
                assert server.poll() is None, "the page did not start"
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.25)
            yield f"http://127.0.0.1:{port}/", folder
        finally:
            server.kill()


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One page for all tests that harm nothing."""
    with serving(tmp_path_factory.mktemp("page") / "world") as found:
        yield found
