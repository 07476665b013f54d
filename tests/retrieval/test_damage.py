"""Files that were cut off, and files that were damaged by chance: a picture or a reason, and nothing else."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from imagescope_agent import cli
from imagescope_agent.retrieval.images import MAX_SIDE, ImageProblem, load
from tests.retrieval.makers import encoded, photo
from tests.retrieval.mutations import mutants
from tests.scripted_profile import scripted_profile

MUTATIONS = int(os.environ.get("MUTATIONS", "500"))


@pytest.fixture
def kept(tmp_path: Path):
    def keep(data: bytes) -> Path:
        (tmp_path / "x").write_bytes(data)
        return tmp_path / "x"

    return keep


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_rows": 1}])
@pytest.mark.parametrize("image", [photo(), Image.new("RGB", (8, 8), (128, 128, 128)), photo().convert("L")])
def test_a_jpeg_without_its_end(kept, image: Image.Image, options: Any) -> None:
    whole = encoded(image, "JPEG", **options)
    picture = load(kept(whole[:-2]))
    assert picture.share == 1.0
    np.testing.assert_array_equal(np.asarray(picture.image), np.asarray(load(kept(whole)).image))
    assert load(kept(whole[:-1])).share == 1.0


@pytest.mark.parametrize(
    ("form", "options"),
    [("JPEG", {}), ("JPEG", {"restart_marker_rows": 1}), ("PNG", {}), ("BMP", {}), ("TIFF", {})],
)
def test_of_a_file_that_was_cut_off_what_is_there_is_shown(kept, form: str, options: Any) -> None:
    whole = encoded(photo(), form, **options)
    picture = load(kept(whole[: len(whole) * 3 // 4]))
    assert 0.6 < picture.share < 0.8
    order = -1 if form == "BMP" else 1  # its lowest row is stored first
    there, whole_rows = np.asarray(picture.image)[::order], np.asarray(photo())[::order]
    np.testing.assert_allclose(there[: len(there) // 2], whole_rows[: len(there) // 2], atol=24)
    assert np.ptp(there[-1].astype(int)) <= 2  # what is missing is grey
    with pytest.raises(ImageProblem, match=r"broken: only \d+% of it is there"):
        load(kept(whole[: len(whole) * 3 // 10]))


def test_a_jpeg_in_scans_that_was_cut_off_is_coarse(kept) -> None:
    whole = encoded(photo(), "JPEG", progressive=True)
    image = np.asarray(load(kept(whole[: len(whole) // 2])).image, dtype=float)
    assert np.abs(image - np.asarray(photo())).mean() < 15


def test_damaged_files_give_a_picture_or_a_reason_and_print_nothing(
    kept, capfd: pytest.CaptureFixture[str]
) -> None:
    outcomes = set()
    for number, (name, data) in enumerate(mutants(MUTATIONS, seed=0)):
        try:
            picture = load(kept(data))
        except ImageProblem as problem:
            assert problem.reason and "\n" not in str(problem)
            outcomes.add("problem")
        except Exception as error:  # noqa: BLE001 -- says which one
            pytest.fail(f"mutant {number} of {name}: {error!r}")
        else:
            assert picture.image.mode == "RGB" and max(picture.image.size) <= MAX_SIDE and picture.ref().data
            outcomes.add("picture")
    assert outcomes == {"picture", "problem"}
    assert capfd.readouterr() == ("", "")


def test_a_folder_of_damaged_files_is_indexed_and_each_is_named_once(
    tmp_path: Path, clip_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from imagescope_agent.retrieval.collection import FolderCollection

    folder, profile = tmp_path / "folder", tmp_path / "fake.toml"
    folder.mkdir()
    profile.write_text(scripted_profile(clip_folder, reply="a thing"))
    for number, (_, data) in enumerate(mutants(60, seed=1)):
        (folder / f"{number:02d}.jpg").write_bytes(data)
    whole = encoded(photo(), "JPEG")
    (folder / "cut.jpg").write_bytes(whole[: len(whole) * 3 // 4])
    assert cli.main(["index", str(folder), "--profile", str(profile)]) == 0
    said = capsys.readouterr().out
    collection = FolderCollection.open(folder)
    skipped = [item.id for item in collection.skipped]
    assert sorted([*collection.ids, *skipped]) == sorted(path.name for path in folder.glob("*.jpg"))
    assert all(said.count(f"skipped {name!r}: ") == 1 for name in skipped) and skipped
    assert said.count("cut off: 'cut.jpg' was cut off; ") == 1


def ending_in(colour: tuple[int, int, int]) -> Image.Image:
    """A picture whose lower half is of one colour."""
    samples = np.asarray(photo()).copy()
    samples[len(samples) // 2 :] = colour
    return Image.fromarray(samples)


GREYS = [(128, 128, 128), (64, 64, 64), (0, 0, 0), (255, 255, 255)]


@pytest.mark.parametrize("colour", GREYS)
@pytest.mark.parametrize(
    ("form", "options"),
    [
        ("JPEG", {}),
        ("JPEG", {"restart_marker_blocks": 1}),
        ("PNG", {}),
        ("BMP", {}),
        ("TIFF", {}),
        ("PPM", {}),
    ],
)
def test_a_picture_that_ends_in_one_colour_was_not_cut_off(
    kept, colour: tuple[int, int, int], form: str, options: Any
) -> None:
    whole = encoded(ending_in(colour), form, **options)
    assert load(kept(whole)).share == 1.0
    assert load(kept(whole[:-3])).share > 0.9
    stored = encoded(ending_in(colour), "PNG", compress_level=0)
    assert 0.7 < load(kept(stored[: len(stored) * 3 // 4])).share < 0.8


@pytest.mark.parametrize("options", [{}, {"restart_marker_blocks": 1}, {"restart_marker_rows": 1}])
def test_a_jpeg_that_was_cut_off_between_two_blocks_was_cut_off(kept, options: Any) -> None:
    whole = encoded(photo(), "JPEG", **options)
    start, shares = whole.index(b"\xff\xda"), []
    for cut in range(start + (len(whole) - start) * 3 // 4, len(whole) - 8):
        if options and not (whole[cut] == 0xFF and 0xD0 <= whole[cut + 1] <= 0xD7):
            continue
        shares.append(load(kept(whole[:cut])).share)
        if len(shares) == 40:
            break
    assert shares and max(shares) < 1 and min(shares) > 0.5


def test_a_coarse_jpeg_was_cut_off(kept) -> None:
    whole = encoded(photo(), "JPEG", progressive=True)
    assert 0.5 <= load(kept(whole[: len(whole) // 2])).share < 0.9


@pytest.mark.parametrize(
    ("form", "options"),
    [("AVIF", {}), ("WEBP", {}), ("WEBP", {"lossless": True}), ("TIFF", {"compression": "tiff_lzw"}),
     ("TIFF", {"compression": "jpeg"}), ("TIFF", {"compression": "tiff_adobe_deflate"}), ("ICO", {}), ("JPEG", {}),
     ("GIF", {}), ("PNG", {}), ("BMP", {})],
)  # fmt: skip
def test_what_was_cut_off_too_early_is_told(kept, form: str, options: Any) -> None:
    whole = encoded(photo().resize((64, 48)), form, **options)
    assert load(kept(whole)).share == 1.0
    told = 0
    for cut in (1, 2, 8, len(whole) // 4, len(whole) // 2, len(whole) * 7 // 8, len(whole) - 36):
        try:
            load(kept(whole[:-cut]))
        except ImageProblem as problem:
            assert "truncated" in problem.reason or "of it is there" in problem.reason, (cut, problem.reason)
            told += 1
    assert told
