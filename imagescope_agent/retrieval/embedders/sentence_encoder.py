"""A pretrained sentence encoder beside a profile's own models: compares words and sentences that these never learnt.

A profile names it, `sentence_encoder = "all-minilm-l6-v2"` (an entry of `backbones.TEXT`), and it comes with a package
of the extra `photos`. It is optional: without that package there is none, and nothing is compared. The weights are read
when the first text is encoded, offline and as data, by the same loader as those of the photo embedder.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from functools import cache, cached_property
from importlib.util import find_spec

import numpy as np

from imagescope_agent.errors import BadInput, require_process, suggest
from imagescope_agent.retrieval.embedders.backbones import TEXT, TextBackbone
from imagescope_agent.retrieval.vectors import Vectors

BATCH = 64  # texts at a time


class SentenceEncoder:
    """Turns texts into unit vectors; alike in sense, near in cosine.

    Args:
        backbone: the weights.
    """

    def __init__(self, backbone: TextBackbone) -> None:
        self.backbone, self._lock, self._pid = backbone, threading.Lock(), 0

    @property
    def weights(self) -> str:
        """Identifies the exact weights."""
        return self.backbone.identity

    @cached_property
    def words(self) -> frozenset[str]:
        """The words of its vocabulary, in lower case; any other is read in pieces, and its sense a guess.

        Raises:
            BadInput: as `texts`.
        """
        return frozenset(self.backbone.others()["vocab.txt"].read_text(encoding="utf-8").split())

    @cached_property
    def _encode(self) -> Callable[[Sequence[str]], Vectors]:
        self._pid = os.getpid()
        return self.backbone.encoder()

    def texts(self, texts: Sequence[str]) -> Vectors:
        """Texts -> (n, width) float32, unit length, in order.

        Raises:
            BadInput: a file of the package is another one than was measured.
        """
        if self._pid:
            require_process(self._pid)
        with self._lock:  # turns in threads must not load the weights twice
            encode = self._encode
        rows = [encode(texts[start : start + BATCH]) for start in range(0, len(texts), BATCH)]
        found = np.concatenate(rows) if rows else np.zeros((0, self.backbone.width), np.float32)
        unit: Vectors = (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)
        return unit


@cache
def open_sentence_encoder(name: str) -> SentenceEncoder | None:
    """The encoder of that name, one in the whole process; None where its package is not installed.

    Raises:
        BadInput: there is no such encoder.
    """
    backbone = require_sentence_encoder(name)
    return None if find_spec(backbone.module) is None else SentenceEncoder(backbone)


def require_sentence_encoder(name: str) -> TextBackbone:
    """The weights of that name.

    Raises:
        BadInput: there are none.
    """
    if name not in TEXT:
        raise BadInput(f"there is no sentence encoder {name!r}; {suggest(name, TEXT)}")
    return TEXT[name]
