"""Credentials are neither written down nor shown, whatever form they come in."""

from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import pytest

from imagescope_agent import cli
from imagescope_agent.api import ImageScope
from imagescope_agent.chat import open_chats
from imagescope_agent.common.redact import HIDDEN, learn, redact, redact_values
from imagescope_agent.errors import BackendUnavailable, BadInput, UnreadableReply
from imagescope_agent.evaluation.run_store import RunStore
from imagescope_agent.mllms.role import Request, Role
from imagescope_agent.mllms.scripted import Scripted
from imagescope_agent.services import weights_of
from imagescope_agent.traces.packing import Unpacker, pack
from tests.chat.talk import talking, think
from tests.security.strangers import snapshot

PASSWORD, KEY = "hunter2-hunter2", "no-known-form-4711"
LOGIN = base64.b64encode(f"me:{PASSWORD}".encode()).decode()
URL = f"http://me:{PASSWORD}@127.0.0.1:9/v1"


_PREFIXES = (
    "sk-",
    "pk_",
    "rk-",
    "hf_",
    "ghp_",
    "gho_",
    "ghu_",
    "ghs_",
    "ghr_",
    "github_pat_",
    "glpat-",
    "nvapi-",
    "gsk_",
    "xoxa-",
    "xoxb-",
    "xoxp-",
    "xoxr-",
    "AKIA",
    "AIza",
)
_NAMES = (
    "api_key",
    "access-key",
    "Private Key",
    "auth_token",
    "ACCESS_TOKEN",
    "refresh token",
    "bearer-token",
    "secret",
    "client-secret",
    "passwd",
    "password",
    "passphrase",
    "authorization",
    "credentials",
)


@pytest.mark.parametrize("text", [f"{each}zyxwvutsrqponmlk0" for each in _PREFIXES])
def test_a_key_is_known_by_its_beginning_alone(text: str) -> None:
    assert redact(f"it says {text}, no more") == f"it says {HIDDEN}, no more"


@pytest.mark.parametrize("name", [*_NAMES, "cookie"])
def test_a_value_is_known_by_its_name_alone(name: str) -> None:
    assert redact(f"it says {name}: zyxw9876 and more") == f"it says {name}: {HIDDEN} and more"


@pytest.mark.parametrize(
    "text", ["prompt_tokens: 4711234", "a key: abcdefgh", "sunset over a skyline of 47112345678"]
)
def test_words_that_are_no_names_of_secrets_stay(text: str) -> None:
    assert redact(text) == text


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        (f"cannot reach {URL}", PASSWORD),
        ("https://me:p@ss@host/x", "p@ss"),
        ("https://onlyatoken@host/x", "onlyatoken"),
        ("postgresql://u:pw%40x@host:5432/db?x=1", "pw%40x"),
        ("me:pass@host.org/v1", "me:pass"),
        (f"authorization: Basic {LOGIN}", LOGIN),
        (f"sent Basic {LOGIN[:16]}", LOGIN[:16]),
        ('{"Authorization": "Bearer abcdefghijkl"}', "abcdefghijkl"),
        ('{"headers": {"x-api-key": "short1"}}', "short1"),
        ("Incorrect API key provided: abcd1234.", "abcd1234"),
        ("https://host/v1?key=abc&x=1", "abc"),
        ("GET /v1/models?api_key=abcdef", "abcdef"),
        ("/v1?token=abcdef&more=1", "abcdef"),
        ('{"password": "correct horse battery"}', "horse"),
        ("client_secret=abcdefgh", "abcdefgh"),
        ("set-cookie: session=abcdefghijk", "abcdefghijk"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl", "eyJzdWIiOiIxMjM0In0"),
        ("github_pat_11ABCDEFG0abcdefghijklmnop", "11ABCDEFG0"),
        ("nvapi-abcdefghijklmnopqrstuvwxyz", "abcdefghijkl"),
    ],
)
def test_every_form_of_a_secret_is_hidden_and_json_stays_json(text: str, secret: str) -> None:
    told = redact(text)
    assert secret not in told and HIDDEN in told
    packed = redact(json.dumps({"a": text, "b": [text, {"c": json.dumps({"d": text})}]}))
    assert secret not in packed
    assert set(json.loads(packed)) == {"a", "b"}
    assert redact(told) == told


