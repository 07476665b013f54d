"""Runs that never ran, with reasons that are known."""

from __future__ import annotations

import hashlib
from pathlib import Path
from random import Random
from typing import Any

from PIL import Image

from imagescope_agent.records import SAYS_ALL
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
    told: str = "",
) -> Trace:
    """A trace of retrieve, verify and judge; rankings follow from the scores, the verdicts and `judged`.

    What is `told` by its caption comes first in the end.
    """
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
    if told:
        ranking = sorted(ranking, key=lambda name: name != told)
        step("verify_shown", {"ranking": ranking})
        step("answer", {"results": [{"rank": 1, "id": told, "scores": {}, "reasons": [SAYS_ALL]}]})
    store.append(run, "end", {"status": "done", "keys": keys(folder, ranking)})
    trace = Trace(*store.read(run))
    store.close()
    return trace


def keys(folder: str, names: list[str]) -> dict[str, str]:
    """The content hashes of those that are there."""
    files = {name: Path(folder) / name for name in names if folder}
    return {name: hashlib.sha256(f.read_bytes()).hexdigest() for name, f in files.items() if f.is_file()}


EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"
DUELS = [("a.png", "b.png", 0.8), ("b.png", "c.png", 0.7), ("c.png", "a.png", 0.9)]


def busy(folder: Path) -> Trace:
    """A run with everything in it: pictures, notes, verdicts, duels in a circle, and words that mean harm."""
    for name in "ab":
        Image.new("RGB", (32, 32), "red").save(folder / f"{name}.png")
    scores = {"a.png": 0.9, "b.png": 0.8, "c.png": 0.7}
    return write(
        folder / "traces", query=EVIL, retrieved=scores, verdicts=dict.fromkeys(scores, 0.9),
        judged=["c.png", "a.png", "b.png"], duels=DUELS, folder=str(folder), reasons={"c.png": [EVIL]},
    )  # fmt: skip


def large(folder: Path) -> Trace:
    """A run over 200 pictures with 20 predicates, every question and answer in it."""
    names = [f"{number:04}.png" for number in range(200)]
    noise = Random(0)
    for name in names:  # noise is what compresses worst
        Image.frombytes("RGB", (24, 24), noise.randbytes(24 * 24 * 3)).resize((96, 96)).save(folder / name)
    questions = [f"Is there a thing of the kind number {number} in it?" for number in range(20)]
    store = TraceStore(folder / "traces")
    run = store.start("large", graph="imagescope", query="many", about={**HEAD, "folder": str(folder)})

    def step(node: str, update: dict[str, Any]) -> None:
        store.append(run, "node_end", {"span": begin(node), "update": update})

    def begin(node: str) -> int:
        return store.append(run, "node", {"node": node, "step": 1, "attempt": 1, "parent": 0})

    scores = {name: 1 - number / 1000 for number, name in enumerate(names)}
    step(
        "retrieve",
        {"candidates": [{"id": n, "retrieve": s} for n, s in scores.items()], "ranking_retrieve": names},
    )
    step("predicates", {"predicates": [{"question": question, "expected": "Yes"} for question in questions]})
    span = begin("verify")
    verdicts = {name: {question: round(noise.random(), 2) for question in questions} for name in names}
    asked = [
        [j, [i], [verdicts[name][question], 1 - verdicts[name][question]]]
        for i, name in enumerate(names)
        for j, question in enumerate(questions)
    ]
    call = {
        "span": span, "started": 1.0, "role": "verifier", "texts": questions, "images": names, "asked": asked,
        "choices": ["Yes", "No"], "usage": {"calls": len(asked), "prompt_tokens": 90_000, "completion_tokens": 0},
    }  # fmt: skip
    store.append(run, "call", call)
    matches = {name: sum(p > 0.5 for p in answers.values()) for name, answers in verdicts.items()}
    ranking = sorted(names, key=lambda name: -matches[name])
    update = {"verdicts": verdicts, "matches": matches, "ranking_verify": ranking, "ranking": ranking}
    store.append(run, "node_end", {"span": span, "update": update})
    store.append(run, "end", {"status": "done", "keys": keys(str(folder), names)})
    trace = Trace(*store.read(run))
    store.close()
    return trace
