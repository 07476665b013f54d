"""Embedders assembled on this machine: packaged backbones (backbones.py) and a small trained head.

A head is a folder:

    head.json         {"format": 1, "vision": NAME, "text": NAME, "embed_dim": d} with names of backbones.py
    head.safetensors  linear maps "visual" (d, vision width) with its "bias" (d,), and "text" (d, text width)
                      without one; 16 bits allowed

On first use the whole model is written in open_clip's format (open_clip.py) to IMAGESCOPE_CACHE, by default
~/.cache/imagescope; later uses read it from there and compare its hash with what was written. Nothing is downloaded.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from imagescope_agent.errors import BadInput
from imagescope_agent.retrieval.embedders.backbones import TEXT, VISION, TextBackbone, VisionBackbone
from imagescope_agent.retrieval.embedders.open_clip import OpenClipEmbedder
from imagescope_agent.retrieval.embedders.open_clip_folder import CONFIG, WEIGHTS, checkpoint_hash

HEAD, TABLE = "head.safetensors", "head.json"
FORMAT = 1
CACHE_VARIABLE = "IMAGESCOPE_CACHE"
_WRITTEN = "written.json"


def open_model(place: str, *, device: str | None = None) -> OpenClipEmbedder:
    """The embedder of a head's folder; raises as `open_embedder`, and MissingExtra without the backbones."""
    folder = Path(place)
    embedder = OpenClipEmbedder(assemble(folder), device=device)
    embedder.weights = identity(folder)  # the same on every machine, however the files are written
    return embedder


def identity(head: Path) -> str:
    """sha256 over all that decides the vectors: both backbones, the head, and how pictures are prepared.

    Raises:
        BadInput: no such head.
    """
    vision, text, size = read_head(head)
    table = json.dumps([vision.identity, text.identity, _config(vision, text, size)], sort_keys=True)
    return hashlib.sha256(table.encode() + (head / HEAD).read_bytes()).hexdigest()


def read_head(head: Path) -> tuple[VisionBackbone, TextBackbone, int]:
    """The backbones of a head, and the size of its vectors.

    Raises:
        BadInput: a file is missing or damaged, or names an unknown backbone.
    """
    try:
        table = json.loads((head / TABLE).read_text(encoding="utf-8"))
        known = VISION[table["vision"]], TEXT[table["text"]], int(table["embed_dim"])
        if table["format"] != FORMAT or not (head / HEAD).is_file():
            raise ValueError
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(
            f"there is no head in {str(head)!r}: {TABLE} and {HEAD}; make one with `imagescope train photos`"
        ) from error
    return known


def cache_folder() -> Path:
    """Where assembled models lie."""
    return Path(os.environ.get(CACHE_VARIABLE) or "~/.cache/imagescope").expanduser()


def assemble(head: Path) -> Path:
    """The folder of the whole model; written now unless it is there and undamaged.

    Raises:
        BadInput: no such head, other backbones than it was trained on, or no place to write to.
        MissingExtra: a backbone is not installed.
    """
    place = cache_folder() / "embedders" / identity(head)[:32]
    if _is_whole(place):
        return place
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=".part-", dir=place.parent))
    except OSError as error:
        raise BadInput(
            f"cannot write to {str(place.parent)!r}: {error.strerror}; name a folder with {CACHE_VARIABLE}"
        ) from error
    try:
        _write(head, part)
        if not _is_whole(place):  # nobody finished it meanwhile: it is damaged, or not there
            shutil.rmtree(place, ignore_errors=True)
        with suppress(OSError):  # another process was faster: its files are the same
            part.rename(place)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    if not _is_whole(place):
        raise BadInput(f"the model in {str(place)!r} is damaged again and again; check that disk")
    return place


def _is_whole(place: Path) -> bool:
    try:
        written = json.loads((place / _WRITTEN).read_text(encoding="utf-8"))
        return bool(written["checkpoint"] == checkpoint_hash(place))
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _write(head: Path, out: Path) -> None:
    from safetensors.torch import load_file, save_file

    vision, text, size = read_head(head)
    maps = load_file(head / HEAD)
    for name, shape in {"visual": (size, vision.width), "bias": (size,), "text": (size, text.width)}.items():
        if name not in maps or tuple(maps[name].shape) != shape:
            raise BadInput(f"{str(head / HEAD)!r} holds no {name!r} of {shape}; train it again")
    trunk, _ = vision.tensors()
    tensors = {f"visual.trunk.{name}": each for name, each in trunk.items()}
    tensors |= {f"text.transformer.{name}": each for name, each in text.tensors().items()}
    tensors |= {"visual.head.proj.weight": maps["visual"].float(), "text.proj.weight": maps["text"].float()}
    tensors["visual.head.proj.bias"] = maps["bias"].float()
    tensors["logit_scale"] = maps["visual"].new_tensor(0.0).float()
    save_file({name: each.contiguous() for name, each in tensors.items()}, out / WEIGHTS)
    for name, path in text.others().items():
        shutil.copyfile(path, out / name)
    config = json.dumps(_config(vision, text, size), indent=1)
    (out / CONFIG).write_text(config + "\n", encoding="utf-8")
    written = json.dumps({"checkpoint": checkpoint_hash(out)})
    (out / _WRITTEN).write_text(written + "\n", encoding="utf-8")


def _config(vision: VisionBackbone, text: TextBackbone, size: int) -> dict[str, Any]:
    model = {"embed_dim": size, "vision_cfg": vision.config(), "text_cfg": text.config()}
    return {"model_cfg": model, "preprocess_cfg": vision.preprocess()}
