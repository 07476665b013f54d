"""The sandbox of the tests of command lines; other files define their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.security.sandbox import OWN, Sandbox


@pytest.fixture
def sandbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """With an indexed folder that was searched."""
    made = Sandbox(tmp_path / "sandbox", monkeypatch)
    monkeypatch.setattr(
        "imagescope_agent.lab.scenes.make.make_world", lambda out, seed, count: out.mkdir(parents=True)
    )
    assert made.run("index", "photos", *OWN)[0] == 0
    assert made.run("search", "photos", "a red square", "--graph", "retrieve", *OWN)[0] == 0
    return made
