"""The words that a picture may be for the language model, and which of them the captions of a photo hold."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from imagescope_agent.lab.training.photo_chat.questions import Lexicon, spoken
from imagescope_agent.nodes.intent.drift import content_words
from imagescope_agent.photo_chat.projector import Projector, ProjectorSize, single_tokens


def make_projector(
    lexicon: Lexicon, tokenizer: Any, features: int, width: int
) -> tuple[Projector, list[str]]:
    """A projector that knows nothing, and its words.

    Args:
        lexicon: of the captions.
        tokenizer: of the language model.
        features: width of the picture's features.
        width: of the language model's embeddings.
    """
    tokens = single_tokens(tokenizer, [word for word in lexicon.words if content_words(word)])
    projector = Projector(ProjectorSize(features=features, width=width, words=len(tokens)))
    projector.words.copy_(torch.tensor(list(tokens.values()), dtype=torch.int32))
    return projector, list(tokens)


def word_shares(photos: Sequence[Sequence[str]], words: Sequence[str]) -> npt.NDArray[np.float32]:
    """(n, words) share of the captions of each photo that hold each word."""
    places = {word: place for place, word in enumerate(words)}
    found = np.zeros((len(photos), len(words)), np.float32)
    for row, captions in enumerate(photos):
        for caption in captions:
            for word in {*re.findall(r"[a-z]+", spoken([caption]))} & places.keys():
                found[row, places[word]] += 1 / len(captions)
    return found
