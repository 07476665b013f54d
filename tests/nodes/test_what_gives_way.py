"""What a message takes back, and what of a standing request stays: nothing goes where nothing comes in its place."""

from __future__ import annotations

import pytest

from tests.nodes.test_own_way_of_saying import grounded, texts


@pytest.mark.parametrize(
    "message",
    [
        "turn the wagon around",
        "switch the wagon off please",
        "change the wagon a bit",
        "swap the wagon and the kettle",
        "the wagon becomes bigger",
        "can you turn the wagon so that it faces the lantern?",
        "why did you replace the wagon?",
        "did you swap the wagon for a lantern?",
        "don't replace the wagon",
        "please don't change the wagon but add a lantern",
        "without changing the wagon, add a lantern",
    ],
)
def test_nothing_goes_where_nothing_comes_in_its_place(message: str) -> None:
    assert grounded(message, "wish", "a grey wagon", "a kettle").update.drop == []


def test_the_user_is_told_what_goes_without_the_talker_having_dropped_it() -> None:
    found = grounded(
        "swap the lantern for a wagon", "wish", "a kettle", "a lantern", steps=(("Addition", "a wagon"),)
    )
    assert found.update.drop == [2] and any('"a lantern" no longer holds' in each for each in found.remarks)


@pytest.mark.parametrize(
    "message",
    [
        "lose the lantern",
        "the lantern can go",
        "enough lanterns",
        "the lantern bothers me",
        "scratch the lantern and add a kettle",
        "kill the lantern, a kettle would be nicer",
        "the lantern? scratch it",
        "lantern-free please",
    ],
)
@pytest.mark.parametrize("act", ["wish", "correction"])
def test_a_removal_that_the_message_may_well_say_stays(message: str, act: str) -> None:
    found = grounded(message, act, "a grey wagon", "a lantern", steps=(("Removal", "a lantern"),))
    assert ("Removal", "a lantern") in texts(found) and found.update.drop == [2]


def test_a_removal_that_is_left_out_is_told() -> None:
    found = grounded("enormous thing, that wagon", "wish", "a grey wagon", steps=(("Removal", "a wagon"),))
    assert any("was not left out" in each for each in found.remarks)


@pytest.mark.parametrize(
    ("message", "step"),
    [
        ("a grey lantern, but the wagon must not be grey", ("Removal", "a grey wagon")),
        ("a grey lantern and a wagon of the same colour", ("Addition", "a grey wagon")),
        ("a grey lantern; make the wagon that colour as well", ("Addition", "a grey wagon")),
        ("a small lantern and a wagon that is just as small", ("Addition", "a small wagon")),
    ],
)
def test_what_is_said_of_both_things_or_excluded_is_not_taken_away(
    message: str, step: tuple[str, str]
) -> None:
    found = grounded(message, "wish", steps=(step,))
    assert step in texts(found)
    assert not any("said of another thing" in note["detail"] for note in found.notes)


@pytest.mark.parametrize(
    ("message", "steps", "drop"),
    [
        ("a wagon rather than a lantern", (("Addition", "a wagon"),), ()),
        ("no lantern please", (("Removal", "a lantern"),), ()),
        ("definitely not a lantern", (("Addition", "a lantern"),), ()),
        ("a wagon instead of the lantern", (("Addition", "a wagon"),), (1,)),
    ],
)
def test_the_request_does_not_tell_of_what_goes(
    message: str, steps: tuple[tuple[str, str], ...], drop: tuple[int, ...]
) -> None:
    full = "a yellow lantern and a kettle"
    found = grounded(message, "wish", "a yellow lantern", "a kettle", steps=steps, drop=drop, full=full)
    assert found.update.drop == [1]
    assert "lantern" not in found.update.full and "kettle" in found.update.full
