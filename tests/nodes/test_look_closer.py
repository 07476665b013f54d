"""What a query names of a reference and its caption lacks is looked up in the picture."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from imagescope_agent.errors import NoModel, RequestRefused
from imagescope_agent.nodes.chat.language.vocabulary import read_captions
from imagescope_agent.nodes.intent.look_closer import LookCloser, as_seen, unseen_things, words_before
from imagescope_agent.prompting import NO_REFERENCE
from imagescope_agent.settings import Settings

CAPTIONS = (
    "a small red kettle and a large blue kettle in the kitchen",
    "a large red chair",
    "a blue chair and the lamp",
    "a small blue lamp",
)
WORDS = read_captions(CAPTIONS)


@pytest.mark.parametrize(
    ("query", "captions", "unseen"),
    [
        ("the kettle of image 1 and the chair of image 2", ["a kettle", "a lamp"], [("chair", 2)]),
        ("the kettle of image 1 and the chair of image 2", ["a kettle", "a chair"], []),
        ("the kettle of image 1 and the chair of image 2", ["a chair", "a kettle"], [("kettle", 1), ("chair", 2)]),
        ("a chair and a lamp out of these", ["a chair", "a kettle"], [("lamp", 1), ("lamp", 2)]),
        ("the chair, but in the kitchen", ["a lamp"], [("chair", 1)]),
        ("the same with a chair", ["a lamp"], []),  # it is to be added
        ("den Stuhl bitte, aber in der Küche und nicht im Garten, the chair", ["a lamp"], []),
    ],
)  # fmt: skip
def test_what_a_caption_lacks_is_known_from_the_words(
    query: str, captions: list[str], unseen: list[tuple[str, int]]
) -> None:
    assert [*unseen_things(query, captions, WORDS)] == unseen


def test_the_words_before_a_thing_come_from_captions() -> None:
    assert words_before("kettle", CAPTIONS) == ["small", "red", "large", "blue"]
    assert words_before("lamp", CAPTIONS) == ["small", "blue"]
    assert words_before("sofa", CAPTIONS) == []


@pytest.mark.parametrize(
    ("answers", "seen"),
    [
        ({"": 0.9, "red": 0.8, "blue": 0.2, "small": 0.1, "large": 0.7}, "a large red kettle"),
        ({"": 0.01, "red": 0.2, "blue": 0.0}, "a red kettle"),  # the words say that it is there
        ({"": 0.9, "red": 0.05}, "a kettle"),
        ({"": 0.05, "red": 0.05}, ""),
        ({}, ""),
    ],
)
def test_of_words_that_exclude_each_other_the_most_probable_is_true(
    answers: dict[str, float], seen: str
) -> None:
    assert as_seen("kettle", answers, WORDS) == seen


def look(world: Any, tmp_path: Path, scorer: Any, **settings: Any) -> tuple[dict[str, Any], Any]:
    """Describes red.png and a picture that is called a heart; all captions of the collection are squares."""
    file = tmp_path / "given.png"
    Image.new("RGB", (32, 32), "blue").save(file)
    verifier = world.role("verifier", scorer=scorer)
    node = LookCloser(world.role("captioner", "a large heart"), world.collection, verifier)
    state = {"query": "the square of image 2", "reference": "red.png", "references": ["red.png", str(file)]}
    runtime: Any = type("Runtime", (), {"context": Settings(**settings)})()
    return asyncio.run(node(state, runtime)), verifier.model  # type: ignore[arg-type]


def test_what_is_seen_is_added_to_the_caption(world: Any, tmp_path: Path) -> None:
    update, model = look(
        world, tmp_path, lambda asked: [0.9, 0.1] if "a blue square" in asked.text else [0.2, 0.8]
    )
    assert update["reference_captions"] == ["a red square", "a large heart. There is also a blue square."]
    assert update["reference_caption"].endswith("image 2: a large heart. There is also a blue square.")
    assert [each["kind"] for each in update["notes"]] == ["repaired"]
    assert "a blue square is seen there" in update["notes"][0]["detail"]
    assert (
        len(model.asked) == 9 and len({each.images for each in model.asked}) == 1
    )  # once, and in eight colours
    assert [(each["role"], each["calls"]) for each in update["usage"]] == [
        ("captioner", 1),
        ("verifier", 1),
        ("verifier", 8),
    ]


def test_what_is_not_seen_is_told(world: Any, tmp_path: Path) -> None:
    update, _ = look(world, tmp_path, lambda asked: [0.01, 0.99])
    assert update["reference_captions"] == ["a red square", "a large heart"]
    assert [each["kind"] for each in update["notes"]] == ["unchecked"]


@pytest.mark.parametrize(
    ("problem", "kind"), [(RequestRefused("no"), "refused"), (NoModel("none"), "refused")]
)
def test_a_verifier_that_refuses_leaves_the_caption(
    world: Any, tmp_path: Path, problem: Exception, kind: str
) -> None:
    def scorer(asked: Any) -> list[float]:
        raise problem

    update, _ = look(world, tmp_path, scorer)
    assert update["reference_captions"] == ["a red square", "a large heart"]
    assert [each["kind"] for each in update["notes"]] == [kind]


@pytest.mark.parametrize(("budget", "seen"), [(1, ""), (5, ". There is also a square.")])
def test_a_budget_that_does_not_cover_it_is_told_and_kept(
    world: Any, tmp_path: Path, budget: int, seen: str
) -> None:
    update, _ = look(world, tmp_path, lambda asked: [0.9, 0.1], budget=budget)
    assert update["reference_captions"] == ["a red square", f"a large heart{seen}"]
    assert [each["kind"] for each in update["notes"]] == ["budget", *(["repaired"] if seen else [])]
    assert sum(each["calls"] for each in update["usage"]) <= budget


def test_a_verifier_without_probabilities_is_told_once(world: Any, tmp_path: Path) -> None:
    file = tmp_path / "given.png"
    Image.new("RGB", (32, 32), "blue").save(file)
    said = world.role("verifier", lambda asked: "Yes" if "a blue square" in asked.text else "No")
    node = LookCloser(world.role("captioner", "a large heart"), world.collection, said)
    state: Any = {
        "query": "the square of image 2",
        "reference": "red.png",
        "references": ["red.png", str(file)],
    }
    runtime: Any = type("Runtime", (), {"context": Settings()})()
    update = asyncio.run(node(state, runtime))
    assert [each["kind"] for each in update["notes"]] == [
        "fallback",
        "unchecked",
    ]  # it says that no square is there
    assert len(said.model.asked) == 1


def test_a_verifier_that_babbles_sees_nothing(world: Any, tmp_path: Path) -> None:
    update, _ = look(world, tmp_path, lambda asked: [0.5, 0.5])
    assert update["reference_captions"] == ["a red square", "a large heart"]
    assert [each["kind"] for each in update["notes"]] == ["unreadable"]


def test_without_references_nothing_is_looked_up(world: Any) -> None:
    verifier = world.role("verifier", scorer=lambda asked: [0.9, 0.1])
    node = LookCloser(world.role("captioner"), world.collection, verifier)
    state: Any = {"query": "the circle", "reference": None, "references": []}
    runtime: Any = type("Runtime", (), {"context": Settings()})()
    assert asyncio.run(node(state, runtime)) == {"reference_caption": NO_REFERENCE}
    assert not verifier.model.asked
