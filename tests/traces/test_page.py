"""The page of a trace: complete, self-contained, bounded, and what data says is shown, not run."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

from PIL import Image

from imagescope_agent.traces.page import render

spec = importlib.util.spec_from_file_location("runs", Path(__file__).with_name("runs.py"))
assert spec and spec.loader
runs = importlib.util.module_from_spec(spec)
spec.loader.exec_module(runs)
EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"
DUELS = [("a.png", "b.png", 0.8), ("b.png", "c.png", 0.7), ("c.png", "a.png", 0.9)]


def test_every_section_has_content_and_data_is_escaped(tmp_path: Path) -> None:
    for name in "ab":
        Image.new("RGB", (32, 32), "red").save(tmp_path / f"{name}.png")
    scores = {"a.png": 0.9, "b.png": 0.8, "c.png": 0.7}
    verdicts = dict.fromkeys(scores, 0.9)
    page = render(runs.write(
        tmp_path / "t", query=EVIL, retrieved=scores, verdicts=verdicts, judged=["c.png", "a.png", "b.png"],
        duels=DUELS, folder=str(tmp_path), reasons={"c.png": [EVIL]},
    ))  # fmt: skip
    for section in ("notes", "cost", "intent", "ranking", "verdicts", "duels", "time", "setup"):
        assert f'id="{section}"' in page
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "beat each other in a circle" in page
    assert "two &lt;b&gt;orders" in page
    assert page.count("<script") == 1
    assert re.findall(r'(?:src|href)="(?!data:|#)', page) == []
    assert "Which is better, A or B?" in page
    assert ">cached<" in page


def test_two_hundred_candidates_with_twenty_predicates_stay_under_five_megabytes(tmp_path: Path) -> None:
    names = [f"folder/{number:04}.png" for number in range(200)]
    trace = runs.write(
        tmp_path / "t",
        retrieved={name: 1 - i / 1000 for i, name in enumerate(names)},
        verdicts={name: (i * 37 % 100) / 100 for i, name in enumerate(names)},
    )
    questions = [f"Is there a thing of the kind number {number} in it?" for number in range(20)]
    trace.predicates = [{"question": question, "expected": "Yes"} for question in questions]
    trace.verdicts = {name: dict.fromkeys(questions, 0.4) for name in names}
    page = render(trace)
    thumbnail = 200 * 2_000  # the pictures, at most so many bytes each
    assert len(page.encode()) + thumbnail < 5_000_000
    assert page.count("<tr>") == 201
