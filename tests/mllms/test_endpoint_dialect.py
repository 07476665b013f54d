"""What a server refuses is found out with the requests of the run, remembered and noted; one refusal costs one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

import pytest
from langchain_core.messages import BaseMessage
from pydantic import BaseModel, Field, SecretStr

from imagescope_agent.errors import BackendUnavailable, Misconfigured, RequestRefused
from imagescope_agent.mllms.openai.endpoint import Endpoint
from imagescope_agent.mllms.protocols import Choice, LimitedImages
from imagescope_agent.mllms.role import ImageRef, Request, Role
from tests.mllms import quirks
from tests.mllms.checkpoints import picture
from tests.mllms.server import FakeServer, Quirk, Raw

_Found = TypeVar("_Found")
YES_NO = ("Yes", "No")


class Part(BaseModel):
    name: str = Field(max_length=20, pattern=r"^\w+$")


class Whole(BaseModel):
    word: str = Field(min_length=1)
    parts: list[Part] = Field(min_length=1, max_length=3)


def endpoint(server: FakeServer, **options: Any) -> Endpoint:
    return Endpoint(
        url=server.url, **{"pause": 0.01, "patience": 60.0, "attempts": 2, "key": SecretStr(""), **options}
    )


def run(asked: Awaitable[_Found]) -> _Found:
    async def whole() -> _Found:
        return await asked

    return asyncio.run(whole())


def question(number: int = 1, pictures: int = 1) -> list[BaseMessage]:
    shown = tuple(picture(number + place) for place in range(pictures))
    return Request(text=f"Is it {number}?", images=shown).messages()


def score(model: Endpoint, count: int = 4, pictures: int = 1) -> Choice:
    return run(model.ascore([question(number, pictures) for number in range(count)], YES_NO))


def write(model: Endpoint, schema: type[BaseModel] | None = None, pictures: int = 0) -> Any:
    options = {} if schema is None else model.schema_kwargs(schema)
    return run(model.ainvoke(question(1, pictures), **options))


def limit(model: Endpoint) -> int | None:
    return model.images_per_request


def details(message: Any) -> str:
    notes = message.notes if isinstance(message, Choice) else message.response_metadata["notes"]
    assert all(note["kind"] in ("fallback", "unreadable") for note in notes)
    return "; ".join(note["detail"] for note in notes)


@pytest.mark.parametrize("most", [10, 5, 3, 2])
def test_fewer_logprobs_are_asked_for(most: int) -> None:
    with FakeServer(quirk=quirks.most_logprobs(most)) as server:
        model = endpoint(server)
        choice = score(model)
        allowed = next(each for each in (20, 10, 5, 2) if each <= most)
        assert choice.probabilities == [pytest.approx([7 / 9, 2 / 9])] * 4 or allowed == 2
        assert f"more than {allowed} top_logprobs" in details(choice) and not choice.refused
        before = len(server.bodies)
        assert f"more than {allowed} top_logprobs" in details(score(model))
        assert len(server.bodies) - before == 4  # found out once
        assert {body["top_logprobs"] for body in server.bodies[before:]} == {allowed}


def test_no_logprobs_at_all_leaves_text() -> None:
    with FakeServer(quirk=quirks.no_logprobs) as server:
        choice = run(Role("verifier", endpoint(server)).choose([Request(text="Is it?")], YES_NO))
        assert choice.probabilities == [
            [1.0, 0.0]
        ] and "refuses logprobs; answers are read as text" in details(choice)


@pytest.mark.parametrize(
    ("quirk", "sent", "told"),
    [
        (quirks.other_limit, {"max_completion_tokens": 512, "temperature": 0}, "max_completion_tokens is sent instead"),
        (quirks.no_limit, {"temperature": 0}, "as long as it likes"),
        (quirks.own_temperature, {"max_tokens": 512}, "may differ from time to time"),
        (
            quirks.several(quirks.other_limit, quirks.own_temperature),
            {"max_completion_tokens": 512},
            "max_completion_tokens is sent instead; the server refuses temperature 0",
        ),
        (quirks.several(quirks.no_limit, quirks.own_temperature), {}, "as long as it likes; the server refuses temper"),
    ],
)  # fmt: skip
def test_only_the_refused_parameter_is_left_out(quirk: Quirk, sent: dict[str, Any], told: str) -> None:
    with FakeServer(quirk=quirk) as server:
        model = endpoint(server)
        assert told in details(write(model))
        options = {
            name: value for name, value in server.bodies[-1].items() if name not in ("model", "messages")
        }
        assert options == sent
        before = len(server.bodies)
        assert told in details(write(model)) and len(server.bodies) == before + 1


def test_a_reply_of_one_token_may_be_too_short() -> None:
    with FakeServer(quirk=quirks.long_replies) as server:
        choice = score(endpoint(server))
        assert choice.probabilities[0] == pytest.approx([7 / 9, 2 / 9]) and "16 are allowed" in details(
            choice
        )
        assert server.bodies[-1]["max_tokens"] == 16 and server.bodies[-1]["top_logprobs"] == 20


def test_limits_are_left_out_of_a_schema_then_the_schema() -> None:
    with FakeServer(quirk=quirks.no_schema_limits) as server:
        model = endpoint(server)
        reply = write(model, Whole)
        assert "limits in JSON schemas; they are left out" in details(reply)
        sent = server.bodies[-1]["response_format"]["json_schema"]["schema"]
        part = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
        assert sent["properties"]["parts"] == {
            "type": "array",
            "items": {**part, "additionalProperties": False},
        }
        assert (server.bodies[-1]["temperature"], server.bodies[-1]["max_tokens"]) == (0, 512)
    for quirk in (quirks.no_schema, quirks.failing_schema):
        with FakeServer(quirk=quirk) as server:
            reply = write(endpoint(server), Whole)
            assert "refuses JSON schemas; its replies are only parsed" in details(reply)
            assert "response_format" not in server.bodies[-1] and reply.text == "Yes, it is."


def test_one_refused_picture_is_one_refused_row() -> None:
    bad = "data:image/png;base64," + picture(2).base64

    def filtered(body: dict[str, Any]) -> Raw | None:
        return (
            quirks.refuse("content policy violation: temperature, top_logprobs")
            if bad in quirks.pictures(body)
            else None
        )

    with FakeServer(quirk=filtered) as server:
        model = endpoint(server)
        choice = score(model, 6)
        assert list(choice.refused) == [2] and "content policy" in choice.refused[2]
        assert choice.probabilities[2] == [0.5, 0.5] and choice.probabilities[3] == pytest.approx(
            [7 / 9, 2 / 9]
        )
        assert choice.notes == [] and choice.usage["calls"] == 6
        before = len(server.bodies)
        assert list(score(model, 6).refused) == [2] and len(server.bodies) == before + 6
        assert server.bodies[-1]["top_logprobs"] == 20 and server.bodies[-1]["temperature"] == 0
        with pytest.raises(RequestRefused, match="content policy"):
            run(model.ainvoke(Request(text="q", images=(picture(2),)).messages()))


def test_a_prompt_over_the_context_is_refused_alone() -> None:
    def long(body: dict[str, Any]) -> Raw | None:
        return (
            quirks.refuse("maximum context length; reduce max_tokens")
            if len(quirks.text(body)) > 99
            else None
        )

    with FakeServer(quirk=long) as server:
        model = endpoint(server)
        with pytest.raises(RequestRefused, match="context length"):
            run(model.ainvoke("word " * 50))
        assert write(model).response_metadata["notes"] == [] and server.bodies[-1]["max_tokens"] == 512


@pytest.mark.parametrize(("most", "asked"), [(1, 2), (1, 8), (4, 9)])
def test_how_many_pictures_a_request_may_hold_is_found_out(most: int, asked: int) -> None:
    with FakeServer(quirk=quirks.most_pictures(most)) as server:
        model = endpoint(server)
        assert isinstance(model, LimitedImages) and limit(model) is None
        with pytest.raises(RequestRefused, match=f"takes {'one picture' if most == 1 else most}"):
            write(model, pictures=asked)
        assert limit(model) == most
        before = len(server.bodies)
        with pytest.raises(RequestRefused):
            write(model, pictures=most + 1)
        assert len(server.bodies) == before  # known: not sent
        assert write(model, pictures=most).response_metadata["notes"] == []


def test_a_server_that_fails_with_pictures_does_not_see_them() -> None:
    with FakeServer(quirk=quirks.blind) as server:
        model = endpoint(server)
        with pytest.raises(RequestRefused, match="does not see pictures"):
            write(model, pictures=1)
        assert model.images_per_request == 0 and write(model).text
        refused = score(model).refused
        assert set(refused) == {0, 1, 2, 3} and "does not see pictures" in refused[0]


def test_a_server_that_fails_at_everything_is_unavailable() -> None:
    with FakeServer(quirk=lambda body: Raw(status=500, content={"error": "boom"})) as server:
        model = endpoint(server)
        for pictures in (0, 1):
            with pytest.raises(BackendUnavailable, match="boom"):
                write(model, pictures=pictures)
        assert model.images_per_request is None


def test_one_picture_that_makes_the_server_fail_is_one_row() -> None:
    bad = "data:image/png;base64," + picture(1).base64

    def fails(body: dict[str, Any]) -> Raw | None:
        return Raw(status=500, content={"error": "decoder"}) if bad in quirks.pictures(body) else None

    with FakeServer(quirk=fails) as server:
        assert list(score(endpoint(server)).refused) == [1]


@pytest.mark.parametrize("status", [403, 404])
def test_what_one_request_is_denied_is_not_the_key(status: int) -> None:
    def flagged(body: dict[str, Any]) -> Raw | None:
        return quirks.refuse("flagged by moderation", status) if quirks.text(body) == "Is it 2?" else None

    with FakeServer(quirk=flagged) as server:
        assert list(score(endpoint(server)).refused) == [2]
    with (
        FakeServer(quirk=lambda body: quirks.refuse("no", status)) as server,
        pytest.raises(Misconfigured, match="IMAGESCOPE_ENDPOINT"),
    ):
        score(endpoint(server, model="m"))


def test_all_refusals_at_once() -> None:
    everything = quirks.several(
        quirks.most_pictures(1),
        quirks.most_logprobs(5),
        quirks.other_limit,
        quirks.own_temperature,
        quirks.no_schema_limits,
    )
    with FakeServer(quirk=everything) as server:
        model = endpoint(server)
        choice = score(model)
        assert choice.probabilities[0] == pytest.approx([7 / 9, 2 / 9]) and len(choice.notes) == 3
        assert len(write(model, Whole).response_metadata["notes"]) == 3
        with pytest.raises(RequestRefused, match="one picture"):
            write(model, pictures=2)
        assert len(run(model.without())) == 4


def test_many_at_once_find_it_out_together() -> None:
    with FakeServer(quirk=quirks.several(quirks.other_limit, quirks.own_temperature)) as server:
        role = Role("captioner", endpoint(server))
        replies = run(role.ask([Request(text=str(number)) for number in range(20)]))
        assert all(reply.text == "Yes, it is." for reply in replies)
        assert len(server.bodies) < 20 + 20 + 12  # what was under way, and one search for what is taken


def test_control_tokens_in_a_users_words_are_broken_up() -> None:
    live = (
        "<|im_end|><|im_start|>assistant",
        "<start_of_turn>",
        "</s>[INST]",
        "<<SYS>>",
        "<｜User｜>",
        "<__media__>",
    )
    with FakeServer() as server:
        model = endpoint(server)
        run(
            Role("x", model).ask(
                [Request(text=" ".join(live), images=(picture(1),)), Request(text=" ".join(live))]
            )
        )
        for body in server.asked:
            sent = quirks.text(body)
            assert not any(token in sent for token in (*live, "<|im_start|>", "[INST]"))
            assert "< |im_end|>" in sent and sent.replace(" ", "") == "".join(live)
        kept = "a <b>bold</b> [1] [see below] a < b_c > d <instruction>it</instruction> \ud800"
        run(Role("x", model).ask([Request(text=kept)]))
        assert quirks.text(server.bodies[-1]) == kept.replace("\ud800", "?")


def test_pictures_may_have_any_key() -> None:
    with FakeServer() as server:
        shown = ImageRef("<|im_end|>", picture(1).data)
        assert run(Role("x", endpoint(server)).ask([Request(text="q", images=(shown,))]))[0].text
