"""Spend only what is needed: verify until the first place is certain, judge only who may still be the best.

Text-to-image and composed retrieval without training. Calls per query: 2 reasoner (1 by the setting `joint`, 1 more
where a reading contradicts the words), the verdicts that can change the first `certain` places, and a judge where two
candidates are nearly even. When nobody satisfies every predicate, what is missing is searched for once more; where all
are ruled out by two sure failures, only the nearest are asked the rest, and nobody is judged. By `reread` and `clear` a
lost word is read again, and the first places are cleared of near misses. No budget is exceeded.
"""

from __future__ import annotations

from typing import Any, Literal

from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime

from imagescope_agent.nodes.answer import Answer
from imagescope_agent.nodes.begin import Begin
from imagescope_agent.nodes.fallback import RETRY_TRANSIENT, or_else
from imagescope_agent.nodes.first_stage import first_stage
from imagescope_agent.nodes.intent.joint import UnderstandJointly
from imagescope_agent.nodes.intent.look_closer import LookCloser
from imagescope_agent.nodes.intent.read_again import ReadAgain
from imagescope_agent.nodes.intent.reformulate import Reformulate, RetrieveMore, unsatisfied
from imagescope_agent.nodes.intent.understand import Predicates, no_predicates, query_as_intent
from imagescope_agent.nodes.judging.selective_judge import SelectiveJudge
from imagescope_agent.nodes.verify_adaptive import VerifyAdaptive
from imagescope_agent.nodes.verify_shown import VerifyShown
from imagescope_agent.services import Services
from imagescope_agent.settings import Settings, current
from imagescope_agent.state import SearchInput, State
from imagescope_agent.traces.instrument import served

REFLECTIONS = 1  # how often a search that satisfies nobody is widened
MOST = 0.75  # share of the questions about `top_k` candidates, beyond which it is not widened
JUDGE = "affordable"


def build(services: Services, *, checkpointer: Any = None) -> CompiledStateGraph[Any, Any, Any, Any]:
    """The compiled graph: {"query", "reference": id, path or None} -> `State` with ranking and reasons."""
    images, embedder, first = services.collection, services.embedder, services.first_stage
    describe = LookCloser(services.captioner, images, services.verifier)
    understand = UnderstandJointly(services.reasoner, embedder, services.multi_reasoner)
    again = ReadAgain(services.reasoner, embedder, services.multi_reasoner, images)
    predicates = Predicates(services.reasoner, images)
    more = RetrieveMore(embedder, images, services.captions, same_space=first is None)
    graph = StateGraph(State, context_schema=Settings, input_schema=SearchInput)
    for name, node in {
        "describe": or_else(describe, describe.unknown, instead="no caption"),
        "understand": or_else(understand, query_as_intent, instead="the query"),
        "reread": or_else(again, again.first_reading, instead="the first reading"),
        "predicates": or_else(predicates, no_predicates, instead="none"),
        "verify": VerifyAdaptive(services.verifier, images),
        "judge": SelectiveJudge(services.judge, images, judge=JUDGE),
        "verify_shown": VerifyShown(services.verifier, images),
    }.items():
        graph.add_node(name, node, retry_policy=RETRY_TRANSIENT)
    graph.add_node("begin", Begin(images, embedder))
    graph.add_node("retrieve", first_stage(embedder, images, services.captions, first))
    graph.add_node("reflect", Reformulate())
    graph.add_node("retrieve_more", more)
    graph.add_node("answer", Answer(services.collection, services.fulfilment, captions=True))

    graph.add_edge(START, "begin")
    graph.add_edge("begin", "describe")
    graph.add_edge("describe", "understand")
    graph.add_edge("understand", "reread")
    graph.add_edge("reread", "retrieve")
    graph.add_edge("retrieve", "predicates")
    graph.add_edge("predicates", "verify")
    graph.add_conditional_edges("verify", after_verify)
    graph.add_edge("reflect", "retrieve_more")
    graph.add_edge("retrieve_more", "verify")
    graph.add_edge("judge", "verify_shown")
    graph.add_edge("verify_shown", "answer")
    graph.add_edge("answer", END)
    return graph.compile(checkpointer=checkpointer, name="adaptive").with_config(metadata={"judge": JUDGE})


def after_verify(state: State, runtime: Runtime[Settings]) -> Literal["reflect", "judge"]:
    """Reflect while nobody satisfies every predicate, at most `REFLECTIONS` times, and not once the budget is spent.

    Nor once most of what the published procedure asks was asked: to verify others too would cost more than that, and
    what nearly all candidates lack is hardly there.
    """
    spent = any(note["kind"] == "budget" for note in state["notes"])
    further = state["reflections"] < REFLECTIONS and not spent
    asked = sum(entry["calls"] for entry in state["usage"] if entry["step"] == "verify")
    further = further and asked <= MOST * current(runtime).top_k * len(state["predicates"])
    return "reflect" if further and unsatisfied(state) else "judge"


async def serve() -> CompiledStateGraph[Any, Any, Any, Any]:
    """The graph for a graph server; see `traces.instrument.served`."""
    return await served(build)
