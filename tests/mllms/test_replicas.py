"""Several servers of one model: every answer right or noted, and who is asked how much."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from imagescope_agent.errors import BackendUnavailable, Exhausted, Misconfigured
from imagescope_agent.mllms.openai.endpoint import Endpoint
from imagescope_agent.mllms.role import Choice, Request, Role
from imagescope_agent.profiles.profile import load_profile
from imagescope_agent.services import open_roles
from tests.mllms.failing import PAGE
from tests.mllms.replica_servers import (
    LABELS,
    Slow,
    endpoint,
    lying,
    number,
    places,
    question,
    real,
    right,
    weighing,
)
from tests.mllms.server import FakeServer, Raw

DOWN = Raw(status=500, content={"error": "boom"})


def choose(model: Endpoint, requests: list[Request]) -> Choice:
    return asyncio.run(Role("verifier", model).choose(requests, LABELS))


def agree(choice: Choice, asked: range) -> None:
    assert not choice.refused
    for row, each in zip(choice.probabilities, asked, strict=True):
        assert row == pytest.approx(right(each), abs=1e-6), each


def right_or_noted(choice: Choice, asked: range) -> int:
    """How many answers are none, all of them told: before any server has weighed, two that do not may be asked."""
    none = [
        each
        for row, each in zip(choice.probabilities, asked, strict=True)
        if row != pytest.approx(right(each))
    ]
    assert not choice.refused and all(choice.probabilities[each] == [0.5, 0.5] for each in none)
    told = [note["detail"] for note in choice.notes if note["kind"] == "unreadable"]
    assert len(told) == bool(none) and all(f" in {len(none)} of " in each for each in told)
    return len(none)


def test_ten_servers_of_which_most_are_bad_and_every_answer_is_right_or_noted() -> None:
    slow = Slow()
    kinds: dict[str, Any] = {
        "slow": {"quirk": slow},
        "failing": {"quirk": lambda body: DOWN},
        "page": {"quirk": lambda body: PAGE},
        "mute": {"heeds": (False, True)},
        "other labels": {"quirk": lying({"Well": 0.9, "Perhaps": 0.05})},
        "little mass": {"quirk": lying({"Well": 0.8, "Yes": 0.1, "No": 0.05})},
        "dying": {"quirk": Dying()},
        "busy": {
            "quirk": lambda body: Raw(status=429, content={"error": "wait"}, headers={"retry-after": "50"})
        },
        "good": {"quirk": weighing},
        "better": {"quirk": weighing},
    }
    with ExitStack() as stack:
        servers = {name: stack.enter_context(FakeServer(**kind)) for name, kind in kinds.items()}
        model = endpoint(list(servers.values()))
        total = 160

        def let_go(body: dict[str, Any]) -> Raw | None:
            if sum(real(servers[name]) for name in ("good", "better")) > 130:
                slow.go.set()
            return weighing(body)

        servers["good"].quirk = servers["better"].quirk = let_go
        choice = choose(model, [question(each) for each in range(total)])
        shares = {name: real(server) for name, server in servers.items()}
        none = right_or_noted(choice, range(total))
        assert none <= 2, "hardly ever, and on a busy machine"
        assert shares["slow"] <= total / 10, shares  # 4 at a time, and those are under way until it is let go
        assert max(shares["failing"], shares["page"], shares["busy"], shares["dying"]) <= 10, shares
        assert shares["mute"] == 0 and shares["other labels"] <= 8 and shares["little mass"] <= 8, shares
        assert min(shares["good"], shares["better"]) >= 50, shares
        wasted = shares["other labels"] + shares["little mass"]
        assert choice.usage["calls"] == total
        assert choice.usage["prompt_tokens"] == 7 * (total + wasted - none), (
            "what failed costs nothing, a useless answer what it cost"
        )
        noted = "; ".join(note["detail"] for note in choice.notes)
        assert {note["kind"] for note in choice.notes} - {"unreadable"} == {"retried"}
        for name in ("other labels", "little mass", "dying"):
            assert servers[name].url in noted, name


class Dying:
    """Answers three questions, then nothing any more."""

    def __init__(self) -> None:
        self.answered = 0

    def __call__(self, body: dict[str, Any]) -> Raw | None:
        if number(body) is None:
            return None if self.answered < 3 else Raw(status=502, content=b"")
        self.answered += 1
        return weighing(body) if self.answered <= 3 else Raw(status=502, content=b"")


def test_a_server_that_was_killed_is_left_out_and_comes_back() -> None:
    with FakeServer(quirk=weighing) as first:
        killed = FakeServer(quirk=weighing)
        model = endpoint([first, killed])
        agree(choose(model, [question(each) for each in range(40)]), range(40))
        assert min(real(first), real(killed)) >= 10
        killed.stop()
        agree(choose(model, [question(each) for each in range(40)]), range(40))
        port = int(killed.url.rsplit(":", 1)[1].removesuffix("/v1"))
        with FakeServer(quirk=weighing, port=port) as again:
            for _ in range(200):
                agree(choose(model, [question(each) for each in range(8)]), range(8))
                if real(again) > 20:
                    break
            assert real(again) > 20


def test_a_server_that_is_left_out_is_sent_no_question() -> None:
    with FakeServer(quirk=weighing) as good, FakeServer(quirk=lambda body: DOWN) as broken:
        model = endpoint([good, broken], pause=0.2)
        for _ in range(5):
            agree(choose(model, [question(each) for each in range(20)]), range(20))
        assert real(broken) <= 4, "those under way when it failed first; then only small talk"
        assert real(good) == 100


def test_one_question_that_breaks_every_server_costs_itself_alone() -> None:
    def poisoned(body: dict[str, Any]) -> Raw | None:
        return DOWN if number(body) == 3 else weighing(body)

    with ExitStack() as stack:
        servers = [stack.enter_context(FakeServer(quirk=poisoned)) for _ in range(3)]
        model = endpoint(servers)
        choice = choose(model, [question(each) for each in range(30)])
        assert set(choice.refused) == {3} == set(choice.failed)
        for each in set(range(30)) - {3}:
            assert choice.probabilities[each] == pytest.approx(right(each), abs=1e-6)
        before = [real(server) for server in servers]
        for _ in range(100):
            agree(choose(model, [question(each) for each in range(10, 30)]), range(10, 30))
            if all(real(server) > old for server, old in zip(servers, before, strict=True)):
                break
        assert all(real(server) > old for server, old in zip(servers, before, strict=True))


def test_questions_about_a_picture_go_to_one_server() -> None:
    with ExitStack() as stack:
        servers = [stack.enter_context(FakeServer(quirk=weighing)) for _ in range(3)]
        model = endpoint(servers)
        asked = [question(4 * image + each, image) for image in range(24) for each in range(4)]
        agree(choose(model, asked), range(96))
        seen = places(servers)
        assert len(seen) == 24
        assert sum(seen.values()) <= 24 + 6, "a few go on elsewhere, so that nobody is idle at the end"
        assert min(real(server) for server in servers) >= 20
        again = [question(4 * image + 50, image) for image in range(24)]
        for each in again:
            choose(model, [each])
        assert sum(places(servers).values()) <= 24 + 6, "and so do later ones while it is not busier"


def test_questions_one_after_another_go_round() -> None:
    with ExitStack() as stack:
        servers = [stack.enter_context(FakeServer(quirk=weighing)) for _ in range(3)]
        model = endpoint(servers)
        for each in range(12):
            agree(choose(model, [question(each)]), range(each, each + 1))
        assert min(real(server) for server in servers) >= 3


def test_where_all_servers_ask_to_wait_it_is_waited() -> None:
    with ExitStack() as stack:
        servers = [stack.enter_context(FakeServer(quirk=weighing, faults=[429] * 3)) for _ in range(2)]
        choice = choose(endpoint(servers), [question(each) for each in range(20)])
        agree(choice, range(20))
        assert choice.usage["calls"] == 20 and choice.usage["prompt_tokens"] == 140 and not choice.notes


def test_where_all_servers_ask_to_wait_without_end_it_is_given_up() -> None:
    wait = Raw(status=429, content={"error": "slow down"}, headers={"retry-after": "86400"})
    with FakeServer(quirk=lambda body: wait) as one, FakeServer(quirk=lambda body: wait) as other:
        with pytest.raises(Exhausted):
            choose(endpoint([one, other], model="m"), [question(1)])
        assert len(one.bodies) <= 2 and len(other.bodies) <= 2


def test_where_no_server_answers_the_end_comes_soon() -> None:
    with (
        FakeServer(key="other") as one,
        FakeServer(key="other") as two,
        pytest.raises(Misconfigured, match="IMAGESCOPE_ENDPOINT_KEY"),
    ):
        choose(endpoint([one, two], model="m"), [question(1)])
    with pytest.raises(BackendUnavailable, match="does not answer"):
        choose(endpoint([one, two], model="m", attempts=2), [question(1)])


def test_a_question_that_all_servers_refuse_is_refused() -> None:
    no = Raw(status=400, content={"error": "not this picture"})
    with ExitStack() as stack:
        servers = [
            stack.enter_context(FakeServer(quirk=lambda body: no if number(body) == 1 else weighing(body)))
            for _ in range(3)
        ]
        choice = choose(endpoint(servers), [question(each) for each in range(4)])
        assert set(choice.refused) == {1} and not choice.failed
        assert sum(number(body) == 1 for server in servers for body in server.bodies) == 1, "by one is enough"


def test_texts_are_asked_of_another_server_too() -> None:
    with (
        FakeServer(lambda body: "a red house") as good,
        FakeServer(quirk=lambda body: Raw(content={"no": 1})) as strange,
    ):
        model = endpoint([strange, good], model="m")
        replies = asyncio.run(Role("captioner", model).ask([question(each) for each in range(6)]))
        assert [reply.text for reply in replies] == ["a red house"] * 6
        assert all(reply.usage["calls"] == 1 and reply.usage["prompt_tokens"] == 7 for reply in replies)
        assert any(note["kind"] == "retried" for reply in replies for note in reply.notes)


def test_a_server_that_takes_fewer_pictures_is_passed_over() -> None:
    from tests.mllms.quirks import most_pictures

    with FakeServer(quirk=most_pictures(1)) as one, FakeServer() as two:
        model = endpoint([one, two], model="m")
        pair = Request(text="Which?", images=(question(1, 1).images * 2))
        for _ in range(4):
            (reply,) = asyncio.run(Role("judge", model).ask([pair]))
            assert reply.problem is None and reply.text
        assert model.images_per_request is None


def test_a_profile_names_several_servers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    roles = "\n".join(f'{role} = "chat"' for role in ("captioner", "reasoner", "verifier", "judge"))
    with FakeServer(quirk=weighing) as one, FakeServer(quirk=weighing) as two:
        login = one.url.replace("//", "//me:pass,w0rd@")
        profile = tmp_path / "mine.toml"
        profile.write_text(
            f'embedder = "x"\n[models.chat]\nmllm = "endpoint"\nurl = ["{login}", "{two.url}"]\n[roles]\n{roles}\n'
        )
        model = open_roles(load_profile(str(profile)))["verifier"].model
        assert isinstance(model, Endpoint) and model.urls == [one.url, two.url]
        agree(choose(model, [question(each) for each in range(20)]), range(20))
        assert min(real(one), real(two)) > 0
        assert {each.get("authorization", "")[:5] for each in one.headers} == {"Basic"}
        assert not any("authorization" in each for each in two.headers)
        assert "w0rd" not in repr(model) and model.weights == f"fake-model at {one.url}"
    monkeypatch.setenv("IMAGESCOPE_ENDPOINT", f"{login}, {two.url}")
    again = Endpoint(key=SecretStr(""))
    assert again.urls == [one.url, two.url] and isinstance(again.login, list)
    assert again.login[0].get_secret_value() == "me:pass,w0rd"


def test_doctor_asks_every_server(tmp_path: Path) -> None:
    from imagescope_agent.doctor.checks import check

    roles = "\n".join(f'{role} = "chat"' for role in ("captioner", "reasoner", "verifier", "judge"))
    with FakeServer() as good, FakeServer(heeds=(False, True)) as mute:
        away = f"{mute.url.rsplit(':', 1)[0]}:1/v1"
        profile = tmp_path / "mine.toml"
        profile.write_text(
            'embedder = "package:mini/clip"\n[models.chat]\nmllm = "endpoint"\nmodel = "fake-model"\n'
            'key = ""\npause = 0.01\n'
            f'url = ["{good.url}", "{mute.url}", "{away}"]\n[roles]\n{roles}\n'
        )
        report = check(str(profile))
    told = {each.check: each for each in report.findings}
    assert told[f"the server {good.url}"].ok and told[f"the server {mute.url}"].ok
    assert "logprobs" in told[f"the server {mute.url}"].detail
    assert not told[f"the server {away}"].ok and report.exit_code == 3
