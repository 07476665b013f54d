"""Retrieval by one composed vector (MRA, arXiv 2505.19952): no chat model is asked."""

from __future__ import annotations

from collections.abc import Sequence

from imagescope_agent.errors import BadInput
from imagescope_agent.nodes.retrieve import RetrievePlain
from imagescope_agent.retrieval.vectors import Vectors
from imagescope_agent.settings import Settings


class RetrieveComposed(RetrievePlain):
    """As `RetrievePlain`, for an embedder that reads reference and text together.

    Raises:
        BadInput: a query with a reference, and the embedder reads them only apart.
    """

    def _query(self, text: str, references: Sequence[str], settings: Settings) -> Vectors:
        if references and getattr(self.embedder, "compose", None) is None:
            raise BadInput(
                "this graph needs an embedder that composes image and text: train one (`imagescope train "
                "composer`), name it in a profile (embedder = \"composer:DIR\"), or choose the graph 'retrieve'"
            )
        return super()._query(text, references, settings)
