"""A chat model that reasons, then embeds (CIR-CoT, arXiv 2510.08003): one set of weights, loaded once.

A folder that `imagescope train cir-cot` writes: a checkpoint in the format of transformers, projection.safetensors
and cir_cot.card (JSON). The vector is the projected last hidden state of an added token, at unit length: after a
picture for the gallery, after reference and text for a query, after the chain of thought where one was written.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from langchain_core.language_models import BaseChatModel
from PIL import Image

from imagescope_agent.common.atomic_write import write_atomic
from imagescope_agent.common.model_loading import LOADING
from imagescope_agent.common.untrusted import parse_json, read_file
from imagescope_agent.errors import BadInput
from imagescope_agent.mllms.engine.checkpoint_files import hash_of
from imagescope_agent.mllms.engine.config import EngineConfig, ModelConfig
from imagescope_agent.prompting import load_prompt
from imagescope_agent.retrieval.embedders.composer_card import WIDEST, located
from imagescope_agent.retrieval.vectors import Vectors, unit_rows

if TYPE_CHECKING:
    import torch

    from imagescope_agent.mllms.engine.embed_token import EmbedRow
    from imagescope_agent.mllms.engine.engine import Engine

#: The card is JSON, but no .json: it is no part of the checkpoint, whose hash it holds.
CARD, PROJECTION = "cir_cot.card", "projection.safetensors"
FORMAT = 1
LARGEST = 2**20  # bytes of the card
MOST_PROJECTION = 2**28  # bytes
BATCH = 16
MAX_CHAIN = 512  # tokens of a chain


@dataclass(frozen=True, kw_only=True)
class CotCard:
    """What such a model says of itself.

    Args:
        dimension: of the vectors.
        prompt_set: whose words it is asked in, None for the general ones.
        weights: hash of the checkpoint's files that it was written with; indices know the model by it.
        stored: hash of the files that lie beside the card, where the same values were stored in another way since.
        threshold: lead of the first image over the second, by the vector without a chain, below which a chain should
            help; chosen on queries that were not trained on.
        shown: weight of the reference's own vector beside that of a query without a chain: what the words leave
            unsaid stays; chosen on queries that were not trained on.
        trained: on what, and how well it did; for people.
    """

    dimension: int
    weights: str
    stored: str | None = None
    prompt_set: str | None = None
    threshold: float = 0.0
    shown: float = 0.0
    trained: dict[str, Any] = field(default_factory=dict)


def open_model(place: str, *, device: str | None = None) -> CotEmbedder:
    """A model's folder, or `package:PATH` of one that ships; raises as `open_embedder`."""
    return CotEmbedder(located(place), device=device)


def identify(place: str) -> tuple[str, int]:
    """`weights` and `dimension` without loading the model.

    Raises:
        BadInput: there is no such model, or it is damaged.
    """
    folder = located(place)
    card = read_card(folder)
    return _weights(folder, card), card.dimension


class CotEmbedder:
    """Pictures, texts, both together, and both with a chain of thought, in one space; and the chat model that thinks.

    Args:
        folder: of the model.
        device: "cuda" or "cpu"; CUDA where there is one when None.

    Attributes:
        prompt_set: whose words the chat model is asked in.
        threshold: see `CotCard`.

    Raises:
        BadInput: there is no such model, it is damaged, or its files are of different models.
        BackendUnavailable: the checkpoint cannot be loaded.
    """

    def __init__(self, folder: Path, *, device: str | None = None, batch: int = BATCH) -> None:
        card = read_card(folder)
        self._source = ModelConfig(checkpoint=str(folder), device=device or "auto")
        if hash_of(self._source) != (card.stored or card.weights):
            raise _damaged(folder, f"its weights are not those that {CARD} was written with")
        self._folder, self._batch = folder, batch
        self._prompt = load_prompt("reason", prompt_set=card.prompt_set)
        self.dimension, self.prompt_set, self.threshold = card.dimension, card.prompt_set, card.threshold
        self.weights, self._shown = _weights(folder, card), card.shown

    @cached_property
    def chat_model(self) -> BaseChatModel:
        """The same weights as a chat model; nothing is loaded twice."""
        from imagescope_agent.mllms.transformers_chat import TransformersChat

        return TransformersChat(max_tokens=MAX_CHAIN, **self._source.model_dump())

    def images(self, images: Sequence[Image.Image]) -> Vectors:
        """RGB pictures -> (n, d) float32, unit length."""
        from imagescope_agent.mllms.engine.embed_token import EmbedRow

        return self._embed([EmbedRow(image=each) for each in images])

    def texts(self, texts: Sequence[str]) -> Vectors:
        """Texts -> (n, d) float32, unit length."""
        return self.reasoned([None] * len(texts), texts, [""] * len(texts))

    def compose(self, images: Sequence[Image.Image], texts: Sequence[str]) -> Vectors:
        """Each picture with what to change in it, as one query without a chain: (n, d) float32, unit length."""
        return self.reasoned(images, texts, [""] * len(texts))

    def reasoned(
        self, images: Sequence[Image.Image | None], texts: Sequence[str], chains: Sequence[str]
    ) -> Vectors:
        """As `reasoning.ReasoningEmbedder.reasoned`; without a chain the reference's own vector joins (`CotCard`)."""
        from imagescope_agent.mllms.engine.embed_token import EmbedRow

        given = zip(images, texts, chains, strict=True)
        rows = [
            EmbedRow(image=image, text=self._prompt.fill(instruction=text), chain=chain)
            for image, text, chain in given
        ]
        found = np.zeros((len(rows), self.dimension), np.float32)
        for pictured in (True, False):  # a batch holds as many pictures in every row
            places = [place for place, row in enumerate(rows) if (row.image is not None) is pictured]
            found[places] = self._embed([rows[place] for place in places])
        bare = [place for place, row in enumerate(rows) if row.image is not None and not row.chain]
        if self._shown and bare:
            pictures = self._embed([EmbedRow(image=rows[place].image) for place in bare])
            found[bare] = unit_rows(found[bare] + self._shown * pictures)
        return found

    @cached_property
    def _engine(self) -> Engine:
        with LOADING:
            from imagescope_agent.mllms.engine.engine import open_engine

            return open_engine(self._source, EngineConfig())

    @cached_property
    def _projection(self) -> torch.Tensor:
        return load_projection(self._folder, self._engine.checkpoint.model, self.dimension)

    def _embed(self, rows: Sequence[EmbedRow]) -> Vectors:
        parts = [
            self._states(rows[start : start + self._batch]) for start in range(0, len(rows), self._batch)
        ]
        return unit_rows(np.concatenate(parts)) if parts else np.zeros((0, self.dimension), np.float32)

    def _states(self, rows: Sequence[EmbedRow]) -> Vectors:
        from imagescope_agent.mllms.engine.embed_token import hidden_states

        engine, projection = self._engine, self._projection

        def run(_backend: Any, _conversations: Any) -> Vectors:
            states, _ = hidden_states(engine.checkpoint, rows)
            made: Vectors = (states[:, -1].float() @ projection.T).cpu().numpy()
            return made

        return engine.run_task(run, []).result()  # the engine's thread alone touches the weights


