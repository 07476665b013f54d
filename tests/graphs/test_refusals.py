"""One refusal costs one request: its candidate, its caption, its judge; a run only where everything is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from PIL import Image

from imagescope_agent.cli import main
from imagescope_agent.errors import Misconfigured, RequestRefused
from imagescope_agent.mllms.liveness import SMALL_TALK
from imagescope_agent.mllms.request import CUT_OFF
from imagescope_agent.mllms.role import Role
from imagescope_agent.mllms.scripted import Asked, Scripted
from tests.conftest import World
from tests.graphs.refusing_models import ALL, Refused, everything, refusals, refusing, run, thinker

VERIFYING = ["imagescope", "adaptive", "imagescope_chat", "chat"]


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


def test_a_message_that_nobody_reads_is_taken_by_its_words(world: World) -> None:
    services = world.services(
        classifier=world.role("classifier", scorer=everything), talker=world.role("talker", everything)
    )
    state = run("chat_retrieve", services)
    assert sorted(state["ranking"]) == ALL
    ((step, told),) = refusals(state)
    assert step == "acts" and "went on with the message as an answer or a wish" in told


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
