"""A judge whose model refuses requests keeps the order or the places of what was refused."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from imagescope_agent.errors import RequestRefused, UnreadableReply
from imagescope_agent.judges import JUDGES
from imagescope_agent.judges.base import Candidate, Task
from imagescope_agent.mllms.role import ImageRef, Role
from imagescope_agent.mllms.scripted import Asked, Scripted, ScriptedScorer
from imagescope_agent.registry import resolve
from tests.conftest import World
from tests.graphs.refusing_models import ALL, Refused, everything, refusals, refusing, run, thinker


@pytest.mark.parametrize("judge", [name for name in JUDGES if name not in ("icr", "e2rank")])
def test_a_judge_that_refuses_keeps_the_order(world: World, judge: str) -> None:
    for model in (world.role("judge", everything), world.role("judge", scorer=everything)):
        services = world.services(
            reasoner=world.role("reasoner", thinker("red")),
            verifier=world.role("verifier", scorer=refusing(world=world)),
            judge=model,
        )
        if isinstance(model.model, ScriptedScorer):
            model.model.reply = everything
        state = run("imagescope", services, judge=judge)
        assert state["ranking"] == state["ranking_verify"]
        assert {step for step, _ in refusals(state)} == {"judge"}


def test_cotrr_without_its_judge_is_the_search(world: World) -> None:
    state = run("cotrr", world.services(judge=world.role("judge", everything)))
    assert state["ranking"] == state["ranking_retrieve"] and [step for step, _ in refusals(state)] == [
        "judge"
    ]


class Limited(Scripted):
    """Takes one picture in a request."""

    def _generate(self, messages: Any, *args: Any, **kwargs: Any) -> Any:
        shown = sum(block["type"] == "image" for block in messages[-1].content)
        if shown > 1:
            raise Refused(f"at most 1 image may be provided in one request, not {shown}")
        return super()._generate(messages, *args, **kwargs)


class Telling(Limited):
    """Says beforehand what it takes."""

    images_per_request: int = 1


def judged(model: Scripted, judge: str, reference: ImageRef | None = None) -> Any:
    pictures = [Candidate(id=f"{n}.png", image=ImageRef(str(n), b"\x89PNG")) for n in range(4)]
    task = Task(query="a red square", reference=reference, model=Role("judge", model))
    return asyncio.run(resolve(judge, JUDGES, kind="judge")(task, pictures))


@pytest.mark.parametrize("kind", [Limited, Telling])
@pytest.mark.parametrize(("judge", "reply"), [("pairwise", "Yes"), ("pointwise", "Yes"), ("grades", "7")])
def test_a_model_of_one_picture_judges_without_the_blank_one(kind: Any, judge: str, reply: str) -> None:
    model = kind(lambda asked: reply if asked.images[-1] == "2" else "0" if reply == "7" else "No")
    found = judged(model, judge)
    assert found.order[0] == "2.png"
    assert (
        all(len(asked.images) == 1 for asked in model.asked) and "no reference image" in model.asked[0].text
    )
    expected = [] if kind is Telling else ["fallback"]
    assert [note["kind"] for note in found.notes if "blank" in note["detail"]] == expected
    assert not any(note["kind"] == "refused" for note in found.notes)


@pytest.mark.parametrize("kind", [Limited, Telling])
@pytest.mark.parametrize("judge", ["pairwise", "pointwise", "prp-allpair", "listwise", "cotrr", "tournament"])
def test_with_a_reference_it_cannot_judge_and_says_so(kind: Any, judge: str) -> None:
    found = judged(kind("Yes"), judge, ImageRef("r", b"\x89PNG"))
    assert found.order == ["0.png", "1.png", "2.png", "3.png"]
    assert "refused" in {note["kind"] for note in found.notes}
    assert sum(usage["calls"] for usage in found.usage) == 0


def test_one_refused_candidate_keeps_its_place_among_the_judged() -> None:
    def score(asked: Asked) -> list[float]:
        if "1" in asked.images:
            raise RequestRefused("filtered")
        return [0.1, 0.9] if asked.images[-1] == "0" else [0.9, 0.1]

    found = judged(ScriptedScorer(score), "pointwise")
    assert sorted(found.order) == ["0.png", "1.png", "2.png", "3.png"] and found.order[-1] == "0.png"
    (note,) = found.notes
    assert note["kind"] == "refused" and "'1.png'" in note["detail"] and "1 questions" in note["detail"]


def test_a_judge_of_others_may_leave_a_refusal_to_the_graph(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refused(task: Any, candidates: Any) -> Any:
        raise RequestRefused("no")

    async def garbled(task: Any, candidates: Any) -> Any:
        raise UnreadableReply("odd", usage={"calls": 1})

    for own, kind in ((refused, "refused"), (garbled, "unreadable")):
        monkeypatch.setitem(JUDGES, "own", "tests.graphs.test_refusing_judges:own")
        monkeypatch.setitem(globals(), "own", own)
        state = run(
            "imagescope", world.services(reasoner=world.role("reasoner", thinker("red"))), judge="own"
        )
        assert sorted(state["ranking"]) == ALL
        assert ("judge", kind) in [(note["step"], note["kind"]) for note in state["notes"]]
