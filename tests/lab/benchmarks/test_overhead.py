"""Writing a run down costs little, and nothing where it is switched off."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from imagescope_agent.cli import main
from imagescope_agent.lab.benchmarks.overhead import VARIANTS, measure
from imagescope_agent.traces.record import Recorder
from tests.chat.talk import look_at, talking

SLOW = 0.002  # seconds a question takes this model: a tenth of what a mini model needs for a picture


def test_every_variant_is_measured_and_only_what_is_wanted_is_kept(world: Any, tmp_path: Path) -> None:
    made = measure(talking(world), tmp_path / "kept", 1)
    assert set(made["variants"]) == set(VARIANTS)
    assert made["variants"]["nothing"]["bytes"] == 0
    assert {"both.runs", "both.traces"} <= {file.name for file in (tmp_path / "kept").iterdir()}
    assert not list((tmp_path / "kept").glob("nothing*"))
    assert 0 < made["ratios"]["recorder/search"] < 1


def test_recording_is_a_small_part_of_a_search(world: Any, tmp_path: Path) -> None:
    look = look_at(world)

    def slowly(asked: Any) -> list[float]:
        time.sleep(SLOW)
        found: list[float] = look(asked)
        return found

    verifier = world.role("verifier", scorer=slowly)
    made = measure(talking(world, verifier=verifier), tmp_path / "kept", 3)
    assert made["ratios"]["recorder/search"] < 0.25


def test_nothing_listens_where_traces_are_off(world: Any, monkeypatch: Any) -> None:
    from imagescope_agent.api import ImageScope

    monkeypatch.setattr(Recorder, "__init__", lambda *given, **told: 1 / 0)
    assert ImageScope(talking(world), traces=False).search("a red square")[0].id == "red.png"


def test_the_command_explains_itself(capsys: Any) -> None:
    import pytest

    with pytest.raises(SystemExit):
        main(["bench", "overhead", "--help"])
    assert "--repeats" in capsys.readouterr().out
