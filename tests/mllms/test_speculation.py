"""Replies are token for token those of decoding one by one, in fewer forwards."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage

import imagescope_agent
from imagescope_agent.mllms.engine.decoding.speculation import GUESSED, REPLIES, ReplyHistory, TokenLookup
from imagescope_agent.mllms.role import Reply, Request, Role
from imagescope_agent.mllms.transformers_chat import TransformersChat
from imagescope_agent.replies.parsing import IntentAnswer, PredicatesAnswer
from tests.mllms.checkpoints import build_internvl, build_llama, build_qwen3_vl, picture

MINI = Path(imagescope_agent.__file__).parent / "mini" / "mllm"
ASKED = [
    "a tin kettle on a stove, and the kettle is on the left",
    "no umbrella; two benches under a tree, two benches under a roof",
    "the same as before but with a red door",
]


def replies(model: TransformersChat, *, pictures: bool) -> list[Reply]:
    """Of requests that run together and differ in length, schema and longest reply; twice, then one alone."""
    role = Role("reasoner", model)
    shown = (picture(1),) if pictures else ()

    async def ask() -> list[Reply]:
        found: list[Reply] = []
        for _ in range(2):
            batches = await asyncio.gather(
                role.ask([Request(text=f"Request: {each}\nReference: none\nWhat is wanted?") for each in ASKED],
                         schema=IntentAnswer, max_tokens=90),
                role.ask([Request(text=f"{ASKED[0]}\n---\nWhat must be checked?")], schema=PredicatesAnswer,
                         max_tokens=40),
                role.ask([Request(text=f"Say it again: {each}", images=shown) for each in ASKED], max_tokens=17),
            )  # fmt: skip
            found += [reply for batch in batches for reply in batch]
        return [*found, *await role.ask([Request(text=ASKED[1])], schema=PredicatesAnswer, max_tokens=1)]

    return asyncio.run(ask())


@pytest.mark.parametrize(
    ("build", "tokens"),
    [(None, 512), (build_internvl, 512), (build_llama, 512), (build_qwen3_vl, 512), (build_qwen3_vl, 16)],
)
def test_replies_are_those_of_decoding_one_by_one(
    build: Callable[[Path], None] | None, tokens: int, tmp_path: Path
) -> None:
    folder = MINI if build is None else tmp_path
    if build is not None:
        build(folder)
    forwards, said = [], []
    for drafts in (0, tokens):
        model = TransformersChat(checkpoint=str(folder), draft_tokens=drafts)
        before = model.engine().stats().forwards
        said.append([(each.text, each.usage) for each in replies(model, pictures=build is not build_llama)])
        forwards.append(model.engine().stats().forwards - before)
    for (text, usage), (other, cost) in zip(*said, strict=True):
        assert text == other
        assert usage["completion_tokens"] == cost["completion_tokens"] > 0
        assert usage["prompt_tokens"] == cost["prompt_tokens"]
    assert forwards[1] < forwards[0] * (0.9 if tokens == 512 else 1)


def test_the_shipped_model_takes_little_more_than_half_the_forwards() -> None:
    cost = {}
    for drafts in (0, 64):
        model = TransformersChat(checkpoint=str(MINI), draft_tokens=drafts)
        role = Role("reasoner", model)
        steps = []
        for thing in ("a red house", "a blue boat above a green star", "a white heart and a grey fish"):
            before = model.engine().stats().forwards
            asked = [Request(text=f"Request: {thing}\nReference: none\nWhat is wanted?")]
            asyncio.run(role.ask(asked, schema=IntentAnswer))
            steps.append(model.engine().stats().forwards - before)
        cost[drafts] = sum(steps)
    assert cost[64] <= 0.6 * cost[0]


def test_a_stop_text_and_a_stream_see_every_token(qwen3_vl: Path) -> None:
    said = []
    for drafts in (0, 64):
        model = TransformersChat(checkpoint=str(qwen3_vl), draft_tokens=drafts, max_tokens=60)
        question = [HumanMessage("red red red red red red red")]
        whole = model.invoke(question).text
        stop = [whole[len(whole) // 2 :][:3]]
        pieces = [chunk.text for chunk in model.stream(question)]
        assert "".join(pieces) == whole
        said.append((whole, model.invoke(question, stop=stop).text, len(pieces)))
    assert said[0] == said[1]


def test_a_reply_that_had_an_image_token_is_no_draft_of_a_prompt_with_pictures(qwen3_vl: Path) -> None:
    model = TransformersChat(checkpoint=str(qwen3_vl), draft_tokens=64, max_tokens=12)
    backend: Any = model.engine().backend
    asked = Request(text="What is it?", images=(picture(1),)).messages()
    before = model.invoke(asked).text
    for _ in range(REPLIES):
        backend._decoder._history.add(None, [backend.runner.image_token] * 6)
    assert model.invoke(asked).text == before


def test_the_latest_and_longest_occurrence_is_followed() -> None:
    lookup = TokenLookup([1, 2, 3, 4, 9, 2, 5, 6])
    lookup.extend([2])
    assert lookup.following([2]) == (1, [5, 6, 2])  # after the last 2
    assert lookup.following([8, 1, 2]) == (2, [3, 4, 9, 2, 5, 6, 2])  # after 1 2, the longer match
    assert lookup.following([7]) == lookup.following([]) == (0, [])
    assert len(TokenLookup([*range(50)]).following([0])[1]) == GUESSED


def test_guesses_come_from_the_prompt_and_the_reply_so_far() -> None:
    lookup = ReplyHistory().lookup("a schema", [1, 2, 3, 4])
    assert lookup.following((), 8) == []  # what the prompt ends with says nothing about how a reply begins
    lookup.extend([2])
    assert lookup.following((), 1) == [3]
    assert lookup.following([3], 8) == [4]  # never past the end of the prompt
    lookup.extend([7, 2])
    assert lookup.following((), 8) == [7, 2]


def test_only_the_last_replies_to_the_same_schema_are_remembered() -> None:
    history = ReplyHistory()
    for start in range(0, 100, 10):
        history.add("a schema", [start, start + 1, start + 2])
    begun = history.lookup("a schema", [])
    assert begun.following((), 8) == [90, 91, 92]  # as the last one began, and no further than it went
    begun.extend([90 - 10 * (REPLIES - 1)])
    assert begun.following((), 1) == [91 - 10 * (REPLIES - 1)]
    forgotten = history.lookup("a schema", [])
    forgotten.extend([90 - 10 * REPLIES])
    assert forgotten.following((), 8) == []
    assert history.lookup(None, []).following((), 8) == []


def test_where_guesses_differ_the_text_that_was_right_before_counts() -> None:
    history = ReplyHistory()
    history.add("a schema", [5, 1, 2, 6])

    def first(following: int) -> int:
        """What is guessed after 1, of which the prompt says 8 and the earlier reply 2; then `following` comes."""
        lookup = history.lookup("a schema", [1, 8])
        lookup.extend([1])
        guessed = lookup.following((), 4)[0]
        lookup.extend([following])
        return guessed

    assert first(2) == 8
    assert first(2) == first(8) == 2  # learned; once contradicted it is no longer sure
    assert first(8) == 2
    assert first(0) == 8
    assert first(2) == 8  # neither was right: nothing is learned of it


def test_forced_tokens_are_guessed(tmp_path: Path) -> None:
    """With a tokenizer that splits the keys of a schema, the grammar alone foretells most of them."""
    build_llama(tmp_path)
    engine = TransformersChat(checkpoint=str(tmp_path)).engine()
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {"certainly": {"enum": ["indeed", "never"]}},
        "required": ["certainly"],
        "additionalProperties": False,
    }
    grammar = engine.backend.grammars.start(json.dumps(schema))
    forced = grammar.forced(50)
    text = engine.checkpoint.tokenizer.decode(forced)
    assert len(forced) > 3 and '{"certainly"'.startswith(text[:8])
    assert grammar.allowed([*forced, forced[0]]) == forced
    assert grammar.forced(2) == forced[:2]
