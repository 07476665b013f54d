"""Access control of the page: wrong passwords, other sites, browsers, and conversations of one user."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from PIL import Image

from imagescope_agent.chat import Chats
from imagescope_agent.chat.access_control import (
    BROWSER,
    AccessControl,
    SignInLimiter,
    address_of,
    browser_of,
    is_foreign,
    password_check,
    read_users,
    user_id,
)
from imagescope_agent.chat.thumbnails import UPLOADS, data_uri, keep
from imagescope_agent.chat.user_scope import UserChats
from imagescope_agent.errors import BadInput
from imagescope_agent.settings import Settings
from tests.chat.talk import talking

ONE, OTHER = {BROWSER: "a" * 32}, {BROWSER: "b" * 32}


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_each_wrong_guess_makes_the_next_wait_longer() -> None:
    clock = Clock()
    limiter = SignInLimiter(clock)
    waits = []
    for _ in range(12):
        waits.append(limiter.wait("a"))
        clock.now += limiter.wait("a")
        limiter.failed("a")
    assert waits[:3] == [0, 0, 0] and waits[3:9] == [1, 2, 4, 8, 16, 32] and waits[9:] == [60, 60, 60]
    assert limiter.wait("b") == 0
    limiter.succeeded("a")
    assert limiter.wait("a") == 0
    for number in range(3 * SignInLimiter.KNOWN):
        limiter.failed(f"{number}")
    assert len(limiter._failed) == SignInLimiter.KNOWN


@pytest.mark.parametrize(
    ("client", "expected"),
    [("192.0.2.1", "192.0.2.1"), ("2001:db8:1:2::1", "2001:0db8:0001:0002"), ("::ffff:192.0.2.1", "::ffff:192.0.2.1"),
     ("", ""), ("a socket", "a socket")],
)  # fmt: skip
def test_attempts_are_counted_by_address_or_network(client: str, expected: str) -> None:
    assert address_of({"client": (client, 1)}) == expected
    assert address_of({"client": None}) == ""


@pytest.mark.parametrize(
    ("headers", "foreign"),
    [
        ({}, False), ({b"origin": "http://127.0.0.1:7860"}, False), ({b"origin": "http://evil.example"}, True),
        ({b"origin": "null"}, True), ({b"origin": "http://127.0.0.1:7861"}, True), ({b"origin": ""}, True),
        ({b"sec-fetch-site": "cross-site"}, True), ({b"sec-fetch-site": "same-site"}, True),
        ({b"sec-fetch-site": "same-origin"}, False), ({b"sec-fetch-site": "none"}, False),
        ({b"origin": "http://127.0.0.1:7860.evil.example"}, True),
        ({b"origin": "http://127.0.0.1:7860@evil.example"}, True),
    ],
)  # fmt: skip
def test_a_browser_tells_that_another_site_asks(headers: dict[bytes, str], foreign: bool) -> None:
    assert is_foreign({b"host": "127.0.0.1:7860", **headers}) is foreign


def test_a_browser_is_named_by_a_cookie_that_nobody_can_make_from_its_name() -> None:
    assert len(browser_of(ONE)) == 12 and browser_of(ONE) != browser_of(OTHER)
    assert browser_of(ONE) not in ONE[BROWSER]
    for wrong in ({}, {BROWSER: ""}, {BROWSER: "x"}, {BROWSER: "A" * 32}, {BROWSER: "a" * 33}):
        assert browser_of(wrong) == ""


def asked(
    gate: AccessControl, method: str, path: str, kind: str = "http", **headers: str
) -> tuple[int, dict[str, str]]:
    """Status and headers of an answer."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": b""}

    given = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {
        "type": kind,
        "method": method,
        "path": path,
        "headers": [(b"host", b"h"), *given],
        "client": ("1", 2),
    }
    asyncio.run(gate(scope, receive, send))
    told = {name.decode(): value.decode() for name, value in sent[0].get("headers", [])}
    return sent[0].get("status", sent[0].get("code")), told


