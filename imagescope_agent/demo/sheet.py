"""The demonstration on one picture: for a few queries, the ranking before and after."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from imagescope_agent.demo.story import Row, Story

SCALE = 2  # drawn at twice the size it is shown at
THUMB = 104 * SCALE
GAP = 12 * SCALE
LABEL = 128 * SCALE
PLACES = 5
WIDTH = LABEL + THUMB + (THUMB + GAP) * PLACES + 4 * GAP
HEAD = 44 * SCALE
STORY = HEAD + 2 * (THUMB + GAP) + GAP
PAPER, INK, SOFT, RIGHT = "#faf8f4", "#23211d", "#6c675e", "#1f7a45"


def draw_sheet(stories: Sequence[Story]) -> Image.Image:
    """Draw the stories below one another.

    Returns:
        RGB picture; a green frame marks every right image.
    """
    sheet = Image.new("RGB", (WIDTH, STORY * len(stories) + GAP), PAPER)
    pen = ImageDraw.Draw(sheet)
    for number, story in enumerate(stories):
        top = GAP + number * STORY
        _text(pen, (GAP, top), f"“{story.query.text}”", size=19, fill=INK, width=WIDTH - 2 * GAP)
        top += HEAD
        if story.reference:
            _picture(sheet, pen, story.reference, (GAP, top + (THUMB + GAP) // 2), correct=False)
            _text(pen, (GAP, top + THUMB + GAP), "reference", size=12, fill=SOFT, width=THUMB)
        for line, row in enumerate((story.baseline, story.rows[-1])):
            _ranking(sheet, pen, row, line, top + line * (THUMB + GAP))
    return sheet


def _ranking(sheet: Image.Image, pen: ImageDraw.ImageDraw, row: Row, line: int, top: int) -> None:
    left = THUMB + 3 * GAP
    name = ("CLIP alone", "after verifying\nand judging")[line]
    _text(pen, (left, top + THUMB // 2 - 16 * SCALE), name, size=13, fill=SOFT, width=LABEL)
    for number, place in enumerate(row.places[:PLACES]):
        _picture(sheet, pen, place.path, (left + LABEL + number * (THUMB + GAP), top), correct=place.correct)


def _picture(
    sheet: Image.Image, pen: ImageDraw.ImageDraw, path: Path, corner: tuple[int, int], *, correct: bool
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
    pen.rounded_rectangle(box, radius + rim, outline=RIGHT, width=2 * rim)
    r, cx, cy = 11 * SCALE, x + THUMB - 12 * SCALE, y + 12 * SCALE
    pen.ellipse((cx - r, cy - r, cx + r, cy + r), fill=RIGHT)
    tick = [(cx - r * 0.45, cy), (cx - r * 0.1, cy + r * 0.38), (cx + r * 0.5, cy - r * 0.4)]
    pen.line(tick, fill="white", width=round(2.4 * SCALE), joint="curve")


def _text(
    pen: ImageDraw.ImageDraw, corner: tuple[int, int], text: str, *, size: int, fill: str, width: int
) -> None:
    font = ImageFont.load_default(size * SCALE)
    while len(text) > 4 and pen.multiline_textbbox(corner, text, font=font)[2] - corner[0] > width:
        text = text.rstrip("…”")[:-1].rstrip() + "…”"
    pen.multiline_text(corner, text, font=font, fill=fill, spacing=3 * SCALE)
