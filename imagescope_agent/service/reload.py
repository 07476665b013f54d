"""An index that was published anew is served from then on; what runs ends on the one that it began with."""

from __future__ import annotations

import asyncio

from imagescope_agent.errors import ImageScopeError
from imagescope_agent.service.context import Service

POLL = 0.5  # seconds between two looks at the manifests


async def keep_current(service: Service) -> None:
    """Look at the published indices and reload those that changed, until cancelled."""
    while True:
        await asyncio.sleep(POLL)
        for name in [*service.collections.by_name]:
            await reload(service, name)


async def reload(service: Service, name: str) -> None:
    """Serve the index of a collection as it is now; one that cannot be opened leaves the one before in use.

    Requests hold the `ServedCollection` that they found, so none sees two indices.
    """
    served = service.collections.by_name[name]
    if not served.stamp or (stamp := served.stamp_now()) in ("", served.stamp):
        return
    try:
        newer = await asyncio.to_thread(served.reopened)
    except Exception as error:  # noqa: BLE001 (whatever is wrong with the newer index, the one in use serves on)
        # not tried again before it changes again
        why = str(error) if isinstance(error, ImageScopeError | OSError) else type(error).__name__
        served.stamp, served.problem = stamp, f"the index of before is served: {why}"
        service.metrics.reloaded("failed")
        return
    if served.chats is not None:
        newer.chats = served.chats.about(newer.services)
        if served.page is not None:
            newer.page = served.page
            newer.page.chats = newer.chats
    service.collections.by_name[name] = newer
    service.metrics.reloaded("ok")
