from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from imagescope_agent.errors import BackendUnavailable, BadInput
from imagescope_agent.retrieval.embedders import open_embedder
from imagescope_agent.retrieval.embedders.open_clip import OpenClipEmbedder
from imagescope_agent.retrieval.embedders.open_clip_folder import CONFIG, TOKENIZER, WEIGHTS
from imagescope_agent.retrieval.protocols import Embedder


def noise(seed: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (40, 60, 3), dtype=np.uint8))


def test_unit_vectors_in_order(clip: OpenClipEmbedder) -> None:
    assert isinstance(clip, Embedder)
    pictures = [noise(seed) for seed in range(5)]
    rows = clip.images(pictures)
    assert rows.shape == (5, clip.dimension) and rows.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(clip.images(pictures[3:4])[0], rows[3], atol=1e-5)
    texts = clip.texts(["a red house", "", "a blue boat " * 50])
    np.testing.assert_allclose(np.linalg.norm(texts, axis=1), 1, atol=1e-6)
    assert clip.images([]).shape == clip.texts([]).shape == (0, clip.dimension)


def test_batches_do_not_change_the_answer(clip_folder: Path) -> None:
    pictures = [noise(seed) for seed in range(7)]
    whole, small = OpenClipEmbedder(clip_folder, batch=32), OpenClipEmbedder(clip_folder, batch=3)
    np.testing.assert_allclose(whole.images(pictures), small.images(pictures), atol=1e-5)


def test_vectors_are_those_of_open_clip(
    clip: OpenClipEmbedder, clip_folder: Path, make_tokenizer: Callable[..., Any]
) -> None:
    import open_clip
    import torch

    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{clip_folder}")
    tokenizer = make_tokenizer()
    ids = [tokenizer.token_to_id(t) for t in ["<|start|>", "a", "red", "house", "<|end|>"]] + [0] * 19
    with torch.inference_mode():
        image = model.eval().encode_image(preprocess(noise(1))[None], normalize=True).numpy()
        text = model.encode_text(torch.tensor([ids]), normalize=True).numpy()
    np.testing.assert_allclose(clip.images([noise(1)]), image, atol=1e-5)
    np.testing.assert_allclose(clip.texts(["A red HOUSE"]), text, atol=1e-5)


def test_the_preprocessing_of_the_folder_is_used(
    tmp_path: Path, clip: OpenClipEmbedder, make_clip: Callable[..., Path]
) -> None:
    other = make_clip(tmp_path / "other")
    config = json.loads((other / CONFIG).read_text())
    config["preprocess_cfg"]["resize_mode"] = "shortest"
    (other / CONFIG).write_text(json.dumps(config))
    assert not np.allclose(open_embedder(other).images([noise(1)]), clip.images([noise(1)]), atol=1e-4)


def test_a_special_token_typed_by_a_user_is_plain_text(clip: OpenClipEmbedder) -> None:
    cut, full = clip.texts(["a house <|end|> two boat", "a house"])
    assert not np.allclose(cut, full, atol=1e-4)


def test_weights_name_the_content_not_the_place(
    tmp_path: Path, clip_folder: Path, make_clip: Callable[..., Path]
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(clip_folder, copy)
    other = make_clip(tmp_path / "other", seed=1)
    assert open_embedder(copy).weights == open_embedder(str(clip_folder)).weights
    assert open_embedder(other).weights != open_embedder(clip_folder).weights


@pytest.mark.parametrize("name", [CONFIG, WEIGHTS])
@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "noise"])
def test_a_damaged_checkpoint_is_one_line_of_bad_input(
    tmp_path: Path, clip_folder: Path, name: str, damage: str
) -> None:
    folder = tmp_path / "clip"
    shutil.copytree(clip_folder, folder)
    file = folder / name
    whole = file.read_bytes()
    if damage == "missing":
        file.unlink()
    else:
        file.write_bytes({"empty": b"", "cut": whole[: len(whole) // 2], "noise": b"\x80" * 99}[damage])
    with pytest.raises(BadInput) as caught:
        open_embedder(folder)
    assert "\n" not in str(caught.value) and "checkpoint" in str(caught.value)


def test_pickled_weights_are_never_read(tmp_path: Path, clip_folder: Path) -> None:
    folder = tmp_path / "clip"
    shutil.copytree(clip_folder, folder)
    (folder / WEIGHTS).rename(folder / "open_clip_pytorch_model.bin")
    with pytest.raises(BadInput, match="safetensors is missing"):
        open_embedder(folder)


def test_end_of_text_must_be_the_largest_id(
    tmp_path: Path, make_clip: Callable[..., Path], make_tokenizer: Callable[..., Any]
) -> None:
    folder = make_clip(tmp_path / "clip")
    make_tokenizer(last="<|start|>").save(str(folder / TOKENIZER))
    with pytest.raises(BadInput, match="largest id"):
        open_embedder(folder)


@pytest.mark.parametrize(
    "spec", ["", "nowhere", "/no/such/folder", "ViT-B-32", "ViT-B-32/unheard-of", "hf-hub:"]
)
def test_an_unknown_model_says_what_can_be_given(spec: str) -> None:
    with pytest.raises(BadInput):
        open_embedder(spec)


def test_a_hub_that_is_not_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(BackendUnavailable, match="hub"):
        open_embedder("ViT-B-32/laion2b_s34b_b79k")
