"""The demonstration: what it tells of a query, and that its page needs nothing from anywhere else."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from imagescope_agent.lab.demo.contact_sheet import draw_contact_sheet
from imagescope_agent.lab.demo.example import DemoQuery, Example, build_example
from imagescope_agent.lab.demo.page import render
from imagescope_agent.lab.demo.run import choose, most_changed
from imagescope_agent.records import Reason
from imagescope_agent.runs.results import Hit, SearchResult

USAGE = {
    "calls": {"reasoner": 2, "verifier": 8},
    "prompt_tokens": 400,
    "completion_tokens": 60,
    "image_prefills": 4,
    "seconds": {"verify": 0.5},
}


def result(
    rankings: dict[str, str], scores: Mapping[str, tuple[float, float | None, float | None]]
) -> SearchResult:
    """A search result over images a.png, b.png, ...; rankings as strings of their first letters."""
    hits = [
        Hit(
            rank=rank,
            id=f"{letter}.png",
            path="",
            scores=dict(zip(("retrieve", "verify", "judge"), scores[letter], strict=True)),
            reasons=[],
            evidence=(
                Reason(kind="matches", question=f"<b>{letter}</b>", expected="Yes", probability=0.9),
                Reason(kind="judge", text="<i>nearly</i>"),
            ),
        )
        for rank, letter in enumerate(rankings["final"], start=1)
    ]
    return SearchResult(
        query="add a <boat>",
        reference="b.png",
        graph="imagescope",
        judge="pairwise",
        profile="mini",
        results=tuple(hits),
        rankings={stage: [f"{letter}.png" for letter in letters] for stage, letters in rankings.items()},
        intent={"steps": [{"type": "Addition", "text": "a boat"}], "core": "c", "enhanced": "e", "full": "f"},
        predicates=[{"question": "Is there a boat?", "expected": "Yes"}],
        notes=[{"step": "judge", "kind": "fallback", "detail": "<script>alert(1)</script>"}],
        usage=USAGE,
        run="r",
        settings={},
    )


@pytest.fixture
def example(tmp_path: Path) -> Example:
    for name in "abcd":
        Image.new("RGB", (64, 48), "teal").save(tmp_path / f"{name}.png")
    query = DemoQuery(kind="addition", text="add a <boat>", reference="b.png", targets=frozenset({"c.png"}))
    alone = result({"final": "abcd"}, {letter: (0.5, None, None) for letter in "abcd"})
    scores = {"a": (0.5, 0.0, None), "b": (0.4, 0.0, None), "c": (0.3, 1.0, 0.9), "d": (0.2, 1.0, 0.1)}
    return build_example(
        query, alone, result({"retrieve": "abcd", "verify": "dcab", "final": "cdab"}, scores), tmp_path
    )


def test_every_stage_has_its_row(example: Example) -> None:
    ranked = {
        row.stage: "".join(image.id[0] for image in row.images) for row in (example.baseline, *example.rows)
    }
    assert ranked == {"CLIP alone": "abcd", "Retrieve": "abcd", "Verify": "dcab", "Judge": "cdab"}
    assert [row.first_correct for row in (example.baseline, *example.rows)] == [3, 3, 2, 1]
    assert [image.score for image in example.rows[1].images] == ["1 of 1", "1 of 1", "0 of 1", "0 of 1"]
    assert [image.score for image in example.rows[2].images] == ["0.90", "0.10", "", ""]


def test_the_page_is_self_contained_and_escapes_everything(example: Example) -> None:
    html = render([example], {"images": 4, "most": 3, "seed": 1, "profile": "mini", "seconds": 1.0})
    HTMLParser().feed(html)
    assert "<script" not in html and "<b>c" not in html and "add a &lt;boat&gt;" in html
    assert not re.findall(r'(?:src|href)="(?!data:|#)', html)
    assert "http" not in html and "url(" not in html and "@import" not in html
    assert "\u2713 &lt;b&gt;c" in html and "1 of 1" in html
    assert "judge: &lt;i&gt;nearly" in html and 'class="judge"' in html
    assert "Is there a boat?" in html and "4 image prefills" in html


def test_the_picture_has_one_band_a_story(example: Example) -> None:
    one, two = draw_contact_sheet([example]), draw_contact_sheet([example, example])
    assert one.width == two.width and two.height > 1.8 * one.height
    assert (31, 122, 69) in {colour for _, colour in one.getcolors(1 << 24) or []}


def test_queries_are_the_first_of_each_kind(example: Example) -> None:
    def query(kind: str, count: int) -> DemoQuery:
        return DemoQuery(
            kind=kind, text=f"{count}", reference=None, targets=frozenset(map(str, range(count)))
        )

    chosen = choose([query("core", 0), query("core", 2), query("core", 3), query("negated", 90)])
    assert [(each.kind, each.text) for each in chosen] == [("core", "2")]
    assert most_changed([example]) == [example]
