"""The pretrained sentence encoder that a profile may name: optional, opened late, the weights that photos use."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

from imagescope_agent.errors import BadInput
from imagescope_agent.profiles.profile import load_profile
from imagescope_agent.retrieval.embedders import sentence_encoder
from imagescope_agent.retrieval.embedders.backbones import TEXT, TextBackbone
from imagescope_agent.retrieval.embedders.sentence_encoder import SentenceEncoder, open_sentence_encoder

NAME = "all-minilm-l6-v2"
installed = pytest.mark.skipif(
    find_spec(TEXT[NAME].module) is None, reason="pip install 'imagescope-agent[photos]'"
)


@installed
def test_texts_of_one_sense_are_near() -> None:
    encoder = open_sentence_encoder(NAME)
    assert encoder is not None and encoder is open_sentence_encoder(NAME)
    vectors = encoder.texts(["kitty", "cat", "banana", *["dwelling"] * 70])
    assert vectors.shape == (73, 384) and vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert vectors[0] @ vectors[1] > 0.8 > 0.5 > vectors[0] @ vectors[2]
    assert encoder.texts([]).shape == (0, 384)


def test_weights_are_read_once_and_only_when_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    read = list[str]()

    def encoder(self: TextBackbone) -> Callable[[Sequence[str]], Any]:
        read.append(self.package)
        return lambda texts: np.full((len(texts), 4), 2, np.float32)

    monkeypatch.setattr(TextBackbone, "encoder", encoder)
    found = SentenceEncoder(TEXT[NAME])
    assert found.weights == TEXT[NAME].identity and not read
    assert found.texts(["a", "b"]).tolist() == [[0.5] * 4] * 2
    assert found.texts(["c"]).shape == (1, 4) and read == [TEXT[NAME].package]


def test_there_is_none_without_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sentence_encoder, "find_spec", lambda name: None)
    assert open_sentence_encoder.__wrapped__(NAME) is None


def test_an_unknown_encoder_is_told_with_what_there_is() -> None:
    assert load_profile("mini").sentence_encoder == load_profile("mini_cot").sentence_encoder == NAME
    with pytest.raises(BadInput, match=NAME):
        open_sentence_encoder("all-minilm-l6")
