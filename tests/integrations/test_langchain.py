"""A collection inside LangChain and LangGraph: retriever, tool of an agent, node of another graph."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, ToolMessage
from langgraph.graph import END, START, StateGraph
from typing_extensions import TypedDict

from imagescope_agent.api import ImageScope
from tests.conftest import World


@pytest.fixture
def scope(world: World) -> ImageScope:
    return ImageScope(world.services(), graph="retrieve", runs=False)


def test_documents_have_captions_and_say_where_they_come_from(scope: ImageScope, world: World) -> None:
    documents = scope.as_retriever(k=2).invoke("red")
    assert documents[0].id == "red.png"
    assert documents[0].page_content == "a red square"
    assert documents[0].metadata["source"] == str(world.folder / "red.png")
    assert documents[0].metadata["rank"] == 1 and documents[0].metadata["scores"]["retrieve"] > 0
    again = asyncio.run(scope.as_retriever().ainvoke("red", k=2))
    assert [document.id for document in again] == [document.id for document in documents]


def test_an_agent_calls_the_tool(scope: ImageScope) -> None:
    agents = pytest.importorskip("langchain.agents", reason="pip install langchain")

    class Model(GenericFakeChatModel):
        def bind_tools(self, tools: Any, **_: Any) -> Any:
            return self

    call = {"name": "search_images", "args": {"text": "green"}, "id": "1", "type": "tool_call"}
    model = Model(messages=iter([AIMessage("", tool_calls=[call]), AIMessage("green.png it is")]))
    state = agents.create_agent(model, [scope.as_tool(k=1)]).invoke({"messages": [("user", "find green")]})
    told = next(message for message in state["messages"] if isinstance(message, ToolMessage))
    assert told.content == "1. green.png: a green square"
    assert told.artifact[0].id == "green.png"


def test_a_reference_that_is_no_id_is_told_to_the_agent(scope: ImageScope, world: World) -> None:
    call = {
        "name": "search_images",
        "args": {"text": "green", "reference": str(world.folder / "red.png")},
        "id": "1",
        "type": "tool_call",
    }
    message = scope.as_tool().invoke(call)
    assert message.status == "error" and "there is no image" in message.content


def test_one_reference_beside_several_is_refused(scope: ImageScope) -> None:
    args = {"text": "the same", "reference": "red.png", "references": ["blue.png", "green.png"]}
    call = {"name": "search_images", "args": args, "id": "1", "type": "tool_call"}
    message = scope.as_tool().invoke(call)
    assert message.status == "error" and "give all of them as references" in message.content


def test_a_node_of_another_graph(scope: ImageScope) -> None:
    class State(TypedDict, total=False):
        wish: str
        found: list[dict[str, Any]]

    graph: Any = StateGraph(State)
    graph.add_node("search", scope.as_node(query="wish", results="found", k=1))
    graph.add_edge(START, "search")
    graph.add_edge("search", END)
    state = asyncio.run(graph.compile().ainvoke({"wish": "blue"}))
    assert [hit["id"] for hit in state["found"]] == ["blue.png"]
