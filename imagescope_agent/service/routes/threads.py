"""Conversations: say, like, reject, undo, branch, history."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter, Depends, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent

from imagescope_agent.chat.chats import Chats
from imagescope_agent.chat.session import Session, check_name
from imagescope_agent.chat.turn_runner import Progress
from imagescope_agent.errors import BackendUnavailable
from imagescope_agent.service import pictures
from imagescope_agent.service.collections import ServedCollection, Unknown
from imagescope_agent.service.context import CollectionDep, ServiceDep
from imagescope_agent.service.routes.search import image_url
from imagescope_agent.service.schemas import (
    BranchRequest,
    RankRequest,
    SayRequest,
    ThreadRequest,
    ThreadResponse,
)
from imagescope_agent.service.streaming import Emit, streamed

router = APIRouter(prefix="/v1/threads", tags=["conversations"])


@router.get("")
async def threads(served: CollectionDep) -> dict[str, Any]:
    """Every conversation about the collection, the last used one first."""
    return {"threads": await _chats(served).list()}


@router.post("", status_code=201)
async def create(served: CollectionDep, asked: ThreadRequest | None = None) -> ThreadResponse:
    """Begin a conversation."""
    session = await _chats(served).create(asked.thread if asked else None)
    return await _shown(served, session)


@router.get("/{thread}")
async def history(served: CollectionDep, thread: str) -> ThreadResponse:
    """The finished turns of a conversation."""
    return await _shown(served, await _found(served, thread))


@router.delete("/{thread}", status_code=204)
async def delete(served: CollectionDep, thread: str) -> None:
    """Delete a conversation."""
    await _found(served, thread)
    await _chats(served).delete(thread)


@router.post("/{thread}/say")
async def say(
    served: CollectionDep, thread: str, asked: SayRequest, request: Request, service: ServiceDep
) -> dict[str, Any]:
    """Run one turn: anything in words, an answer, "like 3", with a new reference or not."""
    return await service.run(request, _said(served, thread, asked))


async def _require_there(served: CollectionDep, thread: str, asked: SayRequest, service: ServiceDep) -> None:
    """Refuse a stream by its status, before it begins."""
    service.queue.require_room()
    if not asked.begin:
        await _found(served, thread)


@router.post(
    "/{thread}/say/stream", response_class=EventSourceResponse, dependencies=[Depends(_require_there)]
)
async def say_stream(
    served: CollectionDep, thread: str, asked: SayRequest, request: Request, service: ServiceDep
) -> AsyncIterator[ServerSentEvent]:
    """As `say`, told as server-sent events: `step` as each ends, then `turn` or `error`."""

    async def work(emit: Emit) -> tuple[str, dict[str, Any]]:
        return "turn", await _said(served, thread, asked, lambda step: emit("step", {"step": step}))

    async for event in streamed(service, request, work):
        yield event


async def _said(
    served: ServedCollection, thread: str, asked: SayRequest, progress: Progress | None = None
) -> dict[str, Any]:
    chats = _chats(served)
    session = await (chats.get(thread) if asked.begin else _found(served, thread))
    shown = await asyncio.to_thread(pictures.brought, asked, served.services.collection)
    return _turn(served, await session.say(asked.message, progress=progress, **shown))


@router.post("/{thread}/like")
async def like(
    served: CollectionDep, thread: str, asked: RankRequest, request: Request, service: ServiceDep
) -> dict[str, Any]:
    """Search for more like the image at a rank of the last results."""
    session = await _found(served, thread)
    return _turn(served, await service.run(request, session.like(asked.rank)))


@router.post("/{thread}/reject")
async def reject(
    served: CollectionDep, thread: str, asked: RankRequest, request: Request, service: ServiceDep
) -> dict[str, Any]:
    """Never show the image at a rank of the last results again."""
    session = await _found(served, thread)
    return _turn(served, await service.run(request, session.reject(asked.rank)))


@router.post("/{thread}/undo")
async def undo(served: CollectionDep, thread: str) -> ThreadResponse:
    """Take the last turn back."""
    session = await _found(served, thread)
    await session.undo()
    return await _shown(served, session)


@router.post("/{thread}/branch", status_code=201)
async def branch(served: CollectionDep, thread: str, asked: BranchRequest | None = None) -> ThreadResponse:
    """A new conversation that goes on from after a turn of this one."""
    wanted = asked or BranchRequest()
    session = await _found(served, thread)
    return await _shown(served, await session.branch(wanted.turn, thread=wanted.thread))


def _chats(served: ServedCollection) -> Chats:
    if served.chats is None:
        raise BackendUnavailable("the service is starting; try again in a moment")
    return served.chats


async def _found(served: ServedCollection, thread: str) -> Session:
    """A conversation, as it stands: an interrupted turn is finished by the next message, not by looking."""
    chats = _chats(served)
    if not await chats.store.exists(check_name(thread)):
        raise Unknown(f"there is no conversation {thread!r}; begin one with POST /v1/threads")
    return Session(chats.store, thread)


async def _shown(served: ServedCollection, session: Session) -> ThreadResponse:
    turns = [_turn(served, turn) for turn in await session.turns()]
    return ThreadResponse(thread=session.thread, collection=served.name, turns=turns)


def _turn(served: ServedCollection, turn: Any) -> dict[str, Any]:
    """A turn with addresses of its images, and without paths of this machine."""
    hits = [{**hit, "url": image_url(hit["id"], served.name)} for hit in turn["results"]]
    values: dict[str, Any] = served.public_values({**turn, "results": hits})
    return values