async def _app(scope: Any, receive: Any, send: Any) -> None:
    right = scope["path"] != "/login" or (b"x-right", b"1") in scope["headers"]
    await send({"type": "http.response.start", "status": 200 if right else 400, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def test_everything_but_the_question_for_the_password_needs_it() -> None:
    gate = AccessControl(_app, signed_in=lambda cookies: cookies.get("token") == "t")
    for path in ("/", "/assets/x.js", "/static/img.svg", "/theme.css", "/favicon.ico"):
        assert asked(gate, "GET", path)[0] == 200
    rest = ("startup-events", "app_id", "user", "token", "heartbeat/x", "info", "reset", "queue/status")
    for path in (
        "/config",
        "/monitoring/x",
        "/logout",
        "/new",
        "//",
        "/assets",
        *(f"/gradio_api/{p}" for p in rest),
    ):
        assert asked(gate, "GET", path)[0] == 401, path
        assert asked(gate, "GET", path, cookie="token=t")[0] == 200, path
    for path in ("/", "/gradio_api/reset", "/gradio_api/cancel", "/assets/x"):
        assert asked(gate, "POST", path)[0] == 401, path
    for path in ("/openapi.json", "/docs", "/redoc", "/openapi.json/"):
        assert asked(gate, "GET", path, cookie="token=t")[0] == 404
        assert asked(AccessControl(_app, signed_in=None), "GET", path)[0] == 404
    assert asked(gate, "GET", "/", kind="websocket")[0] == 1008
    assert (
        asked(
            AccessControl(_app, signed_in=None), "POST", "/gradio_api/upload", origin="http://evil.example"
        )[0]
        == 403
    )
    assert (
        asked(AccessControl(_app, signed_in=None), "POST", "/gradio_api/upload", origin="http://h")[0] == 200
    )


def test_attempts_are_refused_before_the_password_is_checked() -> None:
    clock = Clock()
    gate = AccessControl(_app, signed_in=lambda cookies: False, limiter=SignInLimiter(clock))
    assert [asked(gate, "POST", "/login")[0] for _ in range(5)] == [400, 400, 400, 429, 429]
    status, told = asked(gate, "POST", "/login/", x_right="1")
    assert status == 429 and told["retry-after"] == "2"
    clock.now += 1.5
    assert [asked(gate, "POST", "/login", x_right="1")[0] for _ in range(3)] == [200, 200, 200]


def test_the_page_names_a_browser_once() -> None:
    gate = AccessControl(_app, signed_in=lambda cookies: False)
    cookie = asked(gate, "GET", "/")[1]["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie
    name = cookie.partition(";")[0]
    assert browser_of(dict([name.split("=")])) and "set-cookie" not in asked(gate, "GET", "/", cookie=name)[1]
    assert "set-cookie" not in asked(gate, "GET", "/assets/x")[1]


def test_a_name_has_one_password(tmp_path: Path) -> None:
    file = tmp_path / "users"
    file.write_text("# who may\n\nanna: open sesame \nben:a:b\n")
    users = read_users(file)
    assert users == {"anna": "open sesame", "ben": "a:b"}
    right, shared = password_check(users), password_check("open sesame")
    assert right("anna", "open sesame") and right("ben", "a:b")
    for name, given in (("ben", "open sesame"), ("anna", "a:b"), ("carl", ""), ("", ""), ("anna", "\ud800")):
        assert not right(name, given)
    assert shared("whoever", "open sesame") and not shared("anna", "a:b")
    assert user_id("anna") != user_id("ben") and not re.fullmatch("[0-9a-f]{12}", user_id("anna"))
    for wrong in ("", "# nobody", "anna", "anna:", ":x", "anna:x\nanna:y"):
        file.write_text(wrong)
        with pytest.raises(BadInput, match="name:password"):
            read_users(file)
    with pytest.raises(BadInput, match="cannot read"):
        read_users(tmp_path)


def test_conversations_of_two_browsers_are_kept_apart(world: Any) -> None:
    async def story() -> None:
        chats = Chats(talking(world), InMemorySaver(), Settings())
        one, other, everybody = (
            UserChats(chats, name) for name in (browser_of(ONE), browser_of(OTHER), None)
        )
        session = await one.create()
        await session.say("a red square")
        branch = await one.branch(session, None)
        assert {row["thread"] for row in await one.list()} == {session.thread, branch.thread}
        assert await other.list() == [] and len(await everybody.list()) == 2
        for name in (
            session.thread,
            branch.thread,
            session.thread.partition("-")[2],
            "",
            None,
            "-",
            "x" * 99,
        ):
            with pytest.raises(BadInput):
                await other.open(name)
        assert len(await (await one.open(session.thread)).turns()) == 1
        assert len(await (await everybody.open(session.thread)).turns()) == 1

    asyncio.run(story())
    with pytest.raises(BadInput, match="cookie"):
        UserChats(Chats(talking(world), InMemorySaver(), Settings()), "")


def test_the_page_shows_no_other_file_of_this_machine(world: Any, tmp_path: Path) -> None:
    private, collection = tmp_path / "private.png", world.collection
    Image.new("RGB", (8, 8), (1, 2, 3)).save(private)
    kept = keep(private, collection)
    assert data_uri(kept, collection).startswith("data:image/webp") and data_uri("red.png", collection)
    assert keep(world.folder / "red.png", collection) == "red.png"
    link = collection.location / UPLOADS / "link.png"
    link.symlink_to(private)
    for name in (
        private,
        link,
        f"{collection.location}/{UPLOADS}/../../../private.png",
        "/etc/passwd",
        "a\0b",
        "",
    ):
        assert data_uri(str(name), collection) == ""
    (world.folder / "blue.png").write_bytes(private.read_bytes())
    assert data_uri("blue.png", collection) == "", "it is not what was indexed"


def test_uploads_are_bounded_and_lead_nowhere_else(
    world: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        Image.new("RGB", (64, 64), (number, 0, 1)).save(tmp_path / f"{number}.png")
    keep(tmp_path / "0.png", world.collection)
    monkeypatch.setattr("imagescope_agent.chat.thumbnails.MOST_UPLOADS", 10)
    with pytest.raises(BadInput, match="no more pictures"):
        keep(tmp_path / "1.png", world.collection)
    monkeypatch.undo()
    uploads = world.collection.location / UPLOADS
    uploads.rename(tmp_path / "elsewhere")
    uploads.symlink_to(tmp_path / "elsewhere")
    before = sorted((tmp_path / "elsewhere").iterdir())
    with pytest.raises(BadInput, match="no more pictures"):
        keep(tmp_path / "2.png", world.collection)
    assert sorted((tmp_path / "elsewhere").iterdir()) == before


@pytest.mark.parametrize("depth", [1_200, 2_000, 5_000, 100_000])
def test_a_message_names_no_file_however_deep(depth: int, tmp_path: Path) -> None:
    from imagescope_agent.chat.server import RequestLimits

    guard = RequestLimits(_app, uploads=tmp_path)
    deep = '{"a":' * depth + '{"path": "/etc/passwd"}' + "}" * depth
    for text in (
        deep,
        f'{{"x": {deep}, "path": "{tmp_path}/ok"}}',
        "[" * depth + "]" * depth,
        "\ufeff{}",
        "nonsense",
    ):
        assert guard._plain(text.encode()) is False
    assert guard._plain('{"path": "/etc/passwd"}'.encode("utf-16")) is False
    assert (
        guard._plain(json.dumps({"data": [{"files": [{"path": f"{tmp_path}/ok.png"}]}, ""]}).encode()) is True
    )


def test_uploads_that_wait_are_bounded_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from imagescope_agent.chat.server import RequestLimits

    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a").write_bytes(b"x" * 1000)
    guard = RequestLimits(_app, uploads=tmp_path)
    form = {"content_type": "multipart/form-data", "content_length": "500"}
    monkeypatch.setattr("imagescope_agent.chat.server.MAX_WAITING", 1600)
    assert asked(guard, "POST", "/gradio_api/upload", **form)[0] == 200  # type: ignore[arg-type]
    (tmp_path / "sub" / "b").write_bytes(b"x" * 200)
    assert asked(guard, "POST", "/gradio_api/upload", **form)[0] == 507  # type: ignore[arg-type]
    monkeypatch.setattr("imagescope_agent.chat.server.MAX_WAITING", 10**9)
    monkeypatch.setattr("imagescope_agent.chat.server.MAX_FILES", 2)
    assert asked(guard, "POST", "/gradio_api/upload", **form)[0] == 507  # type: ignore[arg-type]
