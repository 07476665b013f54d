"""E2Rank with a model that was taught in which words to embed queries, and ICR by what follows each picture."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from langchain_core.messages import AIMessage, BaseMessage

from imagescope_agent.judges import e2rank
from imagescope_agent.judges.icr import NOTHING
from imagescope_agent.mllms.budget import Budget, BudgetedRole
from imagescope_agent.mllms.embedding_role import with_list_embedder
from imagescope_agent.mllms.protocols import Attention, Embedding
from imagescope_agent.mllms.role import Role
from imagescope_agent.mllms.scripted import Scripted, read_asked
from imagescope_agent.prompting import load_prompt
from tests.judges.simulated import judged, strategy
from tests.judges.test_powers import KEYS, Odd, usage


class Taught(Scripted):
    """Alone, the query points at "9" most; after the candidates, at "0"."""

    query_step: ClassVar[str] = "reason"
    turns: ClassVar[list[list[BaseMessage]]] = []

    async def aembed(self, messages: list[list[BaseMessage]]) -> Embedding:
        rows = []
        for each in messages:
            self.turns.append(each)
            asked = read_asked(each)
            self.asked.append(asked)
            if not asked.text.strip():
                rows.append([1.0, 0.1 * int(asked.images[0])])
            else:
                rows.append([1.0, 0.0] if asked.images else [1.0, 0.9])
        return Embedding(vectors=rows, usage=usage(len(rows)))


def taught() -> Role:
    Taught.turns.clear()
    return Role("judge", Taught(reply=""), prompt_set="mini")


def test_the_list_is_shown_in_turns_before_the_query_in_the_words_that_were_taught() -> None:
    found, asked = judged(e2rank.listwise, taught(), KEYS)
    assert found.order == sorted(KEYS) and len(asked) == 1 + len(KEYS)
    *earlier, last = Taught.turns[0]
    assert [each.content for each in earlier if isinstance(each, AIMessage)] == [""] * len(KEYS)
    assert asked[0].images == tuple(KEYS)
    words = load_prompt("reason", prompt_set="mini").fill(instruction="a red boat")
    assert last.content == [{"type": "text", "text": words}]


def test_the_judge_weighs_the_query_alone_beside_the_list() -> None:
    found, asked = judged(e2rank.E2Rank(feedback=0.5), taught(), KEYS)
    assert found.order[0] == "4" and {*found.order[-2:]} & {"0", "9"}  # half the angle from "0" to "9"
    assert len(asked) == 2 + len(KEYS)
    by_query, _ = judged(e2rank.E2Rank(feedback=0.0), taught(), KEYS)
    assert by_query.order == sorted(KEYS, reverse=True)
    nearer, _ = judged(strategy("e2rank"), taught(), KEYS)
    assert "4" < nearer.order[0] < "9"  # a quarter of the way from the query's own to the list's


@pytest.mark.parametrize("budget", [1 + len(KEYS), 2 + len(KEYS)])
def test_the_query_alone_is_paid_for(budget: int) -> None:
    found, asked = judged(strategy("e2rank"), taught(), KEYS, budget=budget)
    enough = budget > 1 + len(KEYS)
    assert (len(asked) > 0) == enough and [note["kind"] for note in found.notes] == (
        [] if enough else ["budget"]
    )


def test_a_judge_that_embeds_nothing_ranks_by_the_vectors_of_another_model() -> None:
    roles = with_list_embedder({"judge": Role("judge", Scripted("Yes")), "list_embedder": taught()})
    judge, embedder = roles["judge"], roles["list_embedder"]
    assert judge.query_words == ("reason", "mini")
    found, own = judged(e2rank.listwise, judge, KEYS)
    assert found.order == sorted(KEYS) and own == []
    assert len(embedder.model.asked) == 1 + len(KEYS)  # type: ignore[attr-defined]
    budgeted = BudgetedRole(judge, Budget(calls=100))
    assert judged(e2rank.listwise, budgeted, KEYS)[0].order == sorted(KEYS)


class Following(Scripted):
    """Attends alike to all pictures; after them, to "0" most, and to places by habit, which the empty query shows."""

    async def aattention(self, messages: list[BaseMessage]) -> Attention:
        asked = read_asked(messages)
        self.asked.append(asked)
        wanted = [0.0 if NOTHING in asked.text else 9.0 - int(key) for key in asked.images[1:]]
        habit = [30.0 * place for place in range(len(wanted))]
        after = [7.0, *(one + other for one, other in zip(wanted, habit, strict=True))]
        flat = [[1.0]] * len(asked.images)
        return Attention(pictures=flat, chosen=flat, after=after, usage=usage(1))


def test_the_empty_query_takes_a_habit_of_places_away() -> None:
    model = Following(reply="")
    found, _ = judged(strategy("icr"), Role("judge", model), KEYS)
    assert found.order == sorted(KEYS)
    assert found.scores == {key: pytest.approx(9.0 - int(key)) for key in KEYS}


class Short(Odd):
    async def aattention(self, messages: list[BaseMessage]) -> Any:
        return Attention(pictures=[[1.0]] * (1 + len(KEYS)), after=self.shown, usage=usage(1))


@pytest.mark.parametrize("after", [[1.0], [], [float("nan")] * 11, "x" * 11, [[1.0]] * 11])
def test_attention_after_pictures_that_is_no_number_for_each_is_unreadable(after: Any) -> None:
    found, _ = judged(strategy("icr"), Role("judge", Short(reply="", shown=after)), KEYS)
    assert found.order == KEYS and [note["kind"] for note in found.notes] == ["unreadable"]


class Odds(Scripted):
    """Gives each picture log-odds by its number, and none for an empty query."""

    odds: dict[str, float]

    async def aattention(self, messages: list[BaseMessage]) -> Attention:
        asked = read_asked(messages)
        self.asked.append(asked)
        after = [0.0 if NOTHING in asked.text else self.odds.get(key, -3.0) for key in asked.images]
        flat = [[0.0]] * len(after)
        return Attention(pictures=flat, chosen=flat, after=after, log_odds=True, usage=usage(1))


@pytest.mark.parametrize(("lead", "first", "kinds"), [(0.9, "4", ["tie"]), (1.1, "8", []), (-0.1, "4", [])])
def test_the_first_candidate_gives_way_to_no_slight_lead(lead: float, first: str, kinds: list[str]) -> None:
    model = Odds(reply="", odds={"4": 1.0, "8": 1.0 + lead})
    found, _ = judged(strategy("icr"), Role("judge", model), KEYS)
    assert found.order[0] == first and sorted(found.order) == sorted(KEYS)
    assert [note["kind"] for note in found.notes] == kinds


def test_the_attention_that_counts_is_that_of_the_request_as_it_was_understood() -> None:
    model = Following(reply="")
    judged(strategy("icr"), Role("judge", model), KEYS, understood="Addition: a red boat", prompt_set="mini")
    empty, real = model.asked
    assert "Addition: a red boat" in real.text and "Addition: a red boat" not in empty.text
