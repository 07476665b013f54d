"""A chat model trained to embed, in a small real format, behind the same protocol as open_clip."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from imagescope_agent.errors import BackendUnavailable
from imagescope_agent.mllms.engine.config import ModelConfig
from imagescope_agent.registry import load_graph
from imagescope_agent.retrieval.collection import FolderCollection, build
from imagescope_agent.retrieval.embedders import open_embedder
from imagescope_agent.retrieval.embedders.late import LateEmbedder
from imagescope_agent.retrieval.embedders.multimodal import MultimodalEmbedder
from imagescope_agent.retrieval.protocols import Composer, Embedder
from imagescope_agent.services import Services
from imagescope_agent.settings import Settings
from tests.conftest import World
from tests.mllms.checkpoints import build_qwen3_vl


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("embedding")
    build_qwen3_vl(made)
    return made


@pytest.fixture(scope="module")
def embedder(folder: Path) -> Embedder:
    return open_embedder(f"multimodal:{folder}")


def noise(seed: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (64, 96, 3), dtype=np.uint8))


def test_unit_vectors_in_order_whatever_the_batch(folder: Path, embedder: Embedder) -> None:
    small = MultimodalEmbedder(ModelConfig(checkpoint=str(folder)), batch=2)
    texts = ["a red house", "two boats and a star", "", "one", "a blue tree left of a house"]
    pictures = [noise(seed) for seed in range(5)]
    assert isinstance(embedder, Composer) and isinstance(small, Composer)
    for rows, twin in (
        (embedder.images(pictures), small.images(pictures)),
        (embedder.texts(texts), small.texts(texts)),
        (embedder.compose(pictures, texts), small.compose(pictures, texts)),
    ):
        assert rows.shape == (5, embedder.dimension) and rows.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
        np.testing.assert_allclose(rows, twin, atol=1e-3)
    assert embedder.images([]).shape == embedder.texts([]).shape == (0, embedder.dimension)


def test_the_vector_is_the_last_token_s_state(folder: Path, embedder: Embedder) -> None:
    from transformers import AutoModel, AutoProcessor

    processor = AutoProcessor.from_pretrained(folder)
    system = {"role": "system", "content": [{"type": "text", "text": "Represent the user's input."}]}
    content = [{"type": "image", "image": noise(1)}, {"type": "text", "text": "but red"}]
    inputs = processor.apply_chat_template(
        [system, {"role": "user", "content": content}],
        tokenize=True, add_generation_prompt=True, return_dict=True, return_tensors="pt",
    )  # fmt: skip
    with torch.inference_mode():
        state = AutoModel.from_pretrained(folder)(**inputs).last_hidden_state[0, -1].numpy()
    assert isinstance(embedder, Composer)
    np.testing.assert_allclose(
        embedder.compose([noise(1)], ["but red"])[0], state / np.linalg.norm(state), atol=1e-4
    )


def test_the_instruction_decides_the_vectors_and_their_name(folder: Path, embedder: Embedder) -> None:
    other = MultimodalEmbedder(ModelConfig(checkpoint=str(folder)), instruction="Find the picture.")
    assert other.weights != embedder.weights == open_embedder(f"multimodal:{folder}").weights
    assert not np.allclose(other.texts(["a"]), embedder.texts(["a"]), atol=1e-3)


def test_indexing_and_composed_search(embedder: Embedder, tmp_path: Path, world: World) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for seed in range(6):
        noise(seed).save(pictures / f"{seed}.png")
    captioner = world.role("captioner", "a picture")
    asyncio.run(build(pictures, None, embedder, captioner, "describe", captioner_weights="scripted"))
    collection = FolderCollection.open(pictures)
    roles: dict[str, Any] = {
        name: world.role(name) for name in ("captioner", "reasoner", "talker", "verifier", "judge")
    }
    services = Services(embedder=LateEmbedder(lambda: embedder), collection=collection, **roles)
    state = asyncio.run(
        load_graph("retrieve")(services).ainvoke(
            {"query": "but red", "reference": "2.png"}, context=Settings(tau=0.0, keep_reference=True)
        )
    )
    assert isinstance(embedder, Composer)
    query = embedder.compose([collection.reference("2.png").image], ["but red"])
    expected = [name for name, _ in collection.search(query, 0.0, 6)]
    assert state["ranking"] == expected


def test_a_missing_checkpoint_is_one_clear_line() -> None:
    with pytest.raises(BackendUnavailable) as caught:
        open_embedder("multimodal:nobody/nothing@main")
    assert "nobody/nothing" in str(caught.value) and "\n" not in str(caught.value)
