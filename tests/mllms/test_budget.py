"""A budgeted role refuses beforehand, records real usage, and warns where a budget cannot be kept."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.outputs import ChatGeneration, ChatResult

from imagescope_agent.errors import BudgetSpent
from imagescope_agent.mllms.budget import (
    CHOICE_TOKENS,
    IMAGE_TOKENS,
    MESSAGE_TOKENS,
    MIN_REPLY_TOKENS,
    Budget,
    BudgetedRole,
    estimate_tokens,
)
from imagescope_agent.mllms.protocols import Choice
from imagescope_agent.mllms.role import ImageRef, Request, Role
from imagescope_agent.mllms.scripted import Scripted, ScriptedScorer

PICTURES = [ImageRef(f"k{number}", b"\x89PNG....") for number in range(6)]
WORDS = "is it really there or is it not"  # eight tokens of a scripted model


class Plain(BaseChatModel):
    """A chat model without `TokenCounter`, which may ignore `max_tokens`."""

    words: int = 3
    reports_usage: bool = True
    obeys_limit: bool = True

    @property
    def _llm_type(self) -> str:
        return "plain"

    def _generate(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        count = min(self.words, kwargs["max_tokens"]) if self.obeys_limit else self.words
        used: Any = {"input_tokens": 10, "output_tokens": count, "total_tokens": 10 + count}
        message = AIMessage(content="yes " * count, usage_metadata=used if self.reports_usage else None)
        return ChatResult(generations=[ChatGeneration(message=message)])


class Sharing(ScriptedScorer):
    """Prefills the preamble of each image, 100 tokens, once per batch."""

    async def acount(self, messages: list[list[BaseMessage]]) -> list[int]:
        return [100 + each for each in await super().acount(messages)]

    async def ascore(self, messages: list[list[BaseMessage]], choices: Any) -> Choice:
        choice = await super().ascore(messages, choices)
        choice.usage["prompt_tokens"] += 100 * choice.usage["image_prefills"]
        return choice


def bounded(model: BaseChatModel, **limits: int) -> BudgetedRole:
    return BudgetedRole(Role("verifier", model), Budget(**limits))


def questions(count: int, each: int = 1) -> list[Request]:
    return [Request(text=WORDS, images=(PICTURES[n],)) for n in range(count) for _ in range(each)]


def test_a_reply_is_cut_where_the_budget_ends_and_refused_where_it_would_be_too_short() -> None:
    model = Scripted("word " * 200)
    role = bounded(model, tokens=8 + 100)
    reply = asyncio.run(role.ask(questions(1)))[0]
    assert reply.usage["completion_tokens"] == 100 and role.budget.tokens == 0
    with pytest.raises(BudgetSpent, match="0 tokens are left"):
        asyncio.run(role.ask(questions(1)))
    assert asyncio.run(bounded(model, tokens=8 + MIN_REPLY_TOKENS).ask(questions(1)))
    with pytest.raises(BudgetSpent, match=f"may cost {8 + MIN_REPLY_TOKENS}"):
        asyncio.run(bounded(model, tokens=8 + MIN_REPLY_TOKENS - 1).ask(questions(1)))
    assert len(model.asked) == 2


def test_what_was_not_needed_of_a_reply_is_left_for_the_next_one() -> None:
    role = bounded(Scripted("yes"), tokens=600)
    assert len(asyncio.run(role.ask_some(questions(6), [1] * 6))) == 6
    assert role.budget.tokens == 600 - 6 * 9
    assert role.budget.usage["calls"] == 6


def test_choices_that_share_a_prefix_are_charged_what_they_cost() -> None:
    asked = questions(6, each=3)
    alone = 100 + 8 + CHOICE_TOKENS
    role = bounded(Sharing(scorer=lambda asked: [0.9, 0.1]), tokens=9 * alone)
    found = asyncio.run(role.choose_some(asked, ("Yes", "No"), [3] * 6))
    assert len(found.probabilities) == 18  # nine at once would be all that is certain beforehand
    assert found.usage["prompt_tokens"] == 6 * (100 + 3 * 8) <= 9 * alone


@pytest.mark.parametrize("tokens", [0, 24, 71, 72, 200, 1000])
def test_groups_stand_and_fall_together(tokens: int) -> None:
    role = bounded(ScriptedScorer(lambda asked: [0.9, 0.1]), tokens=tokens)
    found = asyncio.run(role.choose_some(questions(6, each=3), ("Yes", "No"), [3] * 6))
    assert len(found.probabilities) % 3 == 0
    assert bool(found.probabilities) == (tokens >= 3 * (8 + CHOICE_TOKENS))
    assert found.usage["prompt_tokens"] <= tokens


def test_a_verdict_read_as_text_is_one_short_reply() -> None:
    model = Scripted("yes, because " + "of much " * 50)
    role = bounded(model, tokens=100)
    found = asyncio.run(role.choose_some(questions(6), ("Yes", "No"), [1] * 6))
    assert found.probabilities == [[1.0, 0.0]] * 4
    assert found.usage["completion_tokens"] == 4 * CHOICE_TOKENS
    assert {asked.options["max_tokens"] for asked in model.asked} == {CHOICE_TOKENS}  # type: ignore[index]


def test_calls_are_limited_whoever_asks() -> None:
    role = bounded(Scripted("yes"), calls=2)
    asyncio.run(role.ask(questions(1)))
    assert len(asyncio.run(role.ask_some(questions(3), [1] * 3))) == 1
    with pytest.raises(BudgetSpent, match="0 model calls are left"):
        asyncio.run(role.ask(questions(1)))
    with pytest.raises(BudgetSpent):
        asyncio.run(role.choose(questions(1), ("Yes", "No")))
    assert role.model.asked[0].options is None  # type: ignore[attr-defined]  # calls alone cut no reply


def test_concurrent_requests_do_not_spend_the_same_tokens() -> None:
    role = bounded(Scripted("word " * 100), tokens=300)

    async def all_at_once() -> list[Any]:
        asking = [role.ask(questions(1)) for _ in range(5)]
        return await asyncio.gather(*asking, return_exceptions=True)

    found = asyncio.run(all_at_once())
    assert [isinstance(each, BudgetSpent) for each in found] == [False, False, False, True, True]
    assert role.budget.usage["completion_tokens"] + role.budget.usage["prompt_tokens"] <= 300


def test_a_model_without_a_counter_is_charged_the_upper_bound() -> None:
    said = HumanMessage([{"type": "image", "base64": ""}, {"type": "text", "text": "héllo"}])
    assert estimate_tokens([said]) == MESSAGE_TOKENS + IMAGE_TOKENS + 6
    role = bounded(Plain(), tokens=MESSAGE_TOKENS + 5 + MIN_REPLY_TOKENS)
    replies = asyncio.run(role.ask_some([Request(text="hello")] * 9, [1] * 9))
    assert role.budget.usage["prompt_tokens"] == 10 * len(replies) == 10
    assert [note["kind"] for note in replies[0].notes] == ["budget"]
    with pytest.raises(BudgetSpent):
        asyncio.run(bounded(Plain(), tokens=IMAGE_TOKENS).ask(questions(1)))


def test_models_that_ignore_limits_or_report_no_usage_are_noted() -> None:
    for model, words in (
        (Plain(words=900, obeys_limit=False), "more tokens"),
        (Plain(reports_usage=False), "does not tell"),
    ):
        reply = asyncio.run(bounded(model, tokens=500).ask([Request(text="hello")]))[0]
        assert any(words in note["detail"] for note in reply.notes)
