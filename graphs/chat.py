"""Chat-IR: a conversation that keeps what was said, checks only what is new, and asks what would help most.

One run per turn on a thread. Beside ImageScope's verdicts and judge it costs 1 talker, for folding, and 1 reasoner, for
checking; a question 1 talker to propose, 1 to word each proposal and, of each, at most 20 verifier. Asking interrupts.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Literal

from langgraph.graph import START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime
from langgraph.types import RetryPolicy

from imagescope_agent.errors import may_pass
from imagescope_agent.nodes.fallback import or_else
from imagescope_agent.nodes.fold import CheckNew, Fold, message_as_fact, standing_predicates
from imagescope_agent.nodes.further import RetrieveLiked, VerifyFurther, go_further, too_few_fit
from imagescope_agent.nodes.hear import Hear, has_words, is_first
from imagescope_agent.nodes.judge_unsure import JudgeUnsure
from imagescope_agent.nodes.question import AnswerTurn, Choose, Propose, Survey, Word, ask
from imagescope_agent.nodes.understand import Describe, Understand, query_as_intent, unknown_reference
from imagescope_agent.services import Services
from imagescope_agent.settings import Settings, current
from imagescope_agent.state import Query, State
from imagescope_agent.traces.attach import served

PATIENT = RetryPolicy(max_attempts=3, initial_interval=0.5, retry_on=may_pass)


def build(services: Services, *, checkpointer: Any = None) -> CompiledStateGraph[Any, Any, Any, Any]:
    """The compiled graph: {"query": message, "reference": id, path or None} -> `State` with the turn's answer."""
    images, talker, embedder = services.collection, services.talker, services.embedder
    describe = Describe(services.captioner, images)
    understand = Understand(services.reasoner, embedder)
    fold, check = Fold(talker, embedder), CheckNew(services.reasoner)
    propose, word = Propose(talker, images), Word(talker)

    graph = StateGraph(State, context_schema=Settings, input_schema=Query)
    for name, node in {
        "describe": or_else(describe, unknown_reference, instead="no caption"),
        "understand": or_else(understand, query_as_intent, instead="the query"),
        "fold": or_else(fold, message_as_fact, instead="the message's own words"),
        "predicates": or_else(check, standing_predicates, instead="the standing ones"),
        "verify": VerifyFurther(services.verifier, images),
        "judge": JudgeUnsure(services.judge, images),
        "propose": or_else(propose, lambda state: {}, instead="no question"),
        "word": or_else(word, lambda state: {}, instead="its predicate's words"),
        "survey": Survey(services.verifier, images),
    }.items():
        graph.add_node(name, node, retry_policy=PATIENT)
    graph.add_node("begin", Hear(images))
    graph.add_node("retrieve", RetrieveLiked(embedder, images))
    graph.add_node("further", go_further)
    graph.add_node("choose", Choose())
    graph.add_node("answer", AnswerTurn(services.collection))
    graph.add_node("ask", ask)

    graph.add_edge(START, "begin")
    graph.add_conditional_edges("begin", after_begin)
    graph.add_conditional_edges("describe", after_describe)
    for before, after in (("understand", "retrieve"), ("further", "verify"), ("ask", "begin")):
        graph.add_edge(before, after)
    for before, after in pairwise(("fold", "retrieve", "predicates", "verify")):
        graph.add_edge(before, after)
    graph.add_conditional_edges("verify", after_verify)
    for before, after in pairwise(("judge", "propose", "word", "survey", "choose", "answer")):
        graph.add_edge(before, after)
    graph.add_conditional_edges("answer", after_answer)
    return graph.compile(checkpointer=checkpointer, name="chat")


def after_begin(state: State) -> Literal["describe", "understand", "fold", "retrieve"]:
    """The reference is described once; likes, rejections and "skip" leave the intent as it is."""
    return after_describe(state) if state["reference_caption"] else "describe"


def after_describe(state: State) -> Literal["understand", "fold", "retrieve"]:
    """The first message is understood, later ones are folded into what is known."""
    if not has_words(state):
        return "retrieve"
    return "understand" if is_first(state) else "fold"


def after_verify(state: State, runtime: Runtime[Settings]) -> Literal["further", "judge"]:
    """Look further down the ranking while too few fit."""
    return "further" if too_few_fit(state, current(runtime)) else "judge"


def after_answer(state: State) -> Literal["ask", "__end__"]:
    """Wait for an answer where a question was asked."""
    return "ask" if state["question"] is not None else "__end__"


async def serve() -> CompiledStateGraph[Any, Any, Any, Any]:
    """The graph for a graph server; see `traces.attach.served`."""
    return await served(build)
