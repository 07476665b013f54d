"""An intent that has nothing to do with the request is not searched for, and a good one always is."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import numpy as np
import pytest

from imagescope_agent.nodes.intent.drift import content_words, copied, drift, repeated
from imagescope_agent.nodes.intent.understand import strayed
from imagescope_agent.prompting import load_prompt
from imagescope_agent.records import NOT_DEGRADING
from imagescope_agent.registry import load_graph
from imagescope_agent.replies.non_answers import endless
from imagescope_agent.settings import Settings
from imagescope_agent.state import Intent
from tests.conftest import World


class Nothing:
    """An embedder for which no two texts are alike."""

    weights, dimension = "nothing", 8

    def images(self, images: Any) -> Any:
        raise NotImplementedError

    def texts(self, texts: Any) -> Any:
        return np.eye(8, dtype=np.float32)[: len(texts)]


class Same(Nothing):
    """An embedder for which all texts are alike."""

    def texts(self, texts: Any) -> Any:
        return np.eye(8, dtype=np.float32)[[0] * len(texts)]


def intent(full: str, *steps: tuple[str, str]) -> Intent:
    told = [{"type": kind, "text": text} for kind, text in steps or (("Addition", full),)]
    return {"steps": told, "core": full, "enhanced": full, "full": full}  # type: ignore[typeddict-item]


def problem(of: Intent, query: str, known: str = "", embedder: Any = None, examples: Any = ()) -> str:
    return asyncio.run(drift(of, query, known, examples, embedder or Nothing()))


@pytest.mark.parametrize(
    ("query", "known", "full"),
    [
        (
            "a guy on a surfboard but not wearing a wetsuit",
            "",
            "a large orange flower; the scene in the snow",
        ),
        ("A cat laying inside of a half open laptop on a desk", "", "a cat left of a yellow cat at night"),
        ("has longer sleeves and a v-neck", "a black dress on a hanger", "a small purple fish at sunset"),
    ],
)
def test_another_subject_is_told(query: str, known: str, full: str) -> None:
    assert "nothing to do" in problem(intent(full), query, known)
    assert not problem(intent(full), query, known, Same())  # other words for the same thing
    assert not asyncio.run(drift(intent(full), query, known, (), None))


@pytest.mark.parametrize(
    ("query", "known", "full"),
    [
        ("a guy on a surfboard but not wearing a wetsuit", "", "a surfing guy, no wetsuit"),
        (
            "a huge orange fish and a black automobile among the dunes",
            "",
            "a large orange fish, a black car, desert",
        ),
        ("make it darker", "a red house by a lake", "a dark red house by a lake"),
        (
            "keep only the boat and make it at the seaside",
            "a flower and a yellow boat",
            "a yellow boat on a beach",
        ),
        ("two dogs running", "", "dogs that run"),
        ("something like this", "", "a red house"),  # no word to find again
        ("ein rotes Haus mit einem Boot", "", "a red house and a boat"),  # a translation shares no words
        ("un perro en la playa", "", "a dog on the beach"),
        ("海边的红房子", "", "a red house by the sea"),
        ("красный дом", "", "a red house"),
        ("Wärme", "", "warmth"),
    ],
)
def test_a_good_intent_is_kept_however_little_alike_the_vectors_are(
    query: str, known: str, full: str
) -> None:
    assert problem(intent(full), query, known) == ""


@pytest.mark.parametrize(
    "text",
    [
        "The image is a blank image. " * 5,
        "a dog that is a dog that is a dog that is a dog that is a dog that is a dog",
        "red red red red red red boat",
        "house, house, house, house, house",
    ],
)
def test_endless_repetition_is_told(text: str) -> None:
    assert endless(text) and "again and again" in repeated(intent("a boat", ("Addition", text)))
    assert "again and again" in problem(intent(text), text, embedder=Same())


@pytest.mark.parametrize(
    "text",
    [
        "a small yellow house, a large yellow flower, a large yellow flower and a large yellow flower in the snow",
        "two dogs, two cats, two birds, two fish and two horses",
        "a red a blue a green a yellow a white square",
        "",
        "very very big",
    ],
)
def test_a_list_is_no_repetition(text: str) -> None:
    assert not endless(text)


def test_instructions_that_say_one_thing_over_and_over_or_both_ways() -> None:
    assert "16 times" in repeated(intent("a boat", *[("Addition", "a boat")] * 16))
    assert "added and removed" in repeated(intent("a boat", ("Addition", "a boat"), ("Removal", "A boat. ")))
    assert not repeated(
        intent("a boat", ("Addition", "a boat"), ("Addition", "a boat"), ("Removal", "a car"))
    )


def test_every_example_of_a_prompt_is_known_and_an_answer_that_copies_it_is_told() -> None:
    seen = 0
    for step, name in (
        ("predicates", None),
        *((s, "small") for s in ("understand", "predicates", "propose")),
    ):
        prompt = load_prompt(step, prompt_set=name)
        assert (
            prompt.examples
            and "[[" not in prompt.text
            and all(each in prompt.text for each in prompt.examples)
        )
        for example in prompt.examples:
            seen += 1
            assert copied(intent(f"{example}"), "a red house", prompt.examples)
            assert not copied(intent(example), f"please show {example}", prompt.examples)  # it was asked for
        assert not copied(intent("a red house"), "a red house", prompt.examples)
    assert seen > 8
    assert content_words("Is there an oven?") == {"oven"}


def thinks(world: World, told: Intent, predicates: list[dict[str, str]]) -> Any:
    def reply(asked: Any) -> str:
        form = (asked.options or {}).get("response_format")
        return json.dumps(told if form == "IntentAnswer" else {"predicates": predicates})

    return world.role("reasoner", reply)


def run(world: World, graph: str, query: str, **roles: Any) -> Any:
    made = load_graph(graph)(world.services(**roles))
    reference = "blue.png" if graph == "cotrr" else None
    thread: Any = {"configurable": {"thread_id": "1"}}
    asked = {"query": query, "reference": reference}
    return asyncio.run(made.ainvoke(asked, thread, context=Settings(top_k=4)))


@pytest.mark.parametrize("graph", ["imagescope", "adaptive", "chat", "imagescope_chat", "cotrr"])
def test_every_graph_searches_with_the_query_instead_and_says_so(world: World, graph: str) -> None:
    strange = intent("a gloomy oven")
    judge = world.role("judge", "a gloomy oven")  # of `cotrr` it describes the target
    roles = {"judge": judge} if graph == "cotrr" else {"reasoner": thinks(world, strange, [])}
    state = run(world, graph, "a lovely red thing", **roles, talker=world.role("talker", ""))
    assert state["intent"] == {
        "steps": [],
        **dict.fromkeys(("core", "enhanced", "full"), "a lovely red thing"),
    }
    step = "target" if graph == "cotrr" else "understand"
    told = [note for note in state["notes"] if note["step"] == step]
    assert [note["kind"] for note in told] == ["retried", "unreadable"] and told[-1][
        "kind"
    ] not in NOT_DEGRADING
    assert (
        "nothing to do with the request" in told[-1]["detail"]
        and "went on with the query" in told[-1]["detail"]
    )
    assert state["ranking"][0] == "red.png"
    assert sorted(state["ranking"]) == sorted(
        name for name in world.collection.ids if name != state["reference"]
    )


def test_of_a_later_message_that_is_lost_what_it_names_is_kept(world: World) -> None:
    def fold(asked: Any) -> str:
        return json.dumps({"steps": [], "core": "ovens", "enhanced": "ovens", "full": "some gloomy ovens"})

    made = load_graph("chat")
    from langgraph.checkpoint.memory import InMemorySaver

    red = thinks(world, intent("a red square"), [{"question": "Is it red?", "expected": "Yes"}])
    graph = made(
        world.services(reasoner=red, talker=world.role("talker", fold)), checkpointer=InMemorySaver()
    )
    thread: Any = {"configurable": {"thread_id": "1"}}
    settings = Settings(top_k=4, clarify="never")
    asyncio.run(graph.ainvoke({"query": "a red square", "reference": None}, thread, context=settings))
    state = asyncio.run(graph.ainvoke({"query": "a blue one please"}, thread, context=settings))
    assert state["intent"]["full"] == "a blue square"
    kinds = [(note["step"], note["kind"]) for note in state["notes"]]
    assert ("fold", "unreadable") in kinds


def test_predicates_that_copy_the_example_are_left_out_and_counted(world: World) -> None:
    red = {"question": "Is it red?", "expected": "Yes"}
    oven = [{"question": "Is there an oven?", "expected": each} for each in ("Yes", "No")]
    state = run(
        world, "imagescope", "a red square", reasoner=thinks(world, intent("a red square"), [red, *oven * 7])
    )
    assert state["predicates"] == [red]
    (told,) = [note for note in state["notes"] if note["step"] == "predicates"]
    assert told["kind"] == "drifted" not in NOT_DEGRADING and "14 of 15" in told["detail"]
    state = run(world, "imagescope", "a red square", reasoner=thinks(world, intent("a red square"), oven))
    assert state["predicates"] == []
    kinds = [note["kind"] for note in state["notes"] if note["step"] == "predicates"]
    assert kinds == ["retried", "unreadable"]
    told_of = intent("a kitchen without an oven", ("Removal", "there is no oven"))
    state = run(world, "imagescope", "a kitchen without an oven", reasoner=thinks(world, told_of, oven[1:]))
    assert state["predicates"] == oven[1:] and not [n for n in state["notes"] if n["step"] == "predicates"]


def test_a_synonym_is_asked_for_in_the_querys_words_and_checked_when_it_comes_again(world: World) -> None:
    sofa = [{"question": "Is there a sofa?", "expected": "Yes"}]
    state = run(world, "imagescope", "a couch", reasoner=thinks(world, intent("a couch"), sofa))
    assert state["predicates"] == sofa
    told = [(each["kind"], each["detail"]) for each in state["notes"] if each["step"] == "predicates"]
    assert [kind for kind, _ in told] == ["retried", "drifted"] and "does not mention" in told[1][1]
    assert "checked all the same" in told[1][1]


@pytest.mark.parametrize(
    ("query", "question", "kept"),
    [
        ("a sign with the letter X", "Is there a letter X?", True),
        ("a Model X on a street", "Is it a Model X?", True),
        ('a card that says "Wait..."', 'Does it say "Wait..."?', True),
        ("a sign with a letter", "Is there a letter X?", False),
        ("a red square", "Is there a square...?", False),
        ("a red square", "question 1", False),
    ],
)
def test_a_placeholder_is_one_unless_it_was_told(query: str, question: str, kept: bool) -> None:
    told: Any = {"query": query, "intent": intent(query), "reference_caption": ""}
    assert bool(strayed(question, told["intent"]["steps"], told, ())) is not kept


@pytest.mark.parametrize(
    ("query", "full", "told"),
    [
        ("un cuadrado en la playa", "a purple oven", True),
        ("un cuadrado en la playa", "a square on the beach", False),
        ("красный дом", "an orange oven", True),
        ("a square on the sand", "a square on the sand, purple", False),  # its words are found again
    ],
)
def test_a_translation_that_looks_like_something_else_is_noted_and_searched(
    world: World, query: str, full: str, told: bool
) -> None:
    predicates = [{"question": "Is it there?", "expected": "Yes"}]
    state = run(world, "imagescope", query, reasoner=thinks(world, intent(full), predicates))
    assert state["intent"]["full"] == full
    notes = [note for note in state["notes"] if note["step"] == "understand"]
    assert [note["kind"] for note in notes] == ["drifted"] * told
    assert not told or (full in notes[0]["detail"] and "no nearer" in notes[0]["detail"])
