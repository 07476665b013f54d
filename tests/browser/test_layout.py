"""What the page looks like: constant widths, pictures in a phone's first screen, contrast, keyboard focus."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser.conftest import Served
from tests.browser.test_page import PATIENCE, Visitor

pytestmark = pytest.mark.slow

DESKTOP, PHONE = {"width": 1360, "height": 900}, {"width": 390, "height": 844}
WHERE = ["#conversation", "#talk", "#message", "#found", "#gallery"]
BOXES = """names => names.map(name => {
  const box = document.querySelector(name).getBoundingClientRect();
  return [name, Math.round(box.x), Math.round(box.width)];
})"""
#: Texts whose contrast with what is behind them is below WCAG's 4.5 (3 where large), as [text, ratio].
PALE = """() => {
  const parts = colour => (colour.match(/[\\d.]+/g) || []).map(Number);
  const linear = v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
  const light = rgb => [.2126, .7152, .0722].reduce((sum, share, i) => sum + share * linear(rgb[i] / 255), 0);
  const behind = element => {
    for (let at = element; at; at = at.parentElement) {
      const colour = parts(getComputedStyle(at).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const found = [];
  for (const element of document.querySelectorAll('.gradio-container *')) {
    const text = [...element.childNodes].filter(n => n.nodeType === 3).map(n => n.textContent.trim()).join('');
    const style = getComputedStyle(element), box = element.getBoundingClientRect();
    if (!text || box.width < 2 || style.visibility === 'hidden') continue;
    if (element.closest('.sr-only, .hide, button:disabled')) continue;
    const a = light(parts(style.color)), b = light(behind(element));
    const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    const size = parseFloat(style.fontSize), large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
    if (ratio < (large ? 3 : 4.5)) found.push([text.slice(0, 40), Math.round(ratio * 100) / 100]);
  }
  return found;
}"""


@pytest.fixture(params=["light", "dark"])
def colours(request: Any) -> Iterator[str]:
    yield request.param


def visit(served: Served, browser: Any, **options: Any) -> Visitor:
    return Visitor(browser, served[0], **options)


def widths(visitor: Visitor) -> Any:
    return visitor.tab.evaluate(BOXES, WHERE)


def test_nothing_moves_sideways_in_any_state(served: Served, browser: Any) -> None:
    visitor = visit(served, browser, viewport=DESKTOP)
    empty = widths(visitor)
    visitor.tab.evaluate(  # a step may be over before anybody asks for it
        f"names => new MutationObserver(() => document.querySelector('#progress .is-now')"
        f" && (window.working ??= ({BOXES})(names))).observe(document.body, {{subtree: true, childList: true}})",
        WHERE,
    )
    visitor.say("a red square")
    visitor.wait(1)
    working, found = visitor.tab.evaluate("window.working"), widths(visitor)
    visitor.say("/fly " + "away" * 100)
    visitor.tab.wait_for_selector(".is-problem")
    failed = widths(visitor)
    visitor.say("a" * 300)
    visitor.wait(2)
    long = widths(visitor)
    for rank in range(8):
        visitor.tab.click(".is-card button >> text=Not this")
        visitor.wait(3 + rank)
    assert "Nothing is left" in visitor.tab.inner_text("#gallery")
    assert empty == working == found == failed == long == widths(visitor)
    assert visitor.tab.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_steps_take_one_line(served: Served, browser: Any) -> None:
    for viewport in (DESKTOP, PHONE):
        visitor = visit(served, browser, viewport=viewport)
        height = "document.querySelector('#progress').getBoundingClientRect().height"
        heights = {visitor.tab.evaluate(height)}
        visitor.tab.evaluate(
            f"window.heights = []; new MutationObserver(() => heights.push({height}))"
            ".observe(document.querySelector('#progress'), {subtree: true, childList: true})"
        )
        visitor.say("a red square")
        visitor.wait(1)
        heights |= set(visitor.tab.evaluate("window.heights")) | {visitor.tab.evaluate(height)}
        assert len(heights) == 1, heights
        assert visitor.count("#progress .is-step") >= 6
        last = visitor.tab.locator("#progress .is-time").bounding_box()
        assert last["x"] + last["width"] <= viewport["width"], "the newest is the one that is seen"


def test_on_a_phone_pictures_come_in_the_first_screen(served: Served, browser: Any) -> None:
    visitor = visit(served, browser, viewport=PHONE)
    welcome = visitor.tab.locator("#talk .is-empty h2").bounding_box()
    assert welcome["y"] >= visitor.tab.locator("#talk").bounding_box()["y"], "it begins with its heading"
    for turns, message in enumerate(("", "a red square", "no, a blue one", "no, a white one")):
        if message:
            visitor.say(message)
            visitor.wait(turns)
            visitor.tab.evaluate("window.scrollTo(0, 0)")
        bar = visitor.tab.locator("#message").bounding_box()
        assert bar["y"] + bar["height"] <= PHONE["height"], "the message box is always there"
        for place in range(2):
            box = visitor.tab.locator("#gallery .is-card img").nth(place).bounding_box()
            assert 100 < box["width"] < 200 and box["y"] + box["height"] <= bar["y"], (turns, place)
        if message:
            answer = visitor.tab.locator(".is-question").last.bounding_box()
            talk = visitor.tab.locator("#talk").bounding_box()
            assert answer["y"] + answer["height"] <= talk["y"] + talk["height"], "the question is in view"
        assert visitor.tab.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_every_text_can_be_read(served: Served, browser: Any, colours: str) -> None:
    visitor = visit(served, browser, viewport=DESKTOP, color_scheme=colours)
    assert visitor.tab.evaluate(PALE) == []
    visitor.say("a red square")
    visitor.wait(1)
    visitor.tab.click(".is-card[data-rank='1'] button >> text=Like")
    visitor.wait(2)
    visitor.tab.click(".is-card[data-rank='2'] button >> text=/Like this/")
    visitor.tab.wait_for_selector(".is-brought")
    visitor.say("/fly away")
    visitor.tab.wait_for_selector(".is-problem")
    visitor.tab.mouse.move(0, 0)
    visitor.settle()
    assert visitor.tab.evaluate(PALE) == []
    visitor.tab.click(".is-card[data-rank='1'] a")
    visitor.tab.wait_for_selector("#large dialog[open]")
    visitor.settle()
    assert visitor.tab.evaluate(PALE) == []


def test_focus_is_a_ring_and_does_not_look_pressed(served: Served, browser: Any, colours: str) -> None:
    visitor = visit(served, browser, viewport=DESKTOP, color_scheme=colours)
    visitor.say("a red square")
    visitor.wait(1)
    look = """name => { const s = getComputedStyle(document.querySelector(name));
        return [[s.backgroundColor, s.borderColor, s.color, s.transform, s.boxShadow], s.outlineStyle] }"""
    for name in (
        "#new",
        ".is-question button",
        ".is-card button",
        ".is-turns button",
        ".is-card a",
        ".is-more button",
    ):
        if not visitor.count(name):
            continue
        visitor.tab.evaluate("document.activeElement.blur()")
        visitor.tab.mouse.move(0, 0)
        visitor.settle()
        rest, _ = visitor.tab.evaluate(look, name)
        visitor.tab.keyboard.press("Tab")  # from now on the keyboard is in use
        visitor.tab.focus(name)
        visitor.settle()
        focused, outline = visitor.tab.evaluate(look, name)
        assert focused == rest and outline == "solid", name


def test_it_is_all_done_from_the_keyboard(served: Served, browser: Any) -> None:
    visitor = visit(served, browser, viewport=DESKTOP)
    visitor.say("a red square")
    visitor.wait(1)
    visitor.tab.focus(".is-card[data-rank='2'] a")
    visitor.tab.keyboard.press("Enter")
    visitor.tab.wait_for_selector("#large dialog[open]")
    visitor.tab.keyboard.press("Escape")
    visitor.tab.wait_for_selector("#large dialog[open]", state="detached", timeout=PATIENCE)
    assert visitor.tab.evaluate("document.activeElement.closest('.is-card')?.dataset.rank") == "2"
    visitor.tab.keyboard.press("Tab")
    visitor.tab.keyboard.press("Enter")
    visitor.wait(2)
    assert "like 2" in visitor.tab.inner_text("#talk")
