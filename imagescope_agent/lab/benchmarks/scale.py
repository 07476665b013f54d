"""`imagescope bench scale`: what an image costs on this machine, and what that makes of millions.

Measured: processor time of reading, embedding and captioning, bytes on disk and of the process that indexes, a search
by the clock. Taken from elsewhere or assumed, and told as such: the GPUs' throughput. What a search costs besides
finding the nearest does not depend on the number of images.
"""

from __future__ import annotations

import json
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from imagescope_agent.api import ImageScope, index_folder
from imagescope_agent.lab.benchmarks.machine import describe_machine, machine
from imagescope_agent.lab.scenes.make import make_world
from imagescope_agent.mllms.absent import Absent
from imagescope_agent.mllms.role import Request
from imagescope_agent.profiles.profile import load_profile
from imagescope_agent.prompting import load_prompt
from imagescope_agent.retrieval.captions.captioning import caption_images
from imagescope_agent.retrieval.images import ImageFile, load
from imagescope_agent.retrieval.index.cache import JOURNAL
from imagescope_agent.retrieval.index.entries import Entry
from imagescope_agent.retrieval.index.indexer import BATCH
from imagescope_agent.retrieval.index.rows import File
from imagescope_agent.retrieval.stores.faiss_building import FAST_SUBVECTOR, LINKS, SUBVECTOR
from imagescope_agent.runs.run_graph import run_sync
from imagescope_agent.services import open_embedder_of, open_roles

PHOTO = (1280, 960)  # pixels of the photo that is read
LISTED = 20_000  # images that are listed to measure memory
SIZES = (1_000_000, 100_000_000, 10_000_000_000)
#: Images and captions a second and GPU, read and embedded: the README of clip-retrieval says 1500 on an RTX 3080.
EMBEDDED = 1500
#: Captions a second and GPU of a model of some two to eight billion weights with batches: assumed.
CAPTIONED = 10
HOURS = 3600


def run(*, profile: str = "mini", images: int = 200, dimension: int = 512, seed: int = 0) -> dict[str, Any]:
    """Measure what an image costs, with drawn pictures and one photo-like picture.

    Args:
        profile: which models.
        images: how many are indexed.
        dimension: of the vectors of the plan.
        seed: of what is drawn.

    Returns:
        {"bench", "profile", "images", "dimension", "seconds": of the processor for an image (of a search by the clock),
        "bytes": of an image, "calls": of a search by role, "plan": by number of images, "machine"}.

    Raises:
        BackendUnavailable: a model cannot be loaded.
    """
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        make_world(root, seed, images)
        index_folder(root / "images", profile=profile, progress=False)
        index = root / "images" / ".imagescope"
        seconds = {"read": _read(root), **_models(root, profile)}
        found = [_search(root / "images", profile, text) for text in ("a red circle", "a blue square")][-1]
        sizes = {
            "journal": (index / JOURNAL).stat().st_size / images,
            "vectors": 2 * 4 * open_embedder_of(load_profile(profile)).dimension,
            "manifest": sum(path.stat().st_size for path in index.glob("*.json")) / images,
            "listed": _listed(),
        }
    seconds["search"] = found["seconds"]
    made = {"seconds": seconds, "bytes": {each: round(size) for each, size in sizes.items()}}
    about = {"bench": "scale", "profile": profile, "images": images, "dimension": dimension}
    plan = {str(count): _plan(count, dimension, made) for count in SIZES}
    return {**about, **made, "calls": found["calls"], "plan": plan, "machine": machine()}


def _read(root: Path) -> float:
    """Seconds to read, hash and decode a JPEG file of the size of a photo."""
    noise = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    Image.fromarray(noise).resize(PHOTO, Image.Resampling.BICUBIC).save(root / "photo.jpg", quality=90)
    return _fastest(lambda: load(root / "photo.jpg"), 5)


