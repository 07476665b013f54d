"""The page, driven in Debian's Chromium: a conversation with everything in it, and nothing asked of other machines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from imagescope_agent.chat.web.html import SHOWN
from tests.browser.conftest import Served, serving

PATIENCE = 120_000  # milliseconds; machines that run tests may be busy

pytestmark = pytest.mark.slow


class Visitor:
    """Does what a person does, and waits for what a person would see."""

    def __init__(
        self, browser: Any, address: str, password: str = "", user: str = "me", **options: Any
    ) -> None:
        self.tab = browser.new_page(**{"viewport": {"width": 1360, "height": 900}, **options})
        self.tab.set_default_timeout(PATIENCE)
        self.abroad: list[str] = []
        self.tab.on("request", lambda request: self._note(request.url, address))
        self.tab.goto(address)
        if password:
            self.tab.fill("input[type=text], input:not([type]), input[autocomplete=username]", user)
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

    def settle(self) -> None:
        """Until colours no longer change from those of a state to those of the next."""
        self.tab.wait_for_function("!document.getAnimations().some(each => each instanceof CSSTransition)")

    def names(self) -> list[str]:
        return [str(name) for name in self.tab.locator("#gallery .is-name").all_inner_texts()]

    def titles(self) -> list[str]:
        """The conversations to choose from, once their list is open."""
        self.tab.wait_for_selector("ul[role=listbox] li")
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
    assert visitor.names()[0] == "red.png" and visitor.count("#gallery .is-card img[src^='data:']") == 8
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
    assert [title[-2:] for title in titles[1:3]] == [parent, branch]  # those of other tests follow
    visitor.tab.locator("ul[role=listbox] li", has_text="3 turns").first.click()
    visitor.wait(3)
    assert visitor.names()[0] == "blue.png"
    assert visitor.abroad == []


def test_a_picture_opens_large_and_leads_on(served: Served, browser: Any) -> None:
    address, folder = served
    visitor = Visitor(browser, address)
    assert visitor.count("#gallery .is-card img") == SHOWN, "an empty page shows some of the pictures"
    visitor.say("a red square")
    visitor.wait(1)
    assert visitor.count(".is-card:visible") == SHOWN
    visitor.tab.click("#gallery >> text=Show more")
    assert visitor.count(".is-card:visible") == 8 and visitor.count("#gallery >> text=Show more") == 0
    assert visitor.tab.evaluate("document.activeElement.closest('.is-card').dataset.rank") == str(SHOWN + 1)

    visitor.tab.click(".is-card[data-rank='1'] a")
    visitor.tab.wait_for_function("document.querySelector('#large dialog[open] img')?.naturalWidth > 0")
    assert visitor.tab.inner_text("#large h2") == "1. red.png"
    with visitor.tab.expect_download() as saved:
        visitor.tab.click("#large >> text=Download")
    assert Path(saved.value.path()).read_bytes() == (folder / "red.png").read_bytes()
    assert saved.value.suggested_filename == "red.png"
    visitor.tab.context.grant_permissions(["clipboard-read", "clipboard-write"])
    visitor.tab.click("#large >> text=Copy path")
    visitor.tab.wait_for_selector("#large >> text=Copied")
    assert visitor.tab.evaluate("navigator.clipboard.readText()") == str(folder / "red.png")
    visitor.tab.keyboard.press("ArrowRight")
    second = visitor.names()[1]
    assert visitor.tab.inner_text("#large h2") == f"2. {second}"
    assert visitor.tab.inner_text("#large [data-copy]") == "Copy path"

    visitor.tab.click("#large >> text=Like this, but")
    visitor.tab.wait_for_selector(".is-brought")
    assert second in visitor.tab.inner_text(".is-brought") and visitor.count("#large dialog[open]") == 0
    visitor.tab.keyboard.type("but light")  # the message box has the keyboard
    visitor.tab.keyboard.press("Enter")
    visitor.wait(2)
    assert visitor.count(".is-brought") == 0 and second not in visitor.names()
    assert visitor.count("#talk .is-said img") == 1
    visitor.tab.click(".is-card[data-rank='1'] button >> text=/Like this/")
    visitor.tab.click(".is-brought button")
    visitor.tab.wait_for_selector(".is-brought", state="detached")
    assert visitor.abroad == []


def test_an_upload_becomes_the_reference_of_a_running_search(
    served: Served, browser: Any, tmp_path: Path
) -> None:
    Image.new("RGB", (48, 48), (20, 20, 230)).save(tmp_path / "mine.png")
    visitor = Visitor(browser, served[0])
    visitor.say("a red square")
    visitor.wait(1)
    visitor.say("the same, but light", tmp_path / "mine.png")
    visitor.wait(2)
    assert visitor.count("#talk .is-said img") == 1
    assert "red" not in visitor.tab.inner_text("#gallery .is-why >> nth=0"), (
        "a red one is no longer looked for"
    )
    visitor.tab.click("#talk .is-said a")
    visitor.tab.wait_for_function("document.querySelector('#large dialog[open] img')?.naturalWidth == 48")


def test_two_people_who_know_the_password_see_their_own_conversations(tmp_path: Path, browser: Any) -> None:
    with serving(tmp_path / "world", "open sesame") as (address, _):
        one = Visitor(browser, address, "open sesame")
        one.say("a red square")
        one.wait(1)
        other = Visitor(browser, address, "open sesame")
        other.tab.click("#others input")
        assert len(other.titles()) == 1, "a new one, and nobody else's"
        other.say("a blue square")
        other.wait(1)
        other.tab.click("#others input")
        assert len(other.titles()) == 2
        one.tab.reload()
        one.wait(1)
        assert one.names()[0] == "red.png" and one.abroad == other.abroad == []


def test_users_with_a_name_each_see_their_conversations_in_any_browser(tmp_path: Path, browser: Any) -> None:
    users = tmp_path / "users"
    users.write_text("# who\nanna:open sesame\n\nben:a:b\n")
    with serving(tmp_path / "world", str(users)) as (address, _):
        anna = Visitor(browser, address, "open sesame", "anna")
        anna.say("a red square")
        anna.wait(1)
        again = Visitor(
            browser, address, "open sesame", "anna"
        )  # each visitor has a browser profile of its own
        again.tab.click("#others input")
        assert [title.strip().partition(" ·")[0] for title in again.titles()][1:] == ["a red square"]
        ben = Visitor(browser, address, "a:b", "ben")
        ben.tab.click("#others input")
        assert len(ben.titles()) == 1
        ben.tab.keyboard.press("Escape")
        ben.tab.click("#head >> text=Sign out")
        ben.tab.wait_for_selector("input[type=password]")
        assert "each attempt must wait" in ben.tab.inner_text("body")
        ben.tab.fill("input[type=text], input:not([type]), input[autocomplete=username]", "anna")
        ben.tab.fill("input[type=password]", "a:b")
        ben.tab.click("button >> text=Login")
        ben.tab.wait_for_selector("text=/incorrect/i")
        assert ben.count("#talk") == 0
