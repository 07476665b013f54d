"""A conversation survives being killed at any moment, whatever keeps it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_killed_at_20_random_moments(store: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.chat.crashes", str(tmp_path / "crash"), store, "2026", "20"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=1800, check=False, cwd=ROOT, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["killed"] == 20
