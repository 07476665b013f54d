"""Several references and pictures of what is not wanted over HTTP."""

from __future__ import annotations

import base64
from pathlib import Path

from imagescope_agent.client import Client
from tests.service.conftest import Serving
from tests.service.test_client import picture

ONE, OTHER, NOT = "000001.png", "000002.png", "000003.png"


def test_a_search_takes_ids_uploads_and_data(serving: Serving, folder: Path) -> None:
    sent = "data:image/png;base64," + base64.b64encode(picture(folder)).decode("ascii")
    found = serving.post(
        "/v1/search", text="the house of both", images=[ONE, sent], unlike=[NOT], graph="retrieve", k=24
    )
    names = [hit["id"] for hit in found["results"]]
    assert len(names) == 22 and not {ONE, NOT} & set(names)
    refused = serving.client.post("/v1/search", json={"text": "a", "image": ONE, "images": [OTHER]})
    assert refused.status_code == 422 or refused.status_code == 400
    address = serving.client.post("/v1/search", json={"text": "a", "images": [ONE, "http://127.0.0.1/x"]})
    assert address.status_code == 404
    many = serving.client.post("/v1/search", json={"text": "a", "images": [ONE] * 17})
    assert many.status_code in (400, 422)


def test_the_client_and_a_conversation_take_them(serving: Serving, folder: Path) -> None:
    with Client(serving.address) as client:
        mine = picture(folder)
        found = client.search("light", images=[mine, OTHER], unlike=[NOT], graph="retrieve", k=3)
        assert len(found["results"]) == 3
        turn = client.say("several", "keep the first thing of each", images=[ONE, OTHER], unlike=[NOT])
        assert turn["references"] == [ONE, OTHER] and NOT not in [hit["id"] for hit in turn["results"]]
        client.delete_thread("several")
