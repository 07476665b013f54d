"""A real process: clients that hang up, refused streams, a newer index, the page, keys of several collections."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from imagescope_agent.api import index_folder
from imagescope_agent.client import Client
from tests.service.conftest import SLOW, Serving, idle, sent, start, wait_for


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    """The indexed folder, for tests that change it."""
    return shutil.copytree(folder, tmp_path / "pictures")


@pytest.fixture
def one(copy: Path) -> Iterator[str]:
    """A service over the copy that runs one request at a time."""
    process, address = start(str(copy), "--running", "1", "--ui")
    yield address
    process.kill()
    process.communicate()


@pytest.mark.parametrize("route", ["/v1/search", "/v1/search/stream"])
def test_a_client_that_hangs_up_cancels_its_run(one: str, route: str) -> None:
    body = {"text": "a red car and a tree", "run": "hung-up", "graph": "imagescope", "settings": SLOW}
    runs = f"{one}/v1/runs/hung-up"
    with httpx.Client(base_url=one, timeout=120) as client:
        if route.endswith("stream"):
            with client.stream("POST", route, json=body) as answer:
                next(line for line in answer.iter_lines() if line == "event: step")
        else:
            with sent(one, route, **body):
                wait_for(lambda: not idle(one))
    wait_for(lambda: idle(one))
    # its place is free at once, and nothing goes on with it while others search
    assert httpx.post(f"{one}/v1/search", json={"text": "a tree"}, timeout=120).status_code == 200
    kept = httpx.get(runs, timeout=60)
    assert kept.status_code == 404 or kept.json()["finished"] is False
    if kept.status_code == 200:
        assert httpx.post(f"{runs}/resume", timeout=300).json()["results"]


def test_a_turn_whose_client_hangs_up_is_finished_by_the_next(one: str) -> None:
    with Client(one) as client:
        for event, _ in client.say_stream("talk", "a red car"):
            assert event == "step"
            break
        wait_for(lambda: idle(one))
        assert client.thread("talk")["turns"] == []
        client.say("talk", "and a tree")
        assert [turn["message"] for turn in client.thread("talk")["turns"]] == ["a red car", "and a tree"]


def test_a_newer_index_is_served_without_a_restart(one: str, copy: Path, folder: Path) -> None:
    with Client(one) as client:
        client.say("talk", "a red car")

        def count() -> int:
            return int(client.collections()["collections"][0]["images"])

        before = count()
        body = {"text": "a red car and a tree", "run": "old", "graph": "imagescope", "settings": SLOW}
        with httpx.stream("POST", f"{one}/v1/search/stream", json=body, timeout=300) as answer:
            lines = answer.iter_lines()
            next(line for line in lines if line == "event: step")
            (copy / "000003.png").rename(copy / "renamed.png")
            index_folder(copy, progress=False)
            wait_for(lambda: httpx.get(f"{one}/v1/images/renamed.png").is_success)
            rest = "\n".join(lines)
        assert (
            "event: result" in rest and "renamed.png" not in rest
        )  # it ended on the index that it began with
        (copy / "000004.png").unlink()
        index_folder(copy, progress=False)
        wait_for(lambda: count() == before - 1)
        assert "renamed.png" in [
            hit["id"] for hit in client.search("a car", k=50, graph="retrieve")["results"]
        ]
        client.say("talk", "and a tree")
        assert len(client.thread("talk")["turns"]) == 2
        found = httpx.get(f"{one}/ui/pictures/pictures/renamed.png")
        assert found.headers["content-type"] == "image/webp"


def test_a_damaged_index_leaves_the_one_before_in_use(one: str, copy: Path) -> None:
    manifest = copy / ".imagescope" / "imagescope.json"
    whole = manifest.read_bytes()
    damaged = manifest.with_suffix(".other")
    damaged.write_bytes(whole[:-100])
    os.replace(damaged, manifest)
    with Client(one) as client:
        problem = wait_for(lambda: client.collections()["collections"][0]["problem"])
        assert "damaged" in problem and str(copy.parent) not in problem
        assert len(client.search("a red car", k=3, graph="retrieve")["results"]) == 3
        damaged.write_bytes(whole)
        os.replace(damaged, manifest)
        wait_for(lambda: not client.collections()["collections"][0]["problem"])


def test_a_stream_is_refused_by_its_status(serving: Serving) -> None:
    unknown = {"text": "a car", "collection": "none"}
    assert serving.client.post("/v1/search/stream", json=unknown).status_code == 404
    assert serving.client.post("/v1/threads/nowhere/say/stream", json={"message": "a"}).status_code == 404
    assert serving.client.post("/v1/search/stream", json={}).status_code == 422


def test_pages_of_several_collections_have_their_keys_as_passwords(folder: Path, tmp_path: Path) -> None:
    other = shutil.copytree(folder, tmp_path / "other one")
    keys = tmp_path / "keys.toml"
    keys.write_text('images = "first-key-1"\n"other one" = "second-key-2"\n')
    process, address = start(str(folder), str(other), "--keys", str(keys), "--ui")
    try:
        assert process.stdout is not None
        assert [process.stdout.readline().strip() for _ in range(2)] == [
            f"{address}/ui/images/", f"{address}/ui/other_one/",
        ]  # fmt: skip
        for name, right, wrong in (("images", "first", "second"), ("other_one", "second", "first")):
            numbers = {"first": "first-key-1", "second": "second-key-2"}
            with httpx.Client(base_url=f"{address}/ui/{name}", timeout=60) as client:
                assert "<html" in client.get("/").text
                assert (
                    client.get("/config").status_code == client.get("/pictures/000001.png").status_code == 401
                )
                assert client.get("/docs").status_code == 404
                for key, code in ((wrong, 400), (right, 200)):
                    told = client.post("/login", data={"username": "me", "password": numbers[key]})
                    assert told.status_code == code
                assert client.get("/config").json()["root"] == f"{address}/ui/{name}"
                assert client.get("/pictures/000001.png").status_code == 200
                foreign = client.post("/gradio_api/queue/join", headers={"origin": "http://evil.example"})
                assert foreign.status_code == 403
        assert re.fullmatch("ok", httpx.get(f"{address}/healthz").text)
    finally:
        process.kill()
        process.communicate()
