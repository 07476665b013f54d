"""The adaptive graph: exact where it claims to be, silent where it is certain, never above its budget."""

from __future__ import annotations

import asyncio
import json
import random
from typing import Any

import pytest

from imagescope_agent.api import ImageScope
from imagescope_agent.errors import BackendUnavailable
from imagescope_agent.nodes.judging.score_fusion import FUSION
from imagescope_agent.nodes.verify_adaptive import VerifyAdaptive
from imagescope_agent.registry import load_graph
from imagescope_agent.settings import Settings

COLOURS = ["red", "green", "blue", "yellow", "white", "black", "purple", "orange"]
ALL = sorted(f"{colour}.png" for colour in COLOURS)


def reasoner(*questions: str, text: str = "a red square", expected: str = "Yes") -> Any:
    """Answers both questions of the reasoner with good JSON; one instruction a question."""

    def reply(asked: Any) -> str:
        if asked.options["response_format"] == "IntentAnswer":
            kind = "Addition" if expected == "Yes" else "Removal"
            steps = [{"type": kind, "text": f"it is {question}"} for question in questions]
            return json.dumps({"steps": steps, "core": text, "enhanced": text, "full": text})
        asks = [{"question": f"Is it {question}?", "expected": expected} for question in questions]
        return json.dumps({"predicates": asks})

    return reply


def run(services: Any, query: str = "a red square", **settings: Any) -> Any:
    graph = load_graph("adaptive")(services)
    return asyncio.run(graph.ainvoke({"query": query}, context=Settings(**settings)))


def truth(world: Any, sure: float = 0.95) -> Any:
    return lambda asked: [sure, 1 - sure] if world.colour(asked) in asked.text else [1 - sure, sure]


def services(world: Any, *questions: str, scorer: Any = None, judge: Any = None, **script: Any) -> Any:
    return world.services(
        reasoner=world.role("reasoner", reasoner(*questions, **script)),
        verifier=world.role("verifier", scorer=scorer or truth(world)),
        judge=judge or world.role("judge", "A"),
    )


def calls(state: Any) -> dict[str, int]:
    made: dict[str, int] = {}
    for entry in state["usage"]:
        made[entry["step"]] = made.get(entry["step"], 0) + entry["calls"]
    return made


def test_one_certain_yes_ends_it_and_nobody_judges(world: Any) -> None:
    state = run(services(world, "red"))
    assert state["ranking"][0] == "red.png"
    assert sorted(state["ranking"]) == ALL
    assert calls(state) == {"understand": 1, "retrieve": 0, "predicates": 1, "verify": 1}
    assert (state["reflections"], state["notes"]) == (0, [])


def test_a_contrary_verifier_sends_the_retrieved_back(world: Any) -> None:
    state = run(
        services(world, "blue", expected="No", text="a red or blue thing"), "a red or blue thing", certain=3
    )
    assert state["ranking_retrieve"][:2] == ["blue.png", "red.png"]
    assert state["ranking"][0] == "red.png"


def table(seed: int, questions: int) -> dict[tuple[str, str], float]:
    rng = random.Random(seed)
    hard = [rng.random() for _ in range(questions)]
    return {
        (name.removesuffix(".png"), COLOURS[number]): rng.betavariate(0.4, 0.4) * (0.5 + hard[number])
        for name in ALL
        for number in range(questions)
    }


def scores_of(answers: dict[tuple[str, str], float], world: Any) -> Any:
    def scorer(asked: Any) -> list[float]:
        yes = next(
            value
            for (name, word), value in answers.items()
            if name == world.colour(asked) and f" {word}?" in asked.text
        )
        return [min(yes, 1.0), 1 - min(yes, 1.0)]  # fmt: skip

    return scorer


