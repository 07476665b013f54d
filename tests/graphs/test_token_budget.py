"""A budget of tokens: never exceeded by any graph or judge, always a whole ranking, and notes of what was left out."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver

from imagescope_agent.judges.base import Judgement
from imagescope_agent.mllms.role import Request
from imagescope_agent.registry import load_graph
from imagescope_agent.settings import Settings
from tests.chat.talk import holds, named, think

COLOURS = ["red", "green", "blue", "yellow", "white", "black", "purple", "orange"]
ALL = sorted(f"{colour}.png" for colour in COLOURS)
GRAPHS = ["retrieve", "imagescope", "adaptive", "cotrr", "xr", "chat", "imagescope_chat"]
ASKING = GRAPHS[1:]


def services(world: Any) -> Any:
    def sees(asked: Any) -> list[float]:
        yes = all(holds(word, world.colour(asked)) for word in named(asked.text))
        return [0.9, 0.1] if yes else [0.2, 0.8]

    def grades(asked: Any) -> str:
        numbers = list(range(1, len(asked.images)))
        found = [{"image": number, "grade": "good", "reason": "near"} for number in numbers]
        return json.dumps({"components": ["colour"], "evaluations": found, "order": numbers, "reasoning": ""})

    return world.services(
        captioner=world.role("captioner", "a red square"),
        reasoner=world.role("reasoner", think),
        verifier=world.role("verifier", scorer=sees),
        judge=world.role("judge", grades, scorer=lambda asked: [1.0] + [0.5] * (len(asked.choices) - 1)),
    )


def run(world: Any, graph: str, query: str = "a warm square, a light one", **settings: Any) -> Any:
    built = load_graph(graph)(services(world), checkpointer=InMemorySaver())
    config: Any = {"configurable": {"thread_id": "one"}}
    return asyncio.run(built.ainvoke({"query": query}, config, context=Settings(**settings)))


def tokens(state: Any) -> int:
    return sum(entry["prompt_tokens"] + entry["completion_tokens"] for entry in state["usage"])


def left_out(state: Any) -> set[str]:
    return {note["step"] for note in state["notes"] if note["kind"] == "budget"}


@pytest.mark.parametrize("graph", GRAPHS)
def test_it_is_never_exceeded_and_always_gives_a_whole_ranking(world: Any, graph: str) -> None:
    whole = run(world, graph)
    assert not left_out(whole)
    used = 0
    for budget in (0, 50, 500, 5_000):
        state = run(world, graph, token_budget=budget)
        assert used <= tokens(state) <= budget
        assert sorted(state["ranking"]) == ALL
        assert bool(left_out(state)) == (tokens(state) < tokens(whole))
        used = tokens(state)
    assert (state["ranking"], used) == (whole["ranking"], tokens(whole))


@pytest.mark.parametrize("graph", ["imagescope", "adaptive", "chat"])
def test_every_budget_between_nothing_and_enough_holds(world: Any, graph: str) -> None:
    enough = tokens(run(world, graph)) + 1_000
    for budget in range(0, enough, enough // 12):
        state = run(world, graph, token_budget=budget, budget=40)
        assert tokens(state) <= budget
        assert sum(entry["calls"] for entry in state["usage"]) <= 40
        assert sorted(state["ranking"]) == ALL


def test_the_notes_say_which_steps_went_without(world: Any) -> None:
    assert left_out(run(world, "imagescope", token_budget=0)) == {"understand", "judge"}
    spent = {entry["step"]: entry["prompt_tokens"] for entry in run(world, "imagescope", alpha=0)["usage"]}
    before = tokens(run(world, "imagescope", top_k=0, alpha=0))
    state = run(world, "imagescope", token_budget=before + spent["verify"] // 2)
    details = [note["detail"] for note in state["notes"] if note["step"] == "verify"]
    assert len(details) == 1 and details[0].endswith("of 8 candidates were not verified")
    assert 0 < len(state["matches"]) < 8


@pytest.mark.parametrize("judge", ["pairwise", "bradley-terry", "affordable", "setwise-heap", "grades"])
def test_a_judge_stops_where_the_tokens_end(world: Any, judge: str) -> None:
    before = tokens(run(world, "imagescope", judge=judge, alpha=0))
    every = tokens(run(world, "imagescope", judge=judge, alpha=5))
    for budget in range(before, every, max(1, (every - before) // 3)):
        state = run(world, "imagescope", judge=judge, alpha=5, token_budget=budget)
        assert tokens(state) <= budget
        assert sorted(state["ranking"]) == ALL
        # every verdict is sure of room for a short reply; "affordable" chooses what it can do whole
        assert left_out(state) <= {"verify", "judge"}
        assert "judge" in left_out(state) or judge == "affordable"


async def greedy(task: Any, candidates: Any) -> Judgement:
    """Asks on and on, whatever is left."""
    while True:
        await task.model.ask([Request(text="which?", images=(candidates[0].image,))])


@pytest.mark.parametrize("limit", [{"token_budget": 2_000}, {"budget": 25}])
def test_a_judge_that_does_not_look_at_the_budget_is_stopped(world: Any, limit: Any) -> None:
    state = run(world, "imagescope", judge="tests.graphs.test_token_budget:greedy", **limit)
    assert tokens(state) <= limit.get("token_budget", tokens(state))
    assert sum(entry["calls"] for entry in state["usage"]) <= limit.get("budget", 10_000)
    assert left_out(state) == {"judge"}
    assert sorted(state["ranking"]) == ALL
    assert state["usage"][-1]["step"] == "judge" and state["usage"][-1]["calls"] > 0


def test_each_turn_of_a_conversation_has_the_whole_budget(world: Any) -> None:
    built = load_graph("chat")(services(world), checkpointer=InMemorySaver())
    config: Any = {"configurable": {"thread_id": "one"}}

    async def talk() -> list[int]:
        spent = []
        for message in ("a warm square", "a light one"):
            context = Settings(token_budget=700)
            spent.append(tokens(await built.ainvoke({"query": message}, config, context=context)))
        return spent

    assert all(0 < each <= 700 for each in asyncio.run(talk()))
