"""The curl lines of the documentation are run as they stand."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.service.conftest import Serving

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "docs" / "service.md"]
LINES = [
    line
    for page in PAGES
    for line in re.findall(r"^curl .*$", page.read_text(encoding="utf-8"), re.MULTILINE)
]


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_lines_of_the_page_answer(serving: Serving) -> None:
    assert len(LINES) >= 5
    for line in LINES:
        # the tests' collection has its images at the top
        there = line.replace("http://127.0.0.1:8000", serving.address)
        there = there.replace("demo/collection/images", str(serving.folder)).replace('"images/', '"')
        done = subprocess.run(there, shell=True, capture_output=True, text=True, check=True)
        if "/stream" in line:
            assert "event: result" in done.stdout or "event: turn" in done.stdout
        else:
            assert "error" not in json.loads(done.stdout), done.stdout
