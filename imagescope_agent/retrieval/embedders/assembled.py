"""Embedders assembled on this machine: packaged backbones (backbones.py) and a small trained head.

A head is a folder:

    head.json         {"format": 1, "vision": NAME, "text": NAME, "embed_dim": d} with names of backbones.py
    head.safetensors  linear maps "visual" (d, vision width) with its "bias" (d,), and "text" (d, text width)
                      without one; 16 bits allowed, or 8 (packed_weights.py)

A calibrated head (calibrated.py) has "format": 4, or 3 where it is in 16 bits, "calibration" as `Calibration.table` in
its table, with the hash of the classes' "names", and as `Calibration.tensors` in its file. Its vectors have more than d
dimensions. One of "format": 2 holds the names as features in its file; otherwise these are made once, beside the model
(class_names.py).

On first use the whole model is written in open_clip's format (open_clip.py) to IMAGESCOPE_CACHE, by default
~/.cache/imagescope; later uses read it from there and compare its hash with what was written. Nothing is downloaded.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from imagescope_agent.common.packed_weights import unpacked
from imagescope_agent.errors import BadInput
from imagescope_agent.retrieval.embedders.backbones import TEXT, VISION, TextBackbone, VisionBackbone
from imagescope_agent.retrieval.embedders.calibrated import CalibratedEmbedder, Calibration, read_calibration
from imagescope_agent.retrieval.embedders.class_names import class_names, class_texts
from imagescope_agent.retrieval.embedders.open_clip import OpenClipEmbedder
from imagescope_agent.retrieval.embedders.open_clip_folder import CONFIG, WEIGHTS, checkpoint_hash

HEAD, TABLE = "head.safetensors", "head.json"
PLAIN, NAMED, HALVES, CALIBRATED = 1, 2, 3, 4
NAMES = "names.safetensors"
CACHE_VARIABLE = "IMAGESCOPE_CACHE"
_WRITTEN = "written.json"


def open_model(place: str, *, device: str | None = None) -> OpenClipEmbedder | CalibratedEmbedder:
    """The embedder of a head's folder; raises as `open_embedder`, and MissingExtra without the backbones."""
    folder = Path(place)
    whole = assemble(folder)
    embedder = OpenClipEmbedder(whole, device=device)
    embedder.weights = identity(folder)  # the same on every machine, however the files are written
    if (calibration := _calibration(folder, whole)) is None:
        return embedder
    text = _maps(folder)["text"].float().numpy()
    return CalibratedEmbedder(embedder, calibration, calibration.bank @ text.T)


def identity(head: Path) -> str:
    """sha256 over all that decides the vectors: both backbones, the head, and how pictures are prepared.

    Raises:
        BadInput: no such head.
    """
    vision, text, size = read_head(head)
    table = json.dumps(
        [vision.identity, text.identity, _config(vision, text, size), *_calibrated(head)], sort_keys=True
    )
    return hashlib.sha256(table.encode() + (head / HEAD).read_bytes()).hexdigest()


def read_head(head: Path) -> tuple[VisionBackbone, TextBackbone, int]:
    """The backbones of a head, and the size of its vectors.

    Raises:
        BadInput: a file is missing or damaged, or names an unknown backbone.
    """
    try:
        table = json.loads((head / TABLE).read_text(encoding="utf-8"))
        known = VISION[table["vision"]], TEXT[table["text"]], int(table["embed_dim"])
        if table["format"] not in (PLAIN, NAMED, HALVES, CALIBRATED) or not (head / HEAD).is_file():
            raise ValueError
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(
            f"there is no head in {str(head)!r}: {TABLE} and {HEAD}; make one with `imagescope train photos`"
        ) from error
    return known


def taught_names(head: Path) -> list[str]:
    """The names of classes that a head may have been taught beside captions; raises as `read_head`."""
    return class_texts(read_head(head)[0]) if _calibrated(head) else []


def _calibrated(head: Path) -> list[dict[str, Any]]:
    """The table of a head's calibration, if it has one; the head was read before."""
    table = json.loads((head / TABLE).read_text(encoding="utf-8"))
    if table["format"] == PLAIN:
        return []
    found = table.get("calibration")
    return [found if isinstance(found, dict) else {}]


def _calibration(head: Path, place: Path) -> Calibration | None:
    """A head's calibration, None without one; raises BadInput where it is damaged.

    Args:
        head: its folder.
        place: of the whole model.
    """
    vision, text, _ = read_head(head)
    tensors = _maps(head)
    if (place / NAMES).is_file():
        tensors |= _tensors(place / NAMES)
    return next(
        (read_calibration(table, tensors, text.width, vision.classes) for table in _calibrated(head)), None
    )


