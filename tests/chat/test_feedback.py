"""Likes and rejections that come as plain values, as a client of a LangGraph server sends them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver

from imagescope_agent.errors import BadInput
from imagescope_agent.registry import load_graph
from imagescope_agent.settings import Settings
from tests.chat.talk import talking

MALFORMED: list[Any] = [
    {},
    {"kind": "like"},
    {"rank": 1},
    {"kind": "love", "rank": 1},
    {"kind": ["like"], "rank": 1},
    {"kind": "like", "rank": "1"},
    {"kind": "like", "rank": 1.0},
    {"kind": "like", "rank": True},
    {"kind": "like", "rank": None},
    {"kind": "like", "rank": {"rank": 1}},
    {"kind": "like", "rank": 0},
    {"kind": "reject", "rank": -1},
    {"kind": "reject", "rank": 10**30},
    "like 1",
    ["like", 1],
    1,
    False,
]


@pytest.mark.parametrize("feedback", MALFORMED, ids=repr)
def test_malformed_feedback_is_refused_in_one_line_and_changes_nothing(world: Any, feedback: Any) -> None:
    async def played() -> None:
        services = talking(world)
        graph = load_graph("chat")(services, checkpointer=InMemorySaver())
        config = {"configurable": {"thread_id": "one"}}
        context = Settings.load(services.settings)
        first = await graph.ainvoke({"query": "a red square"}, config, context=context)
        with pytest.raises(BadInput, match=r"give \{\"kind\"|give a rank from 1 to") as told:
            await graph.ainvoke({"query": "like 1", "feedback": feedback}, config, context=context)
        assert "\n" not in str(told.value) and len(str(told.value)) < 300
        values = (await graph.aget_state(config)).values
        assert (values["liked"], values["rejected"], values["ranking"]) == ([], [], first["ranking"])
        liked = {"query": "like 1", "feedback": {"kind": "like", "rank": 1, "further": "ignored"}}
        again = await graph.ainvoke(liked, config, context=context)
        assert again["liked"] == first["ranking"][:1] and again["feedback"] is None

    asyncio.run(played())
