"""An embedder that is opened when it is first needed, with what is known of what it was trained on."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from PIL import Image

from imagescope_agent.errors import require_process
from imagescope_agent.retrieval.domain import Domain
from imagescope_agent.retrieval.embedders.sentence_encoder import SentenceEncoder
from imagescope_agent.retrieval.other_words import OtherWords
from imagescope_agent.retrieval.protocols import Composer, Embedder
from imagescope_agent.retrieval.reasoning import ReasoningEmbedder
from imagescope_agent.retrieval.vectors import Vectors


class LateEmbedder:
    """An embedder that is opened, once, when it is first needed.

    Args:
        opener: opens it.
        domain: folder of what it was trained on (see `retrieval.domain`), None where that is not known.
        identity: its weights and dimension where they are known without opening it, else None.
        sentences: compares words that were not trained on; None reads none of them.
        known_to: the stems that another profile knows, by its name; see `Domain.other_words`.
    """

    def __init__(
        self,
        opener: Callable[[], Embedder],
        domain: str | None = None,
        identity: Callable[[], tuple[str, int] | None] = lambda: None,
        sentences: SentenceEncoder | None = None,
        known_to: Callable[[str], frozenset[str] | None] = lambda profile: None,
    ) -> None:
        self._opener, self._lock, self._pid = opener, threading.Lock(), 0
        self._domain, self._identify, self._sentences = domain, identity, sentences
        self._known_to = known_to

    @cached_property
    def _identity(self) -> tuple[str, int]:
        return self._identify() or (self.opened().weights, self.opened().dimension)

    @cached_property
    def _embedder(self) -> Embedder:
        self._pid = os.getpid()
        return self._opener()

    def opened(self) -> Embedder:
        """The embedder itself."""
        if self._pid:
            require_process(self._pid)
        with self._lock:  # searches in threads must not load the weights twice
            return self._embedder

    @cached_property
    def domain(self) -> Domain | None:
        """What it was trained on, read from its folder.

        Raises:
            BadInput: the profile names a folder that holds nothing of the kind.
        """
        if self._domain is None:
            return None
        domain = Domain.load(Path(self._domain))
        return replace(domain, other_words=self._known_to(domain.other[1]))

    @cached_property
    def other_words(self) -> OtherWords | None:
        """Reads words that were not trained on as near ones that were; None where that cannot be told.

        Raises:
            BadInput: as `domain`, or the file of names is damaged.
        """
        if self._domain is None or self._sentences is None or self.domain is None:
            return None
        return OtherWords.load(Path(self._domain), self.domain.words, self._sentences)

    @property
    def weights(self) -> str:
        """As `Embedder.weights`."""
        return self._identity[0]

    @property
    def dimension(self) -> int:
        """As `Embedder.dimension`."""
        return self._identity[1]

    @property
    def composer(self) -> str:
        """Identifies a trained composer; "" without one."""
        return str(getattr(self.opened(), "composer", ""))

    def images(self, images: Sequence[Image.Image]) -> Vectors:
        """As `Embedder.images`."""
        return self.opened().images(images)

    def texts(self, texts: Sequence[str]) -> Vectors:
        """As `Embedder.texts`."""
        return self.opened().texts(texts)

    @property
    def compose(self) -> Callable[[Sequence[Image.Image], Sequence[str]], Vectors] | None:
        """As `Composer.compose`; None when the embedder reads pictures and texts only apart."""
        embedder = self.opened()
        return embedder.compose if isinstance(embedder, Composer) else None

    @property
    def reasoning(self) -> ReasoningEmbedder | None:
        """The embedder as one that thinks before it embeds; None when it cannot."""
        embedder = self.opened()
        return embedder if isinstance(embedder, ReasoningEmbedder) else None
