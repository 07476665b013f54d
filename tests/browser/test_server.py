"""What the page's server refuses: files that are not meant for it, other machines' names, too much, no password."""

from __future__ import annotations

import asyncio
import json
import math
import signal
import socket
import time
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from PIL import Image

import imagescope_agent.api  # noqa: F401 - first, or it would keep what a test below puts in place for a while
from imagescope_agent import cli
from imagescope_agent.chat.web import html as views
from imagescope_agent.chat.web.access_control import SignInLimiter
from imagescope_agent.chat.web.pictures import large, original
from imagescope_agent.chat.web.server import MAX_BODY, check_address
from imagescope_agent.errors import BadInput
from imagescope_agent.records import Reason
from imagescope_agent.retrieval.images import ImageProblem
from imagescope_agent.settings import Settings
from tests.browser.conftest import Served, serving
from tests.chat.talk import talking


def ask(
    address: str, path: str, body: bytes | None = None, **headers: str
) -> tuple[int, str, dict[str, str]]:
    """Status, text and headers of one request; the path goes out as it is written."""
    host, _, port = address.removeprefix("http://").rstrip("/").partition(":")
    connection = HTTPConnection(host, int(port), timeout=60)
    try:
        connection.request("GET" if body is None else "POST", path, body=body, headers=headers)
        answer = connection.getresponse()
        return (
            answer.status,
            answer.read().decode("utf-8", "replace"),
            {k.lower(): v for k, v in answer.getheaders()},
        )
    finally:
        connection.close()


@pytest.mark.slow
def test_only_the_page_is_served(served: Served) -> None:
    address, folder = served
    secret, inside = folder.parent / "secret.txt", folder / ".imagescope" / "notes.txt"
    for hidden in (secret, inside):
        hidden.write_text("never shown")
    asked = [str(secret), str(inside), str(folder / "red.png"), "/etc/passwd", "../../../../etc/passwd",
             "..%2f..%2f..%2fetc%2fpasswd", f"{folder}/../secret.txt", str(Path(cli.__file__))]  # fmt: skip
    addresses = [f"/gradio_api/file={path}" for path in asked] + [f"/file={path}" for path in asked]
    addresses += [
        "/static/../../../../etc/passwd",
        "/assets/..%2f..%2fetc%2fpasswd",
        "/theme.css/../../etc/passwd",
    ]
    addresses += ["/gradio_api/proxy=http://127.0.0.1:1/x", "/gradio_api/proxy=https://example.org/x"]
    for path in addresses:
        status, text, _ = ask(address, path)
        assert status in (400, 401, 403, 404, 405), (path, status)
        assert "never shown" not in text and "root:" not in text
    status, _, headers = ask(address, "/")
    assert status == 200 and "connect-src 'self'" in headers["content-security-policy"]


@pytest.mark.slow
def test_foreign_names_and_large_requests_are_refused(served: Served) -> None:
    address, _ = served
    assert ask(address, "/", Host="evil.example")[0] == 400
    assert ask(address, "/gradio_api/upload", b"", **{"Content-Length": str(MAX_BODY + 1)})[0] == 413
    # A body of no declared size: only its headers are sent, for a refusal may close the line before a body is out.
    assert ask(address, "/gradio_api/queue/join", b"", **{"Transfer-Encoding": "chunked"})[0] == 411


@pytest.mark.slow
def test_pictures_are_those_of_the_collection_and_uploads(served: Served) -> None:
    address, folder = served
    status, _, headers = ask(address, "/pictures/red.png")
    assert status == 200 and headers["content-type"] == "image/webp"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    status, _, headers = ask(address, "/pictures/red.png?download=1")
    assert status == 200 and headers["content-type"] == "application/octet-stream"
    assert (
        headers["content-disposition"].startswith("attachment")
        and headers["x-content-type-options"] == "nosniff"
    )
    hidden, uploads = folder / "hidden.png", folder / ".imagescope" / "uploads"
    uploads.mkdir(exist_ok=True)
    Image.new("RGB", (8, 8), "red").save(hidden)  # beside the indexed ones, and not indexed
    (uploads / "link.png").symlink_to(hidden)
    (folder / ".imagescope" / "inside.png").write_bytes(hidden.read_bytes())
    for name in ("hidden.png", str(hidden), "../hidden.png", "..%2fhidden.png", "/etc/passwd", "%00", "", "none.png",
                 ".imagescope/inside.png"):  # fmt: skip
        for more in ("", "?download=1"):
            assert ask(address, f"/pictures/{name}{more}")[0] in (400, 404), name
    for name in ("link.png", "..%2finside.png", "../inside.png", "%2e%2e/inside.png", "", ".", "none.png"):
        for more in ("", "?download=1"):
            assert ask(address, f"/uploads/{name}{more}")[0] in (400, 404), name
    for path in (hidden, uploads / "link.png", folder / ".imagescope" / "inside.png"):
        path.unlink()


