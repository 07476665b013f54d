"""A service process over drawn scenes with the models that ship, and a client for it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from imagescope_agent.api import index_folder
from imagescope_agent.lab.scenes.make import make_world

COUNT = 24  # scenes


def start(*arguments: str, **environment: str) -> tuple[subprocess.Popen[str], str]:
    """A running `imagescope serve` on a free port, and its address."""
    process = subprocess.Popen(
        [sys.executable, "-m", "imagescope_agent.cli", "serve", *arguments, "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    found = re.match(r"(http://\S+)/docs", line)
    if found is None:
        process.kill()
        raise AssertionError(line + process.communicate()[1])
    return process, found[1]


@dataclass
class Serving:
    """A service and what it serves."""

    process: subprocess.Popen[str]
    address: str
    folder: Path
    client: httpx.Client

    def post(self, path: str, **values: Any) -> Any:
        """The body of a successful answer."""
        answer = self.client.post(path, json=values)
        assert answer.is_success, answer.text
        return answer.json()


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An indexed folder of drawn scenes."""
    place = tmp_path_factory.mktemp("served")
    make_world(place, 77, COUNT)
    index_folder(place / "images", progress=False)
    return place / "images"


@pytest.fixture(scope="session")
def serving(folder: Path) -> Iterator[Serving]:
    """A service over the folder, for all tests that do not stop it."""
    process, address = start(str(folder))
    with httpx.Client(base_url=address, timeout=120) as client:
        yield Serving(process, address, folder, client)
    process.terminate()
    process.communicate(timeout=60)
