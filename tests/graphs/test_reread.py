"""A second reading where the first lost words of the query: when it is made, which counts, what it costs."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest

from imagescope_agent.mllms.role import Role
from imagescope_agent.mllms.scripted import Scripted
from imagescope_agent.nodes.intent.plain_words import plain_words
from imagescope_agent.registry import load_graph
from imagescope_agent.settings import Settings
from tests.graphs.imagescope_runs import ALL
from tests.graphs.test_adaptive import calls

ODD = "what I have in mind: a red square; a tin kettle"
PLAIN = "mind and a red square and a tin kettle"


def reader(second: str) -> Any:
    """Understands the first thing of the odd wording; what it says to the plain one is `second`."""

    def reply(asked: Any) -> str:
        if not asked.options["response_format"].endswith("IntentAnswer"):
            return json.dumps({"predicates": [{"question": "Is it a red square?", "expected": "Yes"}]})
        text = second if PLAIN in asked.text else "a red square"
        if text == "nonsense":
            return text
        steps = [{"type": "Addition", "text": each} for each in text.split(" and ")]
        return json.dumps({"steps": steps, "core": text, "enhanced": text, "full": text})

    return reply


def run(world: Any, second: str, query: str = ODD, **settings: Any) -> Any:
    served = world.services(reasoner=Role("reasoner", Scripted(reader(second))))
    given = {"query": query, **{name: settings.pop(name) for name in ("references",) if name in settings}}
    return asyncio.run(load_graph("adaptive")(served).ainvoke(given, context=Settings(**settings)))


def kinds(state: Any) -> list[str]:
    return [each["kind"] for each in state["notes"] if each["step"] == "reread"]


def test_the_reading_that_carries_more_of_the_words_counts(world: Any) -> None:
    state = run(world, "a red square and a tin kettle", reread=True)
    assert [step["text"] for step in state["intent"]["steps"]] == ["a red square", "a tin kettle"]
    assert calls(state)["reread"] == 1 and kinds(state) == ["retried"]
    assert sorted(state["ranking"]) == ALL


def test_one_that_carries_no_more_leaves_the_first(world: Any) -> None:
    state = run(world, "a red square", reread=True)
    assert [step["text"] for step in state["intent"]["steps"]] == ["a red square"]
    assert calls(state)["reread"] == 1 and kinds(state) == ["retried"]


def test_one_that_cannot_be_read_leaves_the_first_with_a_note(world: Any) -> None:
    state = run(world, "nonsense", reread=True)
    assert [step["text"] for step in state["intent"]["steps"]] == ["a red square"]
    assert calls(state)["reread"] == 2 and "unreadable" in kinds(state)


@pytest.mark.parametrize("end", ["a tin Kettle", "A KETTLE", "a kettle's lid", "a kettle’s lid"])
def test_a_lost_word_is_read_again_however_it_is_written(world: Any, end: str) -> None:
    query = f"what I have in mind: a red square; {end}"
    state = run(world, "a red square", query=query, reread=True)
    assert calls(state)["reread"] == 1 and kinds(state) == ["retried"]
    (told,) = (each["detail"] for each in state["notes"] if each["step"] == "reread")
    assert "'kettle'" in told


@pytest.mark.parametrize(
    ("second", "counts"),
    [("a tin kettle", False), ("a red square and a tin kettle", True), ("a red kettle", False)],
)
def test_a_reading_that_loses_other_words_does_not_count(world: Any, second: str, counts: bool) -> None:
    state = run(world, second, reread=True)
    assert (state["intent"]["full"] == second) is counts and kinds(state) == ["retried"]


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"reread": True, "query": "a red square, please"},
        {"reread": True, "query": "a red square without a kettle"},
        {"reread": True, "references": ["red.png", "blue.png"]},
        {"reread": True, "budget": 1},
    ],
    ids=["not set", "nothing lost", "a negation", "several references", "no budget"],
)
def test_otherwise_nobody_is_asked(world: Any, given: dict[str, Any]) -> None:
    state = run(world, "a red square and a tin kettle", **given)
    assert "reread" not in calls(state) and kinds(state) == []


@pytest.mark.parametrize(
    ("end", "asked", "reread", "counts"),
    [
        ("a tin kettle", 1, False, True),
        ("tin kettles are taboo", 0, False, False),
        ("apart from a tin kettle", 0, False, False),
        ("apart from a tin kettle", 1, True, False),
    ],
)
def test_an_exclusion_that_nobody_said_is_read_again_by_default(
    world: Any, end: str, asked: int, reread: bool, counts: bool
) -> None:
    def reply(request: Any) -> str:
        if not request.options["response_format"].endswith("IntentAnswer"):
            return json.dumps({"predicates": [{"question": "Is it a red square?", "expected": "Yes"}]})
        again = "mind and a red square and" in request.text
        steps = [
            {"type": "Addition", "text": "a red square" if again else "a square"},
            {"type": "Addition" if again else "Removal", "text": "a tin kettle"},
        ]
        told = ", ".join(step["text"] for step in steps)
        return json.dumps({"steps": steps, **dict.fromkeys(("core", "enhanced", "full"), told)})

    served = world.services(reasoner=Role("reasoner", Scripted(reply)))
    query = {"query": f"what I have in mind: a red square; {end}"}
    state = asyncio.run(load_graph("adaptive")(served).ainvoke(query, context=Settings(reread=reread)))
    kinds_read = [step["type"] for step in state["intent"]["steps"]]
    assert kinds_read == ["Addition", "Addition" if counts else "Removal"]
    told = [kind for kind in kinds(state) if kind != "repaired"]  # the words say that the square is red
    assert calls(state).get("reread", 0) == asked and told == ["retried"] * asked


@pytest.mark.parametrize("better", [True, False])
def test_a_colour_that_nothing_takes_over_is_read_again_by_who_reads_references(
    world: Any, better: bool
) -> None:
    plain = "the square of image 1 in the colour of the blue of image 2"

    def reply(asked: Any) -> str:
        if not asked.options["response_format"].endswith("IntentAnswer"):
            return json.dumps({"predicates": [{"question": "Is it a red square?", "expected": "Yes"}]})
        taken = plain in asked.text and better
        second = ("Modification", "a cyan square") if taken else ("Retention", "a blue square")
        steps = [("Retention", "a red square", 1), (*second, 2)]
        made = [{"type": kind, "text": text, "image": number} for kind, text, number in steps]
        return json.dumps({"steps": made, **dict.fromkeys(("core", "enhanced", "full"), second[1])})

    reader: Any = Role("multi_reasoner", Scripted(reply))
    served = replace(world.services(reasoner=Role("reasoner", Scripted(reply))), multi_reasoner=reader)
    query = {"query": "the square with the hue of the blue one", "references": ["red.png", "blue.png"]}
    state = asyncio.run(load_graph("adaptive")(served).ainvoke(query))
    assert (state["intent"]["full"] == "a cyan square") is better
    assert (
        calls(state)["reread"] == 1 and kinds(state) == ["retried"] and plain in reader.model.asked[-1].text
    )


@pytest.mark.parametrize(
    ("query", "plain"),
    [
        ("I'd need one where you see a tram as well as a bridge", "a tram and a bridge"),
        ("it was on the beach: two dogs, some sea", "on the beach and two dogs and sea"),
        ("please", ""),
        ("anything but not a tram", ""),
        ("2 red squares; 1920s cars, please", "2 red squares and 1920s cars"),
        ("a Kettle's lid", "a kettle's lid"),
        ("", ""),
    ],
)
def test_plain_words_are_the_parts_that_describe_something(query: str, plain: str) -> None:
    assert plain_words(query) == plain