def test_a_picture_that_changed_since_is_not_served(world: Any) -> None:
    assert original("red.png", world.collection) == (world.folder / "red.png").read_bytes()
    (world.folder / "blue.png").write_bytes((world.folder / "red.png").read_bytes())
    for read in (large, original):
        with pytest.raises(ImageProblem, match="changed since"):
            read("blue.png", world.collection)


@pytest.mark.slow
def test_a_message_cannot_name_a_file_that_was_not_uploaded(served: Served) -> None:
    address, folder = served
    config = json.loads(ask(address, "/config")[1])
    (submit,) = [each["id"] for each in config["dependencies"] if each["targets"][0][1] == "submit"]
    known = {"meta": {"_type": "gradio.FileData"}, "orig_name": "mine.png", "mime_type": "image/png"}
    before = sorted((folder / ".imagescope").rglob("uploads/*"))
    for number, path in enumerate(["/etc/passwd", str(folder / "red.png"), "https://example.org/x.png", 7]):
        asked = {"text": "a red square", "files": [{"path": path, **known}]}
        call = {"data": [asked, ""], "fn_index": submit, "session_hash": f"s{number}"}
        sent = json.dumps(call).encode()
        assert ask(address, "/gradio_api/queue/join", sent, **{"Content-Type": "application/json"})[0] == 403
    assert sorted((folder / ".imagescope").rglob("uploads/*")) == before


@pytest.mark.slow
def test_a_password_is_asked_for(tmp_path: Path) -> None:
    with serving(tmp_path / "world", "open sesame") as (address, _):
        assert ask(address, "/config")[0] == 401
        assert ask(address, "/gradio_api/file=/etc/passwd")[0] in (401, 403, 404)
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        assert ask(address, "/login", b"username=me&password=guess", **form)[0] == 400
        status, _, headers = ask(address, "/login", b"username=me&password=open+sesame", **form)
        assert status == 200
        cookie = headers["set-cookie"].split(";")[0]
        assert ask(address, "/config", Cookie=cookie)[0] == 200
        for path in ("startup-events", "app_id", "user", "token", "info", "queue/status", "heartbeat/x"):
            assert ask(address, f"/gradio_api/{path}")[0] == 401, path
        for path in ("/pictures/red.png", "/pictures/red.png?download=1", "/uploads/x.png"):
            assert ask(address, path)[0] == 401, path
        assert ask(address, "/pictures/red.png", Cookie=cookie)[0] == 200
        for path in ("/openapi.json", "/docs", "/redoc"):
            assert ask(address, path)[0] == ask(address, path, Cookie=cookie)[0] == 404
        begun = time.monotonic()
        guesses = [ask(address, "/login", b"username=me&password=guess", **form)[0] for _ in range(20)]
        waited = time.monotonic() - begun
        # three at once, then one after each pause of 1, 2, 4, ... seconds: a busy machine waits through some of them
        most = SignInLimiter.FREE + int(math.log2(1 + waited))
        assert SignInLimiter.FREE <= guesses.count(400) <= most and set(guesses) == {400, 429}


