"""Targets of understanding and judging turns."""

from __future__ import annotations

from imagescope_agent.lab.scenes.conditions import Absent, Exists, Pattern, Related
from imagescope_agent.lab.scenes.queries import QueryStep, SceneQuery
from imagescope_agent.lab.training.data.image_turns import judge_turn
from imagescope_agent.lab.training.data.understanding_turns import understand_turn
from tests.lab.training.samples import SCENE


def query(text: str, *conditions: object) -> SceneQuery:
    steps = tuple(QueryStep("Addition", condition) for condition in conditions)  # type: ignore[arg-type]
    return SceneQuery(kind="core", text=text, steps=steps, core="", enhanced="", full="")


def test_edit_labels_of_the_references_things() -> None:
    painted, kept = Exists(Pattern("house", "green")), Exists(Pattern("boat", "blue"))
    asked = SceneQuery(
        kind="modification", text="paint the cottage green and add a star", core="", enhanced="", full="",
        steps=(QueryStep("Modification", painted), QueryStep("Retention", kept)), places=(0, 1),
    )  # fmt: skip
    turn = understand_turn(asked, SCENE)
    house, boat = turn.edits
    assert (house.type, boat.type, boat.request_spans) == ("Modification", "Retention", ())
    assert [turn.prompt[a:b] for a, b in house.request_spans] == ["cottage green"]
    assert house.duplicate_of is boat.duplicate_of is None
    assert turn.prompt[: boat.end].endswith("blue boat")
    assert [turn.answer[a:b] for a, b in boat.answer_spans] == ['"},{"type":"Retention","text":"']


def test_mentions_say_which_conditions_are_satisfied() -> None:
    asked = query(
        "a red cottage and no blue boat",
        Exists(Pattern("house", "red")),
        Absent(Pattern("boat", "blue")),
    )
    turn = judge_turn(asked, SCENE)
    assert [(turn.prompt[: mention.end].split()[-2:], mention.satisfied) for mention in turn.mentions] == [
        (["red", "house"], True),
        (["blue", "boat"], False),
    ]


def test_the_second_mention_of_a_relation_has_the_first_as_subject() -> None:
    related = Related(Pattern("house", "red"), "left of", Pattern("boat", "blue"))
    turn = judge_turn(query("a red house left of a blue boat", related), SCENE)
    assert [(mention.subject, mention.satisfied) for mention in turn.mentions] == [
        (None, None),
        (Pattern("house", "red"), True),
    ]
