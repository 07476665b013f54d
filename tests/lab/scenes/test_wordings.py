"""Queries worded by sentence frames: true of their scenes, and with frames that are held out."""

from __future__ import annotations

import re
from pathlib import Path
from random import Random

import pytest

import imagescope_agent
from imagescope_agent.lab.scenes.composed_queries import COMPOSED_KINDS, composed_query
from imagescope_agent.lab.scenes.conditions import PLURALS, Pattern, Related, satisfies
from imagescope_agent.lab.scenes.language import SYNONYMS, plural
from imagescope_agent.lab.scenes.references.wording import FramedReferences
from imagescope_agent.lab.scenes.wordings.composed_wordings import FramedWording
from imagescope_agent.lab.scenes.wordings.frames import every_frame, frames
from imagescope_agent.lab.scenes.wordings.spoken import thing_words, with_vowels
from imagescope_agent.lab.scenes.wordings.text_wordings import worded_text_query
from imagescope_agent.lab.scenes.world import COLOURS, KINDS, SIZES, random_scene
from imagescope_agent.lab.training.data.understanding_turns import framed_query


def test_frames_that_are_held_out_are_not_taught() -> None:
    kinds = [(group, kind) for group, kinds in every_frame().items() for kind in kinds]
    held = 0
    for group, kind in kinds:
        taught, unseen = frames(group, kind), frames(group, kind, unseen=True)
        assert taught and (set(taught).isdisjoint(unseen) or unseen == taught)
        held += len(unseen) if unseen != taught else 0
    assert held > 40


@pytest.mark.parametrize("unseen", [False, True])
def test_a_scene_answers_the_query_that_was_worded_from_it(unseen: bool) -> None:
    rng, made, texts = Random(3), 0, set()
    while made < 300:
        scene = random_scene(rng)
        query = worded_text_query(scene, rng, unseen=unseen)
        if query is not None:
            assert satisfies(scene, query.conditions) and "{" not in query.text
            texts.add(query.text)
            made += 1
    assert len(texts) > 290


def test_small_talk_names_nothing_of_the_world() -> None:
    world = {
        *KINDS,
        *PLURALS.values(),
        *COLOURS,
        *SIZES,
        *(word for words in SYNONYMS.values() for word in words),
    }
    for frames_of_kind in every_frame()["around"].values():
        for text in frames_of_kind:
            assert world.isdisjoint(re.findall(r"\w+", text.lower())), text


def test_what_is_said_wrong_first_is_no_part_of_the_query() -> None:
    rng, slips = Random(4), 0
    words = [
        form.format(w="|", r="|").split("|")[1].replace(",", " ,").strip()
        for form in every_frame()["phrase"]["slip"]
    ]
    while slips < 40:
        said = thing_words(Pattern("boat", "red"), rng, other_kinds=True)
        if middle := next((each for each in words if each and f" {each} " in said.replace(",", " ,")), None):
            meant = said.replace(",", " ,").split(f" {middle} ", 1)[1]
            assert re.search(r"\b(boat|ship)\b", meant) and "red" in meant, said
            slips += 1


def test_other_words_for_an_edit_change_nothing_else() -> None:
    rng, compared = Random(8), 0
    while compared < 200:
        scene, kind, seed = random_scene(rng, count=3), rng.choice(COMPOSED_KINDS), rng.random()
        pair = composed_query(scene, kind, Random(seed), FramedWording())
        if pair is None:
            continue
        query, target = pair
        assert satisfies(target, query.conditions) and "{" not in query.text
        compared += 1


def test_references_of_a_query_have_names_of_their_own() -> None:
    rng, named = Random(2), set()
    for _ in range(600):
        scenes = [random_scene(rng) for _ in range(rng.choice((2, 3, 4)))]
        names = FramedReferences(rng).names(scenes)
        assert len(set(names)) == len(scenes) and not any("{" in each for each in names), names
        named.add(names)
    assert {("the former", "the latter"), ("the one", "the other")} & named


def test_several_things_without_an_article() -> None:
    assert [plural(each) for each in ("red boat", "large fish", "kitten", "black object")] == [
        "red boats",
        "large fish",
        "kittens",
        "black objects",
    ]


def test_what_is_above_is_not_said_to_be_below() -> None:
    """Frames of one thing over another say the direction, and where both sides are said, both are right."""
    rng, said = Random(5), 0
    while said < 60:
        scene = random_scene(rng)
        query = worded_text_query(scene, rng)
        if query is None or not re.search(r"\bat the (top|bottom)\b", query.text):
            continue
        ends = re.findall(r"\b(top|bottom)\b", query.text.replace("on top of", ""))
        related = [each.condition for each in query.steps if isinstance(each.condition, Related)]
        if len(ends) != 2 or not related:
            continue
        assert ends == (["top", "bottom"] if related[0].relation == "above" else ["bottom", "top"]), (
            query.text
        )
        said += 1


def test_an_article_suits_the_noun_that_a_frame_is_filled_with() -> None:
    texts = [framed_query(Random(seed))[0].text for seed in range(3000)]
    assert not [text for text in texts if re.search(r"\ba (?:orange|umbrella|automobile)", text, re.I)]
    assert with_vowels("a one-off, A umbrella") == "a one-off, An umbrella"


def test_number_words_stand_in_one_table_of_drawn_scenes_and_one_of_conversations() -> None:
    files = Path(str(imagescope_agent.__file__)).parent.rglob("*.py")
    tables = [file.name for file in files if '"two", "three", "four"' in file.read_text(encoding="utf-8")]
    assert sorted(tables) == ["conditions.py", "grounding.py"]
