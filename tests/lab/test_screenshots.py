"""The pictures of the documentation: taken of what the commands show, and small."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

import pytest
from PIL import Image

from imagescope_agent.api import index_folder
from imagescope_agent.lab import screenshots
from imagescope_agent.lab.scenes.make import make_world


def test_large_pictures_get_a_palette_and_small_ones_lose_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(screenshots, "LARGE", 10_000)
    small, large = tmp_path / "small.png", tmp_path / "large.png"
    Image.new("RGBA", (300, 200), (250, 210, 30, 255)).save(small)
    noise = Random(0).randbytes(80 * 80 * 3)
    Image.frombytes("RGB", (80, 80), noise).save(large)
    for file in (small, large):
        screenshots.compress(file)
    with Image.open(small) as image:
        assert (image.mode, image.getpixel((5, 5))) == ("RGB", (250, 210, 30))
    with Image.open(large) as image:
        assert (image.mode, image.size) == ("P", (80, 80))
    before = large.read_bytes()
    screenshots.compress(large)
    assert large.read_bytes() == before


def test_the_search_with_several_references_that_is_shown_finds_what_was_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_world(tmp_path, 5, 40)
    drawn = screenshots.drawn_queries(tmp_path)
    assert len(drawn) > 2 and all(len(each["references"]) == 2 for each in drawn)
    asked: list[tuple[str, ...]] = []

    def found(right: int) -> Any:
        def run(*words: str) -> str:
            asked.append(words)
            number = len(asked) - 1
            first = drawn[number]["targets"][0] if number == right else "none.png"
            return json.dumps({"run": f"run {number}", "results": [{"id": first}]})

        return run

    monkeypatch.setattr(screenshots, "run_command", found(1))
    assert screenshots.search_of_several(tmp_path) == "run 1"
    assert [words[2] for words in asked] == [each["text"] for each in drawn[:2]]
    assert asked[0].count("--image") == 2
    asked.clear()
    monkeypatch.setattr(screenshots, "TRIED", 2)
    monkeypatch.setattr(screenshots, "run_command", found(5))
    assert screenshots.search_of_several(tmp_path) == "run 1" and len(asked) == 2


@pytest.mark.slow
def test_a_trace_and_a_conversation_are_photographed(browser: Any, tmp_path: Path) -> None:
    pytest.importorskip("gradio", reason="the extra `ui` is not installed")
    collection = tmp_path / "collection"
    make_world(collection, 5, 12)
    index_folder(collection)
    page = screenshots.write_trace(collection, "a red boat", tmp_path / "trace.html")
    shots = [
        screenshots.shoot_trace(browser, page, tmp_path / "a.png", screenshots.DESKTOP, last="#ranking"),
        screenshots.shoot_trace(browser, page, tmp_path / "b.png", screenshots.PHONE),
        screenshots.shoot_conversation(browser, collection, tmp_path / "c.png", ("a red boat",), 1),
    ]
    sizes = []
    for file in shots:
        with Image.open(file) as image:
            sizes.append(image.size)
            assert (
                len(image.convert("RGB").getcolors(2**24) or ()) > 500
            )  # images are shown, not a blank page
    assert sizes[0][0] == 1360 and sizes[0][1] > 900
    assert sizes[1:] == [(390, 844), (1360, 900)]
