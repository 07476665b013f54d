"""One refusal costs one request: its candidate, its caption, its judge; a run only where everything is refused."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from PIL import Image

from imagescope_agent.cli import main
from imagescope_agent.errors import Misconfigured, RequestRefused, UnreadableReply
from imagescope_agent.judges import JUDGES
from imagescope_agent.judges.base import Candidate, Task
from imagescope_agent.mllms.liveness import SMALL_TALK
from imagescope_agent.mllms.request import CUT_OFF
from imagescope_agent.mllms.role import ImageRef, Role
from imagescope_agent.mllms.scripted import Asked, Scripted, ScriptedScorer
from imagescope_agent.registry import load_graph, resolve
from imagescope_agent.settings import Settings
from tests.conftest import PALETTE, World

ALL = sorted(f"{colour}.png" for colour in PALETTE)
VERIFYING = ["imagescope", "adaptive", "imagescope_chat", "chat"]


class Refused(Exception):
    """As a server's client raises it."""

    status_code = 400


def thinker(*questions: str, text: str = "a red square") -> Callable[[Asked], str]:
    """A reasoner that answers in good JSON."""

    def reply(asked: Asked) -> str:
        steps = [{"type": "Addition", "text": f"it is {each}"} for each in questions]
        if (asked.options or {}).get("response_format") == "IntentAnswer":
            return json.dumps({"steps": steps, "core": text, "enhanced": text, "full": text})
        asks = [{"question": f"Is it {each}?", "expected": "Yes"} for each in questions]
        return json.dumps({"predicates": asks})

    return reply


def refusing(*names: str, world: World) -> Callable[[Asked], list[float]]:
    """A verifier that knows colours, but not of these pictures."""

    def score(asked: Asked) -> list[float]:
        if f"{world.colour(asked)}.png" in names:
            raise RequestRefused("the content filter refuses the picture")
        return [0.9, 0.1] if world.colour(asked) in asked.text else [0.2, 0.8]

    return score


def everything(asked: Asked) -> str:
    raise Refused("image input is not supported")


def run(graph: str, services: Any, reference: str | None = None, **settings: Any) -> Any:
    built = load_graph(graph)(services)
    query = {"query": "a red square", "reference": reference}
    return asyncio.run(built.ainvoke(query, context=Settings(k=8, **settings)))


def refusals(state: Any) -> list[tuple[str, str]]:
    return [(note["step"], note["detail"]) for note in state["notes"] if note["kind"] == "refused"]


@pytest.mark.parametrize("graph", VERIFYING)
def test_one_refused_picture_is_one_unverified_candidate(world: World, graph: str) -> None:
    services = world.services(
        reasoner=world.role("reasoner", thinker("red", "blue")),
        verifier=world.role("verifier", scorer=refusing("red.png", world=world)),
        judge=world.role("judge", "No"),
    )
    state = run(graph, services)
    assert sorted(state["ranking"]) == ALL
    found = refusals(state)
    assert len(found) == 1 and found[0][0] == "verify" and found[0][1].startswith("'red.png' is unverified")
    hit = next(hit for hit in state["results"] if hit["id"] == "red.png")
    assert any(each.startswith("unverified: the content filter") for each in hit["reasons"])
    assert hit["scores"]["verify"] is None and not state["verdicts"].get("red.png")
    others = [hit for hit in state["results"] if hit["id"] in state["matches"]]
    assert others and not any("unverified" in each for hit in others for each in hit["reasons"])


def test_in_the_paper_s_graph_the_unverified_stand_behind_the_verified(world: World) -> None:
    services = world.services(
        reasoner=world.role("reasoner", thinker("red")),
        verifier=world.role("verifier", scorer=refusing("red.png", world=world)),
        judge=world.role("judge", "No"),
    )
    state = run("imagescope", services, top_k=4)
    assert state["ranking_retrieve"][0] == "red.png" and state["ranking_verify"].index("red.png") == 3


def test_a_text_verifier_that_refuses_one_picture(world: World) -> None:
    def say(asked: Asked) -> str:
        if world.colour(asked) == "red":
            raise Refused("filtered")
        return "No"

    services = world.services(
        reasoner=world.role("reasoner", thinker("red")), verifier=world.role("verifier", say),
        judge=world.role("judge", "No"),
    )  # fmt: skip
    assert [step for step, _ in refusals(run("imagescope", services))] == ["verify"]


