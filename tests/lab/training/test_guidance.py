"""What helps the mini chat model to learn: where names, answers and repeated words are told to look."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from imagescope_agent.lab.scenes.conditions import Absent, Exists, Pattern, Related
from imagescope_agent.lab.scenes.edits import Step
from imagescope_agent.lab.scenes.queries import Query
from imagescope_agent.lab.scenes.world import Scene, Thing
from imagescope_agent.lab.training.batch import gaze_arrays, lessons
from imagescope_agent.lab.training.copying import destinations, latest, sources
from imagescope_agent.lab.training.examples import judge_branch, understand_branch
from imagescope_agent.lab.training.heads import CountHead, FlagHead
from imagescope_agent.lab.training.packed_row import Mention, Row, covered, middle

HOUSE = Thing(kind="house", colour="red", size="large", x=0.2, y=0.7, diameter=0.35)
BOAT = Thing(kind="boat", colour="blue", size="small", x=0.8, y=0.3, diameter=0.2)
SCENE = Scene(things=(HOUSE, BOAT), setting="beach")


def query(text: str, *conditions: object) -> Query:
    steps = tuple(Step("Addition", condition) for condition in conditions)  # type: ignore[arg-type]
    return Query(kind="core", text=text, steps=steps, core="", enhanced="", full="")


def test_a_repeated_word_points_at_the_longest_common_stretch() -> None:
    request = ["a", "large", "blue", "star", "and", "a", "small", "blue", "fish"]
    answer = ["yes", ":", "a", "blue", "fish"]
    assert sources([hash(w) for w in request], [hash(w) for w in answer]) == [(), (), (), (7,), (8,)]


def test_nothing_in_common_points_nowhere() -> None:
    assert sources([1, 2, 3], [4, 5]) == [(), ()]
    assert sources([1, 2, 1], [1, 9, 2]) == [(), (), (1,)], "a token that occurs twice, alone, is chance"


def test_the_finger_is_there_before_the_word() -> None:
    assert destinations([(), (), (3,), (), (5, 6)], set()) == [(3,), (3,), (3,), (5, 6), (5, 6)]
    far = destinations([(), *[()] * 6, (2,)], set())
    assert far == [(), (), *[(2,)] * 6]


def test_before_a_name_the_finger_is_at_its_noun() -> None:
    assert destinations([(), (3,), (4,), (), (8,)], {4}) == [(4,), (3,), (4,), (8,), (8,)]


def test_a_thing_of_the_reference_looks_at_what_is_said_of_it() -> None:
    painted, kept = Exists(Pattern("house", "green")), Exists(Pattern("boat", "blue"))
    asked = Query(
        kind="modification", text="paint the cottage green and add a star", core="", enhanced="", full="",
        steps=(Step("Modification", painted), Step("Retention", kept)), places=(0, 1),
    )  # fmt: skip
    branch = understand_branch(asked, SCENE)
    house, boat = branch.fates
    assert (house.type, boat.type, boat.said) == ("Modification", "Retention", ())
    assert [branch.prompt[a:b] for a, b in house.said] == ["cottage green"]
    assert house.before is boat.before is None
    assert branch.prompt[: boat.end].endswith("blue boat")
    assert [branch.answer[a:b] for a, b in boat.decided] == ['"},{"type":"Retention","text":"']


def test_the_noun_before_is_remembered() -> None:
    assert latest([7, 1, 8, 2, 3], frozenset({7, 8})) == [None, 0, 0, 2, 2]


def test_a_request_names_its_things_and_says_which_are_met() -> None:
    asked = query(
        "a red cottage and no blue boat",
        Exists(Pattern("house", "red")),
        Absent(Pattern("boat", "blue")),
    )
    branch = judge_branch(asked, SCENE)
    assert [(branch.prompt[: name.end].split()[-2:], name.met) for name in branch.named] == [
        (["red", "house"], True),
        (["blue", "boat"], False),
    ]


def test_the_second_name_of_a_relation_knows_the_first() -> None:
    related = Related(Pattern("house", "red"), "left of", Pattern("boat", "blue"))
    branch = judge_branch(query("a red house left of a blue boat", related), SCENE)
    assert [(name.partner, name.met) for name in branch.named] == [
        (None, None),
        (Pattern("house", "red"), True),
    ]


def test_the_middle_of_a_thing_is_covered_by_it() -> None:
    for thing in SCENE.things:
        assert middle(thing) in covered(thing)
    assert middle(HOUSE) == 2 * 4 + 0
    assert middle(BOAT) == 1 * 4 + 3


def test_a_head_of_flags_can_be_right_and_wrong() -> None:
    head = FlagHead(2, 2)
    head.norm = nn.Identity()  # type: ignore[assignment]
    with torch.no_grad():
        head.flag.weight.copy_(torch.eye(2))
        head.flag.bias.zero_()
    mention = Mention(
        row=0, column=0, pattern=Pattern("boat"), scene=SCENE, partner=Pattern("house")
    )  # the house is left of the boat and not above it
    asked = {name: torch.from_numpy(array) for name, array in lessons([mention], [], [], [])["sides"].items()}
    right, share = head(torch.tensor([[[9.0, -9.0]]]), asked)
    wrong, other = head(torch.tensor([[[-9.0, 9.0]]]), asked)
    assert share == 1 and other == 0
    assert right < 0.01 < 5 < wrong


def test_a_head_of_counts_is_asked_where_only_of_what_is_alone() -> None:
    two = Scene(things=(HOUSE, HOUSE, BOAT), setting="beach")
    mentions = [
        Mention(row=0, column=n, pattern=Pattern(kind), scene=two) for n, kind in enumerate(("house", "boat"))
    ]
    asked = lessons(mentions, [], [], [])["grounding"]
    assert asked["count"].tolist() == [2, 1]
    np.testing.assert_allclose(asked["where"][1], (BOAT.x, BOAT.y, BOAT.diameter), rtol=1e-6)
    head = CountHead(4)
    places = {name: torch.from_numpy(array) for name, array in asked.items()}
    states = torch.randn(1, 2, 4)
    before = head(states, places)[0]
    places["where"][0] = 5.0  # nobody asks where two houses are
    torch.testing.assert_close(head(states, places)[0], before)


def test_gazes_are_grouped_by_guide() -> None:
    row = Row(0)
    row.add([1, 2, 3, 4, 5], branch=0)
    row.gaze(2, (0, 1), "here")
    row.gaze(3, (2,), "here")
    row.gaze(4, (), "told")
    gazes = gaze_arrays(row.gazes)
    assert gazes["here"]["column"].tolist() == [2, 3]
    assert (gazes["here"]["which"].tolist(), gazes["here"]["token"].tolist()) == ([0, 0, 1], [0, 1, 2])
    assert gazes["told"]["token"].tolist() == [0] and "share" not in gazes["told"]