@pytest.mark.parametrize(
    "text",
    [
        "a red apple on a key ring", "the basic shapes: a square", "a secret garden behind the house",
        "max_tokens=1024 prompt_tokens: 100", "mail me at a@b.org about https://host/path?q=a@b",
        "images/token.png", "a token: large and round", "hf-hub:laion/CLIP@0123456789abcdef", "10:30 @ the pub",
    ],
)  # fmt: skip
def test_ordinary_words_stay(text: str) -> None:
    assert redact(text) == text


def test_values_of_secret_variables_are_hidden_in_every_form(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", 'od"d väl/ue')
    monkeypatch.setenv("IMAGESCOPE_ENDPOINT_KEY", "k4y!")
    monkeypatch.setenv("IMAGESCOPE_ENDPOINT", URL)
    coded = base64.b64encode('od"d väl/ue'.encode()).decode()
    for text in ('x od"d väl/ue y', json.dumps('od"d väl/ue'), "x=od%22d%20v%C3%A4l%2Fue", f"x {coded}"):
        assert "ue" not in redact(text)
    for text in ("the key k4y! is wrong", PASSWORD, LOGIN, LOGIN.rstrip("=")):
        assert HIDDEN in redact(text) and text not in redact(text)
    monkeypatch.setenv("IMAGESCOPE_ENDPOINT_KEY", "EMPTY")
    assert redact("EMPTY rooms") == "EMPTY rooms"


def test_errors_hide_what_they_are_told() -> None:
    for error in (BadInput(f"no answer at {URL}"), BackendUnavailable(URL), UnreadableReply(URL, reply=URL)):
        assert PASSWORD not in str(error) and PASSWORD not in repr(error)


def test_a_key_that_a_server_echoes_is_not_kept() -> None:
    learn({"mllm": "x:Y", "options": [{"key": KEY, "url": URL}]})
    model = Scripted(f"I was asked with {KEY} and {LOGIN}.")
    (reply,) = asyncio.run(Role("captioner", model).ask([Request(text="?")]))
    assert reply.text == f"I was asked with {HIDDEN} and {HIDDEN}."


class Told(Scripted):
    """A model whose weights are known by an address with a password."""

    @property
    def weights(self) -> str:
        return f"some-model at {URL}"


def test_nothing_that_is_kept_of_searches_and_conversations_holds_a_secret(
    world: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    learn({"key": KEY, "url": URL})

    def echo(asked: Any) -> str:
        if (asked.options or {}).get("response_format") == "PredicatesAnswer":
            raise UnreadableReply(f"HTTP 200 from {URL}", reply=f"{KEY} Basic {LOGIN}")
        return think(asked)

    judge = Role("judge", Told(reply=f"Yes: {KEY}, Authorization: Basic {LOGIN}"))
    services = talking(world, reasoner=world.role("reasoner", echo), judge=judge)
    assert PASSWORD not in weights_of(judge)
    result = ImageScope(services).search("a red square")
    assert result.notes

    async def talk() -> Any:
        async with open_chats(services) as chats:
            session = await chats.create("t")
            await session.say("a red square")
            return await session.export()

    told = json.dumps([result.to_dict(), result.weights, asyncio.run(talk())])
    store = str(world.collection.location / "traces.sqlite")
    assert cli.main(["trace", "--last", "--store", store, "--json"]) == 0
    page = world.folder.parent / "page.html"
    assert cli.main(["trace", "--last", "--store", store, "--html", str(page)]) == 0
    told += capsys.readouterr().out + page.read_text()
    kept = b"".join(data for data in snapshot(world.folder).values() if isinstance(data, bytes))
    for secret in (PASSWORD, KEY, LOGIN):
        assert secret not in told and secret.encode() not in kept, secret


def test_a_manifest_holds_no_secret(world: Any) -> None:
    from imagescope_agent.retrieval.index.indexer import build

    learn({"key": KEY})
    captioner = world.role("captioner", f"a square, says {KEY}")
    weights = weights_of(Role("captioner", Told(reply="x")))
    asyncio.run(build(world.folder, None, world.embedder, captioner, "?", captioner_weights=weights))
    kept = b"".join(data for data in snapshot(world.folder).values() if isinstance(data, bytes))
    assert HIDDEN.encode() in kept
    assert KEY.encode() not in kept and PASSWORD.encode() not in kept


def test_the_folder_of_an_evaluation_holds_no_secret(tmp_path: Path) -> None:
    ledger = RunStore(tmp_path / "run", redact_values({"weights": {"judge": f"m at {URL}"}, "seed": 1}))
    note = {"step": "judge", "kind": "fallback", "detail": f"{URL} said Basic {LOGIN}"}
    ledger.append({"qid": "1", "stages": {}, "failed": f"no answer at {URL}", "notes": [note]})
    ledger.finish(["1"])
    ledger.close()
    kept = b"".join(data for data in snapshot(tmp_path).values() if isinstance(data, bytes))
    assert b"no answer" in kept and PASSWORD.encode() not in kept and LOGIN.encode() not in kept
    RunStore(tmp_path / "run", redact_values({"weights": {"judge": f"m at {URL}"}, "seed": 1})).close()


def test_a_command_shows_no_secret(world: Any, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["search", f"{URL}/x", "red"], ["search", str(world.folder), "red", "--graph", URL],
                  ["search", str(world.folder), "red", "-k", URL], ["trace", "--store", URL]):  # fmt: skip
        try:
            assert cli.main(words) == 2
        except SystemExit as stop:
            assert stop.code == 2
        said = capsys.readouterr()
        assert PASSWORD not in said.err + said.out and said.err.count("\n") == 1


def test_the_options_of_a_model_that_do_not_fit_are_told_without_its_key(world: Any, tmp_path: Path) -> None:
    from imagescope_agent.services import open_services

    path = tmp_path / "mine.toml"
    roles = "\n".join(f'{role} = "m"' for role in ("captioner", "reasoner", "verifier", "judge"))
    path.write_text(
        f'embedder = "x/y"\n[models.m]\nmllm = "endpoint"\nurl = "{URL}"\nkey = "{KEY}"\nattempts = "many"\n'
        f"[roles]\n{roles}"
    )
    with pytest.raises(BadInput, match="do not fit") as caught:
        open_services(str(path), world.folder)
    assert KEY not in str(caught.value) and PASSWORD not in str(caught.value)


def test_every_password_of_several_addresses_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    several = (
        "http://u:first-pw@one:8000/v1, http://u:second%2Cpw@two:8000/v1,http://u:third,pw@three:8000/v1"
    )
    monkeypatch.setenv("IMAGESCOPE_ENDPOINT", several)
    told = redact("tried first-pw, second%2Cpw, second,pw and third,pw")
    assert told.count("[secret]") == 4 and "pw" not in told


@pytest.mark.parametrize("query", ["x password:", "cookie =", "the secret: ", "two passwords:"])
def test_a_query_that_ends_like_a_name_leaves_json_as_it_is(query: str) -> None:
    event = json.dumps({"q": query, "b": 1, "more": [query, {query: query}]})
    assert json.loads(redact(event))["b"] == 1
    assert json.loads(json.loads(redact(json.dumps({"inner": event})))["inner"])["b"] == 1


def test_a_value_behind_a_quoted_name_is_hidden_whatever_it_begins_with() -> None:
    assert ",x-4711" not in redact('{"password": ",x-4711"}') and "x-4711" not in redact("password: 'x-4711'")


@pytest.mark.parametrize(
    "told",
    [
        'password=",hunter2hunter2"',
        "password=':pa55word99'",
        'api_key: "}x9QQ-abc123"',
        'PASSWORD="]hunter22"',
    ],
)
def test_a_quoted_value_is_hidden_though_it_begins_with_a_sign_of_json(told: str) -> None:
    assert redact(told).endswith((f'"{HIDDEN}"', f"'{HIDDEN}'"))


@pytest.mark.parametrize("query", ["a poster that says 'password':", '"secret": ', "passwd='", "cookie:"])
def test_an_event_of_a_trace_stays_readable_whatever_the_query_quotes(query: str) -> None:
    event = {"query": query, "more": [query, 1], "password": "hunter2-again"}
    read = Unpacker()(pack(event))
    assert read["more"][1] == 1 and "hunter2-again" not in json.dumps(read)
