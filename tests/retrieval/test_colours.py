"""Colour profiles, gamma and samples of 16 bits or floats become sRGB as a viewer shows them."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from PIL import Image, ImageCms

from tests.retrieval.makers import (
    ADOBE_RGB,
    DISPLAY_P3,
    GREY,
    RED,
    SRGB,
    chunk,
    encoded,
    flat,
    in_space,
    near,
    photo,
    profile,
    with_chunks,
)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "TIFF", "WEBP", "AVIF"])
def test_a_colour_profile_is_heeded(shown, form: str) -> None:
    swapped = profile(SRGB, order="bgr")  # what is stored as red is blue
    assert near(shown(encoded(flat(RED), form, icc_profile=swapped)), (0, 0, 255))
    assert near(shown(encoded(flat(RED), form)), RED)


@pytest.mark.parametrize("primaries", [DISPLAY_P3, ADOBE_RGB])
def test_photos_of_wide_screens_and_cameras(shown, primaries: tuple[float, ...]) -> None:
    icc = profile(primaries)
    stored = in_space(flat(GREY), icc)
    assert not near(stored, GREY) and near(shown(encoded(stored, "PNG", icc_profile=icc)), GREY, by=2)


def test_profiles_of_other_spaces(shown) -> None:
    grey = profile(SRGB, 1.0, grey=True)
    for mode, colour in (("L", (64,)), ("LA", (64, 255))):
        image = Image.new(mode, (16, 16), colour if len(colour) > 1 else colour[0])
        assert near(shown(encoded(image, "PNG", icc_profile=grey)), (137, 137, 137))
    swapped = profile(SRGB, order="bgr")
    assert near(shown(encoded(flat((255, 0, 0, 128), "RGBA"), "PNG", icc_profile=swapped)), (127, 127, 255))
    assert near(shown(encoded(flat(RED).quantize(4), "PNG", icc_profile=swapped)), (0, 0, 255))
    lab = ImageCms.profileToProfile(
        flat(RED), ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
    )
    assert lab is not None and near(shown(encoded(lab, "TIFF")), RED)


def test_a_profile_that_says_srgb_changes_no_sample(shown) -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    same = shown(encoded(photo(), "PNG", icc_profile=srgb))
    np.testing.assert_array_equal(np.asarray(same), np.asarray(photo()))


@pytest.mark.parametrize(
    "icc", [b"junk" * 50, profile(SRGB, order="bgr")[:200], profile(SRGB, 1.0, grey=True), b"\0"]
)
@pytest.mark.parametrize("form", ["PNG", "JPEG"])
def test_an_unusable_profile_is_ignored(shown, icc: bytes, form: str) -> None:
    assert near(shown(encoded(flat(RED), form, icc_profile=icc)), RED)


def test_print_colours_with_a_profile_that_is_none(shown) -> None:
    cmyk = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    for form in ("JPEG", "TIFF"):
        assert near(shown(encoded(cmyk, form, icc_profile=b"none")), RED)
        assert near(shown(encoded(cmyk, form, icc_profile=profile(SRGB))), RED)


def gamma(value: float, primaries: tuple[float, ...] = ()) -> bytes:
    said = chunk(b"gAMA", struct.pack(">I", round(value * 100_000)))
    if primaries:
        said += chunk(b"cHRM", struct.pack(">8I", *(round(each * 100_000) for each in primaries)))
    return said


def test_png_that_states_gamma_and_primaries(shown) -> None:
    dark = encoded(flat((64, 64, 64)), "PNG")
    assert near(shown(with_chunks(dark, gamma(1.0))), (137, 137, 137))
    assert near(shown(with_chunks(dark, gamma(0.45455))), (64, 64, 64), by=0)
    assert near(shown(with_chunks(dark, gamma(0.45455, SRGB))), (64, 64, 64), by=0)
    assert near(shown(with_chunks(dark, gamma(1.0), chunk(b"sRGB", b"\0"))), (64, 64, 64), by=0)
    assert near(shown(with_chunks(dark, gamma(0.0))), (64, 64, 64), by=0)
    wide = with_chunks(encoded(flat(GREY), "PNG"), gamma(0.45455, DISPLAY_P3))
    assert near(shown(wide), (218, 67, 47))


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
@pytest.mark.parametrize(("low", "high"), [(0, 4095), (0, 1000), (30_000, 34_000)])
def test_16_bit_samples_that_use_a_part_of_their_range(shown, form: str, low: int, high: int) -> None:
    ramp = np.linspace(low, high, 64).astype(np.uint16)[None].repeat(4, axis=0)
    row = np.asarray(shown(encoded(Image.fromarray(ramp), form)))[0, :, 0].astype(int)
    assert (row[0], row[-1]) == (0, 255) and (np.diff(row) >= 0).all()


def test_16_bit_samples_of_the_whole_range_stay(shown) -> None:
    ramp = np.linspace(0, 65_535, 64).astype(np.uint16)[None]
    assert (
        np.asarray(shown(encoded(Image.fromarray(ramp), "PNG")))[0, :, 0].tolist() == (ramp[0] >> 8).tolist()
    )


def test_heights_beside_places_without_a_number(shown) -> None:
    values = np.array([[np.nan, 1000.0, 1050.0, 1100.0]], dtype=np.float32)
    assert np.asarray(shown(encoded(Image.fromarray(values), "TIFF")))[0, :, 0].tolist() == [0, 0, 128, 255]


def tiff(values: np.ndarray, *, white_is_zero: bool) -> bytes:
    """An uncompressed grey TIFF, little-endian, of one strip."""
    kind = 3 if values.dtype.kind == "f" else 2 if values.dtype.kind == "i" else 1
    tags = [(256, 3, values.shape[1]), (257, 3, values.shape[0]), (258, 3, 8 * values.itemsize), (259, 3, 1),
            (262, 3, 0 if white_is_zero else 1), (273, 4, 8), (277, 3, 1), (278, 3, values.shape[0]),
            (279, 4, values.nbytes), (339, 3, kind)]  # fmt: skip
    entries = b"".join(struct.pack("<HHII", tag, form, 1, value) for tag, form, value in tags)
    data = values.tobytes()
    return (
        b"II*\0" + struct.pack("<I", 8 + len(data)) + data + struct.pack("<H", len(tags)) + entries + bytes(4)
    )


@pytest.mark.parametrize("kind", ["u1", "<u2", "<f4"])
def test_a_tiff_whose_zero_is_white(shown, kind: str) -> None:
    ramp = np.linspace(0, {1: 255, 2: 65535, 4: 2**24}[np.dtype(kind).itemsize], 64).astype(kind)
    values = np.tile(ramp, (16, 1))
    black = np.asarray(shown(tiff(values, white_is_zero=False)))[8, :, 0].astype(int)
    white = np.asarray(shown(tiff(values, white_is_zero=True)))[8, :, 0].astype(int)
    assert black[0] < 8 and black[-1] > 247
    np.testing.assert_allclose(white, 255 - black, atol=1)
