"""Every graph asks its models in words that they were taught, and says what was read as what."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from imagescope_agent.nodes.chat.dialogue_state import UpdateDialogueState
from imagescope_agent.nodes.chat.first_message import UnderstandFirst
from imagescope_agent.records import NOT_DEGRADING
from imagescope_agent.registry import load_graph
from imagescope_agent.retrieval.other_words import OtherWords
from imagescope_agent.runs.results import to_result
from imagescope_agent.settings import Settings
from imagescope_agent.state import new_conversation, new_turn
from tests.graphs.reasoning_colours import ReasoningColours

TAUGHT = frozenset(["red", "squar", "blu", "larg"])
GRAPHS = ["retrieve", "imagescope", "adaptive", "cotrr", "xr", "imagescope_chat", "cir_cot", "mra"]


class Reads(ReasoningColours):
    """Knows that crimson is red; told which texts were embedded, and which words compared."""

    def __init__(self) -> None:
        super().__init__()
        encoder: Any = SimpleNamespace(words=frozenset(), texts=self._unlike)
        self.embedded, self.compared = list[str](), list[str]()
        self.other_words = OtherWords({"colour": {"red": ["crimson"]}}, ["dog"], TAUGHT, encoder)

    def texts(self, texts: Sequence[str]) -> Any:
        self.embedded += texts
        return super().texts(texts)

    def _unlike(self, texts: Sequence[str]) -> Any:
        self.compared += texts
        return np.eye(len(texts), 8, dtype=np.float32)


def run(world: Any, graph: str, query: str, **roles: Any) -> tuple[Any, Reads]:
    reads = Reads()
    services = replace(world.services(**roles), embedder=reads)
    compiled = load_graph(graph)(services)
    settings = Settings(reasoning="fast")
    return asyncio.run(compiled.ainvoke({"query": query, "reference": None}, context=settings)), reads


@pytest.mark.parametrize("graph", GRAPHS)
def test_a_query_is_read_once_and_its_own_words_stay(world: Any, graph: str) -> None:
    state, reads = run(world, graph, "a crimson square")
    assert (state["query"], state["own_words"]) == ("a red square", "a crimson square")
    told = [note for note in state["notes"] if note["kind"] == "reworded"]
    assert [(note["step"], note["detail"]) for note in told] == [("begin", "read 'crimson' as 'red'")]
    assert "reworded" in NOT_DEGRADING and (graph == "xr" or state["ranking_retrieve"][0] == "red.png")
    assert "a red square" in reads.embedded and not reads.compared
    if graph in ("imagescope", "adaptive", "cotrr"):
        assert "a crimson square" in reads.embedded


def test_a_first_stage_beside_the_embedder_is_asked_in_read_words(world: Any) -> None:
    """The profile's own embedder has the words, and the model that reasons is asked in them."""
    services = replace(world.services(), embedder=Reads(), first_stage=ReasoningColours())
    asked: Any = {"query": "a crimson square", "reference": None}
    state = asyncio.run(load_graph("cir_cot")(services).ainvoke(asked, context=Settings(reasoning="fast")))
    assert (state["query"], state["own_words"]) == ("a red square", "a crimson square")
    assert state["ranking"][0] == "red.png"


@pytest.mark.parametrize("graph", GRAPHS)
@pytest.mark.parametrize("query", ["a red square", "un carré crimson et une square"])
def test_known_words_and_other_languages_stay(world: Any, graph: str, query: str) -> None:
    state, reads = run(world, graph, query)
    assert (state["query"], state["own_words"]) == (query, "") and not reads.compared
    assert not [note for note in state["notes"] if note["kind"] == "reworded"]


def test_a_reasoner_is_asked_in_words_that_it_was_taught(world: Any) -> None:
    asked: list[str] = []

    def answer(each: Any) -> str:
        asked.append(each.text)
        return ""

    reasoner = world.role("reasoner", answer)
    run(world, "imagescope", "a crimson square", reasoner=reasoner)
    assert asked and all("crimson" not in text for text in asked) and "a red square" in asked[0]


def test_a_word_with_no_near_one_stays(world: Any) -> None:
    state, reads = run(world, "retrieve", "a crimson guitar")
    assert state["query"] == "a red guitar" and "guitar" in reads.compared


def test_the_result_tells_the_query_as_it_was_said(world: Any) -> None:
    state, _ = run(world, "retrieve", "a crimson square")
    told: dict[str, Any] = dict.fromkeys(("graph", "judge", "profile", "run"), "")
    paths = dict.fromkeys(world.collection.ids, "")
    result = to_result(state, paths=paths, settings={}, weights={}, **told)
    assert result.query == "a crimson square"


def talked(world: Any, make: Callable[[Any, Reads], Any], reply: str) -> tuple[Any, str]:
    """The update of a node for a message, and what the model was asked."""
    asked: list[str] = []

    def answer(each: Any) -> str:
        asked.append(each.text)
        return reply

    message = "a crimson square"
    state: Any = {**new_conversation(), **new_turn(), "query": message, "reference": None}
    state |= {"acts": [{"text": message, "act": "wish"}], "reference_caption": "none"}
    node = make(world.role("talker", answer), Reads())
    return asyncio.run(node(state, cast(Any, SimpleNamespace(context=Settings())))), asked[0]


STEP = '"steps": [{"type": "Addition", "text": "a red square"}]'
TEXTS = '"core": "a red square", "enhanced": "a red square", "full": "a red square"'


def test_a_first_message_is_understood_in_words_that_were_taught(world: Any) -> None:
    update, asked = talked(world, lambda role, reads: UnderstandFirst(role, reads), f"{{{STEP}, {TEXTS}}}")
    assert "a red square" in asked and "crimson" not in asked
    assert update["remarks"] == ['I read "crimson" as "red".']
    assert [step["text"] for step in update["intent"]["steps"]] == ["a red square"]


def test_a_later_message_is_folded_in_words_that_were_taught(world: Any) -> None:
    reply = f'{{"topic": "same", "drop": [], "answer": "none", {STEP}, {TEXTS}}}'
    update, asked = talked(world, lambda role, reads: UpdateDialogueState(role, reads), reply)
    assert "a red square" in asked and "crimson" not in asked
    assert update["remarks"][:1] == ['I read "crimson" as "red".']