def test_the_first_places_are_those_of_asking_everything(world: Any) -> None:
    found = world.collection.search(world.embedder.texts(["a red or blue thing"]), 0.15, len(ALL))
    state: Any = {
        "candidates": [{"id": name, "retrieve": score} for name, score in found],
        "ranking_retrieve": [name for name, _ in found],
    }
    saved, exact = [], 0
    for seed in range(100):
        questions, certain = 1 + seed % 4, 1 + seed % 3
        asks: Any = [{"question": f"Is it {word}?", "expected": "Yes"} for word in COLOURS[:questions]]
        given: Any = {**state, "predicates": asks}
        verifier = world.role("verifier", scorer=scores_of(table(seed, questions), world))
        early, whole = (
            asyncio.run(VerifyAdaptive(verifier, world.collection)(given, running(certain=each)))
            for each in (certain, len(ALL))
        )
        assert sum(entry["calls"] for entry in whole["usage"]) == questions * len(ALL)
        assert sorted(early["ranking_verify"]) == sorted(whole["ranking_verify"])
        if not all(FUSION.rules_out(asks, whole["verdicts"][name]) for name in ALL):
            exact += 1
            assert early["ranking_verify"][:certain] == whole["ranking_verify"][:certain]
        saved.append(1 - sum(entry["calls"] for entry in early["usage"]) / (questions * len(ALL)))
    assert exact > 80
    assert sum(saved) / len(saved) > 0.1  # of eight candidates; of twenty see test_verify_adaptive


@pytest.mark.parametrize("certain, first", [(1, 2), (2, 2), (3, 3), (8, 24)])
def test_only_a_single_place_is_asked_two_questions_at_once_and_all_places_everything(
    world: Any, certain: int, first: int
) -> None:
    asks = [{"question": f"Is it {word}?", "expected": "Yes"} for word in COLOURS[:3]]
    given: Any = {
        "ranking_retrieve": ALL,
        "candidates": [{"id": name, "retrieve": 0.5} for name in ALL],
        "predicates": asks,
        "usage": [],
    }
    verifier = world.role("verifier", scorer=scores_of(table(0, 3), world))
    update = asyncio.run(VerifyAdaptive(verifier, world.collection)(given, running(certain=certain)))
    assert update["usage"][0]["calls"] == first


def running(**settings: Any) -> Any:
    return type("Running", (), {"context": Settings(**settings)})()


def even(world: Any, judge: Any) -> Any:
    """Neither retrieval nor verdicts record the pictures apart."""
    return services(world, "red", text="a thing", scorer=lambda asked: [0.6, 0.4], judge=judge)


def test_a_judge_is_asked_only_about_those_who_are_nearly_even(world: Any) -> None:
    judge = world.role(
        "judge", scorer=lambda asked: [0.1, 0.9] if "B" in (asked.choices or ()) else [0.5, 0.5]
    )
    state = run(even(world, judge), "a thing", alpha=3, certain=8)
    assert set(state["judgement"]["order"]) < set(ALL)
    assert len(state["judgement"]["order"]) == 3
    assert calls(state)["judge"] == 6  # three pairs in both orders
    assert state["ranking"] == state["ranking_verify"]  # a label's constant preference decides nothing


def test_the_judge_moves_the_better_of_two_to_the_front(world: Any) -> None:
    def prefers_last(asked: Any) -> list[float]:
        names = [world.keys[key] for key in asked.images[1:]]
        order = sorted(names, reverse=True)
        labels = [label.rstrip(":") for label in asked.labels[1:]]
        return [0.98 if labels.index(choice) == names.index(order[0]) else 0.02 for choice in asked.choices]

    state = run(even(world, world.role("judge", scorer=prefers_last)), "a thing", certain=8)
    top = state["judgement"]["order"]
    assert top == sorted(top, reverse=True)
    named = run(even(world, world.role("judge", "No")), "a thing", certain=8, judge="pairwise")
    assert calls(named)["judge"] == 3


def test_it_reflects_and_searches_again_once_when_nothing_satisfies(world: Any) -> None:
    found = services(world, "red", "a red square", "blue", text="a red square")
    state = run(found, top_k=6, k=1)
    assert state["reflections"] == 1
    assert state["intent"]["core"] == "it is blue"
    assert state["intent"]["full"] == "a red square"
    assert state["ranking"][0] in ("red.png", "blue.png")
    assert {"red.png", "blue.png"} <= set(state["ranking"])
    assert calls(state)["retrieve"] == 0
    assert [each["id"] for each in state["candidates"]] == state["ranking_retrieve"]
    nobody = run(services(world, "black", scorer=lambda asked: [0.02, 0.98]), "it is black")
    assert nobody["reflections"] == 1
    assert calls(nobody)["verify"] == len(ALL)  # verdicts that are known are not asked for again


