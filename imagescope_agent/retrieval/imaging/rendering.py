"""Render decoded samples as a viewer does: choose the frame, convert to sRGB, flatten transparency."""

from __future__ import annotations

import io
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms, ImageOps
from PIL.ImageFile import ImageFile

Floats = npt.NDArray[np.float32]

PLAIN = 16.0  # standard deviation, of 255, below which a frame shows next to nothing
CLEARER = 1.25  # times the deviation of the best frame so far: only then a later frame is taken
MAX_FRAMES, MAX_FRAME_PIXELS = 120, 120_000_000  # that are looked through for one that shows something
NEAR_WHITE = 24  # levels from white that are hardly seen on it
SEEN = 0.05  # share of what is drawn that must stand out from white
DARK = (40, 40, 40)
FULL_RANGE = 0x7FFF  # 16-bit samples that use more than half of their range are shown as they are
SAME = 3  # levels between colours that are taken for equal
_FRAMED = ("GIF", "PNG", "WEBP", "AVIF")
_SRGB_PRIMARIES = (0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)  # white, red, green, blue: x, y
_SRGB_GAMMA = 0.45455  # what a PNG says of sRGB
_PROBE = Image.fromarray(
    np.stack(np.meshgrid(*[np.linspace(0, 255, 9)] * 3), axis=-1).reshape(27, 27, 3).astype(np.uint8)
)


