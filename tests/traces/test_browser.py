"""The pages in a real browser: they work, run nothing that data brought, ask for nothing, and fit a phone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from imagescope_agent.traces.compare import Comparison
from imagescope_agent.traces.pages.page import render, render_comparison
from tests.traces import runs

SIZES = {"desktop": {"width": 1200, "height": 900}, "phone": {"width": 390, "height": 844}}


class Visit:
    """A page that is looked at, with all it complained about, asked for and popped up."""

    def __init__(self, browser: Any, file: Path, size: str = "desktop") -> None:
        self.page = browser.new_page(viewport=SIZES[size])
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: self.complaints.append(dialog.message))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(file.as_uri())

    def check(self, file: Path) -> None:
        assert self.complaints == []
        assert {url for url in self.requests if not url.startswith("data:")} == {file.as_uri()}
        wide = self.page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        assert wide <= 0, "the page is wider than the screen"
        for section in self.page.query_selector_all("section"):
            assert len(section.inner_text()) > 30
            assert section.bounding_box()["height"] > 50


def saved(folder: Path, page: str) -> Path:
    (folder / "page.html").write_text(page, encoding="utf-8")
    return folder / "page.html"


@pytest.mark.parametrize("size", SIZES)
def test_a_trace_with_everything_in_it(browser: Any, tmp_path: Path, size: str) -> None:
    file = saved(tmp_path, render(runs.busy(tmp_path)))
    visit = Visit(browser, file, size)
    page = visit.page
    assert page.inner_text("h1") == runs.EVIL  # shown, not run
    ids = page.eval_on_selector_all("section", "all => all.map(each => each.id)")
    assert ids == ["notes", "results", "cost", "intent", "ranking", "verdicts", "duels", "time", "setup"]
    assert page.locator("#results svg.t use").count() > 0
    page.click("#time summary >> nth=0")  # one click to a prompt and its answers
    assert page.locator("#time pre >> nth=0").is_visible()
    page.click("[data-open]")
    assert page.locator("#time details:not([open])").count() == 0
    assert page.locator(".ring line").count() == 3
    visit.check(file)
    page.close()


def test_the_chart_by_keyboard(browser: Any, tmp_path: Path) -> None:
    visit = Visit(browser, saved(tmp_path, render(runs.busy(tmp_path))))
    page = visit.page
    page.focus(".chart .line")
    page.keyboard.press("ArrowDown")
    told = page.inner_text("#ranking [data-told]")
    assert told == "a.png: rank 1 after retrieve, 1 after verify, 2 after judge"
    page.keyboard.press("Tab")  # one stop for the whole chart
    assert page.evaluate("document.activeElement.closest('.chart')") is None
    page.close()


@pytest.mark.slow
def test_two_hundred_candidates_with_twenty_predicates_stay_usable(browser: Any, tmp_path: Path) -> None:
    file = saved(tmp_path, render(runs.large(tmp_path)))
    assert file.stat().st_size < 5_000_000
    visit = Visit(browser, file, "phone")
    page = visit.page
    assert page.locator(".matrix tbody tr").count() == 200
    assert page.locator(".chart .line").count() == 30
    page.click("#time summary >> nth=0")  # 4,000 answers
    assert page.locator("#time .chip").count() == 4000
    assert page.locator("#time .chip >> nth=3999").is_visible()
    visit.check(file)
    page.close()


@pytest.mark.parametrize("size", SIZES)
def test_two_runs_side_by_side(browser: Any, tmp_path: Path, size: str) -> None:
    other = runs.write(
        tmp_path / "t", retrieved={"c.png": 0.9, "a.png": 0.8, "d.png": 0.1}, folder=str(tmp_path)
    )
    file = saved(tmp_path, render_comparison(Comparison(runs.busy(tmp_path), other)))
    visit = Visit(browser, file, size)
    visit.check(file)
    assert "left, was" in visit.page.inner_text("#moves")
    visit.page.close()
