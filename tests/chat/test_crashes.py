"""A conversation survives being killed at any moment, whatever keeps it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.crashes import KILLS, script


@pytest.mark.slow
def test_killed_at_random_moments(store: str, tmp_path: Path) -> None:
    result = script("tests.chat.crashes", tmp_path / "crash", store, 2026, KILLS)
    assert result["killed"] == KILLS
