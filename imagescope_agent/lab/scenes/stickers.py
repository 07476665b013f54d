"""Stickers: one anti-aliased sprite per kind, colour and size of a thing, with an outline and a white rim."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

from PIL import Image, ImageChops, ImageDraw, ImageFilter

_SCALE = 4  # supersampling
_INK = (52, 48, 58)

Rgb = tuple[int, int, int]

PALETTE: dict[str, Rgb] = {
    "red": (220, 48, 48),
    "orange": (246, 138, 28),
    "yellow": (250, 214, 48),
    "green": (52, 158, 72),
    "blue": (46, 106, 218),
    "purple": (142, 70, 188),
    "black": (48, 46, 54),
    "white": (250, 250, 248),
}


def mix(colour: Rgb, other: Rgb, share: float) -> Rgb:
    """The colour `share` of the way from one colour to the other."""
    r, g, b = (round(a + (o - a) * share) for a, o in zip(colour, other, strict=True))
    return r, g, b


class _Canvas:
    """A transparent square drawn on in unit coordinates, with shades of one colour.

    Args:
        side: in pixels, supersampled.
        colour: of the thing.
    """

    def __init__(self, side: int, colour: Rgb) -> None:
        self.side = side
        self.image = Image.new("RGBA", (side, side))
        self._draw = ImageDraw.Draw(self.image)
        dark_base = sum(colour) < 200
        self.main = colour
        self.shade = mix(colour, (255, 255, 255) if dark_base else (0, 0, 0), 0.22)
        self.tint = mix(colour, (255, 255, 255) if sum(colour) < 700 else (150, 160, 180), 0.45)
        self.glass = (206, 228, 240) if sum(colour) > 200 else (150, 168, 186)

    def polygon(self, points: list[tuple[float, float]], fill: Rgb) -> None:
        self._draw.polygon([(x * self.side, y * self.side) for x, y in points], fill=(*fill, 255))

    def oval(self, x: float, y: float, rx: float, ry: float, fill: Rgb) -> None:
        s = self.side
        self._draw.ellipse([(x - rx) * s, (y - ry) * s, (x + rx) * s, (y + ry) * s], fill=(*fill, 255))

    def box(
        self, left: float, top: float, right: float, bottom: float, fill: Rgb, radius: float = 0.0
    ) -> None:
        s = self.side
        self._draw.rounded_rectangle(
            [left * s, top * s, right * s, bottom * s], radius * s, fill=(*fill, 255)
        )

    def half_disc(self, x: float, y: float, r: float, fill: Rgb) -> None:
        s = self.side
        self._draw.pieslice([(x - r) * s, (y - r) * s, (x + r) * s, (y + r) * s], 180, 360, fill=(*fill, 255))

    def line(self, points: list[tuple[float, float]], width: float, fill: Rgb) -> None:
        scaled = [(x * self.side, y * self.side) for x, y in points]
        self._draw.line(scaled, fill=(*fill, 255), width=round(width * self.side), joint="curve")


def _house(canvas: _Canvas) -> None:
    canvas.box(0.16, 0.45, 0.84, 0.94, canvas.main)
    canvas.polygon([(0.04, 0.48), (0.5, 0.06), (0.96, 0.48)], canvas.shade)
    canvas.box(0.42, 0.62, 0.60, 0.94, _INK)
    canvas.box(0.22, 0.56, 0.36, 0.70, canvas.glass)
    canvas.box(0.66, 0.56, 0.79, 0.70, canvas.glass)


def _tree(canvas: _Canvas) -> None:
    canvas.box(0.43, 0.6, 0.57, 0.97, (124, 82, 50))
    for x, y, r in ((0.5, 0.26, 0.22), (0.27, 0.46, 0.21), (0.73, 0.46, 0.21), (0.5, 0.5, 0.24)):
        canvas.oval(x, y, r, r, canvas.main)
    for x, y in ((0.4, 0.3), (0.64, 0.42), (0.36, 0.53)):
        canvas.oval(x, y, 0.045, 0.045, canvas.shade)


def _boat(canvas: _Canvas) -> None:
    canvas.polygon([(0.04, 0.64), (0.96, 0.64), (0.78, 0.92), (0.22, 0.92)], canvas.main)
    canvas.box(0.47, 0.06, 0.53, 0.66, _INK)
    canvas.polygon([(0.55, 0.08), (0.92, 0.57), (0.55, 0.57)], canvas.tint)
    canvas.polygon([(0.45, 0.2), (0.45, 0.57), (0.16, 0.57)], canvas.main)


def _car(canvas: _Canvas) -> None:
    canvas.polygon([(0.2, 0.5), (0.32, 0.24), (0.7, 0.24), (0.84, 0.5)], canvas.main)
    canvas.box(0.03, 0.46, 0.97, 0.74, canvas.main, radius=0.08)
    canvas.polygon([(0.29, 0.48), (0.37, 0.31), (0.49, 0.31), (0.49, 0.48)], canvas.glass)
    canvas.polygon([(0.54, 0.48), (0.54, 0.31), (0.66, 0.31), (0.75, 0.48)], canvas.glass)
    for x in (0.25, 0.75):
        canvas.oval(x, 0.75, 0.13, 0.13, _INK)
        canvas.oval(x, 0.75, 0.055, 0.055, (190, 190, 196))


def _fish(canvas: _Canvas) -> None:
    canvas.polygon([(0.66, 0.5), (0.97, 0.24), (0.97, 0.76)], canvas.shade)
    canvas.polygon([(0.34, 0.3), (0.52, 0.1), (0.62, 0.36)], canvas.shade)
    canvas.oval(0.4, 0.52, 0.37, 0.26, canvas.main)
    canvas.line([(0.36, 0.33), (0.42, 0.52), (0.36, 0.71)], 0.035, canvas.shade)
    canvas.oval(0.2, 0.46, 0.05, 0.05, (255, 255, 255))
    canvas.oval(0.19, 0.46, 0.026, 0.026, (20, 20, 24))


def _flower(canvas: _Canvas) -> None:
    canvas.box(0.46, 0.6, 0.54, 0.98, (70, 132, 62))
    canvas.polygon([(0.54, 0.9), (0.8, 0.7), (0.72, 0.88)], (70, 132, 62))
    for i in range(6):
        angle = math.tau * i / 6
        canvas.oval(0.5 + 0.22 * math.cos(angle), 0.36 + 0.22 * math.sin(angle), 0.15, 0.15, canvas.main)
    canvas.oval(0.5, 0.36, 0.12, 0.12, canvas.shade)


def _star(canvas: _Canvas) -> None:
    points = []
    for i in range(10):
        radius = 0.5 if i % 2 == 0 else 0.21
        angle = -math.pi / 2 + math.pi * i / 5
        points.append((0.5 + radius * math.cos(angle), 0.53 + radius * math.sin(angle)))
    canvas.polygon(points, canvas.main)


def _heart(canvas: _Canvas) -> None:
    steps = [math.tau * i / 80 for i in range(80)]
    curve = [
        (0.5 + 0.029 * 16 * math.sin(t) ** 3,
         0.46 - 0.029 * (13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)))
        for t in steps
    ]  # fmt: skip
    canvas.polygon(curve, canvas.main)
    canvas.oval(0.3, 0.3, 0.06, 0.045, canvas.tint)


def _umbrella(canvas: _Canvas) -> None:
    canvas.box(0.475, 0.1, 0.525, 0.86, _INK)
    canvas.line([(0.5, 0.84), (0.5, 0.93), (0.62, 0.93), (0.62, 0.85)], 0.05, _INK)
    canvas.half_disc(0.5, 0.54, 0.47, canvas.main)
    canvas.polygon([(0.34, 0.54), (0.5, 0.08), (0.66, 0.54)], canvas.tint)
    for x in (0.14, 0.38, 0.62, 0.86):
        canvas.half_disc(x, 0.57, 0.11, canvas.shade)


def _cat(canvas: _Canvas) -> None:
    for side in (-1, 1):
        canvas.polygon(
            [(0.5 + side * 0.42, 0.06), (0.5 + side * 0.4, 0.52), (0.5 + side * 0.1, 0.3)], canvas.main
        )
        canvas.polygon(
            [(0.5 + side * 0.36, 0.16), (0.5 + side * 0.35, 0.4), (0.5 + side * 0.18, 0.3)], canvas.tint
        )
    canvas.oval(0.5, 0.58, 0.42, 0.37, canvas.main)
    ink = _INK if sum(canvas.main) > 200 else (236, 236, 240)
    for side in (-1, 1):
        canvas.oval(0.5 + side * 0.17, 0.5, 0.055, 0.075, ink)
        for y in (0.66, 0.74):
            canvas.line([(0.5 + side * 0.12, 0.68), (0.5 + side * 0.4, y)], 0.02, ink)
    canvas.polygon([(0.44, 0.62), (0.56, 0.62), (0.5, 0.7)], (236, 130, 140))


_PAINTERS: dict[str, Callable[[_Canvas], None]] = {
    "house": _house,
    "tree": _tree,
    "boat": _boat,
    "car": _car,
    "fish": _fish,
    "flower": _flower,
    "star": _star,
    "heart": _heart,
    "umbrella": _umbrella,
    "cat": _cat,
}


@lru_cache(maxsize=8192)
def sticker(kind: str, colour: str, side: int) -> Image.Image:
    """The RGBA sprite of a thing, `side` x `side` pixels, with a dark outline and a white rim."""
    big = side * _SCALE
    rim, outline = max(2, big // 26), max(2, big // 40)
    canvas = _Canvas(big - 2 * (rim + outline), PALETTE[colour])
    _PAINTERS[kind](canvas)
    art = Image.new("RGBA", (big, big))
    art.paste(canvas.image, (rim + outline, rim + outline))
    alpha = art.getchannel("A")
    dark = _dilate(alpha, outline)
    out = Image.new("RGBA", (big, big), (255, 255, 255, 0))
    out.putalpha(_dilate(dark, rim))
    out.paste((*_INK, 255), mask=ImageChops.multiply(dark, dark))
    out.paste(art, mask=alpha)
    return out.resize((side, side), Image.Resampling.BOX)


def _dilate(mask: Image.Image, pixels: int) -> Image.Image:
    """Dilate a mask by about `pixels`: blur, then threshold."""
    return mask.filter(ImageFilter.GaussianBlur(pixels)).point(lambda value: 255 if value > 24 else 0)
