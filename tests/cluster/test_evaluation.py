"""An evaluation by Ray on two nodes: every query once, and the figures of one process."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from imagescope_agent.evaluation.evaluate import evaluate
from tests.cluster.nodes import Run, work
from tests.evaluation.conftest import drawn as drawn  # the fixture
from tests.scripted_profile import scripted_profile

pytestmark = pytest.mark.slow


def records(out: Path) -> dict[str, dict[str, Any]]:
    """The whole lines of a run, without times; a query that is there twice fails."""
    path = out / "per_query.jsonl"
    whole = path.read_bytes().rpartition(b"\n")[0] if path.exists() else b""
    listed = [json.loads(line) for line in whole.splitlines()]
    assert len({record["qid"] for record in listed}) == len(listed)
    for record in listed:
        record["usage"].pop("seconds")
    return {record["qid"]: record for record in listed}


def test_a_killed_evaluation_goes_on_and_counts_every_query_once(
    run: Callable[..., Run], drawn: Path, log: Path, tmp_path: Path
) -> None:
    profile = tmp_path / "plain.toml"
    profile.write_text(scripted_profile(f"tests.cluster.models:open_plain:{log}"))
    alone = evaluate("scenes", root=drawn, out=tmp_path / "alone", profile=str(profile), progress=False)
    command = ["eval", "scenes", "--root", drawn, "--profile", profile, "--out", tmp_path / "ray"]
    first = run(*command)
    first.until(lambda: records(tmp_path / "ray"))
    first.killed()
    before = records(tmp_path / "ray")
    told = run(*command).done()
    found, want = records(tmp_path / "ray"), records(tmp_path / "alone")
    assert 0 < len(before) < len(want) and before.items() <= found.items()
    assert list(found.items()) == list(want.items()), "in order too"
    made = json.loads((tmp_path / "ray" / "metrics.json").read_text())
    assert made["metrics"] == alone["metrics"] and made["queries"] == alone["queries"] == len(want)
    assert len(work(told)) == 2 and sum(work(told)) == len(want) - len(before)
