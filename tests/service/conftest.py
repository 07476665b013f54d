"""A service process over drawn scenes with the models that ship, and a client for it."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from imagescope_agent.api import index_folder
from imagescope_agent.lab.scenes.make import make_world

COUNT = 24  # scenes
#: A search of hundreds of questions: long after its first step.
SLOW = {"top_k": 24, "alpha": 24, "judge": "prp-allpair"}


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


def wait_for(found: Callable[[], Any], seconds: float = 120) -> Any:
    """What a look gives once it gives something."""
    until = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < until, "it never came"
        time.sleep(0.1)
    return value


def idle(address: str) -> bool:
    """Whether no request runs or waits."""
    return "imagescope_requests_admitted 0.0" in httpx.get(f"{address}/metrics", timeout=60).text


def sent(address: str, path: str, **body: Any) -> socket.socket:
    """A connection over which a request was sent: whoever closes it hangs up."""
    url, content = urlsplit(address), json.dumps(body).encode()
    connection = socket.create_connection((url.hostname, url.port), timeout=120)
    head = f"POST {path} HTTP/1.1\r\nHost: {url.netloc}\r\nContent-Type: application/json\r\n"
    connection.sendall(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content)
    return connection


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
    process.communicate(timeout=600)