def _models(root: Path, profile: str) -> dict[str, float]:
    """Seconds to embed a picture, and to caption one where the profile has a captioner."""
    chosen = load_profile(profile)
    embedder, captioner = open_embedder_of(chosen), open_roles(chosen)["captioner"]
    pictures = [load(path) for path in sorted((root / "images").glob("*.png"))[:BATCH]]
    shown = [picture.image for picture in pictures]
    found = {"embed": _fastest(lambda: embedder.images(shown), 3) / len(shown)}
    if not isinstance(captioner.model, Absent):
        prompt = load_prompt("caption", prompt_set=captioner.prompt_set).fill()
        requests = [Request(text=prompt, images=(picture.ref(),)) for picture in pictures]
        found["caption"] = _fastest(lambda: run_sync(caption_images(captioner, requests)), 2) / len(shown)
    return found


def _search(folder: Path, profile: str, text: str) -> dict[str, Any]:
    scope = ImageScope.open(folder, profile=profile, runs=False, traces=False)
    start = time.perf_counter()
    result = scope.search(text)
    return {"seconds": time.perf_counter() - start, "calls": dict(result.usage["calls"])}


def _listed() -> int:
    """Bytes of an image in the lists of a process that indexes."""
    tracemalloc.start()
    kept: list[Any] = []
    for number in range(LISTED):
        name, stamp, key = (
            f"folder{number % 997:04}/{number:010}.jpg",
            f"{number}:1700000000000000000",
            f"{number:064x}",
        )
        kept += [ImageFile(id=name, stamp=stamp), File(id=name, stamp=stamp, key=key), json.dumps(name)]
        kept.append(Entry(id=name, key=key, caption=f"a picture of a thing, number {number}, and of others"))
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return held // LISTED


def _fastest(work: Callable[[], object], times: int) -> float:
    """Seconds of the processor, which others on the machine change little."""
    seconds = []
    for _ in range(times):
        start = time.process_time()
        work()
        seconds.append(time.process_time() - start)
    return min(seconds)


def _plan(count: int, dimension: int, made: Mapping[str, Any]) -> dict[str, float]:
    """What so many images cost: core hours and GPU hours, gigabytes (10^9 bytes)."""
    seconds, sizes = made["seconds"], made["bytes"]
    joint = 2 * dimension  # image and caption side by side
    plan = {
        "read, core hours": 2 * count * seconds["read"] / HOURS,  # once to look, once to embed
        "embed here, core hours": count * seconds["embed"] / HOURS,
        "embed, GPU hours (cited)": count / EMBEDDED / HOURS,
        "caption here, core hours": count * seconds.get("caption", 0) / HOURS,
        "caption, GPU hours (assumed)": count / CAPTIONED / HOURS,
        "vectors, GB": count * joint * 4 / 1e9,
        "hnsw in memory, GB": count * (joint + 2 * LINKS * 4) / 1e9,  # a byte a number
        "ivfpq in memory, GB": count * (joint / SUBVECTOR + 8) / 1e9,
        "pq4 in memory, GB": count * joint / FAST_SUBVECTOR / 2 / 1e9,
        "journal, GB": count * (sizes["journal"] - sizes["vectors"] + joint * 4) / 1e9,
        "lists of the indexer, GB": count * sizes["listed"] / 1e9,
    }
    return {name: float(f"{value:.3g}") for name, value in plan.items()}


def describe(made: Mapping[str, Any]) -> str:
    """The measurement as text."""
    lines = [f"profile {made['profile']}, {made['images']} drawn pictures"]
    lines += [f"{1000 * value:10.2f} ms  {name}" for name, value in made["seconds"].items()]
    lines += [f"{value:10} bytes an image  {name}" for name, value in made["bytes"].items()]
    lines.append(f"calls of a search: {made['calls']}")
    names = list(next(iter(made["plan"].values())))
    lines.append(f"{'':32}" + "".join(f"{int(count):>18,}" for count in made["plan"]))
    for name in names:
        lines.append(f"{name:32}" + "".join(f"{plan[name]:>18,}" for plan in made["plan"].values()))
    return "\n".join([*lines, describe_machine(made["machine"])])
