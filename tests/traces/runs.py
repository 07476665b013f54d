"""Runs that never ran, with reasons that are known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from imagescope_agent.traces.store import TraceStore
from imagescope_agent.traces.trace import Trace

HEAD = {"settings": {"judge": "allpairs"}, "weights": {}, "versions": {}, "profile": "custom", "folder": ""}
QUESTION = "Is it blue?"


def write(
    path: Path,
    *,
    query: str = "a blue square",
    retrieved: dict[str, float] | None = None,
    verdicts: dict[str, float] | None = None,
    judged: list[str] | None = None,
    duels: list[tuple[str, str, float]] = (),  # type: ignore[assignment]
    thread: str = "run",
    folder: str = "",
    reasons: dict[str, list[str]] | None = None,
) -> Trace:
    """A trace of retrieve, verify and judge; rankings follow from the scores, the verdicts and `judged`."""
    scores = retrieved or {"a": 0.9, "b": 0.8, "c": 0.7}
    ranking = sorted(scores, key=lambda name: -scores[name])
    store = TraceStore(path)
    run = store.start(thread, graph="imagescope", query=query, about={**HEAD, "folder": folder})

    def step(node: str, update: dict[str, Any], call: dict[str, Any] | None = None) -> None:
        span = store.append(run, "node", {"node": node, "step": 1, "attempt": 1, "parent": 0})
        if call:
            store.append(run, "call", {"span": span, "started": 1.0, **call})
        store.append(run, "node_end", {"span": span, "update": update})

    candidates = [{"id": name, "retrieve": scores[name]} for name in ranking]
    step("retrieve", {"candidates": candidates, "ranking_retrieve": ranking})
    if verdicts is not None:
        matches = {name: int(p > 0.5) for name, p in verdicts.items()}
        ranking = sorted(ranking, key=lambda name: -matches.get(name, -1))
        step("predicates", {"predicates": [{"question": QUESTION, "expected": "Yes"}]})
        call = {
            "role": "verifier", "texts": [f"{QUESTION} Yes or No?"], "images": list(verdicts),
            "asked": [[0, [i], [p, 1 - p]] for i, p in enumerate(verdicts.values())], "choices": ["Yes", "No"],
            "usage": {"calls": len(verdicts), "prompt_tokens": 50, "completion_tokens": 0, "image_prefills": 0},
        }  # fmt: skip
        update = {"verdicts": {name: {QUESTION: p} for name, p in verdicts.items()}, "matches": matches}
        step("verify", {**update, "ranking_verify": ranking}, call)
    if judged is not None:
        images = list(dict.fromkeys(name for a, b, _ in duels for name in (a, b)))
        call = {
            "role": "judge", "texts": ["Which is better, A or B?"], "images": images, "choices": ["A", "B"],
            "asked": [[0, [images.index(a), images.index(b)], [p, 1 - p]] for a, b, p in duels],
            "usage": {"calls": len(duels), "prompt_tokens": 7, "completion_tokens": 1, "image_prefills": 2},
        }  # fmt: skip
        judgement = {"order": judged, "scores": {}, "reasons": reasons or {}}
        notes = [{"step": "judge", "kind": "tie", "detail": "two <b>orders</b> disagree"}]
        ranking = judged + [name for name in ranking if name not in judged]
        step("judge", {"judgement": judgement, "ranking": ranking, "notes": notes}, call)
    store.append(run, "end", {"status": "done"})
    trace = Trace(*store.read(run))
    store.close()
    return trace
