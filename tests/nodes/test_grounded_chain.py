"""What a chain concludes beyond its ground is left out, with a note; what the reference lends stays."""

from __future__ import annotations

import pytest

from imagescope_agent.nodes.intent.grounded_chain import grounded
from imagescope_agent.replies.chains import Chain

REFERENCE = "From left to right: a small purple boat, a large green cat and a small white star, in the snow."


def concluded(query: str, steps: str, conclusion: str, caption: str = REFERENCE) -> tuple[str, list[str]]:
    chain = Chain(caption=caption, reasoning=steps, conclusion=conclusion)
    found, notes = grounded(chain.to_dict(), [query])
    assert (found == chain.to_dict()) == (not notes)
    assert grounded(found, [query]) == (found, [])  # once is enough
    return found["conclusion"], [each["kind"] for each in notes]


@pytest.mark.parametrize(
    ("query", "steps", "conclusion", "left"),
    [
        (  # what is put in a place does not inherit its size
            "a red car instead of the purple boat",
            "Addition: a red car\nRemoval: a purple boat\nRetention: a green cat",
            "a small red car and a large green cat in the snow",
            "a red car and a large green cat in the snow",
        ),
        (  # nor does a second one have that of the first
            "one more green cat",
            "Comparison: exactly two green cats",
            "a large green cat and a large green cat in the snow",
            "a large green cat and a green cat in the snow",
        ),
        (  # what a step makes larger is not small any more
            "make the star larger",
            "Comparison: a large white star\nRetention: a green cat",
            "a large green cat and a small white star in the snow",
            "a large green cat and a star in the snow",
        ),
        (  # a colour that nothing gives, and the article of the word behind it
            "the cat in a meadow",
            "Retention: a cat\nModification: the scene in a meadow",
            "An orange large green cat in a meadow",
            "A large green cat in a meadow",
        ),
        ("a boat at night", "Addition: a boat at night", "a large orange boat at night", "a boat at night"),
        ("an umbrella", "Addition: an umbrella", "a red umbrella", "an umbrella"),
        (  # another one of the same name is not the one that was there
            "a red boat instead",
            "Removal: a purple boat\nAddition: a red boat",
            "a small red boat in the snow",
            "a red boat in the snow",
        ),
        (  # a word with a hyphen is left out as a whole
            "a dress with long sleeves",
            "Addition: a dress with long sleeves",
            "a knee-length dress with long sleeves",
            "a dress with long sleeves",
        ),
    ],
)
def test_properties_without_a_ground_are_left_out(query: str, steps: str, conclusion: str, left: str) -> None:
    assert concluded(query, steps, conclusion) == (left, ["repaired"])


@pytest.mark.parametrize(
    ("query", "steps", "conclusion"),
    [
        (
            "take the star out",
            "Removal: a white star",
            "a small purple boat and a large green cat in the snow",
        ),
        ("add a tiny red fish", "Addition: a small red fish", "a small red fish and a large green cat"),
        ("make the boat smaller", "Comparison: a small purple boat", "a small purple boat in the snow"),
        ("make it small and blue", "Modification: the star is small and blue", "a small blue star"),
        ("a lorry", "Addition: a lorry", "a heavy truck on a road"),  # perhaps the same in other words
        ("ein roter Wagen mit einem Boot", "Addition: a car", "a small red car"),
        ("coche rojo", "Addition: a car", "a red car"),  # no word that tells the language
        ("a tiny gray fish", "Addition: a tiny gray fish", "a small grey fish"),
        ("a crimson car", "Addition: a crimson car", "a red car"),
        ("paint the boat green", "Modification: the boat is green", "a small green boat in the snow"),
        (
            "paint the boat green",
            "Modification: a green boat\nRemoval: a purple boat",
            "a small green boat in the snow",
        ),
        ("make the boat bigger", "Comparison: a bigger boat", "a large purple boat in the snow"),
        ("a woman with blond hair", "Addition: a woman with blond hair", "a blond woman"),
        ("a man's red hat", "Addition: a man's red hat", "a red man's hat"),
    ],
)
def test_what_has_a_ground_stays(query: str, steps: str, conclusion: str) -> None:
    assert concluded(query, steps, conclusion) == (conclusion, [])


def test_the_note_names_what_was_left_out_and_no_chain_stays_none() -> None:
    chain = Chain(caption="a blank image", reasoning="Addition: a cat", conclusion="a small black cat")
    _, notes = grounded(chain.to_dict(), ["a cat"])
    assert "'small', 'black'" in notes[0]["detail"]
    assert grounded({}, ["a cat"]) == ({}, [])
