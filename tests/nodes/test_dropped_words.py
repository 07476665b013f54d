"""What a query about several references names and the intent does not."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from imagescope_agent.mllms.role import Role
from imagescope_agent.mllms.scripted import Scripted
from imagescope_agent.nodes.intent.dropped_words import dropped_words
from imagescope_agent.registry import load_graph
from imagescope_agent.settings import Settings


def intent(*steps: str, full: str = "") -> Any:
    said = {"core": full, "enhanced": full, "full": full}
    return {"steps": [{"type": "Addition", "text": each} for each in steps], **said}


@pytest.mark.parametrize(
    ("query", "steps", "dropped"),
    [
        ("the boat of image 1 and the house of image 2", ["a red boat", "a blue boat"], ["house"]),
        ("the sofa from the first, the lamp from the second", ["a green sofa", "a tall lamp"], []),
        ("the sofa from the first, the lamp from the second", [], ["sofa", "lamp"]),
        (
            "put the dog of image 1 where image 2 was taken, with a bicycle",
            ["a dog", "on a beach"],
            ["bicycle"],
        ),
        ("keep both houses and the cats of picture 2", ["two houses"], ["cats"]),
        (
            "the strap of this bag, the buckle of that one",
            ["a leather strap", "a brass clasp"],
            ["bag", "buckle"],
        ),
    ],
)
def test_a_noun_that_no_part_of_the_intent_carries(query: str, steps: list[str], dropped: list[str]) -> None:
    assert dropped_words(intent(*steps), query) == dropped
    assert dropped_words(intent(full=query), query) == []


@pytest.mark.parametrize(
    "query",
    [
        "the sofa of image 1 in the colour of the lamp in image 2",
        "the sofa from image 1 in the same colour as image 2's lamp",
        "could the sofa in image 1 have the lamp's color from image 2?",
        "the sofa of image 1 with the surroundings of image 2",
        "the sofa in image 1 painted like the lamp of image 2",
        "please find me one showing the sofa that I like in the first picture, forget everything else",
        "das Sofa aus Bild 1 mit der Lampe aus Bild 2",
    ],
)
def test_what_only_lends_a_value_or_asks_is_not_missed(query: str) -> None:
    assert dropped_words(intent("a blue sofa"), query) == []


def test_a_search_notes_it_for_several_references_and_no_other(world: Any) -> None:
    said = {"core": "a purple square", "enhanced": "a purple square", "full": "a purple square"}
    steps = [{"type": "Retention", "text": "a purple square", "image": 1}]

    def reply(asked: Any) -> str:
        if asked.options["response_format"].endswith("IntentAnswer"):
            return json.dumps({"steps": steps, **said})
        return json.dumps({"predicates": [{"question": "Is it a purple square?", "expected": "Yes"}]})

    def notes(**given: Any) -> list[str]:
        served = world.services(reasoner=Role("reasoner", Scripted(reply)))
        asked = {"query": "the square of image 1 beside the kettle of image 2, in purple", **given}
        state = asyncio.run(load_graph("adaptive")(served).ainvoke(asked, context=Settings()))
        lost = [each["detail"] for each in state["notes"] if each["kind"] == "unchecked"]
        return [each for each in lost if "names reference" not in each]  # of one there is no second

    (told,) = notes(references=["red.png", "blue.png"])
    assert told.startswith("'kettle':")
    assert notes(reference="red.png") == []
