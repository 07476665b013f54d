"""Draws a scene: stickers with a white rim on a painted background, anti-aliased by supersampling."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

from PIL import Image, ImageChops, ImageDraw, ImageFilter

from imagescope_agent.lab.scenes.world import Scene

SIDE = 256  # pixels
_SCALE = 4  # supersampling of stickers
_INK = (52, 48, 58)

PALETTE: dict[str, tuple[int, int, int]] = {
    "red": (220, 48, 48),
    "orange": (246, 138, 28),
    "yellow": (250, 214, 48),
    "green": (52, 158, 72),
    "blue": (46, 106, 218),
    "purple": (142, 70, 188),
    "black": (48, 46, 54),
    "white": (250, 250, 248),
}

Rgb = tuple[int, int, int]


def draw(scene: Scene) -> Image.Image:
    """The picture of `scene`: RGB, 256 x 256 pixels. The same scene always gives the same pixels."""
    picture = background(scene.setting, scene.variant).copy()
    for thing in sorted(scene.things, key=lambda t: t.y):
        sprite = sticker(thing.kind, thing.colour, round(thing.diameter * SIDE))
        left = round(thing.x * SIDE - sprite.width / 2)
        top = round(thing.y * SIDE - sprite.height / 2)
        picture.paste(sprite, (left, top), sprite)
    return picture


def _mix(colour: Rgb, other: Rgb, share: float) -> Rgb:
    r, g, b = (round(a + (o - a) * share) for a, o in zip(colour, other, strict=True))
    return r, g, b


class _Pen:
    """Draws in unit coordinates on a supersampled transparent square, in shades of one colour."""

    def __init__(self, side: int, colour: Rgb) -> None:
        self.side = side
        self.image = Image.new("RGBA", (side, side))
        self._draw = ImageDraw.Draw(self.image)
        dark_base = sum(colour) < 200
        self.main = colour
        self.shade = _mix(colour, (255, 255, 255) if dark_base else (0, 0, 0), 0.22)
        self.tint = _mix(colour, (255, 255, 255) if sum(colour) < 700 else (150, 160, 180), 0.45)
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


def _house(p: _Pen) -> None:
    p.box(0.16, 0.45, 0.84, 0.94, p.main)
    p.polygon([(0.04, 0.48), (0.5, 0.06), (0.96, 0.48)], p.shade)
    p.box(0.42, 0.62, 0.60, 0.94, _INK)
    p.box(0.22, 0.56, 0.36, 0.70, p.glass)
    p.box(0.66, 0.56, 0.79, 0.70, p.glass)


def _tree(p: _Pen) -> None:
    p.box(0.43, 0.6, 0.57, 0.97, (124, 82, 50))
    for x, y, r in ((0.5, 0.26, 0.22), (0.27, 0.46, 0.21), (0.73, 0.46, 0.21), (0.5, 0.5, 0.24)):
        p.oval(x, y, r, r, p.main)
    for x, y in ((0.4, 0.3), (0.64, 0.42), (0.36, 0.53)):
        p.oval(x, y, 0.045, 0.045, p.shade)


def _boat(p: _Pen) -> None:
    p.polygon([(0.04, 0.64), (0.96, 0.64), (0.78, 0.92), (0.22, 0.92)], p.main)
    p.box(0.47, 0.06, 0.53, 0.66, _INK)
    p.polygon([(0.55, 0.08), (0.92, 0.57), (0.55, 0.57)], p.tint)
    p.polygon([(0.45, 0.2), (0.45, 0.57), (0.16, 0.57)], p.main)


def _car(p: _Pen) -> None:
    p.polygon([(0.2, 0.5), (0.32, 0.24), (0.7, 0.24), (0.84, 0.5)], p.main)
    p.box(0.03, 0.46, 0.97, 0.74, p.main, radius=0.08)
    p.polygon([(0.29, 0.48), (0.37, 0.31), (0.49, 0.31), (0.49, 0.48)], p.glass)
    p.polygon([(0.54, 0.48), (0.54, 0.31), (0.66, 0.31), (0.75, 0.48)], p.glass)
    for x in (0.25, 0.75):
        p.oval(x, 0.75, 0.13, 0.13, _INK)
        p.oval(x, 0.75, 0.055, 0.055, (190, 190, 196))


def _fish(p: _Pen) -> None:
    p.polygon([(0.66, 0.5), (0.97, 0.24), (0.97, 0.76)], p.shade)
    p.polygon([(0.34, 0.3), (0.52, 0.1), (0.62, 0.36)], p.shade)
    p.oval(0.4, 0.52, 0.37, 0.26, p.main)
    p.line([(0.36, 0.33), (0.42, 0.52), (0.36, 0.71)], 0.035, p.shade)
    p.oval(0.2, 0.46, 0.05, 0.05, (255, 255, 255))
    p.oval(0.19, 0.46, 0.026, 0.026, (20, 20, 24))


def _flower(p: _Pen) -> None:
    p.box(0.46, 0.6, 0.54, 0.98, (70, 132, 62))
    p.polygon([(0.54, 0.9), (0.8, 0.7), (0.72, 0.88)], (70, 132, 62))
    for i in range(6):
        angle = math.tau * i / 6
        p.oval(0.5 + 0.22 * math.cos(angle), 0.36 + 0.22 * math.sin(angle), 0.15, 0.15, p.main)
    p.oval(0.5, 0.36, 0.12, 0.12, p.shade)


def _star(p: _Pen) -> None:
    points = []
    for i in range(10):
        radius = 0.5 if i % 2 == 0 else 0.21
        angle = -math.pi / 2 + math.pi * i / 5
        points.append((0.5 + radius * math.cos(angle), 0.53 + radius * math.sin(angle)))
    p.polygon(points, p.main)


def _heart(p: _Pen) -> None:
    steps = [math.tau * i / 80 for i in range(80)]
    curve = [
        (0.5 + 0.029 * 16 * math.sin(t) ** 3,
         0.46 - 0.029 * (13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)))
        for t in steps
    ]  # fmt: skip
    p.polygon(curve, p.main)
    p.oval(0.3, 0.3, 0.06, 0.045, p.tint)


def _umbrella(p: _Pen) -> None:
    p.box(0.475, 0.1, 0.525, 0.86, _INK)
    p.line([(0.5, 0.84), (0.5, 0.93), (0.62, 0.93), (0.62, 0.85)], 0.05, _INK)
    p.half_disc(0.5, 0.54, 0.47, p.main)
    p.polygon([(0.34, 0.54), (0.5, 0.08), (0.66, 0.54)], p.tint)
    for x in (0.14, 0.38, 0.62, 0.86):
        p.half_disc(x, 0.57, 0.11, p.shade)


def _cat(p: _Pen) -> None:
    for side in (-1, 1):
        p.polygon([(0.5 + side * 0.42, 0.06), (0.5 + side * 0.4, 0.52), (0.5 + side * 0.1, 0.3)], p.main)
        p.polygon([(0.5 + side * 0.36, 0.16), (0.5 + side * 0.35, 0.4), (0.5 + side * 0.18, 0.3)], p.tint)
    p.oval(0.5, 0.58, 0.42, 0.37, p.main)
    ink = _INK if sum(p.main) > 200 else (236, 236, 240)
    for side in (-1, 1):
        p.oval(0.5 + side * 0.17, 0.5, 0.055, 0.075, ink)
        for y in (0.66, 0.74):
            p.line([(0.5 + side * 0.12, 0.68), (0.5 + side * 0.4, y)], 0.02, ink)
    p.polygon([(0.44, 0.62), (0.56, 0.62), (0.5, 0.7)], (236, 130, 140))


_PAINT: dict[str, Callable[[_Pen], None]] = {
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
    """An RGBA sticker of a thing, `side` pixels across, with a dark outline and a white rim."""
    big = side * _SCALE
    rim, outline = max(2, big // 26), max(2, big // 40)
    pen = _Pen(big - 2 * (rim + outline), PALETTE[colour])
    _PAINT[kind](pen)
    art = Image.new("RGBA", (big, big))
    art.paste(pen.image, (rim + outline, rim + outline))
    alpha = art.getchannel("A")
    dark = _grow(alpha, outline)
    out = Image.new("RGBA", (big, big), (255, 255, 255, 0))
    out.putalpha(_grow(dark, rim))
    out.paste((*_INK, 255), mask=ImageChops.multiply(dark, dark))
    out.paste(art, mask=alpha)
    return out.resize((side, side), Image.Resampling.BOX)


def _grow(mask: Image.Image, pixels: int) -> Image.Image:
    """Dilate a mask by about `pixels`: blur, then keep whatever was touched."""
    return mask.filter(ImageFilter.GaussianBlur(pixels)).point(lambda value: 255 if value > 24 else 0)


@lru_cache(maxsize=64)
def background(setting: str, variant: int) -> Image.Image:
    """The painted setting, RGB, 256 x 256 pixels; `variant` moves hills, clouds, waves and stars."""
    big = SIDE * 2
    top, bottom = _SKY[setting]
    column = Image.new("RGB", (1, big))
    column.putdata([_mix(top, bottom, min(1.0, y / (0.72 * big))) for y in range(big)])
    image = column.resize((big, big))
    _GROUND[setting](ImageDraw.Draw(image), big, variant)
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


_GROUND: dict[str, Callable[[ImageDraw.ImageDraw, int, int], None]] = {
    "meadow": _meadow,
    "beach": _beach,
    "desert": _desert,
    "snow": _snow,
    "sunset": _sunset,
    "night": _night,
}