@pytest.mark.parametrize("graph", ["imagescope", "adaptive"])
def test_a_verifier_that_takes_no_picture_at_all_is_told(world: World, graph: str) -> None:
    services = world.services(
        reasoner=world.role("reasoner", thinker("red")), verifier=world.role("verifier", everything)
    )
    with pytest.raises(RequestRefused, match=r"the verifier refuses all 8 candidates.*not supported"):
        run(graph, services, certain=8)


@pytest.mark.parametrize("budget", [{}, {"budget": 40}, {"token_budget": 100_000}])
def test_a_reasoner_that_refuses_goes_to_the_query_s_words(world: World, budget: dict[str, Any]) -> None:
    reasoner = world.role("reasoner", everything)
    state = run("imagescope", world.services(reasoner=reasoner, judge=world.role("judge", "No")), **budget)
    assert [step for step, _ in refusals(state)] == ["understand"]
    assert "went on with the query" in refusals(state)[0][1] and len(reasoner.model.asked) == 1
    assert state["intent"]["full"] == "a red square" and sorted(state["ranking"]) == ALL


def test_a_refused_reference_has_no_caption(world: World, tmp_path: Path) -> None:
    Image.new("RGB", (50, 40), "pink").save(tmp_path / "beside.png")
    services = world.services(
        captioner=world.role("captioner", everything), reasoner=world.role("reasoner", thinker("red")),
        verifier=world.role("verifier", "No"), judge=world.role("judge", "No"),
    )  # fmt: skip
    state = run("imagescope", services, str(tmp_path / "beside.png"))
    assert [step for step, _ in refusals(state)] == ["describe"]
    assert state["reference_caption"] == "an image"


def test_where_everything_is_refused_the_run_says_what_to_mend(world: World) -> None:
    roles = {
        name: world.role(name, everything)
        for name in ("captioner", "reasoner", "talker", "verifier", "judge")
    }
    for graph in ("imagescope", "imagescope_chat"):
        with pytest.raises(
            RequestRefused, match=r"no model answers anything.*not supported.*name another model"
        ):
            run(graph, world.services(**roles))


def test_the_command_ends_with_2_and_one_line(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    services = world.services(
        **{name: world.role(name, everything) for name in ("reasoner", "verifier", "judge")}
    )
    monkeypatch.setattr("imagescope_agent.api.open_services", lambda *args: services)
    assert main(["search", str(world.folder), "a red square"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


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
        monkeypatch.setitem(JUDGES, "own", "tests.graphs.test_refusals:own")
        monkeypatch.setitem(globals(), "own", own)
        state = run(
            "imagescope", world.services(reasoner=world.role("reasoner", thinker("red"))), judge="own"
        )
        assert sorted(state["ranking"]) == ALL
        assert ("judge", kind) in [(note["step"], note["kind"]) for note in state["notes"]]


def test_a_wrong_key_is_not_asked_again(world: World) -> None:
    class Denied(Exception):
        status_code = 401

    reasoner = world.role("reasoner", [Denied("wrong key")] * 2)
    with pytest.raises(Misconfigured, match="wrong key"):
        run("imagescope", world.services(reasoner=reasoner))
    assert sum(asked.text != SMALL_TALK for asked in reasoner.model.asked) == 1


def test_a_busy_server_is_asked_again(world: World) -> None:
    class Busy(Exception):
        status_code = 429

    def reply(asked: Asked) -> str:
        if len(model.asked) == 1:
            raise Busy("slow down")
        return thinker("red")(asked)

    model = Scripted(reply)
    state = run(
        "imagescope", world.services(reasoner=Role("reasoner", model), judge=world.role("judge", "No"))
    )
    questions = [asked for asked in model.asked if asked.text != SMALL_TALK]
    assert state["predicates"] and len(questions) == 3


def test_a_reply_that_was_cut_off_is_given_more_room_once(world: World) -> None:
    whole = thinker("red")

    def reply(asked: Asked) -> str | AIMessage:
        if (asked.options or {}).get("max_tokens") is None and "IntentAnswer" in str(asked.options):
            return AIMessage(content='{"steps": [', response_metadata={"finish_reason": "length"})
        return whole(asked)

    reasoner = world.role("reasoner", reply)
    state = run("imagescope", world.services(reasoner=reasoner, judge=world.role("judge", "No")))
    assert state["intent"]["steps"]
    assert [(asked.options or {}).get("max_tokens") for asked in reasoner.model.asked] == [None, 2048, None]
    (note,) = [note for note in state["notes"] if note["step"] == "understand"]
    assert note["kind"] == "retried" and note["detail"].startswith(CUT_OFF)
