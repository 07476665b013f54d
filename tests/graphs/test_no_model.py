"""A profile without chat models: every graph and a conversation rank by the embedding, and notes say why."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from imagescope_agent.mllms.absent import Absent
from imagescope_agent.mllms.role import Role
from imagescope_agent.profiles.profile import ROLES
from imagescope_agent.records import NOT_DEGRADING
from imagescope_agent.registry import load_graph


@pytest.mark.parametrize(
    "graph", ["retrieve", "imagescope", "adaptive", "cotrr", "xr", "imagescope_chat", "chat", "chat_retrieve"]
)
@pytest.mark.parametrize("reference", [None, "blue.png"])
def test_every_graph_goes_on_without_chat_models(world: Any, graph: str, reference: str | None) -> None:
    services = world.services(**{name: Role(name, Absent()) for name in ROLES})
    asked = {"query": "a purple thing", "reference": reference}
    state = asyncio.run(load_graph(graph)(services).ainvoke(asked))
    names = [hit["id"] for hit in state["results"]]
    assert sorted([*names, *([reference] if reference else [])]) == sorted(world.collection.ids)
    assert reference is not None or names[0] == "purple.png"
    kinds = {note["kind"] for note in state["notes"]}
    assert kinds <= {"fallback", "refused"} and (
        graph in ("retrieve", "chat_retrieve") or kinds - NOT_DEGRADING
    )
