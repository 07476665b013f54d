"""A collection as a LangChain retriever, a LangChain tool, and a node of somebody else's LangGraph."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from langchain_core.tools import BaseTool, StructuredTool, ToolException
from pydantic import ConfigDict, Field

from imagescope_agent.records import fulfilment_words
from imagescope_agent.retrieval.metadata.where import both
from imagescope_agent.runs.results import Hit, SearchResult
from imagescope_agent.services import Services

NAME = "search_images"
DESCRIPTION = (
    "Search a collection of images with a sentence, or with a reference image and what to change in it. "
    "`references` are several of them, named in the text by their numbers from 1 (image 1, image 2); `unlike` are "
    "images of what is not wanted. Returns the best images with the reasons for their ranks. "
    "`where` filters: date >= 2024-01-01 and folder = 'Rome'; leave it out to search all images."
)


class Searcher(Protocol):
    """What searches: an `ImageScope`."""

    services: Services

    def search(self, text: str, image: Path | str | None = None, **settings: Any) -> SearchResult:
        """As `ImageScope.search`."""
        ...

    async def asearch(self, text: str, image: Path | str | None = None, **settings: Any) -> SearchResult:
        """As `ImageScope.asearch`."""
        ...


class ImageRetriever(BaseRetriever):
    """Images as documents: the caption is the content; id, path, rank, scores, reasons and run are metadata.

    Args:
        scope: an `ImageScope`.
        settings: fields of `Settings` for every search, as k.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)
    scope: Any  # a `Searcher`
    settings: dict[str, Any] = Field(default_factory=dict)

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, **settings: Any
    ) -> list[Document]:
        return to_documents(self.scope, self.scope.search(query, **{**self.settings, **settings}))

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun, **settings: Any
    ) -> list[Document]:
        return to_documents(self.scope, await self.scope.asearch(query, **{**self.settings, **settings}))


def to_documents(scope: Searcher, found: SearchResult) -> list[Document]:
    """The hits of a search, best first."""
    return [_document(scope, hit, found.run) for hit in found]


def _document(scope: Searcher, hit: Hit, run: str) -> Document:
    metadata = {**hit.to_dict(), "run": run, "source": hit.path}
    return Document(page_content=scope.services.collection.caption(hit.id), id=hit.id, metadata=metadata)


def as_tool(
    scope: Searcher, *, name: str = NAME, description: str = DESCRIPTION, **settings: Any
) -> BaseTool:
    """A tool that an agent calls with a text and, if it likes, the id of a reference image; answers with text.

    The answer names the ids, captions and reasons; its artifact is the `SearchResult`.
    """

    async def asearch(
        text: str, reference: str | None = None, where: str = "",
        references: list[str] | None = None, unlike: list[str] | None = None,
    ) -> tuple[str, SearchResult]:  # fmt: skip
        shown = _shown(scope, reference, references, unlike)
        found = await scope.asearch(text, **shown, **_chosen(settings, where))
        return describe(scope, found), found

    def search(
        text: str, reference: str | None = None, where: str = "",
        references: list[str] | None = None, unlike: list[str] | None = None,
    ) -> tuple[str, SearchResult]:  # fmt: skip
        found = scope.search(text, **_shown(scope, reference, references, unlike), **_chosen(settings, where))
        return describe(scope, found), found

    return StructuredTool.from_function(
        func=search,
        coroutine=asearch,
        name=name,
        description=description,
        response_format="content_and_artifact",
        handle_tool_error=True,
    )


def _chosen(settings: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The settings with a filter that a model asks for, which narrows that of its owner."""
    return {**settings, "where": both(settings.get("where", ""), where)} if where.strip() else dict(settings)


def as_node(
    scope: Searcher, *, query: str = "query", results: str = "results", **settings: Any
) -> Callable[[Any], Awaitable[dict[str, Any]]]:
    """A node of another LangGraph: reads the text under `query`, writes the hits as plain values under `results`."""

    async def search_images(state: Any) -> dict[str, Any]:
        found = await scope.asearch(str(state[query]), **settings)
        return {results: [hit.to_dict() for hit in found]}

    return search_images


def describe(scope: Searcher, found: SearchResult) -> str:
    """A ranking in lines, for a model: how far the first one fits; rank, id, caption, reasons; then the notes."""
    lines = [
        f"{hit.rank}. {hit.id}: {scope.services.collection.caption(hit.id) or 'no caption yet'}"
        + (f" ({'; '.join(hit.reasons)})" if hit.reasons else "")
        for hit in found
    ]
    notes = [f"note: {each['step']}: {each['detail']}" for each in found.notes]
    return "\n".join([*found.remarks, *fulfilment_words(found.fulfilment), *lines, *notes])


def _shown(
    scope: Searcher, reference: str | None, references: Sequence[str] | None, unlike: Sequence[str] | None
) -> dict[str, Any]:
    """The pictures that a model names, as a search takes them.

    Raises:
        ToolException: see `_known`; or `reference` and `references` are both given.
    """
    if reference and references:
        raise ToolException("reference and references are both given; give all of them as references")
    several = [name for name in (_known(scope, each) for each in references or ()) if name]
    excluded = [name for name in (_known(scope, each) for each in unlike or ()) if name]
    shown: dict[str, Any] = {"images": several} if several else {"image": _known(scope, reference)}
    return {**shown, "unlike": excluded} if excluded else shown


def _known(scope: Searcher, reference: str | None) -> str | None:
    """The id of a reference; a model may not name a file of this machine.

    Raises:
        ToolException: it is no id of the collection.
    """
    if not reference:
        return None
    if (found := scope.services.collection.named(reference)) is None:
        raise ToolException(f"there is no image {reference[:80]!r}; give an id that a search returned")
    return found
