"""Pictures look as a viewer shows them."""

from __future__ import annotations

import io
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imagescope_agent.retrieval.images import ImageProblem, load, open_image
from tests.retrieval.makers import (
    RED,
    SRGB,
    chunk,
    drawing,
    encoded,
    flat,
    near,
    photo,
    profile,
    with_chunks,
)


@pytest.mark.parametrize("form", ["PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("ink", [(255, 255, 255), (240, 245, 255), (0, 0, 0), (200, 0, 0)])
def test_a_drawing_on_transparency_is_seen(shown, form: str, ink: tuple[int, ...]) -> None:
    options = {"lossless": True} if form == "WEBP" else {}
    image = np.asarray(shown(encoded(drawing(ink), form, **options)), dtype=int)
    assert np.abs(image[17, 32] - image[2, 2]).max() > 100
    assert (image[2, 2] == 255).all() == (min(ink) < 200)


def test_white_on_transparency_in_a_palette_and_in_grey(shown) -> None:
    white = drawing()
    palette = Image.new("P", (64, 64), 0)
    palette.putpalette([255, 255, 255] * 2)
    palette.paste(1, mask=white.getchannel("A"))
    for data in (
        encoded(palette, "PNG", transparency=0),
        encoded(palette, "GIF", transparency=0),
        encoded(white.convert("LA"), "PNG"),
    ):
        assert np.asarray(shown(data)).std() > 40


def test_a_bitmap_whose_fourth_byte_was_never_filled(shown) -> None:
    assert near(shown(encoded(flat((255, 0, 0, 0), "RGBA"), "BMP")), RED)


@pytest.mark.parametrize("form", ["GIF", "PNG", "WEBP", "AVIF"])
@pytest.mark.parametrize("first", ["white", "black", "transparent"])
def test_an_animation_that_fades_in_shows_what_comes(shown, form: str, first: str) -> None:
    blank, full = Image.new("RGB", (64, 64), "white" if first == "transparent" else first), photo((64, 64))
    frames = [Image.blend(blank, full, min(1, max(0, number - 2) / 6)) for number in range(10)]
    if first == "transparent" and form != "GIF":
        frames = [frame.convert("RGBA") for frame in frames]
        frames[0].putalpha(0)
    image = shown(encoded(frames[0], form, save_all=True, append_images=frames[1:]))
    assert np.asarray(image).std() > 0.7 * np.asarray(full).std()


def test_an_animation_that_begins_with_a_picture_keeps_its_first_frame(shown) -> None:
    first, then = photo((64, 64)), photo((64, 64), seed=1)
    image = shown(encoded(first, "PNG", save_all=True, append_images=[then]))
    np.testing.assert_array_equal(np.asarray(image), np.asarray(first))


def test_the_thumbnail_in_front_of_a_tiff_is_not_the_picture(shown) -> None:
    small, large = flat(RED), Image.new("RGB", (80, 80), (0, 128, 0))
    pages = encoded(small, "TIFF", save_all=True, append_images=[large])
    assert shown(pages).size == (16, 16)
    large.encoderinfo = {"tiffinfo": {254: 0}}
    thumbnail = encoded(small, "TIFF", save_all=True, append_images=[large], tiffinfo={254: 1})
    assert shown(thumbnail).size == (80, 80)


def test_an_icon_shows_its_largest_picture(shown) -> None:
    icon = encoded(photo((256, 256)), "ICO", sizes=[(16, 16), (64, 64), (256, 256)])
    assert shown(icon).size == (256, 256)


def heic(image: Image.Image, orientation: int = 1) -> bytes:
    heif = pytest.importorskip("pillow_heif")
    exif = Image.Exif()
    exif[0x0112] = orientation
    with io.BytesIO() as file:
        heif.from_pillow(image).save(file, quality=95, exif=exif.tobytes())
        return file.getvalue()


def test_heic_is_read_upright(shown) -> None:
    assert near(shown(heic(flat(RED))), RED)
    wide = Image.new("RGB", (64, 32), "white")
    wide.paste(RED, (0, 0, 16, 16))
    turned = shown(heic(wide, orientation=6))
    assert turned.size == (32, 64) and turned.getpixel((28, 3)) != (255, 255, 255)
    np.testing.assert_allclose(turned.getpixel((28, 3)), RED, atol=8)


HEIC_HEAD = struct.pack(">I", 28) + b"ftypheic\0\0\0\0mif1heicmiaf" + bytes(64)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (HEIC_HEAD, r"HEIC photo; install pillow-heif.*imagescope-agent\[heic\]"),
        (b"\xff\x0a" + bytes(40), "JPEG XL"),
        (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(40), "JPEG XL"),
        (b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(40), "JPEG 2000"),
        (b"<!DOCTYPE html><html><body>404</body></html>", "web page; obtain"),
        (b"\xef\xbb\xbf \n<html>", "web page"),
        (b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'/>", "SVG drawing"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "git lfs pull"),
        (b"8BPS\0\1" + bytes(40), "Photoshop"),
        (b"%PDF-1.7", "PDF"),
        (struct.pack(">I", 24) + b"ftypisom\0\0\2\0isommp42" + bytes(40), "a video"),
    ],
)
def test_what_is_not_read_is_called_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: bytes, words: str
) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    (tmp_path / "x.jpg").write_bytes(data)
    with pytest.raises(ImageProblem, match=words):
        load(tmp_path / "x.jpg")


