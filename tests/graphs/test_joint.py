"""Intent and predicates in one reply: one call less, the same search; two calls wherever that does not do."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from imagescope_agent.chat import open_chats
from imagescope_agent.errors import UnreadableReply
from imagescope_agent.mllms.role import Role
from imagescope_agent.nodes.chat.language.vocabulary import NO_WORDS
from imagescope_agent.profiles.profile import load_profile
from imagescope_agent.registry import load_graph
from imagescope_agent.replies.joint_reply import JointAnswer, parse_joint
from imagescope_agent.settings import Settings
from tests.chat.talk import check, look_at, talking, think, understand

INTENT = {
    "steps": [{"type": "Addition", "text": "it is red"}],
    "core": "red",
    "enhanced": "red",
    "full": "red",
}
RED = {"question": "Is it red?", "expected": "Yes"}


def answering(*predicates: dict[str, str]) -> Any:
    """A reasoner that answers both at once with these predicates, or with those that its own steps ask for."""

    def reply(asked: Any) -> str:
        form = (asked.options or {}).get("response_format")
        if form == "ReferencedIntentAnswer":
            return understand(asked.text)
        if form != "JointAnswer":
            return think(asked)
        intent = json.loads(understand(asked.text))
        lines = "\n".join(f"{step['type']}: {step['text']}" for step in intent["steps"])
        return json.dumps(
            {**intent, **(json.loads(check(lines)) if not predicates else {"predicates": predicates})}
        )

    return reply


def forms(role: Role) -> list[str]:
    model: Any = role.model
    return [form for asked in model.asked if (form := (asked.options or {}).get("response_format"))]


def search(services: Any, graph: str, query: str = "a red square", **settings: Any) -> Any:
    made = load_graph(graph)(services)
    return asyncio.run(made.ainvoke({"query": query}, context=Settings(**settings)))


def services(world: Any, *predicates: dict[str, str], prompt_set: str | None = None) -> Any:
    made = world.role("reasoner", answering(*predicates))
    reasoner = Role("reasoner", made.model, prompt_set=prompt_set)
    return world.services(
        reasoner=reasoner,
        verifier=world.role("verifier", scorer=look_at(world)),
        judge=world.role("judge", "A"),
    )


def test_adaptive_asks_once_and_finds_the_same(world: Any) -> None:
    apart, together = services(world), services(world)
    before, after = search(apart, "adaptive"), search(together, "adaptive", joint=True)
    assert forms(apart.reasoner) == ["IntentAnswer", "PredicatesAnswer"]
    assert forms(together.reasoner) == ["JointAnswer"]
    for name in ("ranking", "intent", "predicates", "matches", "notes"):
        assert after[name] == before[name]
    steps = {entry["step"]: entry["calls"] for entry in after["usage"]}
    assert steps["understand"] == 1 and "predicates" not in steps


@pytest.mark.parametrize(("graph", "prompt_set"), [("imagescope", None), ("adaptive", "mini")])
def test_the_published_graph_and_models_that_were_not_taught_keep_two_calls(
    world: Any, graph: str, prompt_set: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    # the script reads one word of a query and knows no questions about more: nothing is to be taken up
    monkeypatch.setattr("imagescope_agent.nodes.intent.read_again.vocabulary_of", lambda images: NO_WORDS)
    made = services(world, prompt_set=prompt_set)
    search(made, graph, joint=True)
    assert forms(made.reasoner) == ["IntentAnswer", "PredicatesAnswer"]


def test_several_references_keep_two_calls(world: Any) -> None:
    made = services(world)
    graph = load_graph("adaptive")(made)
    given = {"query": "red as image 1", "references": ["blue.png", "green.png"]}
    asyncio.run(graph.ainvoke(given, context=Settings(joint=True)))
    assert forms(made.reasoner) == ["ReferencedIntentAnswer", "PredicatesAnswer"]


def test_predicates_that_stray_are_left_out_and_asked_for_apart_where_none_is_left(world: Any) -> None:
    stray = {"question": "Is there an oven?", "expected": "Yes"}
    some = services(world, RED, stray)
    state = search(some, "adaptive", joint=True)
    assert [each["question"] for each in state["predicates"]] == ["Is it red?"]
    assert [(note["step"], note["kind"]) for note in state["notes"]] == [("understand", "drifted")]
    none = services(world, stray)
    state = search(none, "adaptive", joint=True)
    assert forms(none.reasoner) == ["JointAnswer", "PredicatesAnswer"]
    assert [each["question"] for each in state["predicates"]] == ["Is it red?"]


def test_a_first_message_asks_once_and_later_ones_as_before(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def turns(joint: str) -> tuple[list[Any], list[str]]:
        monkeypatch.setenv("IMAGESCOPE_JOINT", joint)
        made = talking(world, reasoner=world.role("reasoner", answering()))

        async def talk() -> list[Any]:
            async with open_chats(made) as chats:
                session = await chats.create(f"mine-{joint}")
                return [await session.say(message) for message in ("a red square", "also warm")]

        return asyncio.run(talk()), forms(made.reasoner)

    (before, apart), (after, together) = turns("false"), turns("true")
    assert [turn["results"] for turn in after] == [turn["results"] for turn in before]
    assert apart.count("IntentAnswer") == 1 and apart.count("PredicatesAnswer") == 2
    later = [form for form in apart if form != "IntentAnswer"]
    later.remove("PredicatesAnswer")
    assert together == ["JointAnswer", *later]


def test_the_schema_asks_for_the_instructions_before_what_checks_them() -> None:
    schema = JointAnswer.model_json_schema()
    assert list(schema["properties"]) == ["steps", "core", "enhanced", "full", "predicates"]
    assert schema["additionalProperties"] is False and set(schema["required"]) == set(schema["properties"])
    assert parse_joint(json.dumps({**INTENT, "predicates": [RED]})) == (INTENT, [RED])
    with pytest.raises(UnreadableReply):
        parse_joint(json.dumps(INTENT))


def test_a_server_is_asked_so_and_the_mini_models_are_not() -> None:
    assert Settings.load(load_profile("server").settings).joint
    assert not Settings.load(load_profile("mini").settings).joint
    assert "joint" not in Settings().to_dict()
