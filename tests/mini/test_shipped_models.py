"""The models that ship with the package, end to end: nothing here is scripted."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from imagescope_agent import ImageScope
from imagescope_agent.api import index_folder
from imagescope_agent.evaluation.evaluate import evaluate
from imagescope_agent.lab.scenes.make import make_world
from imagescope_agent.lab.training.skill_eval import measure as skill_eval
from imagescope_agent.lab.training.skill_eval.references import references_accuracy
from imagescope_agent.lab.training.skill_eval.wordings import wordings_accuracy

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drawn")
    make_world(folder, 77, 64)
    index_folder(folder / "images", profile="mini")
    return folder


def _lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("graph", ["retrieve", "imagescope"])
def test_every_ranking_is_a_permutation_and_repeats_itself(drawn: Path, graph: str) -> None:
    scope = ImageScope.open(drawn / "images", graph=graph)
    for line in [*_lines(drawn / "tir.jsonl")[:2], *_lines(drawn / "cir.jsonl")[:2]]:
        reference = str(line["reference"]).removeprefix("images/") if "reference" in line else None
        found = scope.search(str(line["text"]), image=reference, k=64)
        ids = [hit.id for hit in found]
        expected = {f"{number:06d}.png" for number in range(64)} - {reference}
        assert len(ids) == len(set(ids)) and set(ids) == expected
        again = scope.search(str(line["text"]), image=reference, k=64)
        assert [hit.id for hit in again] == ids
        if graph == "imagescope":
            assert found.usage["calls"]


@pytest.mark.parametrize("graph", ["imagescope", "adaptive", "cotrr", "xr"])
def test_the_models_read_the_prompts_of_the_graphs_that_search(drawn: Path, graph: str) -> None:
    """A model that was not taught a prompt answers in another form, and the query is searched as it was said."""
    scope = ImageScope.open(drawn / "images", graph=graph)
    queries = [*_lines(drawn / "tir.jsonl")[:2], *_lines(drawn / "cir.jsonl")[:6]]
    unread = 0
    for line in queries:
        reference = str(line["reference"]).removeprefix("images/") if "reference" in line else None
        notes = scope.search(str(line["text"]), image=reference, k=10).notes
        unread += any(each["kind"] in ("unreadable", "retried") for each in notes)
    assert unread <= 1, unread


def test_the_chat_model_sees_what_it_is_asked_about() -> None:
    from imagescope_agent.profiles.profile import load_profile
    from imagescope_agent.services import open_roles

    verifier = open_roles(load_profile("mini"))["verifier"]
    figures = asyncio.run(skill_eval.verdict_accuracy(verifier, 5, 40, "mini"))
    assert min(figures.values()) > 80 and figures["thing"] > 90, figures


def test_the_chat_model_understands_requests() -> None:
    from imagescope_agent.profiles.profile import load_profile
    from imagescope_agent.services import open_roles

    reasoner = open_roles(load_profile("mini"))["reasoner"]
    figures = asyncio.run(skill_eval.understand_accuracy(reasoner, 5, 40, "mini"))
    assert figures["tir"] > 85 and figures["cir"] > 75, figures


def test_the_reader_reads_several_references_and_other_words() -> None:
    from imagescope_agent.profiles.profile import load_profile
    from imagescope_agent.services import open_roles

    reader = open_roles(load_profile("mini"))["reasoner"]
    figures = asyncio.run(references_accuracy(reader, 5, 40))
    assert figures["instructions and references"] > 50, figures  # up to five references, most with changes
    worded = asyncio.run(wordings_accuracy(reader, 5, 40))
    # frames held out of 7,800 are harder than those of before: the reader taught in 1,800 reads 45 and 80 per cent
    assert worded["tir"] > 40 and worded["cir"] > 75, worded


def test_several_references_are_searched_for_with_what_each_gives(drawn: Path) -> None:
    scope = ImageScope.open(drawn / "images", graph="adaptive")
    lines = [line for line in _lines(drawn / "multi.jsonl") if line["kind"] != "colour"][:8]
    right = 0
    for line in lines:
        names = [str(each).removeprefix("images/") for each in line["references"]]  # type: ignore[attr-defined]
        found = scope.search(str(line["text"]), images=names, k=1)
        right += f"images/{found[0].id}" in line["targets"]  # type: ignore[operator]
    assert right >= 3, right


def test_reasoning_beats_embedding_by_far(drawn: Path, tmp_path: Path) -> None:
    first = {}
    for graph in ("retrieve", "imagescope"):
        metrics = evaluate(
            "scenes", root=drawn, out=tmp_path / graph, graph=graph, limit=40, seed=1, progress=False
        )
        first[graph] = metrics["metrics"]["final"]["all"]["R@1"]
    assert first["imagescope"] > first["retrieve"] + 15, first


def test_wishes_are_found_in_the_words_of_strangers(drawn: Path, tmp_path: Path) -> None:
    out = tmp_path / "strangers"
    found = evaluate(
        "scenes", root=drawn, out=out, split="strangers", graph="adaptive", limit=9, seed=1, progress=False
    )
    assert found["metrics"]["final"]["all"]["R@1"] > 88, found["metrics"]["final"]
