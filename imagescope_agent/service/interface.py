"""The OpenAPI document of the service, valid in the version that it declares."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

EVENTS = {
    "type": "string",
    "description": "server-sent events: `event: NAME` and `data: JSON`, one after the other",
}


def describe_interface(app: FastAPI) -> None:
    """Make `app.openapi` describe streams as OpenAPI 3.1 can; FastAPI writes a keyword of 3.2 (`itemSchema`)."""
    made = app.openapi

    def openapi() -> dict[str, Any]:
        document = made()
        for operations in document["paths"].values():
            for operation in operations.values():
                for response in operation["responses"].values():
                    for content in response.get("content", {}).values():
                        if content.pop("itemSchema", None) is not None:
                            content["schema"] = EVENTS
        return document

    app.openapi = openapi  # type: ignore[method-assign]
