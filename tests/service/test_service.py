"""A real service process: search, stream, uploads, conversations, runs, images, limits."""

from __future__ import annotations

import base64
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from imagescope_agent.api import ImageScope
from imagescope_agent.client import Client
from imagescope_agent.errors import BadInput
from imagescope_agent.service.collections import ServedCollection
from tests.conftest import World
from tests.service.conftest import SLOW, Serving, idle, sent, start, wait_for


def data_uri(path: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()


def ids(answer: dict[str, Any]) -> list[str]:
    return [hit["id"] for hit in answer["results"]]


def test_a_search_is_that_of_python_with_addresses_in_the_place_of_paths(serving: Serving) -> None:
    answer = serving.post("/v1/search", text="a red car", k=5)
    ours = ImageScope.open(serving.folder).search("a red car", k=5)
    assert ids(answer) == [hit.id for hit in ours]
    assert answer["usage"]["calls"] == ours.usage["calls"]
    assert [hit["reasons"] for hit in answer["results"]] == [hit.reasons for hit in ours]
    assert str(serving.folder) not in json.dumps(answer)
    picture = serving.client.get(answer["results"][0]["url"])
    assert picture.headers["content-type"] == "image/png"
    small = serving.client.get(answer["results"][0]["url"] + "&side=32")
    assert small.headers["content-type"] == "image/webp" and len(small.content) < len(picture.content)


def test_every_step_is_told_as_it_ends(serving: Serving) -> None:
    events: list[tuple[str, dict[str, Any]]] = []
    with serving.client.stream("POST", "/v1/search/stream", json={"text": "a house", "k": 3}) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        kind = ""
        for line in answer.iter_lines():
            if line.startswith("event: "):
                kind = line.removeprefix("event: ")
            elif line.startswith("data: "):
                events.append((kind, json.loads(line.removeprefix("data: "))))
    assert [kind for kind, _ in events if kind != "step"] == ["run", "result"]
    steps = [data["step"] for kind, data in events if kind == "step"]
    assert steps[0] == "begin" and steps[-1] == "answer" and "verify" in steps
    assert events[-1][1]["run"] == events[0][1]["run"]
    assert ids(events[-1][1]) == ids(serving.post("/v1/search", text="a house", k=3))


def test_an_error_of_a_stream_is_its_last_event(serving: Serving) -> None:
    answer = serving.client.post("/v1/search/stream", json={"text": "a house", "graph": "none"})
    assert "event: error" in answer.text and "there is no graph 'none'" in answer.text


def test_references_are_ids_or_uploads(serving: Serving) -> None:
    name = "000003.png"
    by_id = serving.post("/v1/search", text="the same at night", image=name, k=5)
    by_upload = serving.post(
        "/v1/search", text="the same at night", image=data_uri(serving.folder / name), k=5
    )
    assert ids(by_id) == ids(by_upload)
    assert name not in ids(by_upload)  # a picture of the collection that is sent is known to be it


def test_one_wrong_search_of_a_batch_costs_no_other(serving: Serving) -> None:
    answer = serving.post(
        "/v1/search/batch", searches=[{"text": "a red car", "k": 2}, {"text": ""}, {"text": "a tree", "k": 2}]
    )
    assert [each["error"] and each["error"]["type"] for each in answer["results"]] == [
        None,
        "bad_input",
        None,
    ]
    assert ids(answer["results"][2]["result"]) == ids(serving.post("/v1/search", text="a tree", k=2))


def test_a_conversation_over_http(serving: Serving) -> None:
    serving.post("/v1/threads", thread="talk")
    first = serving.post("/v1/threads/talk/say", message="a red car")
    assert first["results"] and str(serving.folder) not in json.dumps(first)
    serving.post("/v1/threads/talk/reject", rank=1)
    assert first["results"][0]["id"] not in ids(serving.client.get("/v1/threads/talk").json()["turns"][-1])
    branch = serving.post("/v1/threads/talk/branch", turn=1)
    assert [turn["message"] for turn in branch["turns"]] == ["a red car"]
    assert len(serving.post("/v1/threads/talk/undo")["turns"]) == 1
    assert {"talk", branch["thread"]} <= {
        row["thread"] for row in serving.client.get("/v1/threads").json()["threads"]
    }
    assert serving.client.delete("/v1/threads/talk").status_code == 204
    assert serving.client.get("/v1/threads/talk").status_code == 404


def test_the_client_talks_and_shows_pictures(serving: Serving) -> None:
    with Client(serving.address) as client:
        turn = client.say("by-client", "a red car")
        assert len(client.say("by-client", "and a tree")["results"]) > 0
        name = turn["results"][0]["id"]
        assert client.image(name) == serving.client.get(f"/v1/images/{name}").content
        with pytest.raises(BadInput, match="no image"):
            client.image("none.png")
        sent = client.search("the same at night", (serving.folder / name).read_bytes(), k=2)
        assert ids(sent) == ids(client.search("the same at night", name, k=2))
    assert len(serving.client.get("/v1/threads/by-client").json()["turns"]) == 2


def test_a_run_is_kept_with_its_trace(serving: Serving) -> None:
    answer = serving.post("/v1/search", text="a red car", k=2, run="kept-1")
    kept = serving.client.get("/v1/runs/kept-1").json()
    assert kept["finished"] and kept["result"]["results"] == answer["results"]
    page = serving.client.get("/v1/runs/kept-1/trace")
    assert page.headers["content-type"].startswith("text/html") and "a red car" in page.text
    assert str(serving.folder) not in page.text
    assert serving.client.post("/v1/search", json={"text": "a tree", "run": "kept-1"}).status_code == 400
    assert serving.client.get("/v1/runs/none").status_code == 404


def test_metrics_count_what_was_done(serving: Serving) -> None:
    serving.post("/v1/search", text="a red car", k=2)
    text = serving.client.get("/metrics").text
    assert 'imagescope_requests_total{outcome="ok",route="/v1/search"}' in text
    assert 'imagescope_model_calls_total{role="verifier"}' in text
    counted = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert float(counted["imagescope_encoded_images_total"]) > 0
    serving.post("/v1/search", text="a red car", k=2, settings={"seed": 7})
    again = serving.client.get("/metrics").text
    counted_again = dict(line.rsplit(" ", 1) for line in again.splitlines() if not line.startswith("#"))
    hits = "imagescope_encoder_cache_hits_total"
    assert float(counted_again[hits]) > float(counted[hits])
    assert "red car" not in text


def test_metrics_name_no_picture_and_do_not_grow_with_what_is_asked_for(serving: Serving) -> None:
    for number in range(3):
        assert serving.client.get(f"/v1/images/secret-{number}.png").status_code == 404
        assert serving.client.get(f"/nowhere-{number}").status_code == 404
    text = serving.client.get("/metrics").text
    assert "secret" not in text and "nowhere" not in text
    assert 'outcome="not_found",route="/v1/images/{name:path}"' in text


def test_without_a_graph_it_is_that_of_the_profile(world: World) -> None:
    services = replace(world.services(), graph="retrieve")
    served = ServedCollection(name="world", services=services)
    assert served.scope().graph == served.scope("retrieve").graph == ImageScope(services).graph == "retrieve"
    assert served.scope("imagescope").graph == "imagescope"


def test_the_document_of_the_interface_has_examples(serving: Serving) -> None:
    document = serving.client.get("/openapi.json").json()
    assert document["components"]["schemas"]["SearchRequest"]["examples"]
    assert "/v1/rerank" in document["paths"]


def test_64_clients_at_once(serving: Serving) -> None:
    def client(number: int) -> int:
        return serving.client.post(
            "/v1/search", json={"text": f"a tree {number % 4}", "graph": "retrieve"}
        ).status_code

    with ThreadPoolExecutor(64) as pool:
        assert set(pool.map(client, range(64))) == {200}


def test_too_many_are_told_to_come_back(folder: Path) -> None:
    process, address = start(str(folder), "--running", "1", "--waiting", "1")
    try:

        def ask() -> httpx.Response:
            return httpx.post(f"{address}/v1/search", json={"text": "a red car"}, timeout=300)

        with ThreadPoolExecutor(5) as pool:
            with sent(address, "/v1/search", text="a red car and a tree", settings=SLOW):
                wait_for(lambda: not idle(address))
                asked = [pool.submit(ask) for _ in range(5)]
                wait_for(lambda: sum(each.done() for each in asked) >= 4)  # one waits until this one hangs up
            answers = [each.result() for each in asked]
        assert sorted(answer.status_code for answer in answers) == [200, 429, 429, 429, 429]
        assert all(answer.headers["retry-after"] for answer in answers if answer.status_code == 429)
        assert httpx.post(f"{address}/v1/search", json={"text": "a tree"}, timeout=120).status_code == 200
    finally:
        process.kill()
        process.communicate()


def test_a_client_that_hangs_up_frees_its_place(folder: Path) -> None:
    process, address = start(str(folder), "--running", "1", "--waiting", "0")
    try:
        with sent(address, "/v1/search", text="a red car", settings=SLOW):
            wait_for(lambda: not idle(address))
            assert httpx.post(f"{address}/v1/search", json={"text": "a tree"}, timeout=120).status_code == 429
        wait_for(lambda: idle(address))
        assert httpx.post(f"{address}/v1/search", json={"text": "a tree"}, timeout=120).status_code == 200
    finally:
        process.kill()
        process.communicate()


def test_killed_in_a_run_it_goes_on_after_a_restart(folder: Path) -> None:
    process, address = start(str(folder))
    httpx.post(f"{address}/v1/threads", json={"thread": "survives"}, timeout=120)
    httpx.post(f"{address}/v1/threads/survives/say", json={"message": "a red car"}, timeout=120)
    body = {"text": "a red car and a tree", "run": "cut-off", "graph": "imagescope", "settings": SLOW}
    with httpx.stream("POST", f"{address}/v1/search/stream", json=body, timeout=120) as answer:
        next(line for line in answer.iter_lines() if line == "event: step")
        process.kill()
    process.communicate()
    process, address = start(str(folder))
    try:
        assert len(httpx.get(f"{address}/v1/threads/survives", timeout=120).json()["turns"]) == 1
        run = httpx.get(f"{address}/v1/runs/cut-off", timeout=120).json()
        assert (run["graph"], run["finished"]) == ("imagescope", False)
        resumed = httpx.post(f"{address}/v1/runs/cut-off/resume", timeout=300).json()
        whole = httpx.post(f"{address}/v1/search", json={**body, "run": "whole"}, timeout=300).json()
        assert ids(resumed) == ids(whole)
        httpx.delete(f"{address}/v1/threads/survives", timeout=120)
    finally:
        process.kill()
        process.communicate()
