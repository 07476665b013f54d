"""A head over a sentence encoder that reads the dialogue act of a part of a message, beside a classifier.

A small classifier taught from nothing knows the wordings that it was taught; a pretrained encoder puts others near
them. The head is a linear map, made by `imagescope train mini-act-head`: a file of safetensors with "weight" (acts,
width + 3) and "bias" (acts,), 16 bits allowed, whose metadata name the weights of the encoder and the acts in order.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from imagescope_agent.common.untrusted import read_file
from imagescope_agent.dialogue_acts import ACTS, is_yes_no
from imagescope_agent.errors import BadInput
from imagescope_agent.retrieval.embedders.sentence_encoder import SentenceEncoder, open_sentence_encoder
from imagescope_agent.retrieval.vectors import Vectors

SCALE = 4.0  # of the unit vectors, so that one penalty suits all features
FLOOR = 1e-6  # of a probability; what a classifier rules out the head may still say
LARGEST = 2**20  # bytes of a head
_RESTART, _WITHDRAWAL = ACTS.index("restart"), ACTS.index("withdrawal")


class ActHead:
    """Reads parts of messages as dialogue acts.

    Args:
        encoder: turns texts into unit vectors.
        weight: (acts, width + 3), for features as `features` gives them.
        bias: (acts,).
    """

    def __init__(self, encoder: SentenceEncoder, weight: Vectors, bias: Vectors) -> None:
        self.encoder, self.weight, self.bias = encoder, weight.astype(np.float32), bias.astype(np.float32)

    @property
    def weights(self) -> str:
        """Identifies the exact weights, those of the encoder included."""
        stored = self.weight.tobytes() + self.bias.tobytes()
        return hashlib.sha256(self.encoder.weights.encode() + stored).hexdigest()

    @classmethod
    def load(cls, path: Path, encoder: SentenceEncoder) -> ActHead:
        """Read a head.

        Raises:
            BadInput: there is none, it is damaged, or it is for another encoder or other acts.
        """
        try:
            read_file(path, LARGEST)
            with safe_open(path, framework="numpy") as file:
                made_for, weight, bias = file.metadata(), file.get_tensor("weight"), file.get_tensor("bias")
        except (OSError, SafetensorError) as error:
            raise BadInput(
                f"there is no head of dialogue acts in {str(path)!r}; make one with `imagescope train mini-act-head`"
            ) from error
        shapes = weight.shape, bias.shape
        fits = shapes == ((len(ACTS), encoder.backbone.width + 3), (len(ACTS),))
        if (
            made_for != metadata(encoder)
            or not fits
            or not (np.isfinite(weight).all() and np.isfinite(bias).all())
        ):
            raise BadInput(
                f"the head of dialogue acts in {str(path)!r} was made for another sentence encoder or other acts; "
                "make it anew with `imagescope train mini-act-head`"
            )
        return cls(encoder, weight, bias)

    def save(self, path: Path) -> None:
        """Write the head, in float16."""
        path.parent.mkdir(parents=True, exist_ok=True)
        stored = {"weight": self.weight.astype(np.float16), "bias": self.bias.astype(np.float16)}
        save_file(stored, path, metadata=metadata(self.encoder))

    def read(self, parts: Sequence[str], question: str) -> Vectors:
        """The probabilities of `ACTS` for each part, (parts, acts), while a question is pending, "" for none."""
        logits = features(self.encoder, parts, [question] * len(parts)) @ self.weight.T + self.bias
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        found: Vectors = odds / odds.sum(axis=1, keepdims=True)
        return found

    def beside(
        self, rows: Sequence[Sequence[float]], parts: Sequence[str], question: str
    ) -> list[list[float]]:
        """The rows of a classifier and the head's own as one: the mean of their log-probabilities, normalised.

        A classifier may hold a new start for a withdrawal of everything, and is not asked to tell the two apart.
        """
        first = np.array(rows, np.float64)
        first[:, _RESTART] = first[:, [_RESTART, _WITHDRAWAL]].max(axis=1)
        both = np.sqrt(np.maximum(first, FLOOR) * np.maximum(self.read(parts, question), FLOOR))
        found: list[list[float]] = (both / both.sum(axis=1, keepdims=True)).tolist()
        return found


def open_act_head(path: str | None, encoder: str | None) -> ActHead | None:
    """The head of a profile; None where it names none or no encoder, or the encoder's package is not installed.

    Raises:
        BadInput: there is no such head, or it is for another encoder.
    """
    opened = open_sentence_encoder(encoder) if path and encoder else None
    return ActHead.load(Path(path), opened) if path and opened else None


def features(encoder: SentenceEncoder, parts: Sequence[str], questions: Sequence[str]) -> Vectors:
    """(n, width + 3): the part's vector, whether a question is pending, whether of yes or no, how near both are."""
    asked = {each: place for place, each in enumerate(dict.fromkeys(filter(None, questions)))}
    vectors = encoder.texts([*parts, *asked])
    said = vectors[: len(parts)]
    rows = [
        [1.0, float(is_yes_no(question)), float(part @ vectors[len(parts) + asked[question]])]
        if question
        else [0.0] * 3
        for part, question in zip(said, questions, strict=True)
    ]
    found: Vectors = np.concatenate([said * SCALE, np.array(rows, np.float32).reshape(-1, 3)], axis=1)
    return found


def metadata(encoder: SentenceEncoder) -> dict[str, str]:
    """What a head must be made for."""
    return {"encoder": encoder.weights, "acts": " ".join(ACTS)}
