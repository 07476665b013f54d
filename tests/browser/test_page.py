"""The page, driven in Debian's Chromium: a conversation with everything in it, and nothing asked of other machines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.browser.conftest import Served, serving

PATIENCE = 120_000  # milliseconds; machines that run tests may be busy

pytestmark = pytest.mark.slow


class Visitor:
    """Does what a person does, and waits for what a person would see."""

    def __init__(self, browser: Any, address: str, password: str = "") -> None:
        self.tab = browser.new_page(viewport={"width": 1360, "height": 900})
        self.tab.set_default_timeout(PATIENCE)
        self.abroad: list[str] = []
        self.tab.on("request", lambda request: self._note(request.url, address))
        self.tab.goto(address)
        if password:
            self.tab.fill("input[type=text], input:not([type]), input[autocomplete=username]", "me")
            self.tab.fill("input[type=password]", password)
            self.tab.click("button >> text=Login")
        self.tab.wait_for_selector("#talk .is-empty")

    def _note(self, url: str, address: str) -> None:
        if not url.startswith((address, "data:", "blob:")):
            self.abroad.append(url)

    def say(self, text: str, image: Path | None = None) -> None:
        if image is not None:
            self.tab.set_input_files("#message input[type=file]", image)
            self.tab.wait_for_selector("#message .thumbnail-item, #message img")
        self.tab.fill("#message textarea", text)
        self.tab.press("#message textarea", "Enter")

    def wait(self, turns: int) -> None:
        """Until so many turns are shown and none is being worked on."""
        self.tab.wait_for_function(
            "n => document.querySelectorAll('#talk .is-said').length == n"
            " && !document.querySelector('.is-dots') && !document.querySelector('.is-now')",
            arg=turns,
        )

    def names(self) -> list[str]:
        return [str(name) for name in self.tab.locator("#gallery .is-name").all_inner_texts()]

    def titles(self) -> list[str]:
        return [str(title) for title in self.tab.locator("ul[role=listbox] li").all_inner_texts()]

    def count(self, what: str) -> int:
        return int(self.tab.locator(what).count())


def test_a_conversation_from_upload_to_branch(served: Served, browser: Any, tmp_path: Path) -> None:
    address, folder = served
    mine = tmp_path / "mine.png"
    Image.new("RGB", (48, 48), (200, 40, 40)).save(mine)
    (tmp_path / "broken.png").write_text("no picture")
    visitor = Visitor(browser, address)

    visitor.say("a red square", mine)
    visitor.wait(1)
    assert visitor.names()[0] == "red.png" and visitor.count("#gallery img[src^='data:']") == 8
    assert visitor.count("#talk .is-said img[src^='data:']") == 1
    assert visitor.count(".is-card[data-rank='1'] .is-yes") == 1
    assert visitor.count(".is-card[data-rank='2'] .is-no") == 1
    assert visitor.count("#progress .is-step") >= 6
    assert [path.suffix for path in (folder / ".imagescope" / "uploads").iterdir()] == [".png"]

    visitor.tab.click(".is-question button >> text=No")
    visitor.wait(2)
    assert "Is it light?" in visitor.tab.inner_text(".is-card[data-rank='1']")
    visitor.say("no, a blue one")
    visitor.wait(3)
    assert visitor.names()[0] == "blue.png"
    visitor.tab.click(".is-card[data-rank='2'] button >> text=Like")
    visitor.wait(4)
    assert visitor.count(".is-heart") == 1

    visitor.say("/fly away")
    visitor.tab.wait_for_selector(".is-problem")
    assert "there is no command" in visitor.tab.inner_text(".is-problem")
    visitor.wait(4)
    visitor.say("like this", tmp_path / "broken.png")
    visitor.tab.wait_for_function("document.querySelector('.is-problem')?.innerText.includes('as an image')")

    liked = visitor.names()
    visitor.tab.reload()
    visitor.wait(4)
    assert visitor.names() == liked
    visitor.tab.click("#talk button >> text=Undo")
    visitor.wait(3)
    assert visitor.names()[0] == "blue.png" and visitor.count(".is-heart") == 0
    visitor.tab.click("#talk .is-turns >> nth=2 >> text=Branch")
    visitor.tab.wait_for_function("document.querySelector('#others input').value.startsWith('↳ branch')")
    visitor.wait(3)
    visitor.say("forget that, a white one")
    visitor.wait(4)
    assert visitor.names()[0] == "white.png"
    visitor.tab.click("#new")
    visitor.tab.wait_for_selector("#talk .is-empty")
    visitor.tab.click("#others input")
    titles = [title.strip().split(" · ")[:2] for title in visitor.titles()]
    branch, parent = ["↳ branch: forget that, a white one", "4 turns"], ["a red square", "3 turns"]
    assert [title[-2:] for title in titles[1:]] == [parent, branch]
    visitor.tab.locator("ul[role=listbox] li", has_text="3 turns").click()
    visitor.wait(3)
    assert visitor.names()[0] == "blue.png"
    assert visitor.abroad == []


def test_two_people_who_know_the_password_see_their_own_conversations(tmp_path: Path, browser: Any) -> None:
    with serving(tmp_path / "world", "open sesame") as (address, _):
        one = Visitor(browser, address, "open sesame")
        one.say("a red square")
        one.wait(1)
        other = Visitor(browser, address, "open sesame")
        other.tab.click("#others input")
        assert other.count("ul[role=listbox] li") == 1, "a new one, and nobody else's"
        other.say("a blue square")
        other.wait(1)
        other.tab.click("#others input")
        assert other.count("ul[role=listbox] li") == 2
        one.tab.reload()
        one.wait(1)
        assert one.names()[0] == "red.png" and one.abroad == other.abroad == []