def huge_jpeg(width: int, height: int) -> bytes:
    """The same rows over and over, so that a small file holds a great many pixels."""
    strip = Image.linear_gradient("L").resize((width, 8)).convert("RGB")
    data = encoded(strip, "JPEG", quality=10, restart_marker_rows=1)
    start = data.index(b"\xff\xda")
    start += 2 + int.from_bytes(data[start + 2 : start + 4], "big")
    head, rows = bytearray(data[:start]), data[start:-2]
    frame = head.index(b"\xff\xc0")
    high = int(head[frame + 11] & 15) * 8  # of a row of blocks: the sampling of the first component
    head[frame + 5 : frame + 7] = height.to_bytes(2, "big")
    count = height // high
    marks = (bytes([0xFF, 0xD0 + n % 8]) if n < count - 1 else b"\xff\xd9" for n in range(count))
    return bytes(head) + b"".join(rows + mark for mark in marks)


def test_a_photo_of_two_hundred_megapixels(tmp_path: Path) -> None:
    path = tmp_path / "x.jpg"
    path.write_bytes(huge_jpeg(16_384, 12_288))
    assert load(path).image.size == (1024, 768)
    assert open_image(path, max_pixels=4_000_000).size == (2048, 1536)


def test_a_jpeg_that_must_be_held_whole_keeps_its_limit(tmp_path: Path) -> None:
    path = tmp_path / "x.jpg"
    path.write_bytes(encoded(photo((600, 400)), "JPEG", progressive=True))
    with pytest.raises(ImageProblem, match="too many"):
        load(path, max_pixels=100_000)
    path.write_bytes(encoded(photo((600, 400)), "JPEG"))
    assert load(path, max_pixels=100_000).image.size == (300, 200)


@pytest.mark.parametrize("size", [(1200, 5), (1, 5000), (5000, 1), (3, 900)])
def test_extremely_long_pictures_keep_a_pixel_and_are_embedded(tmp_path: Path, size, clip) -> None:
    photo(size).save(tmp_path / "x.png")
    image = load(tmp_path / "x.png").image
    assert max(image.size) <= 1024 and min(image.size) >= 1
    vector = clip.images([image])
    assert vector.shape == (1, clip.dimension) and np.isfinite(vector).all()


def test_what_models_that_cut_out_the_middle_see_of_a_long_picture() -> None:
    from imagescope_agent.retrieval.embedders.open_clip import middle

    long = Image.new("RGB", (1000, 2), "white")
    long.paste(RED, (490, 0, 510, 2))
    assert middle(long).size == (128, 2) and near(middle(long), RED)
    usual = photo()
    assert middle(usual) is usual


