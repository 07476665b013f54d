"""Places behind the first: a setting clears them of images that fail, without touching the first."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from imagescope_agent.errors import RequestRefused
from imagescope_agent.nodes.answer import Answer
from imagescope_agent.nodes.verify_shown import VerifyShown
from imagescope_agent.registry import load_graph
from imagescope_agent.retrieval.collection import FolderCollection
from imagescope_agent.settings import Settings
from tests.graphs.imagescope_runs import ALL, COLOURS
from tests.graphs.test_adaptive import calls, services, truth

QUERY = "a red or blue thing"
ASKS = "Is there a white square?"


def run(served: Any, **settings: Any) -> Any:
    return asyncio.run(load_graph("adaptive")(served).ainvoke({"query": QUERY}, context=Settings(**settings)))


def of_two(world: Any) -> Any:
    """Knows that the blue one, retrieved first, is what is wanted, and the last retrieved one."""
    last = run(services(world, "pale", text=QUERY))["ranking_retrieve"][-1]
    return lambda asked: [0.9, 0.1] if f"{world.colour(asked)}.png" in ("blue.png", last) else [0.1, 0.9]


def test_what_fails_falls_behind_what_fits_and_the_first_stays(world: Any) -> None:
    before, after = (
        run(services(world, "pale", scorer=of_two(world), text=QUERY), clear=clear) for clear in (0, 8)
    )
    retrieved = before["ranking_retrieve"]
    assert before["ranking"] == retrieved and retrieved[0] == "blue.png"
    assert after["ranking"] == [retrieved[0], retrieved[-1], *retrieved[1:-1]]  # what fails keeps its order
    assert len(after["matches"]) == len(ALL) and after["notes"] == []


def test_it_asks_until_as_many_places_are_filled_and_then_no_more(world: Any) -> None:
    anybody = services(world, "red", "pale", scorer=lambda asked: [0.9, 0.1], text=QUERY)
    one, three = run(anybody), run(anybody, clear=3)
    assert [len(one["verdicts"].get(name, {})) for name in one["ranking"][:4]] == [2, 2, 0, 0]
    assert [len(three["verdicts"].get(name, {})) for name in three["ranking"][:4]] == [2, 2, 2, 0]
    nobody = services(world, "red", "pale", scorer=lambda asked: [0.1, 0.9], text=QUERY)
    state = run(nobody, clear=8)
    assert all(state["verdicts"][name] for name in ALL)
    assert calls(state)["verify"] <= 2 * len(ALL) and sorted(state["ranking"]) == ALL


def test_what_fits_less_surely_falls_behind_what_fits_surely(world: Any) -> None:
    retrieved = run(services(world, "pale", text=QUERY))["ranking_retrieve"]
    sure = dict(zip(retrieved, [0.99, 0.55, 0.97, 0.3, 0.98, 0.1], strict=False))

    def scorer(asked: Any) -> list[float]:
        yes = sure.get(f"{world.colour(asked)}.png", 0.02)
        return [yes, 1 - yes]

    after = run(services(world, "pale", scorer=scorer, text=QUERY), clear=len(ALL), alpha=0)["ranking"]
    order = [retrieved[place] for place in (0, 2, 4, 1, 3, 5)]  # those that are sure enough keep their order
    assert after == [*order, *retrieved[6:]]


def test_it_looks_further_than_what_is_verified_otherwise(world: Any) -> None:
    served = services(world, "pale", scorer=of_two(world), text=QUERY)
    last = run(served)["ranking_retrieve"][-1]
    state = run(served, top_k=2, k=1, clear=2)
    assert state["ranking"][1] == last and sorted(state["ranking"]) == ALL
    assert len(run(served, top_k=2, k=1)["ranking"]) == 2


def test_a_first_place_that_fails_gives_way_to_what_fits_further_behind(world: Any) -> None:
    last = run(services(world, "pale", text=QUERY))["ranking_retrieve"][-1]

    def scorer(asked: Any) -> list[float]:
        return [0.9, 0.1] if f"{world.colour(asked)}.png" == last else [0.1, 0.9]

    served = services(world, "pale", scorer=scorer, text=QUERY)
    before, after = (run(served, top_k=2, k=1, clear=clear, alpha=0)["ranking"] for clear in (0, 2))
    assert last not in before[:1] and after[0] == last and sorted(after) == ALL
    nobody = services(world, "pale", scorer=lambda asked: [0.1, 0.9], text=QUERY)
    assert run(nobody, top_k=2, k=1, clear=2, alpha=0)["ranking"][0] == before[0]


@pytest.mark.parametrize(("yes", "first"), [(0.6, 1), (0.93, 0), (0.3, 1)])  # 0.93 is sure enough
def test_a_first_place_gives_way_to_what_fits_more_surely(world: Any, yes: float, first: int) -> None:
    sure = {ALL[0]: yes, ALL[1]: 0.97}

    def scorer(asked: Any) -> list[float]:
        found = sure.get(f"{world.colour(asked)}.png", 0.02)
        return [found, 1 - found]

    node = VerifyShown(world.role("verifier", scorer=scorer), world.collection)
    asks = [{"question": "Is it pale?", "expected": "Yes"}]
    state: Any = {"ranking": ALL, "predicates": asks, "matches": {}}
    ranking = asyncio.run(node(state, _running(clear=2)))["ranking"]
    assert ranking == [ALL[first], ALL[1 - first], *ALL[2:]]


def test_a_number_is_asked_for_beside_its_neighbours(world: Any) -> None:
    """The first says yes to two and to three; nobody else is asked more than that needs."""
    first, second, *others = ALL
    told = {(first, "two"): 0.99, (first, "three"): 0.6, (second, "two"): 0.95}

    def scorer(asked: Any) -> list[float]:
        number = next(each for each in ("one", "two", "three") if f"exactly {each} star" in asked.text)
        yes = told.get((f"{world.colour(asked)}.png", number), 0.01)
        return [yes, 1 - yes]

    node = VerifyShown(world.role("verifier", scorer=scorer), world.collection)
    asks = [{"question": "Are there exactly two stars?", "expected": "Yes"}]
    state: Any = {"ranking": ALL, "predicates": asks, "matches": {}}
    update = asyncio.run(node(state, _running(clear=2)))
    assert update["ranking"] == [second, first, *others]
    assert {len(update["verdicts"][name]) for name in (first, second)} == {3}
    assert {len(update["verdicts"][name]) for name in others} == {1}
    later: Any = {**state, **update}
    again = asyncio.run(node(later, _running(clear=2)))
    assert (again["ranking"], again["verdicts"]) == (
        update["ranking"],
        {},
    )  # what is known is not asked again


@pytest.mark.parametrize("seed", range(20))
def test_no_image_known_to_fail_stands_above_one_that_fits(world: Any, seed: int) -> None:
    rng = random.Random(seed)
    table = {(name, word): rng.random() < 0.6 for name in ALL for word in COLOURS[:3]}

    def scorer(asked: Any) -> list[float]:
        word = next(word for word in COLOURS[:3] if f"it {word}?" in asked.text)
        return [0.95, 0.05] if table[f"{world.colour(asked)}.png", word] else [0.05, 0.95]

    state = run(services(world, *COLOURS[:3], scorer=scorer, text=QUERY), clear=len(ALL), alpha=0)
    fits = [all(table[name, word] for word in COLOURS[:3]) for name in state["ranking"]]
    assert fits == sorted(fits, reverse=True)


def test_a_budget_that_ends_it_is_told_and_never_exceeded(world: Any) -> None:
    served = services(world, "pale", scorer=of_two(world), text=QUERY)
    whole = sum(calls(run(served, clear=8)).values())
    for budget in range(3, whole):
        state = run(served, clear=8, alpha=0, budget=budget)
        assert sum(calls(state).values()) <= budget and sorted(state["ranking"]) == ALL
        assert "budget" in [each["kind"] for each in state["notes"]]
    assert run(served, clear=8, alpha=0, budget=whole)["notes"] == []


def test_without_predicates_or_places_nothing_is_asked(world: Any) -> None:
    node = VerifyShown(world.role("verifier", scorer=truth(world)), world.collection)
    asks = [{"question": "Is it pale?", "expected": "Yes"}]
    for given, clear in (((["red.png"], asks), 5), ((ALL, []), 5), ((ALL, asks), 1), ((ALL, asks), 0)):
        state: Any = {"ranking": given[0], "predicates": given[1], "matches": {}}
        assert asyncio.run(node(state, _running(clear=clear))).get("ranking", given[0]) == given[0]
    assert not node.verifier.model.asked  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("known", "certain", "order"),
    [
        ({}, 1, [0, 3, 1, 2]),  # the caption of the fourth says so
        ({3: 0.1}, 1, [0, 1, 2, 3]),  # an answer denies it
        ({2: 0.9}, 1, [0, 2, 3, 1]),
        ({}, 2, [0, 1, 3, 2]),
        ({}, 4, [0, 1, 2, 3]),
    ],
)
def test_where_nobody_is_asked_captions_decide_behind_the_first(
    world: Any, known: dict[int, float], certain: int, order: list[int]
) -> None:
    first, question = ["red.png", "blue.png", "green.png", "white.png"], ASKS
    verdicts = {first[place]: {question: yes} for place, yes in known.items()}
    asks = [{"question": question, "expected": "Yes"}]
    state: Any = {"ranking": first, "predicates": asks, "verdicts": verdicts, "matches": {}}
    node = VerifyShown(world.role("verifier"), world.collection)
    update = asyncio.run(node(state, _running(certain=certain)))
    assert update == {"ranking": [first[place] for place in order]}


@pytest.mark.parametrize(
    ("captions", "answers", "told"),
    [(True, {}, True), (True, {"white.png": {ASKS: 0.9}}, False), (False, {}, False)],
)
def test_a_caption_that_counts_is_a_reason(world: Any, captions: bool, answers: Any, told: bool) -> None:
    before = run(services(world, "pale", text=QUERY))
    asks = [{"question": ASKS, "expected": "Yes"}]
    state: Any = {**before, "predicates": asks, "verdicts": answers, "ranking": ["white.png", "red.png"]}
    results = asyncio.run(Answer(world.collection, captions=captions)(state, _running()))["results"]
    said = "its caption says everything that is wanted"
    assert [said in hit["reasons"] for hit in results] == [told, False]


@pytest.mark.parametrize("budget", [None, 3, 4])
def test_a_picture_that_is_gone_stays_behind_and_is_told_of_once(world: Any, budget: int | None) -> None:
    nobody = services(world, "pale", scorer=lambda asked: [0.1, 0.9], text=QUERY)
    gone = run(nobody)["ranking_retrieve"][3]
    (world.folder / gone).unlink()
    world.collection = FolderCollection.open(world.folder)
    nobody = services(world, "pale", scorer=lambda asked: [0.1, 0.9], text=QUERY)
    before, after = (run(nobody, clear=clear, budget=budget, certain=2) for clear in (0, 8))
    assert sorted(after["ranking"]) == ALL and after["ranking"].index(gone) >= 3
    told = [[each for each in state["notes"] if gone in each["detail"]] for state in (before, after)]
    assert len(told[1]) == max(1, len(told[0]))


def test_a_picture_that_the_verifier_refuses_falls_behind_what_may_fit(world: Any) -> None:
    served = services(world, "pale", scorer=of_two(world), text=QUERY)
    last = run(served)["ranking_retrieve"][-1]

    def scorer(asked: Any) -> list[float]:
        if f"{world.colour(asked)}.png" == last:
            raise RequestRefused("no")
        return [0.9, 0.1] if f"{world.colour(asked)}.png" == "blue.png" else [0.1, 0.9]

    refusing = services(world, "pale", scorer=scorer, text=QUERY)
    before, after = (run(refusing, clear=clear, alpha=0, certain=2) for clear in (0, 8))
    assert sorted(after["ranking"]) == ALL
    assert after["ranking"].index(last) >= before["ranking"].index(last) > 1
    state: Any = {**run(served), "verdicts": {}, "unverified": {"red.png": "no"}, "ranking": ALL}
    node = VerifyShown(world.role("verifier", scorer=lambda asked: [0.9, 0.1]), world.collection)
    ranking = asyncio.run(node(state, _running(clear=8)))["ranking"]
    assert ranking == [*(name for name in ALL if name != "red.png"), "red.png"]


def _running(**settings: Any) -> Any:
    return type("Runtime", (), {"context": Settings(**settings)})()
