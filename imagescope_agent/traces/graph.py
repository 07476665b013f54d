"""A trace as a networkx graph with typed nodes and edges."""

from __future__ import annotations

import networkx

from imagescope_agent.state import matches_expected
from imagescope_agent.traces.pairwise import wins
from imagescope_agent.traces.trace import Trace


def to_networkx(trace: Trace) -> networkx.DiGraph[str]:
    """The run as a DiGraph; every node and edge has the attribute `kind`.

    Nodes, by name:
        "run:ID"            kind run: query, graph, status
        "node:NUMBER"       kind node: name, attempt, started, ended (seconds since the epoch), error
        "call:NUMBER"       kind call: role, questions (how many), prompt_tokens, completion_tokens,
                            image_prefills, cached
        "candidate:ID"      kind candidate: rank (from 1, at the end), retrieve (score or None), matches or None
        "predicate:TEXT"    kind predicate: expected
    Edges:
        run -> node         kind ran
        node -> node        kind then: the order in time
        node -> call        kind asked
        node -> candidate   kind ranked: rank from 1
        call -> candidate   kind showed
        candidate -> predicate   kind verdict: probability (of Yes), matches (bool)
        candidate -> candidate   kind duel, from the winner to the loser: probability that the winner is better
                            (mean over both orders, above 0.5), comparisons (how many). A tie has no edge.
    """
    graph: networkx.DiGraph[str] = networkx.DiGraph()
    run = f"run:{trace.id}"
    graph.add_node(run, kind="run", query=trace.query, graph=trace.head["graph"], status=trace.status)
    _add_candidates(graph, trace)
    _add_steps(graph, trace, run)
    _add_calls(graph, trace)
    _add_comparisons(graph, trace)
    return graph


def _add_candidates(graph: networkx.DiGraph[str], trace: Trace) -> None:
    ranks = {name: rank for rank, name in enumerate(trace.ranking, start=1)}
    for name in dict.fromkeys([*trace.ranking, *trace.scores]):
        graph.add_node(
            f"candidate:{name}", kind="candidate", rank=ranks.get(name), retrieve=trace.scores.get(name),
            matches=trace.matches.get(name),
        )  # fmt: skip
    for predicate in trace.predicates:
        question, expected = predicate["question"], predicate["expected"]
        graph.add_node(f"predicate:{question}", kind="predicate", expected=expected)
        for name, answers in trace.verdicts.items():
            if question in answers and f"candidate:{name}" in graph:
                yes = answers[question]
                graph.add_edge(
                    f"candidate:{name}",
                    f"predicate:{question}",
                    kind="verdict",
                    probability=yes,
                    matches=matches_expected(yes, expected),
                )


def _add_steps(graph: networkx.DiGraph[str], trace: Trace, run: str) -> None:
    before = None
    for step in trace.steps:
        name = f"node:{step.number}"
        graph.add_node(
            name, kind="node", name=step.node, attempt=step.attempt, started=step.started, ended=step.ended,
            error=step.error,
        )  # fmt: skip
        graph.add_edge(run, name, kind="ran")
        if before is not None:
            graph.add_edge(before, name, kind="then")
        before = name
        ranked = [ids for key, ids in step.update.items() if key.startswith("ranking") and ids]
        for rank, image in enumerate(ranked[-1] if ranked else [], start=1):
            graph.add_edge(name, f"candidate:{image}", kind="ranked", rank=rank)


def _add_calls(graph: networkx.DiGraph[str], trace: Trace) -> None:
    for call in trace.calls:
        name = f"call:{call.number}"
        counts = {
            key: call.usage.get(key, 0) for key in ("prompt_tokens", "completion_tokens", "image_prefills")
        }
        graph.add_node(
            name, kind="call", role=call.role, questions=len(call.questions), cached=call.cached, **counts
        )
        graph.add_edge(f"node:{call.span}", name, kind="asked")
        for image in call.images:
            if f"candidate:{image}" in graph:
                graph.add_edge(name, f"candidate:{image}", kind="showed")


def _add_comparisons(graph: networkx.DiGraph[str], trace: Trace) -> None:
    for (winner, loser), probabilities in wins(trace).items():
        mean = sum(probabilities) / len(probabilities)
        graph.add_edge(
            f"candidate:{winner}",
            f"candidate:{loser}",
            kind="duel",
            probability=mean,
            comparisons=len(probabilities),
        )
