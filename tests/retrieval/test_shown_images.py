"""Encoded images are held long, decoded ones as long as they are used."""

from __future__ import annotations

from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from PIL import Image

from imagescope_agent.mllms.role import ImageRef
from imagescope_agent.retrieval import shown_images
from imagescope_agent.retrieval.images import LoadedImage, load
from imagescope_agent.retrieval.shown_images import ShownImages


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    rng, made = np.random.default_rng(0), []
    for number in range(10):
        made.append(tmp_path / f"{number}.png")
        Image.fromarray(rng.integers(0, 255, (20, 30, 3), dtype=np.uint8)).save(made[-1])
    return made


def at_hand(ref: ImageRef) -> bool:
    return ref.pixels is not None and ref.pixels() is not None


def test_an_image_is_loaded_once_and_stays_at_hand(paths: list[Path]) -> None:
    shown, loaded = ShownImages(), []

    def counted(path: Path) -> LoadedImage:
        loaded.append(path)
        return load(path)

    for _ in range(3):
        refs = [shown.get(path, lambda path=path: counted(path)) for path in paths]  # type: ignore[misc]
    assert loaded == paths and all(map(at_hand, refs))


def test_those_that_are_used_stay_decoded(paths: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shown_images, "DECODED", 5 * 3 * 20 * 30)
    shown, used = ShownImages(), paths[:3]
    for path in paths:
        for each in (path, *used):
            ref = shown.get(each, lambda each=each: load(each))  # type: ignore[misc]
    refs = {path: shown.get(path, lambda: pytest.fail("it is held")) for path in used}
    assert all(map(at_hand, refs.values()))
    ref = shown.get(paths[3], lambda: pytest.fail("it is held"))
    assert not at_hand(ref) and ref.data.startswith(b"\x89PNG")


def test_an_image_that_changes_is_loaded_again(paths: list[Path]) -> None:
    shown = ShownImages()
    before = shown.get(paths[0], lambda: load(paths[0]))
    Image.new("RGB", (25, 25), "red").save(paths[0])
    after = shown.get(paths[0], lambda: load(paths[0]))
    assert after.key != before.key and at_hand(after)


def test_many_threads_get_the_same_image(paths: list[Path]) -> None:
    shown, found = ShownImages(), list[ImageRef]()
    threads = [
        Thread(target=lambda: found.append(shown.get(paths[0], lambda: load(paths[0])))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({ref.data for ref in found}) == 1 and len(found) == 8
    assert at_hand(shown.get(paths[0], lambda: load(paths[0])))
