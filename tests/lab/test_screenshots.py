"""The pictures of the documentation: taken of what the commands show, and small."""

from __future__ import annotations

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