def best_frame(image: ImageFile) -> Image.Image:
    """The image; of an animation whose first frame is nearly uniform, the first frame with content.

    Of a TIFF the first page that is no thumbnail of another one.
    """
    pages = getattr(image, "n_frames", 1) if image.format in (*_FRAMED, "TIFF") else 1
    if image.format == "TIFF" or pages < 2:
        return image
    best: Image.Image = image
    clear = _clearness(image)
    if clear >= PLAIN:
        return image
    best = _kept(image)
    for number in range(1, min(pages, MAX_FRAMES, MAX_FRAME_PIXELS // (image.width * image.height))):
        try:
            image.seek(number)
            image.load()
        except Exception:  # noqa: BLE001 -- an animation that breaks off is as long as it can be read
            break
        if (clearer := _clearness(image)) > max(PLAIN, CLEARER * clear):
            best, clear = _kept(image), clearer
    return best


def main_page(image: ImageFile) -> None:
    """Seek a TIFF to its first page that is no thumbnail."""
    if image.format != "TIFF":
        return
    for number in range(min(getattr(image, "n_frames", 1), MAX_FRAMES)):
        image.seek(number)
        if not int(image.tag_v2.get(254, 0)) & 1:  # type: ignore[attr-defined]
            return
    image.seek(0)


def _kept(image: ImageFile) -> Image.Image:
    frame = image.copy()
    frame.info = dict(image.info)
    return frame


def _clearness(image: Image.Image) -> float:
    """Contrast: the standard deviation of the channel that varies most, of 255."""
    small = eight_bit(image).resize((64, 64), Image.Resampling.BOX)
    return float(np.asarray(flatten(small).convert("RGB"), dtype=np.float32).std(axis=(0, 1)).max())


def eight_bit(image: Image.Image) -> Image.Image:
    """RGB, RGBA, L, or with a colour profile CMYK or LAB: palettes opened, other samples brought to 0..255."""
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        values = np.asarray(image)
        # samples of more than 16 bits have no fixed range: stretch them
        shown = _from_16_bit(values) if image.mode.startswith("I;16") else _stretched(values)
        shown = ImageOps.invert(shown) if _white_is_zero(image) else shown
        sample = image.info.get("transparency")
        if isinstance(sample, int):
            shown = shown.convert("RGBA")
            shown.putalpha(Image.fromarray(np.where(values == sample, 0, 255).astype(np.uint8)))
        return shown
    if image.mode == "La":
        image = image.convert("LA")
    if image.has_transparency_data:
        flat = image.convert("RGBA")
        if image.format == "BMP" and flat.getchannel("A").getextrema() == (0, 0):
            return flat.convert("RGB")  # an unused fourth byte
        return flat
    if image.mode == "LAB" or (image.mode == "CMYK" and image.info.get("icc_profile")):
        return image
    return image if image.mode == "L" else image.convert("RGB")


def _white_is_zero(image: Image.Image) -> bool:
    """Whether a TIFF says so; Pillow heeds that for samples of up to 8 bits only."""
    tags = getattr(image, "tag_v2", None)
    return tags is not None and tags.get(262) == 0


def _from_16_bit(values: npt.NDArray[Any]) -> Image.Image:
    low, high = int(values.min()), int(values.max())
    if low == high or high - low > FULL_RANGE:
        return Image.fromarray((values >> 8).astype(np.uint8))
    return _stretched(values)


def _stretched(values: npt.NDArray[Any]) -> Image.Image:
    """The finite values scaled from black to white; others are black."""
    values = values.astype(
        np.float64 if values.dtype.itemsize > 2 and values.dtype.kind == "i" else np.float32
    )
    finite = np.isfinite(values)
    if not finite.any():
        return Image.new("L", values.shape[::-1])
    low, high = float(values[finite].min()), float(values[finite].max())
    scaled = np.zeros_like(values)
    if high > low:
        scaled[finite] = (values[finite] - low) / (high - low) * 255.0
    elif not finite.all():
        scaled[finite] = 255.0
    return Image.fromarray(scaled.round().astype(np.uint8))


def in_srgb(image: Image.Image, info: dict[Any, Any]) -> Image.Image:
    """The colours as sRGB, by the profile or the gamma that the file states; as they are where that is unusable."""
    profile = info.get("icc_profile")
    if image.mode == "LAB":
        return _apply(image, _lab_to_srgb())
    if isinstance(profile, bytes) and profile:
        return _by_profile(image, profile)
    if "gamma" in info and "srgb" not in info and image.mode in ("L", "RGB", "RGBA"):
        return _by_gamma(image, float(info["gamma"]), info.get("chromaticity"))
    return image


def _by_profile(image: Image.Image, profile: bytes) -> Image.Image:
    alpha = image.getchannel("A") if image.mode == "RGBA" else None
    colours = image.convert("RGB") if alpha is not None else image
    if colours.mode == "L" and _space(profile) == "RGB":
        colours = colours.convert("RGB")
    elif colours.mode == "RGB" and _space(profile) == "GRAY" and _is_grey(colours):
        colours = colours.convert("L")
    transform = _transform(profile, colours.mode)
    shown = _apply(colours, transform) if transform is not None else image.convert("RGB")
    if alpha is not None:
        shown.putalpha(alpha)
    return shown


def _apply(image: Image.Image, transform: ImageCms.ImageCmsTransform) -> Image.Image:
    shown = transform.apply(image)
    return shown if shown.mode == "RGB" else shown.convert("RGB")


def _is_grey(image: Image.Image) -> bool:
    samples = np.asarray(image)
    return bool((samples[..., :1] == samples).all())


def _space(profile: bytes) -> str:
    return profile[16:20].decode("latin-1").strip()


@lru_cache(maxsize=8)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """How pictures of this profile become sRGB; None where they are that already, or the profile is unusable."""
    if _space(profile) != {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}.get(mode):
        return None
    try:
        transform = ImageCms.buildTransform(
            ImageCms.ImageCmsProfile(io.BytesIO(profile)),
            ImageCms.createProfile("sRGB"),
            mode,
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            ImageCms.Flags.BLACKPOINTCOMPENSATION | ImageCms.Flags.NOCACHE,
        )
        probe = _PROBE.convert(mode)
        change = np.asarray(transform.apply(probe), dtype=int) - np.asarray(probe.convert("RGB"), dtype=int)
    except Exception:  # noqa: BLE001 -- lcms fed with hostile bytes may raise anything
        return None
    return transform if mode == "CMYK" or np.abs(change).max() > SAME else None


@lru_cache(maxsize=1)
def _lab_to_srgb() -> ImageCms.ImageCmsTransform:
    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    return ImageCms.buildTransform(lab, srgb, "LAB", "RGB", ImageCms.Intent.RELATIVE_COLORIMETRIC)


def _by_gamma(image: Image.Image, gamma: float, primaries: tuple[float, ...] | None) -> Image.Image:
    """As PNG's gAMA and cHRM chunks say; values that no screen has are ignored."""
    usual = not primaries or np.allclose(primaries, _SRGB_PRIMARIES, atol=0.005)
    if not 0.1 <= gamma <= 4 or (usual and abs(gamma - _SRGB_GAMMA) < 0.02):
        return image
    samples = np.asarray(image, dtype=np.float32) / 255
    colours = samples[..., :3] if samples.ndim == 3 else samples
    linear = colours ** np.float32(1 / gamma)
    if not usual and linear.ndim == 3 and primaries is not None:
        try:
            linear = linear @ (np.linalg.inv(_to_xyz(_SRGB_PRIMARIES)) @ _to_xyz(primaries)).T.astype(
                np.float32
            )
        except (np.linalg.LinAlgError, ZeroDivisionError):
            return image
    shown = _encoded(np.clip(np.nan_to_num(linear), 0, 1))
    if image.mode == "RGBA":
        shown = np.concatenate([shown, np.asarray(image)[..., 3:]], axis=2)
    return Image.fromarray(shown)


def _encoded(linear: Floats) -> npt.NDArray[np.uint8]:
    curve = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return (curve * 255).round().astype(np.uint8)


def _to_xyz(primaries: tuple[float, ...]) -> npt.NDArray[np.float64]:
    """(3, 3): linear RGB of these primaries -> XYZ, white at luminance 1."""
    white, *colours = (
        np.array([x / y, 1.0, (1 - x - y) / y]) for x, y in zip(*[iter(primaries)] * 2, strict=True)
    )
    matrix = np.stack(colours, axis=1)
    return matrix * np.linalg.solve(matrix, white)


def flatten(image: Image.Image) -> Image.Image:
    """Composite transparency on white, or on dark grey where the drawing would hardly be visible on white."""
    if image.mode != "RGBA":
        return image
    samples = np.asarray(image)
    alpha = samples[..., 3].astype(np.float32)
    stands_out = (255 - samples[..., :3].min(axis=2)) > NEAR_WHITE
    drawn, transparent = float(alpha.sum()), bool((alpha < 255).any())
    seen = float(alpha[stands_out].sum())
    dark = transparent and drawn > 0 and seen < SEEN * drawn
    ground = Image.new("RGBA", image.size, DARK if dark else (255, 255, 255))
    return Image.alpha_composite(ground, image)
