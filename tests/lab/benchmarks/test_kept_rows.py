"""Rows of a measurement that are kept: what cannot be used is told before anything is measured."""

from __future__ import annotations

from pathlib import Path

import pytest

from imagescope_agent.errors import BadInput
from imagescope_agent.lab.benchmarks.kept_rows import KeptRows

OF = {"seed": 1}


def test_the_next_call_measures_what_is_not_kept(tmp_path: Path) -> None:
    file = tmp_path / "new" / "kept.json"
    assert KeptRows(file, OF).row("a", lambda: {"accuracy": 1.0}) == {"accuracy": 1.0}
    assert KeptRows(file, OF).row("a", lambda: {}) == {"accuracy": 1.0}


@pytest.mark.parametrize("rows", ["5", "[]", '{"a": 5}', '{"a": {}', ""])
def test_a_damaged_file_is_refused(tmp_path: Path, rows: str) -> None:
    file = tmp_path / "kept.json"
    file.write_text(f'{{"of": {{"seed": 1}}, "rows": {rows}}}')
    with pytest.raises(BadInput, match="is damaged"):
        KeptRows(file, OF)


def test_rows_of_something_else_and_a_folder_that_is_a_file_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "kept.json"
    KeptRows(file, OF).row("a", lambda: {})
    with pytest.raises(BadInput, match="another seed"):
        KeptRows(file, {"seed": 2})
    with pytest.raises(BadInput, match="cannot keep rows"):
        KeptRows(file / "below.json", OF)
