"""What the service's requests and responses hold; the OpenAPI document shows them with their examples."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
Text = Annotated[str, Field(max_length=8000)]
IMAGE = "the id of an image or of an upload, or a data URI (data:image/png;base64,...); never an address"

SEVERAL = "several references in the place of one, named in the text by their numbers from 1"
UNLIKE = "pictures of what is not wanted"


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid")


class SearchRequest(_Request):
    """One search."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"text": "a red car left of a tree", "k": 5}]}
    )

    text: Text = Field(description="what to look for; with a reference, what to change in it")
    image: str | None = Field(default=None, description=f"reference: {IMAGE}")
    images: list[str] = Field(default=[], max_length=16, description=SEVERAL)
    unlike: list[str] = Field(default=[], max_length=16, description=UNLIKE)
    collection: str | None = Field(
        default=None, description="which collection; may be left out where there is one"
    )
    graph: str | None = Field(
        default=None, description="a name of `imagescope graphs`; the profile's own when left out"
    )
    k: int | None = Field(default=None, ge=1, le=1000, description="how many results")
    where: str | None = Field(
        default=None, max_length=2000, description="a filter: date >= 2024-01-01 and folder = 'Rome'"
    )
    rejected: list[str] = Field(default=[], max_length=1000, description="ids that are not it (graph cotrr)")
    settings: dict[str, Any] = Field(default={}, description="fields of Settings, as judge, top_k or budget")
    run: Name | None = Field(
        default=None, description="the id to keep the run under; a new one when left out"
    )


class BatchRequest(_Request):
    """Several searches."""

    searches: list[SearchRequest] = Field(min_length=1, max_length=100)


class Hit(BaseModel):
    """One image of a ranking."""

    rank: int
    id: str
    url: str = Field(description="where the service gives the image")
    scores: dict[str, float | None]
    reasons: list[str]


class SearchResponse(BaseModel):
    """A ranking with everything that explains it, as `imagescope search --json` prints it."""

    query: str
    collection: str
    graph: str
    judge: str
    profile: str
    results: list[Hit]
    intent: dict[str, Any]
    predicates: list[dict[str, Any]]
    fulfilment: float | None = Field(
        default=None,
        description="the probability that the first place fulfils the whole query, where something says",
    )
    remarks: list[str] = Field(default=[], description="where nothing fits: that, and what the nearest lacks")
    notes: list[dict[str, Any]]
    usage: dict[str, Any]
    run: str


class Problem(BaseModel):
    """Why there is no answer, and what to do."""

    type: str
    message: str


class ErrorResponse(BaseModel):
    """Any answer with a status of 400 or above."""

    error: Problem


class BatchItem(BaseModel):
    """The result of one search of a batch, or why there is none."""

    result: SearchResponse | None = None
    error: Problem | None = None


class BatchResponse(BaseModel):
    """The results in the order of the searches."""

    results: list[BatchItem]


class UploadResponse(BaseModel):
    """A picture that is kept: the id of the image of the collection that it is, else one of its own."""

    id: str
    collection: str


class ThreadRequest(_Request):
    """A new conversation."""

    thread: Name | None = Field(default=None, description="its name; a new one when left out")


class SayRequest(_Request):
    """One turn of a conversation."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"message": "the same at night"}]}
    )

    message: Text
    image: str | None = Field(default=None, description=f"a new reference: {IMAGE}")
    images: list[str] = Field(default=[], max_length=16, description=SEVERAL)
    unlike: list[str] = Field(default=[], max_length=16, description=UNLIKE)
    begin: bool = Field(default=False, description="begin the conversation where there is none of that name")


class RankRequest(_Request):
    """Which of the last results is meant."""

    rank: int = Field(ge=1, le=1000)


class BranchRequest(_Request):
    """Where a new conversation leaves another one."""

    turn: int | None = Field(default=None, ge=0, description="after how many turns; all when left out")
    thread: Name | None = Field(default=None, description="name of the new conversation")


class ThreadResponse(BaseModel):
    """A conversation and its finished turns."""

    thread: str
    collection: str
    turns: list[dict[str, Any]]


class RerankContent(_Request):
    """Text, an image, or both."""

    text: Text = ""
    image: str | None = Field(default=None, description=IMAGE)


class RerankRequest(_Request):
    """Documents to order by how well they answer the query."""

    model_config = ConfigDict(
        extra="ignore",  # client libraries of this shape send fields of their own
        json_schema_extra={
            "examples": [{"query": "a red car", "documents": ["scene-1.png", {"image": "scene-2.png"}]}]
        },
    )

    query: Text | RerankContent
    documents: list[str | RerankContent] = Field(
        min_length=1, max_length=1000, description="ids or data URIs, or objects with `image` and `text`"
    )
    collection: str | None = None
    model: str | None = Field(
        None, description="the judge, a name of `imagescope judges`; pointwise when left out"
    )
    top_n: int | None = Field(default=None, ge=1)
    return_documents: bool = False


class RerankResult(BaseModel):
    """One document: its place in the request and P(yes, it satisfies the query)."""

    index: int
    relevance_score: float
    document: dict[str, Any] | None = None


class RerankResponse(BaseModel):
    """The documents, best first, in the shape that Cohere, Jina and vLLM share."""

    id: str
    model: str
    results: list[RerankResult]
    notes: list[dict[str, Any]]
    usage: dict[str, Any]