@pytest.mark.slow
def test_another_site_uploads_nothing(served: Served) -> None:
    address, _ = served
    body = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\nx\r\n--x--\r\n'
    form = {"Content-Type": "multipart/form-data; boundary=x"}
    for told in ({"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
        assert ask(address, "/gradio_api/upload", body, **form, **told)[0] == 403
    assert ask(address, "/gradio_api/upload", body, **form, Origin=address.rstrip("/"))[0] == 200


@pytest.mark.slow
@pytest.mark.parametrize("depth", [1_200, 5_000])
def test_a_message_hides_no_file_in_the_deep(served: Served, depth: int) -> None:
    address, _ = served
    deep = '{"a":' * depth + '{"path": "/etc/passwd"}' + "}" * depth
    sent = f'{{"data": [{deep}], "fn_index": 0, "session_hash": "s"}}'.encode()
    assert ask(address, "/gradio_api/queue/join", sent, **{"Content-Type": "application/json"})[0] == 403


@pytest.mark.parametrize(("host", "password"), [("0.0.0.0", None), ("192.0.2.1", ""), ("example.org", None)])
def test_other_machines_need_a_password(host: str, password: str | None) -> None:
    with pytest.raises(BadInput, match="IMAGESCOPE_PASSWORD"):
        check_address(host, password)
    check_address(host, "long and secret")
    check_address("::1", password)


def test_everything_that_is_shown_is_escaped() -> None:
    bad = '<img src=x onerror="alert(1)">\x1b[2J\ud800'
    hit: Any = {
        "rank": 1,
        "id": bad,
        "scores": {},
        "reasons": [f"matches: {bad} expected Yes, P(Yes) = 0.9", bad],  # without evidence, as once written
    }
    reasons = [
        Reason(kind="matches", question=bad, expected="Yes", probability=0.9),
        Reason(kind="unknown", question=bad, expected=bad),
        Reason(kind="judge", text=bad),
    ]
    newer = {**hit, "evidence": [reason.to_dict() for reason in reasons]}
    turn: Any = {"message": bad, "reference": None, "request": bad, "results": [hit, newer], "usage": [],
                 "question": {"text": bad, "asks": bad, "information": 1.0},
                 "notes": [{"step": bad, "kind": bad, "detail": bad}]}  # fmt: skip
    shown = views.conversation([turn], lambda name: "", saying=bad) + views.gallery(turn, lambda name: "")
    shown += views.problem(bad)
    assert "<img" not in shown and 'onerror="' not in shown and "\x1b" not in shown
    assert shown.encode() and shown.count("&lt;img") >= 13


def test_the_command_needs_a_password_for_other_machines(world: Any, capsys: Any, monkeypatch: Any) -> None:
    served: dict[str, Any] = {}

    async def serve(chats: Any, **given: Any) -> None:
        served.update(given)

    monkeypatch.setattr("imagescope_agent.chat.web.server.serve", serve)
    monkeypatch.setattr("imagescope_agent.services.open_services", lambda *args: talking(world))
    assert cli.main(["ui", str(world.folder), "--host", "0.0.0.0"]) == 2
    assert "IMAGESCOPE_PASSWORD" in capsys.readouterr().err
    monkeypatch.setenv("IMAGESCOPE_PASSWORD", "open sesame")
    assert cli.main(["ui", str(world.folder), "--host", "0.0.0.0", "--port", "8123"]) == 0
    announce = served.pop("listening")
    assert served == {"host": "0.0.0.0", "port": 8123, "password": "open sesame"}
    assert capsys.readouterr().out == "", "nobody listens yet"
    announce("http://0.0.0.0:8123")
    assert "http://0.0.0.0:8123" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_the_address_is_told_when_the_port_listens(world: Any, host: str) -> None:
    from imagescope_agent.chat import Chats
    from imagescope_agent.chat.web.server import serve

    told: list[tuple[str, int]] = []

    def listening(address: str) -> None:
        parts = urlsplit(address)
        with socket.create_connection((parts.hostname, parts.port), timeout=10):
            told.append((parts.hostname or "", parts.port or 0))
        signal.raise_signal(signal.SIGINT)  # as Ctrl-C

    def page(port: int) -> None:
        chats = Chats(talking(world), InMemorySaver(), Settings())
        asyncio.run(serve(chats, host=host, port=port, listening=listening))

    with pytest.raises(KeyboardInterrupt):
        page(0)
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as taken:
        taken.bind((host, 0))
        taken.listen()
        with pytest.raises(BadInput, match="choose another with --port"):
            page(taken.getsockname()[1])
    assert len(told) == 1 and told[0][0] == host and told[0][1] > 0, (
        "once, and nothing of a port that is taken"
    )


def test_an_open_question_has_no_yes_and_no_to_press() -> None:
    closed: Any = {"text": "Does it show a cat?", "asks": "Is there a cat?", "also": [], "information": 1.0}
    open_: Any = {
        "text": "What colour is it?",
        "asks": "Is it red?",
        "also": ["Is it blue?"],
        "information": 1.0,
    }
    buttons = ['data-say="yes"', 'data-say="no"', 'data-say="skip"']

    def offered(question: Any, *, waiting: bool = True) -> list[bool]:
        turn: Any = {"message": "a cat", "reference": None, "results": [], "question": question}
        shown = views.conversation([turn], str, waiting=waiting)
        return [each in shown for each in buttons]

    assert offered(closed) == [True, True, True]
    assert offered(open_) == [False, False, True]
    assert not any(offered(closed, waiting=False))
