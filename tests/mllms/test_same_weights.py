"""A checkpoint whose tensors are stored in another form keeps its identity, and only while its files are just these."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from imagescope_agent.mllms.engine.checkpoint_files import SAME, hash_folder


@pytest.mark.parametrize("card", [None, "", "[]", "{}", '{"files": 3}'])
def test_the_hash_is_of_the_files(tmp_path: Path, card: str | None) -> None:
    (tmp_path / "config.json").write_text("{}")
    own = hash_folder(tmp_path)
    if card is not None:
        (tmp_path / SAME).write_text(card)
    assert hash_folder(tmp_path) == own


def test_another_form_of_the_same_tensors_has_their_hash(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / SAME).write_text(json.dumps({"files": hash_folder(tmp_path), "tensors_of": "b5f6"}))
    assert hash_folder(tmp_path) == "b5f6"
    (tmp_path / "config.json").write_text('{"changed": 1}')
    assert hash_folder(tmp_path) not in ("b5f6", "")
