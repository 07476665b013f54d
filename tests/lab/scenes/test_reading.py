"""The reader of modification texts agrees with the conditions that the drawn queries are made of."""

from __future__ import annotations

from random import Random

import pytest

from imagescope_agent.lab.scenes.composed_queries import COMPOSED_KINDS, composed_query, near_miss_scene
from imagescope_agent.lab.scenes.conditions import satisfies
from imagescope_agent.lab.scenes.reading import UnreadText, leads_to
from imagescope_agent.lab.scenes.world import Scene, Thing, random_scene

HOUSE, STAR = (Thing(kind=kind, colour="red", size="small") for kind in ("house", "star"))
BOTH = Scene(things=(HOUSE, STAR), setting="night")


@pytest.mark.parametrize("kind", COMPOSED_KINDS)
def test_it_decides_as_the_ground_truth_does(kind: str) -> None:
    rng, read, unread, said = Random(f"reading {kind}"), 0, 0, set[bool]()
    while read < 400:
        reference = random_scene(rng, count=rng.randint(1, 5))
        made = composed_query(reference, kind, rng)
        if made is None:
            continue
        for target in (made[1], near_miss_scene(made[1], rng), near_miss_scene(reference, rng)):
            truth = satisfies(target, made[0].conditions)
            try:
                assert leads_to(reference, made[0].text, target) == truth, made[0].text
                read, said = read + 1, said | {truth}
            except UnreadText:
                unread += 1
    assert said == {True, False} and unread < 0.02 * read


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a nicer picture",
        "remove the boat",  # there is none
        "make the house red",  # it is
        "make the house smaller",
        "show it at night",
        "add a star",  # of what colour?
        "keep the boat and add a blue cat, the rest may change",
        "add one more blue star",
    ],
)
def test_what_says_nothing_about_the_reference_is_not_read(text: str) -> None:
    with pytest.raises(UnreadText):
        leads_to(BOTH, text, BOTH)


@pytest.mark.parametrize("text", ["without the star", "the house is green", "at dusk", "plus a blue cat"])
def test_the_reference_itself_is_no_target(text: str) -> None:
    assert not leads_to(BOTH, text, BOTH)
