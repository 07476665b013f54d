from __future__ import annotations

from typing import Any

import pytest

from tests.crashes import KILLS, script


@pytest.mark.slow
def test_killed_at_any_moment_the_next_run_leaves_the_same_bytes(drawn: Any, tmp_path: Any) -> None:
    result = script("tests.evaluation.crashes", drawn, tmp_path, 2026, KILLS)
    assert result["killed"] >= KILLS and result["resumed"] >= KILLS // 4


def test_two_evaluations_do_not_write_to_one_folder(
    drawn: Any, images: Any, fast_system: Any, tmp_path: Any
) -> None:
    from imagescope_agent.errors import BadInput
    from imagescope_agent.evaluation.run_store import RunStore

    first = RunStore(tmp_path / "run", {"a": 1})
    with pytest.raises(BadInput, match="another evaluation"):
        RunStore(tmp_path / "run", {"a": 1})
    first.close()
    RunStore(tmp_path / "run", {"a": 1}).close()