def _maps(head: Path) -> dict[str, Any]:
    return unpacked(_tensors(head / HEAD))


def _tensors(file: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(file)


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
    return write_whole(place, lambda part: _write(head, part), _is_whole)


def write_whole(place: Path, write: Callable[[Path], None], is_whole: Callable[[Path], bool]) -> Path:
    """A folder of the cache, written unless it is there and undamaged, and never seen half done.

    Args:
        place: of the folder.
        write: fills an empty folder.
        is_whole: whether a folder holds what was written.

    Raises:
        BadInput: there is no place to write to; or as `write`.
    """
    if is_whole(place):
        return place
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=".part-", dir=place.parent))
    except OSError as error:
        raise BadInput(
            f"cannot write to {str(place.parent)!r}: {error.strerror}; name a folder with {CACHE_VARIABLE}"
        ) from error
    try:
        write(part)
        if not is_whole(place):  # nobody finished it meanwhile: it is damaged, or not there
            shutil.rmtree(place, ignore_errors=True)
        with suppress(OSError):  # another process was faster: its files are the same
            part.rename(place)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    if not is_whole(place):
        raise BadInput(f"the model in {str(place)!r} is damaged again and again; check that disk")
    return place


def _is_whole(place: Path) -> bool:
    try:
        written = json.loads((place / _WRITTEN).read_text(encoding="utf-8"))
        return bool(
            written["checkpoint"] == checkpoint_hash(place) and written.get("names") == _names_hash(place)
        )
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _names_hash(place: Path) -> str | None:
    """sha256 of the names of classes; None where the model has none of its own."""
    file = place / NAMES
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else None


def _write(head: Path, out: Path) -> None:
    import torch
    from safetensors.torch import save_file

    vision, text, size = read_head(head)
    maps, calibrated = _maps(head), _calibrated(head)
    for name, shape in {"visual": (size, vision.width), "bias": (size,), "text": (size, text.width)}.items():
        if name not in maps or tuple(maps[name].shape) != shape:
            raise BadInput(f"{str(head / HEAD)!r} holds no {name!r} of {shape}; train it again")
    for table in calibrated:
        if "names" in table:
            save_file({"names": torch.from_numpy(class_names(vision, text, table["names"]))}, out / NAMES)
    _calibration(head, out)  # a damaged one is told before anything is kept
    trunk, classifier = vision.tensors()
    tensors = {f"visual.trunk.{name}": each for name, each in trunk.items()}
    tensors |= {f"text.transformer.{name}": each for name, each in text.tensors().items()}
    tensors |= _projections(maps, classifier if calibrated else None)
    tensors["logit_scale"] = maps["visual"].new_tensor(0.0).float()
    save_file({name: each.contiguous() for name, each in tensors.items()}, out / WEIGHTS)
    for name, path in text.others().items():
        shutil.copyfile(path, out / name)
    width = len(tensors["visual.head.proj.bias"])
    (out / CONFIG).write_text(json.dumps(_config(vision, text, width), indent=1) + "\n", encoding="utf-8")
    written = json.dumps({"checkpoint": checkpoint_hash(out), "names": _names_hash(out)})
    (out / _WRITTEN).write_text(written + "\n", encoding="utf-8")


def _projections(maps: dict[str, Any], classifier: tuple[Any, Any] | None) -> dict[str, Any]:
    """open_clip's last linear maps; with what `CalibratedEmbedder` is given where there is a classifier."""
    import torch

    visual, bias, text = (maps[name].float() for name in ("visual", "bias", "text"))
    if classifier is not None:
        weight, shift = classifier
        visual = torch.cat([visual, weight, torch.zeros(1, visual.shape[1])])
        bias = torch.cat([bias, shift, torch.ones(1)])
        own = torch.cat([text, torch.eye(text.shape[1])])
        text = torch.cat([own, torch.zeros(len(visual) - len(own), text.shape[1])])
    return {"visual.head.proj.weight": visual, "visual.head.proj.bias": bias, "text.proj.weight": text}


def _config(vision: VisionBackbone, text: TextBackbone, size: int) -> dict[str, Any]:
    model = {"embed_dim": size, "vision_cfg": vision.config(), "text_cfg": text.config()}
    return {"model_cfg": model, "preprocess_cfg": vision.preprocess()}
