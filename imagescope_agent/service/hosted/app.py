"""The HTTP service of one hosted model: chat completions, and probabilities of given answers to many questions."""

from __future__ import annotations

from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException
from starlette.middleware.trustedhost import TrustedHostMiddleware

from imagescope_agent.chat.web.server import is_loopback
from imagescope_agent.common.versions import installed_versions
from imagescope_agent.errors import ImageScopeError
from imagescope_agent.mllms.protocols import UnusableLabels
from imagescope_agent.service.admission import RETRY_AFTER, ClientGone, while_connected
from imagescope_agent.service.app import BODY, HOST, LOCAL
from imagescope_agent.service.collections import WrongKey
from imagescope_agent.service.context import KeyDep, key_of
from imagescope_agent.service.hosted.model import HostedModel
from imagescope_agent.service.hosted.schemas import ChoicesRequest, Completion
from imagescope_agent.service.limits import App, BodyLimit, HeadRequests, Receive, Scope, Send, discard
from imagescope_agent.service.problems import told

router = APIRouter(tags=["model"])


def _hosted(request: Request) -> HostedModel:
    hosted: HostedModel = request.app.state.hosted
    return hosted


HostedDep = Annotated[HostedModel, Depends(_hosted)]


def create_model_app(hosted: HostedModel, *, host: str = HOST) -> FastAPI:
    """The service as an ASGI application.

    Args:
        hosted: the model.
        host: the address it listens on, as in `service.app.create_app`.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        if not hosted.ready:
            await hosted.warm_up()
        try:
            yield
        finally:
            hosted.ready = False

    version = installed_versions(["imagescope-agent"]).get("imagescope-agent", "0")
    app = FastAPI(title="ImageScope Agent: a model", version=version, lifespan=lifespan)
    app.state.hosted = hosted
    app.include_router(router)
    for kind in (
        ImageScopeError,
        UnusableLabels,
        ClientGone,
        RequestValidationError,
        HTTPException,
        Exception,
    ):
        app.add_exception_handler(kind, _answer_error)
    app.add_middleware(KeyFirst, hosted=hosted)
    app.add_middleware(HeadRequests)
    app.add_middleware(BodyLimit, most=BODY)
    if is_loopback(host):
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=[*LOCAL, host])
    return app


class KeyFirst:
    """Refuses requests without the key before anything reads what they hold."""

    def __init__(self, app: App, *, hosted: HostedModel) -> None:
        self.app, self.hosted = app, hosted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http" and scope["path"].startswith("/v1/"):
            request = Request(scope)
            given = request.headers
            try:
                self.hosted.require(key_of(given.get("authorization", ""), given.get("x-api-key", "")), "")
            except WrongKey as error:
                await discard(receive, most=BODY)
                answer = await _answer_error(request, error)
                await answer(scope, receive, send)
                return
        await self.app(scope, receive, send)


@router.get("/healthz")
async def healthz() -> PlainTextResponse:
    """The process answers."""
    return PlainTextResponse("ok")


@router.get("/readyz")
async def readyz(hosted: HostedDep) -> JSONResponse:
    """The weights are loaded."""
    return JSONResponse({"ready": hosted.ready}, 200 if hosted.ready else 503)


@router.get("/metrics")
async def metrics(hosted: HostedDep) -> Response:
    """Metrics for Prometheus; they name no question and no image."""
    return Response(hosted.metrics.text(), media_type=CONTENT_TYPE_LATEST)


@router.get("/v1/models")
async def models(hosted: HostedDep, key: KeyDep) -> dict[str, Any]:
    """The one model, and that it offers choices."""
    hosted.require(key, "")
    return hosted.listed()


@router.get("/v1/models/{name:path}")
async def model(name: str, hosted: HostedDep, key: KeyDep) -> dict[str, Any]:
    """The model."""
    hosted.require(key, name)
    return hosted.described()


@router.post("/v1/chat/completions")
async def chat_completions(
    asked: Completion, request: Request, hosted: HostedDep, key: KeyDep
) -> dict[str, Any]:
    """A reply; with `logprobs`, the weights of its first token."""
    hosted.require(key, asked.model)
    return await _run(hosted, request, hosted.complete(asked))


@router.post("/v1/choices")
async def choices(asked: ChoicesRequest, request: Request, hosted: HostedDep, key: KeyDep) -> dict[str, Any]:
    """Probabilities of given answers to many questions that begin alike, as about one image."""
    hosted.require(key, asked.model)
    return await _run(hosted, request, hosted.choose(asked))


async def _run(
    hosted: HostedModel, request: Request, work: Coroutine[Any, Any, dict[str, Any]]
) -> dict[str, Any]:
    found = await while_connected(request, hosted.queue.run(work))
    hosted.metrics.finished(request, "ok")
    return found


async def _answer_error(request: Request, error: Exception) -> JSONResponse:
    """One line, without what is inside this machine."""
    hosted = _hosted(request)
    if isinstance(error, UnusableLabels):
        status, kind, message = 422, "unusable_choices", f"{error}; send other choices"
    else:
        status, kind, message = told(error, hosted, request.headers.get("content-type", ""))
    headers = dict(error.headers or {}) if isinstance(error, HTTPException) else {}
    if status in (429, 503):
        headers["Retry-After"] = str(RETRY_AFTER)
    hosted.metrics.finished(request, kind)
    return JSONResponse({"error": {"type": kind, "message": message}}, status, headers)
