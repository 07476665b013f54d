"""Which reference a thing is of, by the words around it."""

from __future__ import annotations

import pytest

from imagescope_agent.nodes.intent.said_references import said_references


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("the kettle of image 1 and the chair of image 2", {"kettle": 1, "chair": 2}),
        ("image 2 has the right kettle, image 1 the right chair", {"kettle": 2, "chair": 1}),
        ("the first photo's chair beside the second one's kettle", {"kettle": 2, "chair": 1}),
        ("from the 2nd picture the kettle, from the 1st the chair", {"kettle": 2, "chair": 1}),
        ("put picture two's kettle next to picture one's chair", {"kettle": 2, "chair": 1}),
        ("the kettle and the chair of image 2", {"chair": 2}),  # the kettle may be of any
        ("the kettle and the chair", {}),
        ("image 1 kettle image 2", {}),
        ("the kettle of image 7 and a chair", {}),
    ],
)
def test_the_nearest_mention_counts(query: str, said: dict[str, int]) -> None:
    assert said_references(query, [word for word in ("kettle", "chair") if word in query], 2) == said


def test_each_of_two_words_has_a_reference_of_its_own() -> None:
    query = "image 1 has the kettle, image 2 the setting"
    assert said_references(query, ["kettle", "setting"], 2) == {"kettle": 1, "setting": 2}
    assert said_references(query, ["kettle", "setting", "has"], 2) == {}
