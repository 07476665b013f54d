from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).with_name("crashes.py")
KILLS = int(os.environ.get("IMAGESCOPE_KILLS", "12"))  # read before tests are shielded from such settings


@pytest.mark.slow
def test_killed_at_any_moment_the_next_run_leaves_the_same_bytes(drawn: Any, tmp_path: Any) -> None:
    """At 50 moments: IMAGESCOPE_KILLS=50 (12 unless told otherwise)."""
    command = [sys.executable, str(SCRIPT), str(drawn), str(tmp_path), "2026", str(KILLS)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["killed"] == KILLS and result["resumed"] >= KILLS // 4


def test_two_evaluations_do_not_write_to_one_folder(
    drawn: Any, images: Any, fast_system: Any, tmp_path: Any
) -> None:
    from imagescope_agent.errors import BadInput
    from imagescope_agent.evaluation.ledger import Ledger

    first = Ledger(tmp_path / "run", {"a": 1})
    with pytest.raises(BadInput, match="another evaluation"):
        Ledger(tmp_path / "run", {"a": 1})
    first.close()
    Ledger(tmp_path / "run", {"a": 1}).close()
