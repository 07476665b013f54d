"""Frozen features of pictures and captions, computed once and kept by content in one SQLite file.

A row is stored as soon as its batch is done: after a kill the next run computes only what is missing.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from imagescope_agent.retrieval.embedders.backbones import TextBackbone, VisionBackbone
from imagescope_agent.retrieval.images import ImageProblem, digest, load

Features = npt.NDArray[np.float32]
BATCH = 32


class FeatureStore:
    """Features by key; float16 on disk, float32 in memory."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = sqlite3.connect(path)
        self._file.execute("CREATE TABLE IF NOT EXISTS features (key TEXT PRIMARY KEY, row BLOB NOT NULL)")

    def missing(self, keys: Iterable[str]) -> list[str]:
        """Those of the keys that are not stored, each once."""
        known = {key for (key,) in self._file.execute("SELECT key FROM features")}
        return [key for key in dict.fromkeys(keys) if key not in known]

    def add(self, keys: Sequence[str], rows: Features) -> None:
        """Store (n, width) features in one transaction."""
        with self._file:
            self._file.executemany(
                "INSERT OR REPLACE INTO features VALUES (?, ?)",
                ((key, row.astype(np.float16).tobytes()) for key, row in zip(keys, rows, strict=True)),
            )

    def rows(self, keys: Sequence[str]) -> Features:
        """(n, width) float32 features, in order."""
        found = dict(self._file.execute("SELECT key, row FROM features"))
        return np.stack([np.frombuffer(found[key], np.float16) for key in keys]).astype(np.float32)


def picture_features(
    paths: Sequence[Path], backbone: VisionBackbone, work: Path
) -> tuple[Features, list[Path]]:
    """(n, width) pooled features of the pictures that can be read, and their paths.

    Raises:
        MissingExtra, BadInput: as `Backbone.find`.
    """
    store = FeatureStore(work / f"pictures-{backbone.identity[:16]}.sqlite")
    return stored_pictures(paths, store, lambda: _trunk(backbone))


def stored_pictures(
    paths: Sequence[Path], store: FeatureStore, encoder: Callable[[], Callable[[Sequence[object]], Features]]
) -> tuple[Features, list[Path]]:
    """(n, width) features of the pictures that can be read, each computed once, and their paths.

    Args:
        paths: of the pictures.
        store: where features are kept.
        encoder: opens what makes (n, width) features of n pictures; opened where some are missing.
    """
    by_path = {path: digest(path) for path in paths}
    keys = {key: path for path, key in by_path.items()}
    todo, unreadable = store.missing(by_path.values()), set[str]()
    encode = encoder() if todo else None
    for chunk in _chunks(todo, "picture"):
        images, good = [], []
        for key in chunk:
            try:
                images.append(load(keys[key]).image)
                good.append(key)
            except ImageProblem:
                unreadable.add(key)
        if good and encode is not None:
            store.add(good, encode(images))
    kept = [path for path in paths if by_path[path] not in unreadable]
    return store.rows([by_path[path] for path in kept]), kept


def caption_features(texts: Sequence[str], backbone: TextBackbone, work: Path) -> Features:
    """(n, width) mean-pooled features of texts.

    Raises:
        MissingExtra, BadInput: as `Backbone.find`.
    """
    store = FeatureStore(work / f"texts-{backbone.identity[:16]}.sqlite")
    by_text = {text: hashlib.sha256(text.encode()).hexdigest() for text in texts}
    keys = {key: text for text, key in by_text.items()}
    todo = sorted(store.missing(by_text.values()), key=lambda key: len(keys[key]))  # little padding
    encode = backbone.encoder() if todo else None
    for chunk in _chunks(todo, "caption"):
        if encode is not None:
            store.add(chunk, encode([keys[key] for key in chunk]))
    return store.rows([by_text[text] for text in texts])


def _chunks(keys: Sequence[str], unit: str) -> Iterable[Sequence[str]]:
    with tqdm(total=len(keys), unit=unit, disable=None if keys else True) as bar:
        for start in range(0, len(keys), BATCH):
            chunk = keys[start : start + BATCH]
            yield chunk
            bar.update(len(chunk))


def _trunk(backbone: VisionBackbone) -> Callable[[Sequence[object]], Features]:
    import timm
    import torch
    from open_clip.transform import PreprocessCfg, image_transform_v2

    from imagescope_agent.retrieval.embedders.open_clip import SMALL_BATCH, middle

    model = timm.create_model(backbone.timm, num_classes=0)
    model.load_state_dict(backbone.tensors()[0])
    model.eval()
    prepare = image_transform_v2(PreprocessCfg(**backbone.preprocess()), is_train=False)

    def encode(images: Sequence[object]) -> Features:
        pixels = torch.stack([prepare(middle(image)) for image in images])  # type: ignore[arg-type]
        with torch.inference_mode():
            rows: Features = torch.cat([model(few) for few in pixels.split(SMALL_BATCH)]).numpy()
        return rows

    return encode
