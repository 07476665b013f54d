"""A tiny open_clip checkpoint in the format of collection/embed.py, and small folders of images."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from imagescope_agent.mllms.role import Role
from imagescope_agent.mllms.scripted import Scripted
from imagescope_agent.retrieval.collection import build
from imagescope_agent.retrieval.embedders.open_clip import OpenClipEmbedder
from imagescope_agent.retrieval.embedders.open_clip_folder import CONFIG, TOKENIZER, WEIGHTS
from imagescope_agent.retrieval.images import load, open_image
from imagescope_agent.retrieval.index.report import IndexReport
from tests.engines import Server, pgvector_server
from tests.retrieval.index_runs import Index, describe

MODEL = {
    "embed_dim": 64,
    "vision_cfg": {"image_size": 128, "layers": 2, "width": 64, "head_width": 32, "patch_size": 16},
    "text_cfg": {"context_length": 24, "vocab_size": 64, "width": 64, "heads": 2, "layers": 2},
}
PREPROCESS = {"mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic", "resize_mode": "squash"}
WORDS = ["a", "red", "blue", "house", "tree", "boat", "star", "and", "two", "no", "left", "of", "the"]


def write_clip(folder: Path, seed: int = 0) -> Path:
    """A random open_clip model of 64 dimensions with a word tokenizer, 16-bit weights."""
    import open_clip
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(seed)
    folder.mkdir(parents=True, exist_ok=True)
    model = open_clip.CLIP(**MODEL)
    save_file({k: v.to(torch.float16).contiguous() for k, v in model.state_dict().items()}, folder / WEIGHTS)
    (folder / CONFIG).write_text(json.dumps({"model_cfg": MODEL, "preprocess_cfg": PREPROCESS}))
    word_tokenizer().save(str(folder / TOKENIZER))
    return folder


def word_tokenizer(last: str = "<|end|>") -> Any:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    names = ["<|pad|>", "<|unknown|>", *WORDS, *{"<|start|>", "<|end|>"} - {last}, last]
    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(names)}, unk_token="<|unknown|>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.add_special_tokens(["<|pad|>", "<|start|>", "<|end|>"])
    return tokenizer


@pytest.fixture(scope="session")
def make_clip() -> Callable[..., Path]:
    return write_clip


@pytest.fixture(scope="session")
def make_tokenizer() -> Callable[..., Any]:
    return word_tokenizer


@pytest.fixture(scope="session")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="session")
def clip(clip_folder: Path) -> OpenClipEmbedder:
    return OpenClipEmbedder(clip_folder, device="cpu")


@pytest.fixture(scope="session", name="draw")
def draw_fixture() -> Callable[..., Path]:
    return draw


@pytest.fixture(scope="session")
def grey() -> type[CountingEmbedder]:
    return CountingEmbedder


def draw(path: Path, seed: int, size: tuple[int, int] = (32, 24), **save: Any) -> Path:
    """A picture that no other seed gives."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(noise).save(path, **save)
    return path


@pytest.fixture
def pictures(tmp_path: Path) -> Callable[..., Path]:
    """Make a folder of n drawn pictures, some of them in a sub-folder."""

    def make(count: int, name: str = "pictures") -> Path:
        folder = tmp_path / name
        for number in range(count):
            draw(folder / ("sub" if number % 3 == 2 else "") / f"{number:04d}.png", number)
        return folder

    return make


class CountingEmbedder:
    """Grey levels as vectors; remembers how many pictures and texts it was given."""

    dimension = 48

    def __init__(self, weights: str = "grey-1") -> None:
        self.weights = weights
        self.seen_images = 0
        self.seen_texts = 0

    def images(self, images: Sequence[Image.Image]) -> np.ndarray:
        self.seen_images += len(images)
        return self._unit([np.asarray(image.convert("L").resize((8, 6))).ravel() for image in images])

    def texts(self, texts: Sequence[str]) -> np.ndarray:
        self.seen_texts += len(texts)
        rows = [np.random.default_rng(list(text.encode() or b"-")).random(48) for text in texts]
        return self._unit(rows)

    def _unit(self, rows: Sequence[np.ndarray]) -> np.ndarray:
        matrix = np.asarray(rows, dtype=np.float64).reshape(-1, 48) + 1e-3
        unit: np.ndarray = (matrix / np.linalg.norm(matrix, axis=1, keepdims=True)).astype(np.float32)
        return unit


@pytest.fixture
def shown(tmp_path: Path):
    def open_bytes(data: bytes) -> Image.Image:
        (tmp_path / "x").write_bytes(data)
        image, small = open_image(tmp_path / "x"), load(tmp_path / "x").image
        assert image.mode == small.mode == "RGB" and not image.info
        return image

    return open_bytes


@pytest.fixture(scope="session")
def pgvector() -> Iterator[Server]:
    """A PostgreSQL server with the extension `vector` that lives as long as the tests."""
    with pgvector_server() as server:
        yield server


@pytest.fixture
def index(grey: Any) -> Index:
    """Run the indexer with scripted captions and grey-level vectors; `models` keeps both for counting."""

    def run(folder: Path, out: Path | None = None, **options: Any) -> IndexReport:
        run.embedder = options.pop("embedder", None) or grey()  # type: ignore[attr-defined]
        run.captioner = Scripted(options.pop("reply", describe))  # type: ignore[attr-defined]
        role = Role("captioner", run.captioner)  # type: ignore[attr-defined]
        prompt = options.pop("prompt", "Describe the picture.")
        options.setdefault("captioner_weights", "script-1")
        return asyncio.run(build(folder, out, run.embedder, role, prompt, **options))  # type: ignore[attr-defined]

    return run
