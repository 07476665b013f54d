"""What every test starts from: no other machine is reached, no setting leaks in, nothing is tracked."""

from __future__ import annotations

import os
import tempfile

# before any test module imports a library that reads them; files tested at the same time have a core each
os.environ.update(
    HF_HUB_OFFLINE="1",
    XDG_STATE_HOME=f"{tempfile.gettempdir()}/imagescope-tests{os.environ.get('PYTEST_XDIST_WORKER', '')}",
    HF_HUB_DISABLE_PROGRESS_BARS="1",
    LANGSMITH_TRACING="false",
    TOKENIZERS_PARALLELISM="false",
    OMP_NUM_THREADS=os.environ.get("OMP_NUM_THREADS", "1" if "PYTEST_XDIST_WORKER" in os.environ else "2"),
)

import asyncio
import hashlib
import importlib.util
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from PIL import Image

from imagescope_agent.api import ImageScope
from imagescope_agent.common import redact
from tests.api_models import think
from tests.engines import Server, pgvector_server

# A busy machine is no failure, and a run of the tests draws what the one before drew; `EXPLORE=1 make test` draws anew.
settings.register_profile(
    "steady",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize="EXPLORE" not in os.environ,
    database=None,
)
settings.load_profile("steady")


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings of whoever runs the tests, and secrets that other tests told, do not reach them."""
    monkeypatch.setattr(redact, "_known", set(redact._known))
    for name in [name for name in os.environ if name.startswith("IMAGESCOPE_")]:
        monkeypatch.delenv(name)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs a CUDA device where there is none; run the quick tests first."""
    if needing := [item for item in items if item.get_closest_marker("gpu")]:
        import torch

        if not torch.cuda.is_available():
            for item in needing:
                item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))
    items.sort(key=lambda item: item.get_closest_marker("slow") is not None)


PALETTE = {
    "red": (220, 30, 30), "green": (30, 160, 40), "blue": (30, 60, 220), "yellow": (240, 220, 40),
    "white": (250, 250, 250), "black": (10, 10, 10), "purple": (140, 30, 160), "orange": (250, 140, 20),
}  # fmt: skip


class ColourEmbedder:
    """Pictures by how near they are to each colour, texts by the colours they name."""

    weights, dimension = "colours-1", len(PALETTE)

    def images(self, images: Sequence[Image.Image]) -> np.ndarray:
        means = [np.asarray(image.convert("RGB"), dtype=np.float64).mean(axis=(0, 1)) for image in images]
        rows = [
            [np.exp(-np.linalg.norm(mean - colour) / 80) for colour in PALETTE.values()] for mean in means
        ]
        return self._unit(rows)

    def texts(self, texts: Sequence[str]) -> np.ndarray:
        return self._unit([[0.01 + (name in text.lower()) for name in PALETTE] for text in texts])

    def _unit(self, rows: Sequence[Sequence[float]]) -> np.ndarray:
        matrix = np.asarray(rows, dtype=np.float64).reshape(-1, self.dimension)
        unit: np.ndarray = (matrix / np.linalg.norm(matrix, axis=1, keepdims=True)).astype(np.float32)
        return unit


class World:
    """A folder of one-coloured pictures, red.png and so on, indexed; any of its models can be scripted."""

    def __init__(self, folder: Path) -> None:
        from imagescope_agent.retrieval.collection import FolderCollection, build

        folder.mkdir(parents=True)
        for name, colour in PALETTE.items():
            Image.new("RGB", (32, 32), colour).save(folder / f"{name}.png")
        self.folder, self.embedder = folder, ColourEmbedder()
        self.keys = {
            hashlib.sha256(path.read_bytes()).hexdigest(): path.name for path in folder.glob("*.png")
        }
        captioner = self.role("captioner", lambda asked: f"a {self.colour(asked)} square")
        asyncio.run(build(folder, None, self.embedder, captioner, "describe", captioner_weights="scripted"))
        self.collection = FolderCollection.open(folder)

    def colour(self, asked: Any) -> str:
        """The colour of the last picture of a question."""
        return self.keys.get(asked.images[-1], "unknown").removesuffix(".png")

    def role(self, name: str, reply: Any = "", scorer: Any = None) -> Any:
        from imagescope_agent.mllms.role import Role
        from imagescope_agent.mllms.scripted import Scripted, ScriptedScorer

        return Role(name, Scripted(reply) if scorer is None else ScriptedScorer(scorer, reply))

    def services(self, **roles: Any) -> Any:
        """Services whose roles answer "" unless given (a `Role`)."""
        from imagescope_agent.services import Services

        names = ("captioner", "reasoner", "verifier", "judge")
        chosen = {name: roles.get(name) or self.role(name) for name in names}
        chosen["talker"] = roles.get("talker") or chosen["reasoner"]
        return Services(embedder=self.embedder, collection=self.collection, **chosen)


@pytest.fixture
def world(tmp_path: Path) -> World:
    """See `World`."""
    return World(tmp_path / "world")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium that asks nothing of its own accord; tests are skipped where it or playwright is missing."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("Chromium is not installed (Debian: apt-get install chromium)")
    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=program, args=flags)
        yield opened
        opened.close()


@pytest.fixture
def make(world: Any) -> Callable[..., ImageScope]:
    """An opened world whose verifier knows the colours and whose judge says No."""

    def scorer(asked: Any) -> list[float]:
        return [0.9, 0.1] if world.colour(asked) in asked.text else [0.1, 0.9]

    def opened(*, judge: Any = "No: not quite", reasoner: Any = think, **options: Any) -> ImageScope:
        services = world.services(
            reasoner=world.role("reasoner", reasoner),
            verifier=world.role("verifier", scorer=scorer),
            judge=world.role("judge", judge),
        )
        return ImageScope(services, **options)

    return opened


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    if importlib.util.find_spec("langgraph.checkpoint.postgres") is None:
        pytest.skip("PostgreSQL needs an extra: pip install 'imagescope-agent[postgres]'")
    with pgvector_server() as server:
        yield server


@pytest.fixture
def url(postgres: Server) -> str:
    """A new, empty database."""
    return postgres.database()