def load_projection(folder: Path, model: Any, dimension: int) -> torch.Tensor:
    """The projection's weight (d, width), float32, on the model's device.

    Raises:
        BadInput: it is damaged, or of another size.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        weight = load(read_file(folder / PROJECTION, MOST_PROJECTION))["weight"].float()
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise _damaged(folder, f"{PROJECTION}: {error}") from error
    width = int(model.config.get_text_config().hidden_size)
    if tuple(weight.shape) != (dimension, width) or not bool(weight.isfinite().all()):
        raise _damaged(folder, f"{PROJECTION} is no finite ({dimension}, {width}) matrix")
    return weight.to(model.device)


def read_card(folder: Path) -> CotCard:
    """Read and check a model's card; it may be a stranger's.

    Raises:
        BadInput: there is none, or it is damaged.
    """
    try:
        values = parse_json(read_file(folder / CARD, LARGEST))
        if values.pop("format") != FORMAT:
            raise ValueError(f"its format is not {FORMAT}")
        card = CotCard(**values)
        if not isinstance(card.weights, str):
            raise TypeError("weights is a text")
        if not isinstance(card.stored, str | None) or not isinstance(card.prompt_set, str | None):
            raise TypeError("stored and prompt_set are texts")
        if type(card.dimension) is not int or not 0 < card.dimension <= WIDEST:
            raise TypeError(f"dimension is a whole number up to {WIDEST}")
        if type(card.threshold) not in (int, float) or not 0 <= card.threshold <= 2:
            raise TypeError("threshold is a number from 0 to 2")
        if type(card.shown) not in (int, float) or not 0 <= card.shown <= 1:
            raise TypeError("shown is a number from 0 to 1")
    except FileNotFoundError:
        raise BadInput(
            f"there is no model that reasons and embeds in {str(folder)!r}; make one with `imagescope train cir-cot`"
        ) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged(folder, f"{CARD}: {(str(error).splitlines() or [type(error).__name__])[0]}") from error
    return card


def write_card(folder: Path, card: CotCard) -> None:
    """Write the card of a model into its folder."""
    text = json.dumps({"format": FORMAT, **asdict(card)}, indent=2, ensure_ascii=False)
    write_atomic(folder / CARD, text + "\n")


def _weights(folder: Path, card: CotCard) -> str:
    """What decides the vectors: the checkpoint, the projection and the words."""
    try:
        projection = hashlib.sha256(read_file(folder / PROJECTION, MOST_PROJECTION)).hexdigest()
    except (OSError, ValueError) as error:
        raise _damaged(folder, f"{PROJECTION}: {error}") from error
    words = load_prompt("reason", prompt_set=card.prompt_set).text
    return hashlib.sha256(f"{card.weights} {projection} {words}".encode()).hexdigest()


def _damaged(folder: Path, why: str) -> BadInput:
    return BadInput(f"the model in {str(folder)!r} is damaged: {why}; train or fetch it again")
