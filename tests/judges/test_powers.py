"""Strategies that read a model's inside: its attention, its embedding; refused by name where it shows neither."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import BaseMessage

from imagescope_agent.errors import BadInput, RequestRefused, UnreadableReply
from imagescope_agent.judges.icr import calibrated
from imagescope_agent.mllms.protocols import Attention, AttentionReader, Embedding, MessageEmbedder
from imagescope_agent.mllms.role import Role
from imagescope_agent.mllms.scripted import Scripted, read_asked
from tests.judges.simulated import judged, strategy

KEYS = list("4270361859")


def usage(calls: int) -> dict[str, Any]:
    return {"calls": calls, "prompt_tokens": 9, "completion_tokens": 0, "image_prefills": 0, "seconds": 0.0}


class Attentive(Scripted):
    """Attends to "0" most; to the fifth picture for no reason, which the empty query shows too."""

    contrary: bool = False

    async def aattention(self, messages: list[BaseMessage]) -> Attention:
        asked = read_asked(messages)
        self.asked.append(asked)
        sign = -1 if self.contrary else 1
        worth = [0.0 if "N/A" in asked.text else sign * (9 - int(key)) for key in asked.images[1:]]
        habit = [50.0 if place == 4 else 0.0 for place in range(len(worth))]
        pictures = [[one + other] * 3 for one, other in zip(worth, habit, strict=True)]
        return Attention(pictures=[[7.0], *pictures], usage=usage(1))


class Angles(Scripted):
    """A picture's angle to the query grows with its number."""

    async def aembed(self, messages: list[list[BaseMessage]]) -> Embedding:
        rows = []
        for each in messages:
            asked = read_asked(each)
            self.asked.append(asked)
            rows.append([5.0, 0.0 if len(asked.images) > 1 else float(asked.images[0])])
        return Embedding(vectors=rows, usage=usage(len(rows)))


@pytest.mark.parametrize("contrary", [False, True])
def test_icr_sorts_by_the_attention_that_only_the_query_causes(contrary: bool) -> None:
    model = Attentive(reply="", contrary=contrary)
    assert isinstance(model, AttentionReader)
    found, asked = judged(strategy("icr"), Role("judge", model), KEYS)
    assert found.order == sorted(KEYS, reverse=contrary)
    assert len(asked) == sum(each["calls"] for each in found.usage) == 2


def test_e2rank_sorts_by_angle_and_embeds_each_picture_once() -> None:
    model = Angles(reply="")
    assert isinstance(model, MessageEmbedder)
    found, asked = judged(strategy("e2rank"), Role("judge", model), KEYS)
    assert found.order == sorted(KEYS)
    assert found.scores["0"] == pytest.approx(1.0)
    assert [len(each.images) for each in asked] == [1 + len(KEYS), *[1] * len(KEYS)]
    many = [str(number) for number in range(25)]
    assert sorted(judged(strategy("e2rank"), Role("judge", model), many)[0].order) == sorted(many)


@pytest.mark.parametrize(("name", "cost"), [("icr", 2), ("e2rank", 1 + len(KEYS))])
def test_a_budget_that_is_too_small_keeps_the_order_with_a_note(name: str, cost: int) -> None:
    model = Attentive(reply="") if name == "icr" else Angles(reply="")
    found, asked = judged(strategy(name), Role("judge", model), KEYS, budget=cost - 1)
    assert (found.order, asked) == (KEYS, [])
    assert [note["kind"] for note in found.notes] == ["budget"]
    assert len(judged(strategy(name), Role("judge", model), KEYS, budget=cost)[1]) == cost


@pytest.mark.parametrize(("name", "power"), [("icr", "AttentionReader"), ("e2rank", "MessageEmbedder")])
def test_a_model_without_the_power_is_refused_by_name(name: str, power: str) -> None:
    with pytest.raises(BadInput, match=power):
        judged(strategy(name), "x", KEYS)


def test_calibration_drops_tokens_that_stand_far_below_the_others() -> None:
    assert calibrated([1.0, 2.0], [0.5, 0.5]) == 2.0
    assert calibrated([1.0] * 9 + [-90.0], [0.0] * 10) == 9.0
    assert calibrated([], []) == 0.0


class Odd(Scripted):
    """Shows of its inside whatever it is told to show."""

    shown: Any = None

    async def aattention(self, messages: list[BaseMessage]) -> Any:
        if isinstance(self.shown, Exception):
            raise self.shown
        return Attention(pictures=self.shown(read_asked(messages)), usage=usage(1))

    async def aembed(self, messages: list[list[BaseMessage]]) -> Any:
        if isinstance(self.shown, Exception):
            raise self.shown
        return Embedding(vectors=self.shown(read_asked(messages[0])) * len(messages), usage={})


@pytest.mark.parametrize("name", ["icr", "e2rank"])
@pytest.mark.parametrize(
    ("shown", "kind"),
    [
        (lambda asked: [[float("nan")]] * len(asked.images), "unreadable"),
        (lambda asked: [], "unreadable"),
        (lambda asked: [[]] * len(asked.images), "unreadable"),
        (RequestRefused("no such picture"), "refused"),
        (ValueError("absolute aspect ratio must be smaller than 200"), "refused"),
        (UnreadableReply("odd"), "unreadable"),
    ],
)
def test_what_an_inside_does_not_show_changes_nothing_and_is_noted(name: str, shown: Any, kind: str) -> None:
    found, _ = judged(strategy(name), Role("judge", Odd(reply="", shown=shown)), KEYS)
    assert found.order == KEYS and [note["kind"] for note in found.notes] == [kind]


def test_pictures_of_other_lengths_cannot_be_compared() -> None:
    def shown(asked: Any) -> Any:
        return [[0.1] * (1 + ("N/A" in asked.text))] * len(asked.images)

    found, _ = judged(strategy("icr"), Role("judge", Odd(reply="", shown=shown)), KEYS)
    assert found.order == KEYS and [note["kind"] for note in found.notes] == ["unreadable"]
