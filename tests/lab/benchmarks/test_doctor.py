from __future__ import annotations

from pathlib import Path

import pytest

from imagescope_agent.doctor import DoctorReport, Finding, check
from imagescope_agent.errors import BadInput


def profile(folder: Path, model: str, embedder: str = "/nowhere/clip") -> str:
    text = f'embedder = "{embedder}"\nprompt_set = "mini"\n\n[models.one]\n{model}\n\n[roles]\n'
    text += "\n".join(f'{role} = "one"' for role in ("captioner", "reasoner", "verifier", "judge"))
    path = folder / "own.toml"
    path.write_text(text)
    return str(path)


@pytest.mark.slow
def test_a_local_model_is_compared_with_itself(qwen3_vl: Path, tmp_path: Path) -> None:
    report = check(profile(tmp_path, f'mllm = "transformers"\ncheckpoint = "{qwen3_vl}"'))
    found = {finding.check: finding for finding in report.findings if finding.what != "embedder"}
    assert {"loads", "label probabilities", "JSON by schema", "batch = one by one", "speed"} <= found.keys()
    assert all(finding.ok for finding in found.values()), report.table()
    assert "single tokens" in found["label probabilities"].detail
    assert not report.ok and report.exit_code == 2  # the embedder is nowhere
    assert report.to_dict()["checks"][0]["check"] == "loads" and "FAILS" in report.table()


def test_a_missing_model_is_a_finding(tmp_path: Path) -> None:
    report = check(profile(tmp_path, 'mllm = "transformers"\ncheckpoint = "/nowhere/model"'))
    assert [finding.ok for finding in report.findings] == [False, False] and report.exit_code in (2, 3)


def test_an_unknown_profile_is_bad_input() -> None:
    with pytest.raises(BadInput):
        check("nobody")


def test_the_table_has_a_line_a_check() -> None:
    finding = Finding(what="judge", check="speed", ok=True, detail="3 verdicts/s")
    report = DoctorReport(profile="mini", machine={}, findings=[finding] * 2)
    assert report.ok and report.table().splitlines() == ["ok  judge  speed  3 verdicts/s"] * 2
