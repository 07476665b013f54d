"""How a result looks in a notebook."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from imagescope_agent.runs.results import Hit, SearchResult

EVIL = "<script>alert(1)</script>"


def test_a_notebook_shows_pictures_reasons_notes_and_cost_and_runs_nothing(tmp_path: Path) -> None:
    Image.new("RGB", (400, 200), "red").save(tmp_path / "a.png")
    scores = {"retrieve": 0.5, "verify": None, "judge": None}
    hits = tuple(
        Hit(rank=rank, id=name, path=str(tmp_path / name), scores=scores, reasons=[EVIL])
        for rank, name in enumerate(("a.png", "gone.png"), start=1)
    )
    result = SearchResult(
        query=EVIL, reference=None, graph="imagescope", judge="pairwise", profile="mini", results=hits,
        rankings={}, intent={"steps": [], "core": "", "enhanced": "", "full": ""}, predicates=[],
        notes=[{"step": "judge", "kind": "tie", "detail": "two orders disagree"}],
        usage={"calls": {"judge": 3}, "seconds": {"judge": 0.5}}, run="r", settings={},
    )  # fmt: skip
    page = result._repr_html_()
    assert page.count("data:image/webp;base64,") == 1
    assert "<b>2.</b> gone.png" in page
    assert "two orders disagree" in page
    assert "3 questions to a model, 0.5 s" in page
    assert "<script>" not in page
