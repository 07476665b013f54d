"""The report, opened in a browser: it shows what it should, asks nobody else, runs nothing that came with the data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import bench_scoring
import pytest

from imagescope_agent.errors import UnreadableReply
from imagescope_agent.evaluation.evaluate import evaluate

HOSTILE = "<script>document.title = 'run'</script><img src=x onerror=\"document.title = 'run'\"> & a boat"


@pytest.fixture
def report(drawn: Path, images: Any, fast_system: Any, tmp_path: Path) -> Path:
    """Of a run with gains, losses, failures, notes and a hostile query."""
    lines = [json.loads(line) for line in (drawn / "tir.jsonl").read_text().splitlines()]
    lines[0]["text"] = HOSTILE
    (drawn / "tir.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))

    def place(query: Any) -> int:
        return {"tir-0": 12, "tir-3": 9, "cir-1": 8}.get(query.qid, 1)

    def notes(query: Any) -> list[dict[str, str]]:
        degraded = query.qid in ("tir-0", "cir-2")
        return [{"step": "judge", "kind": "fallback", "detail": "text read"}] if degraded else []

    def fails(query: Any) -> Any:
        return UnreadableReply("no JSON object", reply="hm") if query.qid == "tir-5" else None

    system = fast_system(images, place=place, notes=notes, fails=fails)
    evaluate("scenes", root=drawn, out=tmp_path / "run", system=system, progress=False)
    return tmp_path / "run" / "report.html"


@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_shows_everything_and_asks_nobody(browser: Any, report: Path, width: int) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900})
    asked: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(report.as_uri())
    assert complaints == [] and all(url.startswith(("file:", "data:")) for url in asked)
    page.click("summary")
    assert page.title() == "scenes (all): imagescope", "what came with the data was run"
    text = page.inner_text("body")
    for words in (
        *("After each stage", "Cost of a query", "Best cases", "Worst cases", "How this was made"),
        *("1 of 30 queries failed", "2 answers were degraded: fallback 2", "no JSON object", HOSTILE),
    ):
        assert words in text, words
    assert page.locator("table").count() >= 1 and page.locator("figure.right").count() >= 6
    for image in page.locator("img").all():
        assert image.evaluate("each => each.complete && each.naturalWidth > 0")
    assert page.evaluate("document.documentElement.scrollWidth") <= width, "scrolls sideways"
    page.close()


def test_the_page_of_a_gallery_of_circos_size_opens(browser: Any, tmp_path: Path) -> None:
    report = bench_scoring.write_report(tmp_path, 300)
    assert report.stat().st_size < 1_000_000
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(report.as_uri())
    assert complaints == [] and page.title() == "mscoco (test): drawn"
    text = page.inner_text("body")
    for words in (
        "Gallery: 123403 images",
        "After each stage",
        "Best cases",
        "Worst cases",
        "14.33",
        "100.00",
    ):
        assert words in text, words
    images = page.locator("img")
    assert images.count() >= 60
    loaded = images.evaluate_all("all => all.every(each => each.complete && each.naturalWidth > 0)")
    assert loaded, "a picture is broken"
    page.close()
