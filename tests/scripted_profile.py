"""A profile of scripted models, and the source of an embedder from another package that needs no weights."""

from __future__ import annotations


def scripted_profile(
    embedder: object, *, reply: str = "No", store: str | None = None, settings: str = ""
) -> str:
    """The TOML of a profile whose only chat model gives the same reply in every role."""
    named = f"store = {store!r}" if store is not None else ""
    return f"""
embedder = {str(embedder)!r}
{named}
[models.fake]
mllm = "scripted"
reply = {reply!r}
[roles]
captioner = "fake"
reasoner = "fake"
verifier = "fake"
judge = "fake"
[settings]
{settings}
"""


MEAN_COLOUR = '''
import numpy as np

class Mean:
    """Mean colour of an image; texts name a colour."""
    dimension = 3
    def __init__(self, place, device):
        self.weights = f"mean-colour {place}"
    def images(self, images):
        return self._unit([np.asarray(image, dtype=np.float32).mean((0, 1)) + 1 for image in images])
    def texts(self, texts):
        return self._unit([[1 + 99 * (name in text) for name in ("red", "green", "blue")] for text in texts])
    def _unit(self, rows):
        rows = np.asarray(rows, dtype=np.float32).reshape(-1, 3)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

def open_model(place, *, device=None):
    return Mean(place, device)

def open_nothing(place, *, device=None):
    return place
'''
