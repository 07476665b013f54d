"""The demonstration: what it tells of a query, and that its page needs nothing from anywhere else."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from imagescope_agent.demo.page import render
from imagescope_agent.demo.run import choose, most_changed
from imagescope_agent.demo.sheet import draw_sheet
from imagescope_agent.demo.story import Query, Story, order, tell

USAGE = {
    "calls": {"reasoner": 2, "verifier": 8},
    "prompt_tokens": 400,
    "completion_tokens": 60,
    "image_prefills": 4,
    "seconds": {"verify": 0.5},
}


def hit(
    rank: int, name: str, folder: Path, retrieve: float, verify: float, judge: float | None
) -> dict[str, Any]:
    scores = {"retrieve": retrieve, "verify": verify, "judge": judge}
    return {
        "rank": rank,
        "id": name,
        "path": str(folder / name),
        "scores": scores,
        "reasons": [f"matches: <b>{name}</b>"],
    }


@pytest.fixture
def story(tmp_path: Path) -> Story:
    for name in "abcd":
        Image.new("RGB", (64, 48), "teal").save(tmp_path / f"{name}.png")
    hits = [
        hit(1, "c.png", tmp_path, 0.3, 1.0, 0.9),
        hit(2, "d.png", tmp_path, 0.2, 1.0, 0.1),
        hit(3, "a.png", tmp_path, 0.5, 0.5, None),
        hit(4, "b.png", tmp_path, 0.4, 0.0, None),
    ]
    alone = [dict(h, rank=i) for i, h in enumerate((hits[2], hits[3], hits[0], hits[1]), start=1)]
    result = {
        "results": hits,
        "intent": {
            "steps": [{"type": "Addition", "text": "a boat"}],
            "core": "c",
            "enhanced": "e",
            "full": "f",
        },
        "predicates": [{"question": "Is there a boat?", "expected": "Yes"}],
        "notes": [{"step": "judge", "kind": "fallback", "detail": "<script>alert(1)</script>"}],
        "usage": USAGE,
    }
    query = Query(kind="addition", text="add a <boat>", reference="b.png", targets=frozenset({"c.png"}))
    return tell(query, {"results": alone}, result, tmp_path)


def test_each_stage_is_recovered_from_its_scores(story: Story) -> None:
    ranked = {row.stage: [place.id[0] for place in row.places] for row in (story.baseline, *story.rows)}
    assert ranked == {
        "CLIP alone": list("abcd"),
        "Retrieve": list("abcd"),
        "Verify": list("cdab"),
        "Judge": list("cdab"),
    }
    assert [row.first_correct for row in (story.baseline, *story.rows)] == [3, 3, 1, 1]


def test_ties_keep_the_earlier_order_and_missing_scores_come_last() -> None:
    hits = [
        {"id": name, "scores": {"verify": score}}
        for name, score in (("a", None), ("b", 1), ("c", 2), ("d", 2))
    ]
    assert [each["id"] for each in order(hits, "verify")] == ["c", "d", "b", "a"]


def test_the_page_is_self_contained_and_escapes_everything(story: Story) -> None:
    html = render([story], {"images": 4, "seed": 1, "profile": "mini", "seconds": 1.0})
    HTMLParser().feed(html)
    assert "<script" not in html and "<b>c.png" not in html and "add a &lt;boat&gt;" in html
    assert not re.findall(r'(?:src|href)="(?!data:|#)', html)
    assert "http" not in html and "url(" not in html and "@import" not in html
    assert "\u2713 &lt;b&gt;c.png" in html and "1 of 1" in html
    assert "Is there a boat?" in html and "4 image prefills" in html


def test_the_picture_has_one_band_a_story(story: Story) -> None:
    one, two = draw_sheet([story]), draw_sheet([story, story])
    assert one.width == two.width and two.height > 1.8 * one.height
    assert (31, 122, 69) in {colour for _, colour in one.getcolors(1 << 24) or []}


def test_queries_are_the_first_of_each_kind(story: Story) -> None:
    def query(kind: str, count: int) -> Query:
        return Query(kind=kind, text=f"{count}", reference=None, targets=frozenset(map(str, range(count))))

    chosen = choose([query("core", 0), query("core", 2), query("core", 3), query("negated", 90)])
    assert [(each.kind, each.text) for each in chosen] == [("core", "2")]
    assert most_changed([story]) == [story]
