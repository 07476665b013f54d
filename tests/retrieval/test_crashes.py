from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.crashes import script


@pytest.mark.slow
def test_killed_at_20_random_moments_of_indexing_500_images(pictures: Any, tmp_path: Path) -> None:
    result = script("tests.retrieval.crashes", "kill", pictures(500), tmp_path, 2026, 20)
    assert result["killed"] >= 20 and result["resumed"] >= 10, result


def test_dying_before_every_single_write(pictures: Any, tmp_path: Path) -> None:
    result = script("tests.retrieval.crashes", "points", pictures(40), tmp_path)
    assert result["points"] >= 14, result


def test_dying_before_every_single_write_of_an_added_space(pictures: Any, tmp_path: Path) -> None:
    result = script("tests.retrieval.crashes", "space", pictures(20), tmp_path)
    assert result["points"] >= 6 and result["seen"] == ["after", "before"], result
