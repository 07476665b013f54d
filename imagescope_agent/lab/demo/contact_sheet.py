"""The demonstration as one picture: for a few queries, the ranking before and after."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from imagescope_agent.lab.demo.example import Example, StageRow

SCALE = 2  # drawn at twice the displayed size
THUMB = 112 * SCALE
GAP = 12 * SCALE
PLACES = 6
WIDTH = (THUMB + GAP) * PLACES + GAP
HEAD, LABEL, WHY = 36 * SCALE, 22 * SCALE, 26 * SCALE
EXAMPLE_HEIGHT = HEAD + 2 * (LABEL + THUMB + GAP) + WHY + GAP
PAPER, INK, SOFT, RIGHT = "#faf8f4", "#23211d", "#6c675e", "#1f7a45"


def draw_contact_sheet(examples: Sequence[Example]) -> Image.Image:
    """Draw the examples below one another.

    Returns:
        RGB image; a green frame marks every relevant image.
    """
    sheet = Image.new("RGB", (WIDTH, EXAMPLE_HEIGHT * len(examples) + GAP), PAPER)
    draw = ImageDraw.Draw(sheet)
    for number, example in enumerate(examples):
        _draw_example(sheet, draw, example, GAP + number * EXAMPLE_HEIGHT)
    return sheet


def _draw_example(sheet: Image.Image, draw: ImageDraw.ImageDraw, example: Example, top: int) -> None:
    _text(draw, (GAP, top), f"“{example.query.text}”", size=20, fill=INK)
    top += HEAD
    left = GAP
    if example.reference:
        middle = top + (LABEL + THUMB + GAP) // 2
        _text(draw, (GAP, middle), "with this picture", size=13, fill=SOFT)
        _picture(sheet, draw, example.reference, (GAP, middle + LABEL), correct=False)
        left += THUMB + GAP
    for row, label in (
        (example.baseline, "CLIP alone"),
        (example.rows[-1], "ImageScope: verified and judged"),
    ):
        _text(draw, (left, top), label, size=13, fill=SOFT)
        for number, image in enumerate(row.images[: (WIDTH - left) // (THUMB + GAP)]):
            corner = (left + number * (THUMB + GAP), top + LABEL)
            _picture(sheet, draw, image.path, corner, correct=image.correct)
        top += LABEL + THUMB + GAP
    _text(draw, (left, top), _why(example.rows[-1]), size=13, fill=SOFT)


def _why(row: StageRow) -> str:
    """The verdicts about the first image, on one line."""
    reasons = row.images[0].reasons if row.images else ()
    found = [
        f"{each.question} {each.expected} {each.probability:.2f}"
        for each in reasons
        if each.probability is not None
    ]
    return "First because: " + "  ".join(found) if found else ""


def _picture(
    sheet: Image.Image, draw: ImageDraw.ImageDraw, path: Path, corner: tuple[int, int], *, correct: bool
) -> None:
    x, y = corner
    with Image.open(path) as picture:
        square = picture.convert("RGB").resize((THUMB, THUMB), Image.Resampling.LANCZOS)
    mask = Image.new("L", square.size)
    radius = 10 * SCALE
    ImageDraw.Draw(mask).rounded_rectangle((0, 0, THUMB - 1, THUMB - 1), radius, fill=255)
    sheet.paste(square, corner, mask)
    if not correct:
        return
    rim = 2 * SCALE
    box = (x - rim, y - rim, x + THUMB + rim, y + THUMB + rim)
    draw.rounded_rectangle(box, radius + rim, outline=RIGHT, width=2 * rim)
    r, cx, cy = 11 * SCALE, x + THUMB - 12 * SCALE, y + 12 * SCALE
    draw.ellipse((cx - r, cy - r, cx + r, cy + r), fill=RIGHT)
    tick = [(cx - r * 0.45, cy), (cx - r * 0.1, cy + r * 0.38), (cx + r * 0.5, cy - r * 0.4)]
    draw.line(tick, fill="white", width=round(2.4 * SCALE), joint="curve")


def _text(draw: ImageDraw.ImageDraw, corner: tuple[int, int], text: str, *, size: int, fill: str) -> None:
    font = ImageFont.load_default(size * SCALE)
    room = WIDTH - GAP - corner[0]
    while draw.textlength(text, font=font) > room:
        text = text.rstrip("…")[:-1].rstrip() + "…"
    draw.text(corner, text, font=font, fill=fill)
