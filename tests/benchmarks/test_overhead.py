"""Writing a run down costs little, and nothing where it is switched off."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from imagescope_agent import ImageScope
from imagescope_agent.benchmarks.overhead import VARIANTS, measure
from imagescope_agent.cli import main
from imagescope_agent.traces.record import Recorder
from imagescope_agent.traces.store import TraceStore
from tests.chat.talk import talking


def test_every_variant_is_measured_and_only_what_is_wanted_is_kept(world: Any, tmp_path: Path) -> None:
    made = measure(talking(world), tmp_path / "kept", 1)
    assert set(made["variants"]) == set(VARIANTS)
    assert made["variants"]["nothing"]["bytes"] == 0
    assert {"both.runs", "both.traces"} <= {file.name for file in (tmp_path / "kept").iterdir()}
    assert not list((tmp_path / "kept").glob("nothing*"))
    assert 0 < made["ratios"]["recorder/search"] < 1


def test_what_a_search_writes_down_does_not_grow_with_its_questions(world: Any, monkeypatch: Any) -> None:
    written: list[str] = []
    append = TraceStore.append

    def counted(store: TraceStore, run: str, kind: str, *given: Any, **told: Any) -> int:
        written.append(kind)
        return append(store, run, kind, *given, **told)

    monkeypatch.setattr(TraceStore, "append", counted)

    def records(top_k: int) -> int:
        written.clear()
        ImageScope(talking(world), graph="imagescope", top_k=top_k).search("a red square", k=2)
        return len(written)

    few, many = records(2), records(8)  # six more candidates, each asked as much
    assert 0 < few <= many <= few + 2


def test_nothing_listens_where_traces_are_off(world: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(Recorder, "__init__", lambda *given, **told: 1 / 0)
    assert ImageScope(talking(world), traces=False).search("a red square")[0].id == "red.png"


def test_the_command_explains_itself(capsys: Any) -> None:
    import pytest

    with pytest.raises(SystemExit):
        main(["bench", "overhead", "--help"])
    assert "--repeats" in capsys.readouterr().out
