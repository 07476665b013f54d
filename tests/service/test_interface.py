"""What the service promises to programs that do not know it: a valid OpenAPI document, HTTP as it is written down."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.service.conftest import Serving, idle, sent, start, wait_for


def test_the_document_is_valid_in_the_version_that_it_declares(serving: Serving) -> None:
    validator = pytest.importorskip("openapi_spec_validator", reason="pip install openapi-spec-validator")
    document = serving.client.get("/openapi.json").json()
    validator.validate(document)
    for path in ("/v1/search/stream", "/v1/threads/{thread}/say/stream"):
        content = document["paths"][path]["post"]["responses"]["200"]["content"]
        assert content["text/event-stream"]["schema"]["type"] == "string"


@pytest.mark.parametrize("path", ["/healthz", "/v1/collections", "/v1/images/000001.png", "/docs"])
def test_head_is_get_without_a_body(serving: Serving, path: str) -> None:
    head, whole = serving.client.head(path), serving.client.get(path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"] == whole.headers["content-type"]


def test_what_an_address_takes_is_told(serving: Serving) -> None:
    wrong = serving.client.put("/v1/search", json={})
    assert wrong.status_code == 405 and wrong.headers["allow"] == "POST"
    assert "/docs" in wrong.json()["error"]["message"]


@pytest.mark.parametrize(
    ("path", "sent", "status", "told"),
    [
        ("/v1/search", {"content": b'{"text": "a dog"}'}, 415, "Content-Type: application/json"),
        (
            "/v1/search",
            {"content": b'{"text":', "headers": {"content-type": "application/json"}},
            422,
            "no JSON",
        ),
        (
            "/v1/search",
            {"content": b"\x1f\x8b\x08\x00", "headers": {"content-type": "application/json"}},
            400,
            "UTF-8, not compressed",
        ),
        ("/v1/search", {"json": {"text": "x", "collection": "zz"}}, 404, "no collection 'zz'; "),
        ("/v1/search", {"json": {"text": "x", "run": "a b"}}, 422, "run: use letters, digits"),
        ("/v1/rerank", {"json": {"query": "a", "documents": [{"foo": "x"}]}}, 422, "documents.0.foo: Extra"),
        (
            "/v1/rerank",
            {"json": {"query": "data:image/png;base64," + "A" * 9000, "documents": ["x"]}},
            422,
            '{"image": "data:..."}',
        ),
        ("/nowhere", {"json": {}}, 404, "/docs"),
    ],
)
def test_an_unusable_request_is_told_what_to_do(
    serving: Serving, path: str, sent: dict[str, object], status: int, told: str
) -> None:
    answer = serving.client.post(path, **sent)  # type: ignore[arg-type]
    assert answer.status_code == status
    assert told in answer.json()["error"]["message"]


def test_texts_among_documents_are_noted_and_sent_back_as_what_they_are(serving: Serving) -> None:
    given = ["000001.png", "images/zz.png", "a red car"]
    answer = serving.post("/v1/rerank", query="a red car", documents=given, return_documents=True)
    sent_back = {each["index"]: [*each["document"]] for each in answer["results"]}
    assert sent_back == {0: ["image"], 1: ["text"], 2: ["text"]}
    details = " ".join(each["detail"] for each in answer["notes"])
    assert "'images/zz.png' is no image here" in details and "2 documents have no picture" in details


def test_a_client_that_leaves_a_stream_leaves_no_error(folder: Path) -> None:
    process, address = start(str(folder))
    try:
        for wanted in (b"200 OK", b"event: step"):
            with sent(address, "/v1/search/stream", text="a green tree and a red ball") as connection:
                read = b""
                while wanted not in read:
                    read += (part := connection.recv(4096))
                    assert part, read
        wait_for(lambda: idle(address))
        time.sleep(0.5)
    finally:
        process.terminate()
        _, said = process.communicate(timeout=600)
    assert "ERROR" not in said and "Traceback" not in said, said
