"""Renders a scene graph: stickers on a background of hills, sea or sky."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

from PIL import Image, ImageDraw

from imagescope_agent.lab.scenes.stickers import Rgb, mix, sticker
from imagescope_agent.lab.scenes.world import Scene

SIDE = 256  # pixels


def draw(scene: Scene) -> Image.Image:
    """The image of `scene`: RGB, 256 x 256 pixels. The same scene always gives the same pixels."""
    image = background(scene.setting, scene.variant).copy()
    for thing in sorted(scene.things, key=lambda t: t.y):
        sprite = sticker(thing.kind, thing.colour, round(thing.diameter * SIDE))
        left = round(thing.x * SIDE - sprite.width / 2)
        top = round(thing.y * SIDE - sprite.height / 2)
        image.paste(sprite, (left, top), sprite)
    return image


@lru_cache(maxsize=64)
def background(setting: str, variant: int) -> Image.Image:
    """The background of a setting, RGB, 256 x 256 pixels; `variant` moves hills, clouds, waves and stars."""
    big = SIDE * 2
    top, bottom = _SKY[setting]
    column = Image.new("RGB", (1, big))
    column.putdata([mix(top, bottom, min(1.0, y / (0.72 * big))) for y in range(big)])
    image = column.resize((big, big))
    _PAINTERS[setting](ImageDraw.Draw(image), big, variant)
    return image.resize((SIDE, SIDE), Image.Resampling.BOX)


_SKY: dict[str, tuple[Rgb, Rgb]] = {
    "meadow": ((150, 206, 244), (226, 242, 250)),
    "beach": ((120, 200, 236), (212, 240, 246)),
    "desert": ((252, 226, 170), (254, 240, 208)),
    "snow": ((196, 208, 222), (230, 236, 242)),
    "sunset": ((120, 72, 130), (254, 166, 104)),
    "night": ((14, 20, 52), (44, 54, 104)),
}


def _hills(
    draw: ImageDraw.ImageDraw, side: int, level: float, height: float, phase: float, fill: Rgb
) -> None:
    crest = [
        (
            x,
            side
            * (
                level
                - height * math.sin(phase + x / side * 5.2)
                - height / 2 * math.sin(2 * phase + x / side * 9)
            ),
        )
        for x in range(0, side + 8, 8)
    ]
    draw.polygon([*crest, (side + 8, side), (0, side)], fill=fill)


def _cloud(draw: ImageDraw.ImageDraw, side: int, x: float, y: float, fill: Rgb) -> None:
    for dx, dy, r in ((-0.06, 0.01, 0.035), (0.0, -0.01, 0.05), (0.06, 0.01, 0.035)):
        box = [(x + dx - r) * side, (y + dy - r) * side, (x + dx + r) * side, (y + dy + r) * side]
        draw.ellipse(box, fill=fill)


def _meadow(draw: ImageDraw.ImageDraw, side: int, variant: int) -> None:
    _cloud(draw, side, 0.15 + 0.09 * variant % 0.8, 0.12, (250, 252, 254))
    _hills(draw, side, 0.60, 0.04, variant, (156, 208, 122))
    _hills(draw, side, 0.72, 0.03, variant * 2.1 + 1, (128, 192, 96))


def _beach(draw: ImageDraw.ImageDraw, side: int, variant: int) -> None:
    draw.rectangle([0, side * 0.5, side, side], fill=(70, 160, 200))
    for i in range(3):
        _hills(
            draw,
            side,
            0.56 + 0.06 * i,
            0.006,
            variant * 1.3 + i * 2,
            (96 + 22 * i, 180 + 12 * i, 212 + 6 * i),
        )
    _hills(draw, side, 0.76, 0.025, variant * 1.7, (244, 222, 170))


def _desert(draw: ImageDraw.ImageDraw, side: int, variant: int) -> None:
    _hills(draw, side, 0.58, 0.05, variant * 1.1, (236, 190, 120))
    _hills(draw, side, 0.74, 0.045, variant * 1.9 + 2, (222, 166, 92))


def _snow(draw: ImageDraw.ImageDraw, side: int, variant: int) -> None:
    _hills(draw, side, 0.6, 0.04, variant * 1.4, (222, 230, 240))
    _hills(draw, side, 0.74, 0.03, variant * 0.8 + 2, (244, 248, 252))
    _dots(draw, side, variant, 46, 1.0, 3.2, (255, 255, 255))


def _sunset(draw: ImageDraw.ImageDraw, side: int, variant: int) -> None:
    x = side * (0.25 + 0.07 * variant % 0.6)
    draw.ellipse([x - side * 0.11, side * 0.5, x + side * 0.11, side * 0.72], fill=(255, 214, 120))
    _hills(draw, side, 0.68, 0.03, variant * 1.2, (134, 74, 98))
    _hills(draw, side, 0.8, 0.03, variant * 2.3 + 1, (92, 52, 84))


def _night(draw: ImageDraw.ImageDraw, side: int, variant: int) -> None:
    _dots(draw, side, variant, 40, 0.6, 1.6, (232, 232, 255))
    _hills(draw, side, 0.7, 0.04, variant * 1.6, (28, 38, 72))
    _hills(draw, side, 0.82, 0.03, variant * 0.9 + 2, (20, 28, 56))


def _dots(
    draw: ImageDraw.ImageDraw, side: int, variant: int, n: int, height: float, radius: float, fill: Rgb
) -> None:
    for i in range(n):
        x = (0.618034 * i + 0.137 * variant) % 1.0 * side
        y = (0.754878 * i + 0.271 * variant) % 1.0 * side * height
        draw.ellipse([x - radius, y - radius, x + radius, y + radius], fill=fill)


_PAINTERS: dict[str, Callable[[ImageDraw.ImageDraw, int, int], None]] = {
    "meadow": _meadow,
    "beach": _beach,
    "desert": _desert,
    "snow": _snow,
    "sunset": _sunset,
    "night": _night,
}
