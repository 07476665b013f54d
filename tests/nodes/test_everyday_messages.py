"""Messages as people type them: counts of "them", relations to "it", questions back, broken sentences."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from imagescope_agent.errors import UnreadableReply
from imagescope_agent.nodes.chat.dialogue_state import UpdateDialogueState
from imagescope_agent.nodes.chat.first_message import UnderstandFirst
from imagescope_agent.nodes.chat.language.antecedents import with_antecedents
from imagescope_agent.nodes.chat.language.corrections import changed_fact
from imagescope_agent.nodes.chat.language.coverage import Known, phrases, with_passed_over
from imagescope_agent.nodes.chat.language.grounding import Grounding
from imagescope_agent.nodes.chat.language.self_repair import repaired
from imagescope_agent.nodes.chat.language.spelling import meant
from imagescope_agent.nodes.chat.language.synonyms import in_known_words
from imagescope_agent.replies.parsing import StepAnswer
from tests.nodes.test_grounded_update import WORDS, after, fact, grounded
from tests.nodes.test_own_way_of_saying import Learnt


@pytest.mark.parametrize(
    ("message", "stands", "then"),
    [
        ("I saw three of them", "a grey wagon", "exactly three grey wagons"),
        ("make it 4", "exactly two kettles", "exactly four kettles"),
        ("they were turquoise", "exactly two kettles", "exactly two turquoise kettles"),
        ("the kettles should be yellow", "exactly two grey kettles", "exactly two yellow kettles"),
    ],
)
def test_a_count_and_a_property_of_them_are_of_what_stands(message: str, stands: str, then: str) -> None:
    facts = [fact(stands)]
    assert after(grounded(message, facts, ("wish", message)), facts) == [("Addition", then)]


@pytest.mark.parametrize("message", ["not all of them", "one of them", "none of those, please"])
def test_what_is_said_of_some_of_them_is_no_count(message: str) -> None:
    facts = [fact("a grey wagon")]
    assert after(grounded(message, facts, ("wish", message)), facts) == [("Addition", "a grey wagon")]


def test_a_number_in_digits_counts() -> None:
    assert [each.text for each in phrases("4 grey wagons, pls", WORDS)] == ["four grey wagons"]
    facts = [fact("a kettle")]
    found = grounded("also 3 wagons", facts, ("wish", "also 3 wagons"), steps=[("Addition", "a wagon")])
    assert after(found, facts) == [("Addition", "a kettle"), ("Addition", "three wagons")]


def test_what_is_said_of_everything_is_said_of_no_thing() -> None:
    facts = [fact("a wagon")]
    found = grounded("everything was so yellow there", facts, ("wish", "everything was so yellow there"))
    assert after(found, facts) == [("Addition", "a wagon")]


@pytest.mark.parametrize(
    ("acts", "then"),
    [
        ([("skip", "argh, no"), ("wish", "a yellow wagon")], "a yellow wagon"),
        ([("wish", "dude, nope, a yellow wagon")], "a yellow wagon"),
        ([("withdrawal", "never mind the colour")], "a wagon"),
        ([("wish", "any colour will do")], "a wagon"),
        ([("correction", "the colour of the wagon doesn't matter")], "a wagon"),
        ([("withdrawal", "forget the size")], None),
        ([("wish", "never mind the colour, a kettle in turquoise")], None),
    ],
)
def test_exclamations_correct_and_a_property_is_given_up_by_its_name(
    acts: list[tuple[str, str]], then: str | None
) -> None:
    found = changed_fact([fact("a grey wagon")], [{"act": a, "text": text} for a, text in acts], WORDS)
    assert (found and found.text) == then


@pytest.mark.parametrize(
    ("message", "meant"),
    [
        ("a kettle left of, um, right of the wagon", "a kettle right of the wagon"),
        (
            "the kettle is to the left of the wagon, sorry, to the right",
            "the kettle is to the right of the wagon",
        ),
        ("a kettle above, no, below the wagon", "a kettle below the wagon"),
        ("a kettle left of the wagon, sorry, a lantern", "a kettle left of a lantern"),
        ("a grey wagon, no hold on, a yellow wagon", "a yellow wagon"),
    ],
)
def test_a_relation_is_repaired_like_a_thing(message: str, meant: str) -> None:
    assert repaired(message, WORDS) == meant


@pytest.mark.parametrize(
    ("message", "then"),
    [
        ("a lantern to the left of it", "a lantern to the left of the wagon"),
        ("put a lantern above them, please", "put a lantern above the wagon, please"),
        ("a lantern and a kettle below it", None),
        ("the lantern left of it is yellow", None),
        ("above it all", None),
    ],
)
def test_a_relation_to_it_names_what_stands(message: str, then: str | None) -> None:
    state: Any = {
        "query": message,
        "acts": [{"text": message, "act": "wish"}],
        "facts": [fact("a grey wagon")],
    }
    found = with_antecedents(state, WORDS)
    assert (found["query"], found["acts"][0]["text"]) == (then or message, then or message)
    nothing: Any = {**state, "facts": []}
    assert with_antecedents(nothing, WORDS) == nothing


@pytest.mark.parametrize(
    ("message", "steps", "drop", "then"),
    [
        ("the kettle's right of the wagon", [], (1,), [("Addition", "a kettle right of a wagon")]),
        (
            "a lantern on top of the wagon",
            [("Addition", "a lantern above a lantern")],
            (),
            [("Addition", "a lantern above a wagon")],
        ),
        ("no lantern above the wagon", [("Removal", "a lantern above a wagon")], (), None),
    ],
)
def test_how_two_things_lie_takes_neither_of_them_back(
    message: str, steps: Any, drop: Any, then: Any
) -> None:
    facts = [fact("a grey wagon"), fact("a kettle")]
    found = after(grounded(message, facts, ("wish", message), steps=steps, drop=drop), facts)
    assert found[:2] == [("Addition", "a grey wagon"), ("Addition", "a kettle")]
    assert then is None or all(each in found for each in then)


def test_a_relation_to_a_thing_keeps_its_property() -> None:
    facts = [fact("a tall grey wagon")]
    said = "wait, left of the wagon there is a kettle"
    found = grounded(said, facts, ("correction", said), steps=[("Addition", "a kettle left of a wagon")])
    assert ("Addition", "a tall grey wagon") in after(found, facts)


def test_a_thing_that_goes_takes_its_relations_with_it() -> None:
    facts = [fact("a kettle"), fact("a grey wagon"), fact("a kettle left of a wagon")]
    said = "drop the kettle"
    assert after(grounded(said, facts, ("withdrawal", said), drop=(1,)), facts) == [
        ("Addition", "a grey wagon")
    ]
    several = [fact("a kettle"), fact("a yellow kettle"), fact("a kettle left of a wagon")]
    assert len(after(grounded(said, several, ("withdrawal", said), drop=(1,)), several)) == 2


def test_a_size_is_said_by_its_word_alone() -> None:
    class Blind(Learnt):
        groups = (("a small wagon", "a wagon", "a grey wagon", "a small"),)

    said, wagon = "the wagon was small", StepAnswer(type="Addition", text="a wagon")
    embedder: Any = Blind()
    known = Known((), [fact("a grey wagon")])
    found = asyncio.run(with_passed_over([], said, known, embedder, WORDS))
    assert [step.text for step in found] == ["a small wagon"]
    found = asyncio.run(with_passed_over([wagon, found[0]], said, known, embedder, WORDS))
    assert [step.text for step in found] == ["a small wagon"]


def test_a_property_of_one_of_several_is_not_of_all() -> None:
    facts = [fact("exactly two wagons")]
    for said in (
        "one of the wagons is grey",
        "the wagon is grey",
        "what colour are the wagons? grey and yellow",
    ):
        found = grounded(said, facts, ("wish", said), steps=[("Addition", "a grey wagon")])
        assert after(found, facts)[0] == ("Addition", "exactly two wagons")


def test_a_thing_that_is_named_is_not_excluded_by_a_no_before_it() -> None:
    facts = [fact("a grey wagon")]
    acts = [("answer", "oh no."), ("wish", "a yellow WAGON.")]
    found = grounded("oh no. a yellow WAGON.", facts, *acts, steps=[("Removal", "a wagon")])
    assert ("Addition", "a yellow wagon") in after(found, facts)


def test_a_property_that_a_message_gives_one_thing_is_not_of_another_one() -> None:
    said = "a kettle and a lantern um the kettle is grey"
    found = grounded(
        said, [], ("wish", said), steps=[("Addition", "a kettle"), ("Addition", "a grey lantern")]
    )
    assert sorted(after(found, [])) == [("Addition", "a grey kettle"), ("Addition", "a lantern")]


def test_a_word_of_where_is_read_without_its_typing_error() -> None:
    english = frozenset(["above", "bellow"])
    assert meant("abvoe", WORDS, english) == "above" and meant("bellow", WORDS, english) == ""


def test_a_word_that_was_never_learnt_is_no_other_word_for_a_thing() -> None:
    class Alike(Learnt):
        groups = (("a blorp", "a lamp", "a lantern"),)

    embedder: Any = Alike()
    assert asyncio.run(Grounding(["a lamp"], embedder, WORDS.stems).holds("a lantern"))
    assert not asyncio.run(Grounding(["a blorp"], embedder, WORDS.stems).holds("a lantern"))


@pytest.mark.parametrize(
    ("message", "read"),
    [
        ("and it was so wee!", "and it was so small!"),
        ("the wagon is wee and grey", "the wagon is small and grey"),
        ("it's the docks, I think", "it's the harbour, I think"),
        ("a wee grey wagon", "a small grey wagon"),
        ("there is wee hope", "there is wee hope"),
        ("it's docks", "it's docks"),
    ],
)
def test_a_size_or_a_place_in_another_word_is_read_where_something_is_said_to_be_it(
    message: str, read: str
) -> None:
    class Taught(Learnt):
        other_words = SimpleNamespace(
            means={"wee": "small", "docks": "harbour"}, sorts={"small": "size", "harbour": "place"}
        )

    embedder: Any = Taught()
    state: Any = {"query": message, "acts": []}
    assert in_known_words(state, WORDS, embedder)["query"] == read


def test_a_first_message_that_no_model_could_read_wishes_what_it_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("imagescope_agent.nodes.chat.first_message.vocabulary_of", lambda images: WORDS)
    node: Any = UnderstandFirst.__new__(UnderstandFirst)
    node.embedder, node.images = None, None
    query = "well you know how it is, without any kettles, simply a grey wagon by moonlight"
    state: Any = {"query": query, "request": query, "acts": [], "reference": None, "reference_caption": ""}
    found = asyncio.run(node.as_named(state))
    steps = [(step["type"], step["text"]) for step in found["intent"]["steps"]]
    assert steps == [("Removal", "kettles"), ("Addition", "a grey wagon")]
    assert found["intent"]["full"] == found["request"] == "a grey wagon"
    nothing = asyncio.run(node.as_named({**state, "query": "a bit of peace"}))
    assert nothing["intent"]["steps"] == [] and nothing["intent"]["full"] == "a bit of peace"


@pytest.mark.parametrize(
    ("message", "then"),
    [
        ("nor kettles for that matter", ("Removal", "kettles")),
        ("a yellow lantern would do", ("Addition", "a yellow lantern")),
        ("never a dull moment", ("Removal", "never a dull moment")),
    ],
)
def test_a_later_message_that_no_model_could_read_says_what_it_names(
    monkeypatch: pytest.MonkeyPatch, message: str, then: tuple[str, str]
) -> None:
    monkeypatch.setattr("imagescope_agent.nodes.chat.dialogue_state.vocabulary_of", lambda images: WORDS)
    node: Any = UpdateDialogueState.__new__(UpdateDialogueState)
    node.embedder, node.images = None, None
    grains = {"core": "a wagon", "enhanced": "a wagon", "full": "a wagon"}
    state: Any = {
        **{
            "query": message,
            "request": "a wagon",
            "acts": [{"text": message, "act": "wish"}],
            "question": None,
        },
        **{"reference": None, "reference_caption": "none", "facts": [fact("a wagon")]},
        "intent": {"steps": [], **grains},
    }
    found = asyncio.run(node.as_named(state))
    steps = [(step["type"], step["text"]) for step in found["intent"]["steps"]]
    assert steps == [("Addition", "a wagon"), then]


def test_a_fallback_may_be_a_coroutine() -> None:
    from imagescope_agent.nodes.fallback import or_else
    from imagescope_agent.settings import Settings

    class Mute:
        step = role = "mute"

        async def __call__(self, state: Any, runtime: Any, again: str = "") -> Any:
            raise UnreadableReply("nothing")

    async def named(state: Any) -> Any:
        return {"request": "a wagon"}

    runtime: Any = SimpleNamespace(context=Settings(attempts=1))
    state: Any = {}
    assert asyncio.run(or_else(Mute(), named, instead="x")(state, runtime))["request"] == "a wagon"
