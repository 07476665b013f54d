from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).with_name("crashes.py")


def crashes(*arguments: object) -> dict[str, Any]:
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


@pytest.mark.slow
def test_killed_at_20_random_moments_of_indexing_500_images(pictures: Any, tmp_path: Path) -> None:
    folder = pictures(500)
    result = crashes("kill", folder, tmp_path, 2026, 20)
    assert result["killed"] == 20 and result["resumed"] >= 10, result


def test_dying_before_every_single_write(pictures: Any, tmp_path: Path) -> None:
    result = crashes("points", pictures(40), tmp_path)
    assert result["points"] >= 14, result
