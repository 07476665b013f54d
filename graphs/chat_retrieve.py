"""Chat-IR by embedding alone: a conversation for profiles without a talker, whose messages are taken by their words.

One run per turn on a thread. Calls: 1 classifier a clause where there is one, and 1 limiter where images have fields.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Literal

from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from imagescope_agent.nodes.chat.clarifying_question import AnswerTurn
from imagescope_agent.nodes.chat.deepen_retrieval import RetrieveWords, show_more
from imagescope_agent.nodes.chat.filter_message import FilterMessage, is_folded, not_limited
from imagescope_agent.nodes.chat.first_message import picture_alone
from imagescope_agent.nodes.chat.fold_words import FoldWords
from imagescope_agent.nodes.chat.parse_message import ParseMessage, has_words, is_first
from imagescope_agent.nodes.chat.read_message import ReadMessage, as_it_was_said, has_act, is_idle
from imagescope_agent.nodes.fallback import RETRY_TRANSIENT, or_else
from imagescope_agent.services import Services
from imagescope_agent.settings import Settings
from imagescope_agent.state import MessageInput, State
from imagescope_agent.traces.instrument import served


def build(services: Services, *, checkpointer: Any = None) -> CompiledStateGraph[Any, Any, Any, Any]:
    """The compiled graph: {"query": message, "reference": id, path or None} -> `State` with the answer."""
    images, embedder = services.collection, services.embedder
    read = ReadMessage(services.dialogue_acts, images, services.act_head)
    limit = FilterMessage(services.talker, images, services.limiter)
    graph = StateGraph(State, context_schema=Settings, input_schema=MessageInput)
    for name, node in {
        "read": or_else(read, as_it_was_said, instead="the message as an answer or a wish"),
        "filter": or_else(limit, not_limited, instead="the filter that stands"),
    }.items():
        graph.add_node(name, node, retry_policy=RETRY_TRANSIENT)
    for name, plain in {
        "begin": ParseMessage(images), "alike": picture_alone, "more": show_more, "fold": FoldWords(embedder),
        "retrieve": RetrieveWords(embedder, images), "answer": AnswerTurn(images, services.fulfilment),
    }.items():  # fmt: skip
        graph.add_node(name, plain)  # type: ignore[call-overload]
    graph.add_conditional_edges("filter", after_filter)
    for path in ((START, "begin", "read", "filter"), ("fold", "retrieve"), ("alike", "retrieve"),
                 ("more", "answer"), ("retrieve", "answer", END)):  # fmt: skip
        for before, after in pairwise(path):
            graph.add_edge(before, after)
    return graph.compile(checkpointer=checkpointer, name="chat_retrieve")


def after_filter(state: State) -> Literal["more", "answer", "alike", "fold", "retrieve"]:
    """What says nothing of the picture keeps the results; a picture alone is searched for by itself."""
    if is_idle(state) and state["ranking"]:
        return "more" if has_act(state, "more") else "answer"
    if is_first(state) and is_idle(state, "filter"):
        return "alike" if state["reference"] else "answer"
    return "fold" if has_words(state) and not is_folded(state) else "retrieve"


async def serve() -> CompiledStateGraph[Any, Any, Any, Any]:
    """The graph for a graph server; see `traces.instrument.served`."""
    return await served(build)
