"""What the routes of a service work with, and how they reach it."""

from __future__ import annotations

from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Header, Query, Request

from imagescope_agent.service.admission import AdmissionQueue, while_connected
from imagescope_agent.service.collections import Collections, ServedCollection
from imagescope_agent.service.metrics import Metrics

_Value = TypeVar("_Value")


@dataclass(kw_only=True)
class Service:
    """The shared parts of a service; `ready` once it can answer."""

    collections: Collections
    queue: AdmissionQueue
    metrics: Metrics
    ready: bool = False

    async def run(self, request: Request, work: Coroutine[Any, Any, _Value]) -> _Value:
        """Do something that asks models: in the queue, within the time limit, while the client is there."""
        found = await while_connected(request, self.queue.run(work))
        self.metrics.finished(request, "ok")
        return found


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


def key_of(authorization: Annotated[str, Header()] = "", x_api_key: Annotated[str, Header()] = "") -> str:
    """The key that a request brings."""
    return x_api_key or authorization.removeprefix("Bearer ").strip()


ServiceDep = Annotated[Service, Depends(_service)]
KeyDep = Annotated[str, Depends(key_of)]


def _named(
    service: ServiceDep,
    key: KeyDep,
    collection: Annotated[
        str | None, Query(description="which collection; may be left out where there is one")
    ] = None,
) -> ServedCollection:
    return service.collections.find(collection, key)


#: The collection that the query parameter `collection` names.
CollectionDep = Annotated[ServedCollection, Depends(_named)]
