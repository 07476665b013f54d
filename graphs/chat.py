"""Chat-IR: a conversation that keeps what was said, checks only what is new, and asks what would help most.

One run per turn on a thread; it interrupts. Calls beside verdicts and judge: 1 classifier a clause, 1 talker to fold, 1
to filter where images have fields, 1 or 2 reasoner to check, 1 for a chain; 2 talker, 20 verifier a proposal to ask.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Literal

from langgraph.graph import START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from imagescope_agent.nodes.chat import clarifying_question as clarify
from imagescope_agent.nodes.chat import deepen_retrieval as deeper
from imagescope_agent.nodes.chat import dialogue_state as dialogue
from imagescope_agent.nodes.chat.filter_message import FilterMessage, is_folded, not_limited
from imagescope_agent.nodes.chat.first_message import UnderstandFirst, picture_alone
from imagescope_agent.nodes.chat.new_predicates import VerifyNewFacts, standing_predicates
from imagescope_agent.nodes.chat.parse_message import ParseMessage, has_words, is_first
from imagescope_agent.nodes.chat.read_message import ReadMessage, as_it_was_said, has_act, is_idle
from imagescope_agent.nodes.chat.reason_turn import AfterRetrieve, ReasonTurn
from imagescope_agent.nodes.fallback import RETRY_TRANSIENT, or_else
from imagescope_agent.nodes.intent.look_closer import LookCloser
from imagescope_agent.nodes.intent.reason import no_chain
from imagescope_agent.nodes.judging.selective_judge import SelectiveJudge
from imagescope_agent.services import Services
from imagescope_agent.settings import Settings
from imagescope_agent.state import MessageInput, State
from imagescope_agent.traces.instrument import served

Route = Literal["alike", "understand", "fold", "retrieve"]


def build(services: Services, *, checkpointer: Any = None) -> CompiledStateGraph[Any, Any, Any, Any]:
    """The compiled graph: {"query": message, "reference": id, path or None} -> `State` with the answer."""
    images, talker, embedder = services.collection, services.talker, services.embedder
    acts, head, reasoner = services.dialogue_acts, services.act_head, services.reasoner
    read, limit = ReadMessage(acts, images, head, embedder), FilterMessage(talker, images, services.limiter)
    describe = LookCloser(services.captioner, images, services.verifier)
    first = UnderstandFirst(reasoner, embedder, images, services.multi_reasoner)
    fold, check = dialogue.UpdateDialogueState(talker, embedder, images), VerifyNewFacts(reasoner, images)
    retrieve, reason = deeper.RetrieveLiked(embedder, images, services.captions), ReasonTurn(embedder, images)
    graph = StateGraph(State, context_schema=Settings, input_schema=MessageInput)
    for name, node in {
        "read": or_else(read, as_it_was_said, instead="the message as an answer or a wish"),
        "describe": or_else(describe, describe.unknown, instead="no caption"),
        "understand": or_else(first, first.as_named, instead="the query, by what it names"),
        "fold": or_else(fold, fold.as_named, instead="the message, by what it names"),
        "filter": or_else(limit, not_limited, instead="the filter that stands"),
        "reason": or_else(reason, no_chain, instead="the vector without a chain"),
        "predicates": or_else(check, standing_predicates, instead="the standing ones"),
        "verify": deeper.VerifyDeeper(services.verifier, images),
        "judge": SelectiveJudge(services.judge, images),
        "propose": or_else(clarify.Propose(talker, images), lambda state: {}, instead="no question"),
        "word": or_else(clarify.Word(talker), lambda state: {}, instead="its predicate's words"),
        "survey": clarify.Survey(services.verifier, images),
    }.items():
        graph.add_node(name, node, retry_policy=RETRY_TRANSIENT)
    for name, plain in {"begin": ParseMessage(images), "alike": picture_alone, "more": deeper.show_more,
                        "ask": clarify.ask, "retrieve": retrieve, "retrieve_reasoned": retrieve,
                        "further": deeper.go_further, "choose": clarify.Choose(),
                        "answer": clarify.AnswerTurn(images, services.fulfilment)}.items():  # fmt: skip
        graph.add_node(name, plain)  # type: ignore[call-overload]
    for route in (after_filter, after_describe, deeper.after_verify, after_answer):
        graph.add_conditional_edges(route.__name__.removeprefix("after_"), route)
    graph.add_conditional_edges("retrieve", AfterRetrieve(embedder), [*AfterRetrieve.to])
    for path in ((START, "begin", "read", "filter"), ("fold", "retrieve"), ("further", "verify"), ("ask", "begin"),
                 ("judge", "propose", "word", "survey", "choose", "answer"), ("more", "propose"), ("alike", "retrieve"),
                 ("reason", "retrieve_reasoned", "predicates", "verify"), ("understand", "retrieve")):  # fmt: skip
        for before, after in pairwise(path):
            graph.add_edge(before, after)
    return graph.compile(checkpointer=checkpointer, name="chat")


def after_filter(state: State) -> Literal["more", "propose", "answer", "describe", Route]:
    """What says nothing of the picture keeps the results; a new reference is described."""
    if is_idle(state, "filter") and is_first(state) and not state["reference"]:
        return "answer"
    if is_idle(state) and state["ranking"]:
        return "more" if has_act(state, "more") else "propose"
    return after_describe(state) if is_folded(state) or state["reference_caption"] else "describe"


def after_describe(state: State) -> Route:
    """A first message is understood, later ones are folded in; a like or a rejection changes nothing else."""
    if is_first(state):
        return "alike" if is_idle(state, "filter") else "understand"
    return "fold" if has_words(state) and not is_folded(state) else "retrieve"


def after_answer(state: State) -> Literal["ask", "__end__"]:
    """Wait for an answer to a question."""
    return "ask" if state["question"] is not None else "__end__"


async def serve() -> CompiledStateGraph[Any, Any, Any, Any]:
    """The graph for a graph server; see `traces.instrument.served`."""
    return await served(build)