TEXTS = {
    "plain text of 2 MB": chunk(b"tEXt", b"a\0" + b"x" * 2_000_000),
    "50 MB of packed text": chunk(b"zTXt", b"a\0\0" + zlib.compress(b"x" * 50_000_000, 1)),
    "packed text in Unicode": chunk(b"iTXt", b"a\0\1\0\0\0" + zlib.compress(b"x" * 5_000_000)),
    "66 MB in many texts": b"".join(chunk(b"tEXt", b"k\0" + b"x" * 900_000) for _ in range(74)),
    "a bad checksum": chunk(b"tEXt", b"a\0b")[:-1] + b"!",
    "a time that is too short": chunk(b"tIME", b"12"),
    "dots per metre cut off": chunk(b"pHYs", b"12"),
    "a profile packed in a way that is not known": chunk(b"iCCP", b"a\0\7" + zlib.compress(b"x")),
}


@pytest.mark.parametrize("name", TEXTS)
def test_what_stands_beside_the_pixels_of_a_png_does_not_cost_them(shown, name: str) -> None:
    whole = encoded(photo(), "PNG")
    np.testing.assert_array_equal(np.asarray(shown(with_chunks(whole, TEXTS[name]))), np.asarray(photo()))
    after = whole[:-12] + TEXTS[name] + whole[-12:]
    np.testing.assert_array_equal(np.asarray(shown(after)), np.asarray(photo()))


def test_a_png_with_texts_and_a_large_profile_keeps_its_colours(shown) -> None:
    large = profile(SRGB, order="bgr") + bytes(3_000_000)
    png = with_chunks(encoded(flat(RED), "PNG"), chunk(b"iCCP", b"a\0\0" + zlib.compress(large)))
    assert near(shown(png), (0, 0, 255))


def grey_png(values: np.ndarray, bits: int, transparent: int | None) -> bytes:
    """A grey PNG of any number of bits; rows are packed."""
    height, width = values.shape
    rows = []
    for row in values:
        if bits == 16:
            packed = row.astype(">u2").tobytes()
        else:
            text = "".join(f"{value:0{bits}b}" for value in row)
            packed = int(text.ljust(-(-len(text) // 8) * 8, "0"), 2).to_bytes(-(-len(text) // 8), "big")
        rows.append(b"\0" + packed)
    parts = [chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0))]
    parts += [] if transparent is None else [chunk(b"tRNS", struct.pack(">H", transparent))]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        [*parts, chunk(b"IDAT", zlib.compress(b"".join(rows))), chunk(b"IEND", b"")]
    )


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_a_transparent_grey_of_a_png(shown, bits: int) -> None:
    most = 2**bits - 1
    values = np.zeros((16, 16), dtype=int)
    values[:, 8:] = most
    plain = np.asarray(shown(grey_png(values, bits, None)))[8, :, 0]
    assert plain[2] == 0 and plain[12] == 255
    dark = np.asarray(shown(grey_png(values, bits, 0)))[8, :, 0]
    assert dark[2] != 0, "what was black is transparent"
    assert dark[12] == 255, "what is white is drawn"
    light = np.asarray(shown(grey_png(values, bits, most)))[8, :, 0]
    assert light[2] == 0 and light[12] == 255
    if bits == 16:
        values[:, :8] = 1
        near = np.asarray(shown(grey_png(values, bits, 0)))[8, :, 0]
        assert near[2] == 0, "only that very sample is transparent"


def test_a_transparent_colour_of_a_png_of_16_bits(shown) -> None:
    red, blue = (65535, 0, 0), (0, 0, 65535)
    row = b"\0" + b"".join(struct.pack(">HHH", *colour) for colour in [red] * 8 + [blue] * 8)
    data = b"\x89PNG\r\n\x1a\n" + b"".join(
        [
            chunk(b"IHDR", struct.pack(">IIBBBBB", 16, 16, 16, 2, 0, 0, 0)),
            chunk(b"tRNS", struct.pack(">HHH", *red)),
            chunk(b"IDAT", zlib.compress(row * 16)),
            chunk(b"IEND", b""),
        ]
    )
    image = np.asarray(shown(data))
    assert tuple(image[8, 12]) == (0, 0, 255) and tuple(image[8, 2]) == (255, 255, 255)
