"""A conversation survives being killed at any moment, whatever keeps it.

How often it is killed may be told: `KILLS=200 make test ARGS=tests/chat/test_crashes.py`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
KILLS = os.environ.get("KILLS", "12")


@pytest.mark.slow
def test_killed_at_random_moments(store: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.chat.crashes", str(tmp_path / "crash"), store, "2026", KILLS]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=7200, check=False, cwd=ROOT, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["killed"] == int(KILLS)
