from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from imagescope_agent.retrieval.images import FORMATS, MAX_SIDE, ImageProblem, load, open_image

RED, GREEN, WHITE = (255, 0, 0), (0, 128, 0), (255, 255, 255)


def near(pixel: object, colour: tuple[int, ...], by: int = 12) -> bool:
    return bool(np.all(np.abs(np.asarray(pixel, dtype=int) - np.asarray(colour)) <= by))


def bomb(side: int) -> bytes:
    """A few bytes that claim to be side x side pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    body = zlib.compress(b"\0" * 100_000, 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


@pytest.mark.parametrize("suffix", ["png", "jpg", "jpeg", "webp", "gif", "bmp", "tiff", "avif", "ppm"])
def test_common_formats(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"x.{suffix}"
    Image.new("RGB", (40, 30), RED).save(path)
    image = open_image(path)
    assert image.mode == "RGB" and image.size == (40, 30) and near(image.getpixel((20, 15)), RED)
    assert image.getpixel((3, 3)) == load(path).image.getpixel((3, 3))


def test_the_wrong_extension_does_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "picture.txt"
    Image.new("RGB", (5, 5), RED).save(path, "JPEG")
    assert near(open_image(path).getpixel((2, 2)), RED)


def test_the_first_frame_of_an_animation(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in (RED, GREEN)]
    for suffix in ("gif", "webp", "png", "tiff"):
        path = tmp_path / f"x.{suffix}"
        frames[0].save(path, save_all=True, append_images=frames[1:])
        assert near(open_image(path).getpixel((4, 4)), RED)


@pytest.mark.parametrize(
    ("mode", "colour", "suffix", "seen"),
    [
        ("CMYK", (0, 255, 255, 0), "jpg", RED),
        ("CMYK", (0, 255, 255, 0), "tiff", RED),
        ("L", 128, "png", (128, 128, 128)),
        ("1", 1, "png", WHITE),
        ("LA", (0, 0), "png", WHITE),
        ("RGBA", (255, 0, 0, 0), "png", WHITE),
        ("RGBA", (255, 0, 0, 255), "webp", RED),
        ("RGBA", (0, 0, 0, 128), "png", (127, 127, 127)),
        ("I;16", 0x8000, "png", (128, 128, 128)),
        ("I;16", 0xFFFF, "tiff", WHITE),
    ],
)
def test_modes_become_rgb_on_white(
    tmp_path: Path, mode: str, colour: tuple[int, ...], suffix: str, seen: tuple[int, ...]
) -> None:
    path = tmp_path / f"x.{suffix}"
    Image.new(mode, (9, 9), colour).save(path)
    image = open_image(path)
    assert image.mode == "RGB" and near(image.getpixel((4, 4)), seen)


@pytest.mark.parametrize("mode", ["I", "F"])
def test_samples_of_an_unknown_range_are_stretched(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "x.tiff"
    ramp = np.array([[-500, 0, 1500]], dtype=np.int32 if mode == "I" else np.float32)
    Image.fromarray(ramp).save(path)
    assert np.asarray(open_image(path))[0, :, 0].tolist() == [0, 64, 255]


def test_float_samples_that_are_no_numbers(tmp_path: Path) -> None:
    Image.fromarray(np.array([[np.nan, np.inf, 1.0]], dtype=np.float32)).save(tmp_path / "x.tiff")
    assert np.asarray(open_image(tmp_path / "x.tiff"))[0, :, 0].tolist() == [0, 0, 255]


def test_a_palette_with_transparency(tmp_path: Path) -> None:
    image = Image.new("P", (4, 1))
    image.putpalette([255, 0, 0, 0, 128, 0])
    image.putpixel((1, 0), 1)
    image.save(tmp_path / "x.gif", transparency=1)
    opened = open_image(tmp_path / "x.gif")
    assert opened.getpixel((0, 0)) == RED and opened.getpixel((1, 0)) == WHITE


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tiff"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(tmp_path: Path, orientation: int, suffix: str) -> None:
    upright = Image.new("RGB", (32, 16), WHITE)
    upright.paste(RED, (0, 0, 8, 8))
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # Pillow's numbers for the opposite turns
    stored = upright.transpose(Image.Transpose(undo[orientation])) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / f"x.{suffix}", exif=exif)
    for image in (open_image(tmp_path / f"x.{suffix}"), load(tmp_path / f"x.{suffix}").image):
        assert image.size == (32, 16)
        assert near(image.getpixel((3, 3)), RED, 40) and near(image.getpixel((28, 12)), WHITE, 40)


def test_damaged_exif_does_not_cost_the_picture(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8), RED).save(tmp_path / "x.jpg", exif=b"Exif\0\0II*\0\xff\xff\xff\x7f garbage")
    assert near(open_image(tmp_path / "x.jpg").getpixel((4, 4)), RED)


def test_pictures_are_bounded_and_carry_nothing_but_pixels(tmp_path: Path) -> None:
    path = tmp_path / "x.jpg"
    exif = Image.Exif()
    exif[0x010E] = "a secret place"
    Image.new("RGB", (3000, 1500), RED).save(path, exif=exif)
    picture = load(path)
    assert picture.image.size == (MAX_SIDE, MAX_SIDE // 2)
    ref = picture.ref()
    again = Image.open(io.BytesIO(ref.data))
    assert again.size == picture.image.size and not again.getexif() and b"secret" not in ref.data
    assert ref.key == load(path).ref().key and ref.data == load(path).ref().data
    Image.new("RGB", (2, 3000), RED).save(tmp_path / "thin.png")
    assert load(tmp_path / "thin.png").image.size == (1, MAX_SIDE)


def test_small_pictures_are_handed_on_without_loss(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (128, 128, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "x.png")
    ref = load(tmp_path / "x.png").ref()
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(ref.data))), noise)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"hello, I am a text", "not an image"),
        (b"\x89PNG\r\n\x1a\n", "not an image|broken"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not an image"),
        (bomb(50_000), "pixels"),
        (bomb(11_000), "pixels"),
        (bomb(9_500), "pixels"),
        (bomb(300), "broken"),
    ],
)
def test_what_is_no_usable_picture_says_why(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(content)
    with pytest.raises(ImageProblem, match=reason) as caught:
        load(path)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)


def test_missing_folder_pipe_and_odd_names_are_problems(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    for path in (tmp_path, tmp_path / "no.png", tmp_path / "pipe.png", tmp_path / "x\0y.png", Path("")):
        with pytest.raises(ImageProblem):
            load(path)


def test_an_unreadable_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.png").write_bytes(b"x")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(ImageProblem, match="Permission denied"):
        load(tmp_path / "x.png")


SOURCES = {}

for name in ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF", "AVIF"):
    with io.BytesIO() as held:
        Image.linear_gradient("L").resize((24, 16)).convert("RGB").save(held, name)
        SOURCES[name] = held.getvalue()


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(sorted(SOURCES)),
    cut=st.integers(0, 4000),
    noise=st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 255)), max_size=8),
)
def test_a_damaged_file_gives_a_picture_or_a_problem(
    tmp_path: Path, name: str, cut: int, noise: list[tuple[int, int]]
) -> None:
    data = bytearray(SOURCES[name])
    for place, value in noise:
        data[place % len(data)] = value
    path = tmp_path / "x"
    path.write_bytes(data[: max(1, cut)])
    try:
        picture = load(path)
    except ImageProblem as problem:
        assert problem.reason
    else:
        assert picture.image.mode == "RGB" and max(picture.image.size) <= MAX_SIDE and picture.ref().data


def test_formats_are_the_common_ones() -> None:
    assert {"PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"} <= set(FORMATS) and "EPS" not in FORMATS
