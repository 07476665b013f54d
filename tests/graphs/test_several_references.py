"""Queries with several references, and pictures of what is not wanted, on every graph."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from imagescope_agent.errors import BadInput
from imagescope_agent.mllms.role import Role
from imagescope_agent.mllms.scripted import Scripted, ScriptedScorer
from imagescope_agent.nodes.references import MOST
from imagescope_agent.prompting import load_prompt
from imagescope_agent.registry import graphs, load_graph
from imagescope_agent.settings import Settings
from imagescope_agent.state import State, references_of
from tests.graphs.imagescope_runs import ALL, COLOURS, kinds

NAMES = sorted(set(graphs()) - {"mra", "triplets"})  # mra needs an embedder that composes
ASKING = ("adaptive", "imagescope")


def think(*, images: list[int], seen: int = 0) -> Any:
    """A reasoner of several references: an instruction about each of `images`, one predicate beside `seen`."""

    def reply(asked: Any) -> str:
        if not (asked.options and "response_format" in asked.options):
            return "a purple square"
        said = {"core": "a purple square", "enhanced": "a purple square", "full": "a purple square"}
        if asked.options["response_format"].endswith("IntentAnswer"):
            steps = [{"type": "Retention", "text": f"purple like {n}", "image": n} for n in images]
            return json.dumps({"steps": steps or [{"type": "Addition", "text": "a purple square"}], **said})
        question = "Is it purple as the square of the reference?" if seen else "Is it purple?"
        return json.dumps({"predicates": [{"question": question, "expected": "Yes", "reference": seen}]})

    return reply


def services(world: Any, images: list[int], *, seen: int = 0, limit: int | None = None) -> Any:
    """Services whose verifier knows the colour of a candidate, and which take `limit` pictures in a request."""

    def scorer(asked: Any) -> list[float]:
        return [0.9, 0.1] if world.colour(asked) == "purple" else [0.1, 0.9]

    return world.services(
        reasoner=Role("reasoner", Scripted(think(images=images, seen=seen))),
        verifier=Role("verifier", limited(ScriptedScorer(scorer), limit)),
        judge=Role("judge", limited(ScriptedScorer(scorer, "No: not quite"), limit)),
    )


def limited(model: ScriptedScorer, limit: int | None) -> ScriptedScorer:
    """The model, which says that it takes `limit` pictures in a request."""
    object.__setattr__(model, "images_per_request", limit)
    return model


def search(
    served: Any, graph: str = "imagescope", query: str = "the first as the second", **given: Any
) -> Any:
    chosen = {name: given.pop(name) for name in list(given) if name in ("penalty", "k", "alpha", "top_k")}
    asked = {"query": query, **given}
    return asyncio.run(load_graph(graph)(served).ainvoke(asked, context=Settings(**chosen)))


def reference_names(count: int) -> list[str]:
    return [f"{colour}.png" for colour in COLOURS[:count]]


@pytest.mark.parametrize("count", [0, 1, 2, 7, 8])
@pytest.mark.parametrize("name", NAMES)
def test_any_number_of_references_gives_a_ranking_of_the_others(world: Any, name: str, count: int) -> None:
    brought = reference_names(count)
    served = services(world, list(range(1, count + 1)), seen=min(count, 2) if count > 1 else 0)
    state = search(served, name, references=brought, k=8)
    assert sorted(state["ranking"]) == sorted(set(ALL) - set(brought))
    assert references_of(state) == brought
    assert json.loads(json.dumps(state)) == state
    assert state["reference"] == (brought[0] if brought else None)


@pytest.mark.parametrize("name", NAMES)
def test_one_reference_in_a_list_asks_what_one_reference_asks(world: Any, name: str) -> None:
    asked: list[Any] = []
    rankings: list[list[str]] = []
    ways: list[dict[str, Any]] = [{"reference": "red.png"}, {"references": ["red.png"]}]
    for given in ways:
        served = services(world, [])
        state = search(served, name, **given)
        rankings.append(state["ranking"])
        roles = (served.reasoner, served.verifier, served.judge)
        asked.append([[(each.text, each.images, each.labels) for each in role.model.asked] for role in roles])
        assert state["references"] == []
    assert asked[0] == asked[1] and rankings[0] == rankings[1]


def test_the_prompt_of_one_reference_stays_as_it_was(world: Any) -> None:
    served = services(world, [])
    search(served, query="as that, but purple", reference="red.png")
    first = load_prompt("understand").fill(instruction="as that, but purple", reference="a red square")
    assert served.reasoner.model.asked[0].text == first
    assert all("Candidate" not in "".join(each.labels) for each in served.judge.model.asked)


def test_captions_reach_the_reasoner_by_their_numbers(world: Any) -> None:
    served = services(world, [1, 2])
    state = search(served, references=["red.png", "blue.png"])
    assert "image 1: a red square\nimage 2: a blue square" in served.reasoner.model.asked[0].text
    assert state["reference_captions"] == ["a red square", "a blue square"]


@pytest.mark.parametrize("name", ASKING)
def test_a_predicate_is_verified_beside_the_reference_that_it_names(world: Any, name: str) -> None:
    served = services(world, [1, 2], seen=2)
    state = search(served, name, references=["red.png", "blue.png"])
    asked = served.verifier.model.asked
    assert asked and all(world.keys[each.images[0]] == "blue.png" for each in asked)
    assert {each.labels for each in asked} == {("Reference:", "Candidate:")}
    assert state["predicates"][0]["question"].endswith("(reference 2: blue.png)")
    assert state["ranking"][0] == "purple.png" and state["predicates"][0]["reference"] == 2
    assert not state["notes"]


def test_the_judge_sees_every_reference_with_its_number(world: Any) -> None:
    served = services(world, [1, 2])
    search(served, references=["red.png", "blue.png"], alpha=1)
    asked = served.judge.model.asked[0]
    assert [world.keys[key] for key in asked.images[:2]] == ["red.png", "blue.png"]
    assert asked.labels == ("Reference 1:", "Reference 2:", "Candidate:")
    assert asked.text.startswith("The reference images come first, 2 of them")


@pytest.mark.parametrize("judge", ["pairwise", "listwise", "tournament", "pointwise", "cotrr"])
def test_every_way_to_judge_labels_all_pictures(world: Any, judge: str) -> None:
    served = services(world, [1, 2])
    graph = load_graph("imagescope")(served)
    given = {"query": "the first as the second", "references": ["red.png", "blue.png"]}
    try:
        context = Settings(judge=judge)
        state = asyncio.run(graph.ainvoke(given, context=context))
    except BadInput:
        pytest.skip("no judge of that name here")
    assert sorted(state["ranking"]) == sorted(set(ALL) - {"red.png", "blue.png"})
    for asked in served.judge.model.asked:
        assert len(asked.labels) == len(asked.images) and asked.labels[1] == "Reference 2:"


def test_the_same_picture_twice_keeps_both_numbers_and_counts_once(world: Any, tmp_path: Path) -> None:
    copy = tmp_path / "copy.png"
    shutil.copy(world.folder / "red.png", copy)
    served = services(world, [1, 2, 3])
    state = search(served, references=["red.png", str(copy), "blue.png"])
    assert references_of(state) == ["red.png", "red.png", "blue.png"]
    assert ("begin", "skipped") in kinds(state)
    assert "reference 2 is reference 1 again" in state["notes"][0]["detail"]
    assert served.judge.model.asked[0].labels == ("Reference 1:", "Reference 3:", "Candidate:")


def test_two_files_of_one_content_are_shown_once(world: Any, tmp_path: Path) -> None:
    from PIL import Image

    one, other = tmp_path / "one.png", tmp_path / "other.png"
    Image.new("RGB", (32, 32), (200, 10, 90)).save(one)
    shutil.copy(one, other)
    served = services(world, [1, 2])
    plain, twice = (
        search(services(world, []), "retrieve", references=brought)
        for brought in ([str(one)], [str(one), str(other)])
    )
    assert plain["ranking"] == twice["ranking"]
    state = search(served, references=[str(one), str(other)])
    assert ("begin", "skipped") in kinds(state)
    assert served.judge.model.asked[0].labels == ("Reference 1:", "Candidate:")


def test_a_reference_that_is_also_unlike_stays_a_reference(world: Any) -> None:
    brought = ["red.png", "blue.png"]
    plain = search(services(world, [1, 2]), references=brought)
    both = search(services(world, [1, 2]), references=brought, unlike=["blue.png"], penalty=1.0)
    assert both["ranking"] == plain["ranking"] and both["unlike"] == []
    assert kinds(both)[0] == ("begin", "contradiction")


def test_a_reference_that_the_text_never_names_is_noted(world: Any) -> None:
    served = services(world, [2])
    state = search(served, references=["red.png", "blue.png", "white.png"])
    details = [note["detail"] for note in state["notes"] if note["step"] == "understand"]
    assert details == ["no instruction is about reference 1, 3; only the judge sees it"]
    assert served.judge.model.asked[0].labels[:3] == ("Reference 1:", "Reference 2:", "Reference 3:")


def test_a_number_that_is_no_reference_is_not_taken_from_a_reply(world: Any) -> None:
    state = search(services(world, [2, 9, -1], seen=9), references=["red.png", "blue.png"])
    assert [step.get("reference") for step in state["intent"]["steps"]] == [2, None, None]
    assert "reference" not in state["predicates"][0]


@pytest.mark.parametrize("name", ASKING)
def test_a_model_of_one_picture_is_told_the_reference_in_words(world: Any, name: str) -> None:
    served = services(world, [1, 2], seen=2, limit=1)
    state = search(served, name, references=["red.png", "blue.png"])
    assert all(len(each.images) == 1 for each in served.verifier.model.asked)
    assert all("The reference shows: a blue square" in each.text for each in served.verifier.model.asked)
    assert ("verify", "fallback") in kinds(state)
    assert state["ranking"][0] == "purple.png"


def test_a_judge_of_few_pictures_gets_the_references_that_are_named(world: Any) -> None:
    served = services(world, [4], seen=4, limit=3)
    state = search(served, references=reference_names(5), alpha=2)
    asked = served.judge.model.asked
    assert asked and all(len(each.images) <= 3 for each in asked)
    assert asked[0].labels == ("Reference 4:", "Candidate:")
    left = [note["detail"] for note in state["notes"] if note["step"] == "judge"]
    assert "the model takes 3 pictures in a request; reference 1, 2, 3, 5 is not shown to it" in left


@pytest.mark.parametrize("name", NAMES)
def test_what_looks_like_an_unlike_picture_falls_in_every_graph(world: Any, name: str) -> None:
    penalty = 0.5
    plain = search(services(world, []), name, query="a red square", k=8)
    state = search(
        services(world, []), name, query="a red square", unlike=["orange.png"], penalty=penalty, k=8
    )
    assert "orange.png" not in state["ranking"] and sorted([*state["ranking"], "orange.png"]) == ALL
    vectors = {each: world.collection.image_vector(each).ravel() for each in ALL}
    before = {each["id"]: each["retrieve"] for each in plain["candidates"]}
    for each in state["candidates"]:
        shared = max(0.0, float(vectors[each["id"]] @ vectors["orange.png"]))
        assert each["retrieve"] == pytest.approx(before[each["id"]] - penalty * shared, abs=1e-5)


def test_a_file_may_be_unlike_and_what_lies_deeper_takes_the_place(world: Any, tmp_path: Path) -> None:
    from PIL import Image

    like_red = tmp_path / "like-red.png"
    Image.new("RGB", (32, 32), (221, 31, 31)).save(like_red)
    found = search(services(world, []), "retrieve", query="a red or orange square", k=2, top_k=0)
    assert found["ranking"][0] in ("red.png", "orange.png")
    state = search(
        services(world, []),
        "retrieve",
        query="a red or orange square",
        unlike=[str(like_red)],
        penalty=1.0,
        k=2,
        top_k=0,
    )
    assert "red.png" not in state["ranking"] and len(state["ranking"]) == 2


@pytest.mark.parametrize(
    "given, told",
    [
        ({"references": "red.png"}, "references is 'red.png'; give a list"),
        ({"references": [1]}, "give a list of ids or files"),
        ({"references": ["red.png"] * (MOST + 1)}, f"give at most {MOST}"),
        ({"references": ["red.png", "rde.png"]}, "there is no reference image 'rde.png'"),
        ({"unlike": ["nobody.png"]}, "there is no reference image 'nobody.png'"),
    ],
)
def test_unusable_pictures_are_told_before_any_model_is_asked(world: Any, given: Any, told: str) -> None:
    served = services(world, [])
    with pytest.raises(BadInput, match=told):
        search(served, **given)
    assert not served.reasoner.model.asked


def test_a_checkpoint_of_before_knows_one_reference() -> None:
    old: State = {"query": "as that", "reference": "red.png"}
    assert references_of(old) == ["red.png"]
    assert references_of({"query": "a red square", "reference": None}) == []


def test_another_reference_on_the_same_thread_replaces_several() -> None:
    from imagescope_agent.nodes.references import named_references

    assert named_references({"reference": "c.png", "references": ["a.png", "b.png"]}) == ["c.png"]
    assert named_references({"reference": "a.png", "references": ["a.png", "b.png"]}) == ["a.png", "b.png"]
