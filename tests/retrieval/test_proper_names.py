"""Names and quoted words stand for themselves."""

from __future__ import annotations

import pytest

from imagescope_agent.retrieval.proper_names import as_they_stand


@pytest.mark.parametrize(
    ("text", "stand"),
    [
        ("my friend Rose beside a boat", ["rose"]),
        ("Ruby holding a ball", ["ruby"]),
        ("Violet is on a beach. Lily and Daisy", ["daisy", "lily", "violet"]),
        ("Mercedes and her dog", ["mercedes"]),
        ("the Olive Garden", ["garden", "olive"]),
        ("a sign that says 'kitty', the kitty's \u201cboat\u201d and \"dog\"", ["boat", "dog", "kitty"]),
        ("a Kitty and an Umbrella", []),  # behind an article
        ("Kitty on a beach. Brolly, in the snow", []),  # the beginning of a sentence
        ("A DAISY IN THE SNOW", []),
    ],
)
def test_names_and_quotes_are_found_by_their_marks(text: str, stand: list[str]) -> None:
    assert sorted(as_they_stand(text)) == stand
