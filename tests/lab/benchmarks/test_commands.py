"""The doctor and the benchmarks as a user meets them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from imagescope_agent.cli import main
from tests.lab.benchmarks.test_doctor import profile


def test_the_doctor_prints_findings_and_ends_with_the_code_of_the_first_failure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = profile(tmp_path, 'mllm = "transformers"\ncheckpoint = "/nowhere/model"')
    code = main(["doctor", "--profile", chosen, "--json"])
    report = json.loads(capsys.readouterr().out)
    assert code in (2, 3) and not report["ok"] and len(report["checks"]) == 2
    assert main(["doctor", "--profile", chosen]) == code
    assert capsys.readouterr().out.startswith("FAILS")


@pytest.mark.slow
def test_the_doctor_finds_the_shipped_models_well(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    said = capsys.readouterr().out
    assert "FAILS" not in said and "largest difference" in said and "verdicts/s" in said


@pytest.mark.parametrize("profile_name", ["server", "nobody"])
def test_a_profile_that_is_not_hosted_here_is_one_line(
    profile_name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", "verify", "--profile", profile_name]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and profile_name in said