@pytest.mark.parametrize("questions", [1, 2, 3])
@pytest.mark.parametrize("top_k", [1, 2, 5, 8])
def test_it_is_not_dearer_than_the_published_graph_when_nothing_satisfies(
    world: Any, questions: int, top_k: int
) -> None:
    """Whatever the verdicts are, as long as no candidate has all of them."""
    for seed in range(5):
        rng = random.Random(seed)
        yes = {(name, word): rng.choice([0.05, 0.95]) for name in COLOURS for word in COLOURS[:questions]}
        yes |= {(name, COLOURS[rng.randrange(questions)]): 0.05 for name in COLOURS}
        cost = {}
        for graph in ("adaptive", "imagescope"):
            judge = world.role("judge", "No", scorer=lambda asked: [0.5 for _ in asked.choices])
            opened = services(world, *COLOURS[:questions], scorer=scores_of(yes, world), judge=judge)
            built = load_graph(graph)(opened)
            state = asyncio.run(built.ainvoke({"query": "a red square"}, context=Settings(top_k=top_k, k=1)))
            cost[graph] = sum(calls(state).values())
        assert cost["adaptive"] <= cost["imagescope"]


def test_it_searches_no_further_once_nearly_everything_was_asked(world: Any) -> None:
    state = run(services(world, "red", "blue", text="a red square"), top_k=1, k=1)
    assert (state["reflections"], calls(state)["verify"]) == (0, 2)
    assert state["ranking"] == ["red.png"]


@pytest.mark.parametrize("budget", [0, 1, 2, 3, 5, 8, 20, 100])
def test_a_budget_is_never_exceeded_and_always_gives_a_whole_ranking(world: Any, budget: int) -> None:
    for seed in range(3):
        opened = services(world, "red", "green", "blue", scorer=scores_of(table(seed, 3), world))
        state = run(opened, budget=budget)
        assert sum(entry["calls"] for entry in state["usage"]) <= budget
        assert sorted(state["ranking"]) == ALL
        assert {note["kind"] for note in state["notes"]} <= {"budget", "tie", "fallback"}
        if budget < 5:
            assert "budget" in {note["kind"] for note in state["notes"]}


def test_quality_rises_with_the_budget(world: Any) -> None:
    """The wanted picture answers Yes to what it is asked, the others mostly do not; its retrieval says nothing."""
    found = {budget: 0.0 for budget in (0, 1, 5, 20, 100)}
    for seed in range(12):
        rng = random.Random(seed)
        wanted, yes = rng.choice(COLOURS), {}
        for name in COLOURS:
            for word in COLOURS[:3]:
                yes[name, word] = 0.93 if name == wanted else rng.choice([0.1, 0.3, 0.8])
        for budget in found:
            opened = services(world, *COLOURS[:3], text="a thing", scorer=scores_of(yes, world))
            place = run(opened, "a thing", budget=budget)["ranking"].index(f"{wanted}.png")
            found[budget] += 1 / (1 + place) / 12
    assert list(found.values()) == sorted(found.values())
    assert found[0] + 0.2 < found[20]
    assert found[100] > 0.95


def test_the_result_names_the_judge_that_judged(world: Any) -> None:
    for graph, judge in (("adaptive", "affordable"), ("cotrr", "cotrr"), ("imagescope", "pairwise")):
        scope = ImageScope(services(world, "red"), graph=graph, runs=False)
        assert scope.search("a red square").judge == judge
        assert scope.search("a red square", judge="pointwise").judge == "pointwise"


def test_a_run_that_was_cut_off_goes_on_without_asking_again(
    world: Any, tmp_path: Any, monkeypatch: Any
) -> None:
    async def at_once(seconds: float) -> None:
        return None

    monkeypatch.setattr("langgraph.pregel._retry.asyncio.sleep", at_once)
    down = even(world, world.role("judge"))
    down.judge.model.reply = lambda asked: (_ for _ in ()).throw(
        BackendUnavailable("no answer; start the server")
    )
    scope = ImageScope(down, graph="adaptive", runs=tmp_path / "runs.sqlite", certain=8)
    with pytest.raises(BackendUnavailable):
        asyncio.run(scope.asearch("a red square", run="mine"))
    asked = len(down.verifier.model.asked)
    down.judge.model.reply = "A"
    result = scope.resume("mine")
    assert len(down.verifier.model.asked) == asked > 0
    assert sorted(hit.id for hit in result) == ALL
