"""What a service refuses: keys, bodies, paths, addresses, code by name; never a traceback, never a leak."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.service.conftest import Serving, start

ROUTES = [
    "/v1/search",
    "/v1/search/batch",
    "/v1/rerank",
    "/v1/threads",
    "/v1/threads/x/say",
    "/v1/threads/x/like",
    "/v1/threads/x/say/stream",
    "/v1/search/stream",
    "/v1/uploads",
]
MANY = 200  # malformed requests


def rubbish(rng: random.Random) -> bytes:
    """A body that no route takes."""
    values: list[Any] = [
        None, True, -1, 1e308, "", "x" * 9000, "\x00", "\ud800", [], {}, [[[[]]]], {"a": {"a": {}}}, ["text"], 2**70,
    ]  # fmt: skip
    names = [
        "text",
        "image",
        "graph",
        "k",
        "settings",
        "searches",
        "query",
        "documents",
        "message",
        "rank",
        "run",
    ]
    body = {rng.choice(names): rng.choice(values) for _ in range(rng.randrange(4))}
    raw = json.dumps(body).encode()
    cut = rng.random()
    if cut < 0.2:
        return raw[: rng.randrange(len(raw) + 1)]
    if cut < 0.3:
        return bytes(rng.randrange(256) for _ in range(50))
    return b"[" * 5000 if cut < 0.35 else raw


def test_malformed_requests_are_told_in_one_line(serving: Serving) -> None:
    rng = random.Random(5)
    for _ in range(MANY):
        answer = serving.client.post(
            rng.choice(ROUTES), content=rubbish(rng), headers={"content-type": "application/json"}
        )
        if answer.is_success:  # an empty body may begin a conversation
            assert answer.status_code == 201
            continue
        assert 400 <= answer.status_code < 500, answer.text
        message = answer.json()["error"]["message"]
        assert message and "\n" not in message and len(message) < 400
        assert "Traceback" not in answer.text and str(serving.folder.parent) not in answer.text
    assert serving.client.get("/healthz").text == "ok"


@pytest.mark.parametrize(
    "image",
    [
        "/etc/passwd", "../../../etc/passwd", "file:///etc/passwd", "http://127.0.0.1/x.png", "http://169.254.169.254/",
        "\\\\host\\share", "data:image/png;base64,!!!!", "data:image/png,abc", "data:text/html;base64,PGI+",
        "data:image/png;base64,", "none.png",
    ],
)  # fmt: skip
@pytest.mark.parametrize("route", ["/v1/search", "/v1/threads/refs/say", "/v1/rerank"])
def test_no_file_and_no_address_is_a_reference(serving: Serving, route: str, image: str) -> None:
    serving.client.post("/v1/threads", json={"thread": "refs"})
    bodies = {
        "/v1/search": {"text": "the same", "image": image, "graph": "retrieve"},
        "/v1/threads/refs/say": {"message": "the same", "image": image},
        "/v1/rerank": {"query": {"text": "the same", "image": image}, "documents": ["000001.png"]},
    }
    answer = serving.client.post(route, json=bodies[route])
    assert answer.status_code in (400, 404), answer.text
    assert "root:" not in answer.text


@pytest.mark.parametrize(
    "name", ["../../../etc/passwd", "%2e%2e/%2e%2e/etc/passwd", "/etc/passwd", "a%00b", ".imagescope"]
)
def test_images_are_those_of_the_collection(serving: Serving, name: str) -> None:
    answer = serving.client.get(f"/v1/images/{name}")
    assert answer.status_code in (404, 400), answer.text


@pytest.mark.parametrize("wrong", [{"graph": "os:system"}, {"settings": {"judge": "os:system"}}])
def test_code_is_not_named_by_a_request(serving: Serving, wrong: dict[str, Any]) -> None:
    answer = serving.client.post("/v1/search", json={"text": "a car", **wrong})
    assert answer.status_code == 400 and "there is no" in answer.text


def test_too_large_a_body_is_not_read(serving: Serving) -> None:
    answer = serving.client.post(
        "/v1/search", content=b" " * (33 * 2**20), headers={"content-type": "application/json"}
    )
    assert answer.status_code == 413

    def unending() -> Any:
        for _ in range(40):
            yield b" " * 2**20

    try:
        told = serving.client.post(
            "/v1/search", content=unending(), headers={"content-type": "application/json"}
        )
        assert told.status_code == 413
    except httpx.TransportError:
        pass  # the connection was closed in the middle of the body
    assert serving.client.get("/healthz").status_code == 200


def test_another_host_name_is_refused(serving: Serving) -> None:
    """A web page whose name points at this machine must not reach the service."""
    assert serving.client.get("/v1/collections", headers={"host": "evil.example"}).status_code == 400


def test_each_collection_has_its_own_key(folder: Path, tmp_path: Path) -> None:
    other = shutil.copytree(folder, tmp_path / "other")
    keys = tmp_path / "keys.toml"
    keys.write_text('images = "first-key-1"\nother = "second-key-2"\n')
    process, address = start(str(folder), str(other), "--keys", str(keys))
    try:
        first, second = ({"authorization": f"Bearer {key}"} for key in ("first-key-1", "second-key-2"))
        with httpx.Client(base_url=address, timeout=120) as client:
            body = {"text": "a car", "graph": "retrieve", "collection": "images", "run": "own"}
            for wrong in ({}, {"x-api-key": "wrong"}, second):
                assert client.post("/v1/search", json=body, headers=wrong).status_code == 401
                assert client.get("/v1/images/000001.png?collection=images", headers=wrong).status_code == 401
                assert client.get("/v1/threads?collection=images", headers=wrong).status_code == 401
            right = client.post("/v1/search", json=body, headers=first)
            assert right.status_code == 200 and "first-key-1" not in right.text
            assert client.get("/v1/runs/own?collection=images", headers=first).status_code == 200
            assert client.get("/v1/runs/own?collection=other", headers=second).status_code == 404
            seen = client.get("/v1/collections", headers=second).json()["collections"]
            assert [each["name"] for each in seen] == ["other"]
            assert client.get("/v1/collections").json()["collections"] == []
    finally:
        process.kill()
        process.communicate()


def test_collections_with_different_keys_share_no_file_of_runs(folder: Path, tmp_path: Path) -> None:
    other = shutil.copytree(folder, tmp_path / "other")
    keys = tmp_path / "keys.toml"
    keys.write_text('images = "first-key-1"\nother = "second-key-2"\n')
    with pytest.raises(AssertionError, match="IMAGESCOPE_RUNS"):
        start(str(folder), str(other), "--keys", str(keys), IMAGESCOPE_RUNS=str(tmp_path / "runs.sqlite"))


@pytest.mark.parametrize(
    ("content", "told"),
    [("images = 5", "must be text"), ("other = 'long-enough'", "not served"), ("=", "cannot read the keys")],
)
def test_wrong_keys_are_told(folder: Path, tmp_path: Path, content: str, told: str) -> None:
    keys = tmp_path / "keys.toml"
    keys.write_text(content)
    with pytest.raises(AssertionError, match=told):
        start(str(folder), "--keys", str(keys))


def test_other_machines_need_a_key(folder: Path) -> None:
    with pytest.raises(AssertionError, match="IMAGESCOPE_API_KEY"):
        start(str(folder), "--host", "0.0.0.0")
