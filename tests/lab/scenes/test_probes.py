"""Drawn queries that only measure: near misses, wordings that nobody was taught, wishes that nothing fulfils."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from random import Random
from typing import Any

import pytest

from imagescope_agent.errors import BadInput
from imagescope_agent.evaluation.datasets import scenes as dataset
from imagescope_agent.lab.scenes.conditions import (
    PLURALS,
    SETTING_PHRASE,
    Absent,
    Count,
    Exists,
    InSetting,
    Pattern,
    Related,
)
from imagescope_agent.lab.scenes.language import SETTING_WORDS, SIZE_WORDS, SYNONYMS
from imagescope_agent.lab.scenes.make import make_world
from imagescope_agent.lab.scenes.probes.hard_negatives import nearly
from imagescope_agent.lab.scenes.probes.paraphrased_queries import WORDINGS, wordings
from imagescope_agent.lab.scenes.probes.paraphrased_queries import wish as random_wish
from imagescope_agent.lab.scenes.wordings.frames import every_frame
from imagescope_agent.lab.scenes.world import COLOURS, SIZES, Scene, Thing, random_scene
from imagescope_agent.lab.training.data.compose_turns import compose_turn, reading_turn

RED_HOUSE = Thing(kind="house", colour="red", size="small", x=0.2, y=0.2)
CAT = Thing(kind="cat", colour="blue", size="large", x=0.8, y=0.8)
SCENE = Scene(things=(RED_HOUSE, CAT), setting="night")


@pytest.mark.parametrize(
    "conditions, off",
    [
        ([Exists(Pattern("house", "green")), Exists(Pattern("cat"))], True),  # another colour
        ([Exists(Pattern("boat", "red"))], True),  # another kind
        ([Exists(Pattern("boat"))], False),  # a bare kind has nothing to spare
        ([Exists(Pattern("boat", "green"))], False),  # two properties off
        ([Exists(Pattern("house", "red", "large"))], True),
        ([Exists(Pattern("house", "red"))], False),  # it holds
        ([Exists(Pattern("house", "green")), InSetting("beach")], False),  # two conditions fail
        ([Exists(Pattern("house")), InSetting("beach")], True),
        ([Absent(Pattern("cat"))], True),
        ([Count(Pattern("cat"), 2)], True),
        ([Count(Pattern("cat"), 3)], False),
        ([Related(Pattern("cat"), "left of", Pattern("house"))], True),
        ([Related(Pattern("cat"), "left of", Pattern("boat"))], False),
    ],
)
def test_a_near_miss_is_one_property_off(conditions: Any, off: bool) -> None:
    assert nearly(SCENE, conditions) is off


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: Any) -> Path:
    root: Path = tmp_path_factory.mktemp("drawn") / "world"
    make_world(root, 3, 60)
    return root


def test_hard_queries_are_those_of_the_other_splits(drawn: Path) -> None:
    asked = {
        query.qid: query
        for split in ("tir", "cir", "multi")
        for query in dataset.load(drawn, split=split).queries
    }
    hard = dataset.load(drawn, split="hard")
    assert {query.subsets[0] for query in hard.queries} == {"tir", "cir", "multi"}
    assert "NegAbove@10" in hard.measures
    for query in hard.queries:
        before = asked[query.qid]
        assert (query.text, query.relevant, query.shown) == (before.text, before.relevant, before.shown)
        assert query.negatives and not set(query.negatives) & {*query.relevant, *query.shown}


@pytest.mark.parametrize(("split", "count"), [("paraphrase", 6), ("wordings", 12)])
def test_a_wish_has_its_wordings_and_counts_as_one(drawn: Path, split: str, count: int) -> None:
    queries = dataset.load(drawn, split=split).queries
    wishes = {query.wish for query in queries}
    assert len(queries) == count * len(wishes) and {query.unit for query in queries} == wishes
    assert {query.subsets[0] for query in queries} == {"text", "composed", "several"}
    for wish in wishes:
        same = [query for query in queries if query.wish == wish]
        assert [query.wording for query in same] == list(range(1, count + 1))
        assert len({query.text for query in same}) == count
        assert len({query.relevant for query in same}) == 1


def test_nothing_fulfils_the_queries_that_nothing_fulfils(drawn: Path) -> None:
    queries = dataset.load(drawn, split="none").queries
    assert queries and not any(query.relevant for query in queries)
    assert {query.reference is None for query in queries} == {True, False}


def test_a_line_without_near_misses_is_refused(drawn: Path, tmp_path: Path) -> None:
    root = tmp_path / "world"
    root.mkdir()
    (root / "images").symlink_to(drawn / "images")
    record = json.loads((drawn / "hard.jsonl").read_text().splitlines()[0])
    (root / "hard.jsonl").write_text(json.dumps({**record, "negatives": record["targets"][:1]}))
    with pytest.raises(BadInput, match="a near miss is needed"):
        dataset.load(root, split="hard")


@pytest.mark.parametrize("file", WORDINGS)
def test_every_kind_has_its_wordings(file: str) -> None:
    for kinds in wordings(file).values():
        for listed in kinds.values():
            assert len(set(listed)) == WORDINGS[file]


@pytest.mark.parametrize("file", WORDINGS)
def test_a_wish_asks_for_no_place_that_its_words_do_not_name(file: str) -> None:
    rng, colours = Random(3), 0
    scenes = [random_scene(rng) for _ in range(300)]
    while colours < 20:
        found = random_wish(scenes, [], "several", rng, file)
        if found is None or found.kind != "several, colour":
            continue
        places = [SETTING_PHRASE[each.name] for each in found.conditions if isinstance(each, InSetting)]
        assert all(place in text for place in places for text in found.texts)
        colours += 1


def test_no_training_loads_the_wordings() -> None:
    code = (
        "import pkgutil, sys, imagescope_agent.lab.training as training\n"
        "for each in pkgutil.walk_packages(training.__path__, training.__name__ + '.'):\n"
        "    __import__(each.name)\n"
        "print([name for name in sys.modules if 'probes' in name])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


_NOUNS = "|".join((*PLURALS, *PLURALS.values(), *(word for more in SYNONYMS.values() for word in more)))
_SIZES = "|".join((*SIZES, *(word for more in SIZE_WORDS.values() for word in more)))
_PLACES = "|".join((*SETTING_PHRASE.values(), *(word for more in SETTING_WORDS.values() for word in more)))
_CONTENT = re.compile(
    rf"\b(?:(?:an?|{_SIZES}|{'|'.join(COLOURS)}) )*(?:{_NOUNS})\b|\b(?:{_PLACES})\b|\b(?:{'|'.join(COLOURS)})\b"
)


def _skeleton(text: str) -> str:
    return _CONTENT.sub("_", text.lower())


def test_no_training_turn_says_it_in_these_words(drawn: Path) -> None:
    rng = Random(5)
    learnt = set()
    for _ in range(2000):
        for turn in (compose_turn(rng), reading_turn(rng), reading_turn(rng)):
            request = turn.prompt.split("\n")[0].removeprefix("Request: ")
            learnt.add(_skeleton(request))
    asked = {_skeleton(query.text) for query in dataset.load(drawn, split="paraphrase").queries}
    assert len(asked) > 30 and not asked & learnt


_NAME = re.compile(r"\{\w*\}|\b(?:image|picture) [12]\b")


def _words(frame: str) -> list[str]:
    return re.findall(r"[\w'_]+", _NAME.sub(" _ ", frame.lower()))


def _runs(frame: str, length: int = 6) -> set[tuple[str, ...]]:
    words = _words(frame)
    return {tuple(words[i : i + length]) for i in range(len(words) - length + 1)}


def test_no_frame_that_is_taught_has_six_words_in_a_row_of_these() -> None:
    taught = [each for kinds in every_frame().values() for frames in kinds.values() for each in frames]
    asked = [each for kinds in wordings().values() for texts in kinds.values() for each in texts]
    assert len(taught) > 400
    for measured in asked:
        alike = [each for each in taught if _words(each) == _words(measured)]
        alike += [each for each in taught if _runs(each) & _runs(measured)]
        assert alike == [], measured
