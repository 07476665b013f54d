"""The page of a trace: complete, self-contained, bounded, and what data says is shown, not run."""

from __future__ import annotations

import re
from pathlib import Path

from PIL import Image

from imagescope_agent.traces.compare import Comparison
from imagescope_agent.traces.pages.page import render, render_comparison, story
from imagescope_agent.traces.pages.page_data import bump_chart, ring, timeline
from imagescope_agent.traces.trace import Trace
from tests.traces import runs

EVIL = runs.EVIL
SECTIONS = ("notes", "results", "cost", "intent", "ranking", "verdicts", "duels", "time", "setup")


def test_every_section_has_content_and_data_is_escaped(tmp_path: Path) -> None:
    page = render(runs.busy(tmp_path))
    for section in SECTIONS:
        assert f'id="{section}"' in page
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "in a circle" in page
    assert "two &lt;b&gt;orders" in page
    assert page.count("<script") == 1
    assert re.findall(r'(?:src|href)="(?!data:|#)', page) == []
    assert "Which is better, A or B?" in page
    assert ">cached<" in page


def test_a_trace_that_knows_nothing_still_has_a_page(tmp_path: Path) -> None:
    head = {"id": "r.1", "thread": "r", "turn": 1, "started": 0.0, "graph": "theirs", "query": ""}
    page = render(Trace(head, []))
    for section in SECTIONS[1:]:
        assert f'id="{section}"' in page
    assert "Nothing was ranked." in page
    assert "No judge was asked." in page


def test_two_hundred_candidates_with_twenty_predicates_stay_under_five_megabytes(tmp_path: Path) -> None:
    page = render(runs.large(tmp_path))
    assert len(page.encode()) < 5_000_000
    assert page.count('<th scope="row">') == 200


def test_a_picture_stands_in_the_page_once(tmp_path: Path) -> None:
    Image.new("RGB", (64, 64), "red").save(tmp_path / "a", "PNG")
    (tmp_path / "b").write_text("no picture")
    page = render(runs.write(tmp_path / "t", folder=str(tmp_path), verdicts={"a": 0.9, "b": 0.2}))
    assert page.count("data:image/webp") == 1
    assert page.count('href="#t0"') > 3


def test_the_chart_keeps_its_size_and_says_where_a_candidate_came_from() -> None:
    names = [str(i) for i in range(200)]
    chart = bump_chart([("retrieve", names), ("judge", [names[150], *names[:150], *names[151:]])])
    first = chart["lines"][0]
    assert (first["gain"], first["told"]) == (150, "150: rank 151 after retrieve, 1 after judge")
    assert chart["height"] < 1000
    assert chart["left_out"] == 170
    assert all(0 <= x <= 60 for line in chart["lines"] for x, _, _ in line["points"])
    assert bump_chart([])["lines"] == []


def test_only_the_arrows_of_a_circle_are_marked(tmp_path: Path) -> None:
    duels = [("a", "b", 0.8), ("b", "c", 0.7), ("c", "a", 0.9), ("a", "d", 0.9), ("d", "a", 0.2)]
    scores = {"a": 0.9, "b": 0.8, "c": 0.7, "d": 0.6}
    drawn = ring(runs.write(tmp_path / "t", retrieved=scores, judged=list("abcd"), duels=duels))
    assert drawn["cycles"] == [["a", "b", "c"]]
    assert {(pair["winner"], pair["loser"]) for pair in drawn["pairs"] if pair["cycle"]} == {
        ("a", "b"), ("b", "c"), ("c", "a"),
    }  # fmt: skip
    assert drawn["compared"] == 5


def test_the_timeline_stays_within_its_hundred_per_cent_and_counts_what_was_spent(tmp_path: Path) -> None:
    trace = runs.busy(tmp_path)
    rows = timeline(trace)
    assert [row["step"].node for row in rows] == ["retrieve", "predicates", "verify", "judge"]
    assert all(0 <= each["left"] + each["width"] <= 100 for row in rows for each in (row, *row["calls"]))
    assert (
        sum(row["tokens"] for row in rows) == trace.usage["prompt_tokens"] + trace.usage["completion_tokens"]
    )
    assert story(trace).startswith("3 candidates were found in the collection, the best 3 were checked")


def test_two_runs_are_compared_on_a_page(tmp_path: Path) -> None:
    one = runs.write(tmp_path / "t", thread="one", query=EVIL)
    other = runs.write(tmp_path / "t", thread="two", verdicts={"a": 0.1, "b": 0.9, "c": 0.2})
    page = render_comparison(Comparison(one, other))
    for section in ("runs", "differences", "ranking", "moves"):
        assert f'id="{section}"' in page
    assert "<script>alert" not in page
    assert re.findall(r'(?:src|href)="(?!data:|#)', page) == []
    assert "▲ from 2" in page
