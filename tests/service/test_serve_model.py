"""A model behind `imagescope serve-model`, asked by the endpoint client as it is asked in this process."""

from __future__ import annotations

import asyncio
import base64
import io
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from PIL import Image
from pydantic import BaseModel, SecretStr

import imagescope_agent
from imagescope_agent.cli import main
from imagescope_agent.errors import Misconfigured
from imagescope_agent.mllms.openai.endpoint import Endpoint
from imagescope_agent.mllms.openai.replicas import replica
from imagescope_agent.mllms.role import Choice, Request, Role
from imagescope_agent.mllms.transformers_chat import TransformersChat
from imagescope_agent.service.hosted.model import open_hosted
from tests.mllms.checkpoints import picture
from tests.mllms.server import FakeServer, Raw

MINI = Path(imagescope_agent.__file__).parent / "mini" / "mllm"
KEY = "a key of ours"
LABELS = ["Yes", "No"]
PROFILE = """
prompt_set = "mini"
embedder = "package:mini/clip"
[models.mini]
mllm = "transformers"
checkpoint = "package:mini/mllm"
vision_cache = 0  # so that what is read twice is counted twice
[models.scripted]
mllm = "scripted"
[roles]
captioner = "mini"
reasoner = "scripted"
verifier = "mini"
judge = "mini"
"""


@dataclass
class Serving:
    url: str
    client: httpx.Client

    def model(self, *others: str) -> Endpoint:
        return Endpoint(url=[self.url, *others] if others else self.url, key=SecretStr(KEY), pause=0.01)


@pytest.fixture(scope="module")
def profile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("profile") / "mine.toml"
    file.write_text(PROFILE, encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def serving(profile: Path) -> Iterator[Serving]:
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "imagescope_agent.cli",
            "serve-model",
            str(profile),
            "verifier",
            "--port",
            "0",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "IMAGESCOPE_API_KEY": KEY},
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("http://127.0.0.1:") and " mllm " in line, line + process.communicate()[1]
    url = line.split()[0]
    with httpx.Client(base_url=url, timeout=120, headers={"Authorization": f"Bearer {KEY}"}) as client:
        yield Serving(url, client)
    process.terminate()
    process.communicate(timeout=600)


def requests() -> list[Request]:
    """Four questions about each of five pictures, and two about none."""
    words = ("a red circle", "a blue square", "a tree", "two houses")
    shown = [
        Request(text=f"Is there {each}?", images=(picture(number),)) for number in range(5) for each in words
    ]
    return [*shown, Request(text="Is a circle round?"), Request(text="Is a square round?")]


def choose(model: Endpoint | TransformersChat) -> Choice:
    return asyncio.run(Role("verifier", model).choose(requests(), LABELS))


def close(one: Choice, other: Choice) -> None:
    for row, twin in zip(one.probabilities, other.probabilities, strict=True):
        assert row == pytest.approx(twin, abs=1e-3)


@pytest.fixture(scope="module")
def here() -> Choice:
    return choose(TransformersChat(checkpoint=str(MINI), vision_cache=0))


def test_same_answers_as_in_this_process_and_each_picture_is_read_once(
    serving: Serving, here: Choice
) -> None:
    there = choose(serving.model())
    close(there, here)
    assert not there.notes and there.usage["calls"] == 22
    assert there.usage["image_prefills"] == 5 == here.usage["image_prefills"]


def test_one_by_one_the_answers_are_the_same_and_pictures_are_read_more_often(
    serving: Serving, here: Choice, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def none(*_: object) -> bool:
        return False

    monkeypatch.setattr(replica, "offers_choices", none)
    model = serving.model()
    model.concurrency = 1
    there = choose(model)
    for row, twin in zip(there.probabilities[:20], here.probabilities, strict=False):
        assert row == pytest.approx(twin, abs=1e-3)
    assert there.usage["image_prefills"] == 20


def test_replies_and_schemas_are_those_of_this_process(serving: Serving) -> None:
    class Word(BaseModel):
        word: str

    asked = [Request(text="Describe the picture.", images=(picture(3),))]
    for schema in (None, Word):
        there, own = (
            asyncio.run(Role("captioner", model).ask(asked, schema=schema, max_tokens=24))[0]
            for model in (serving.model(), TransformersChat(checkpoint=str(MINI), vision_cache=0))
        )
        assert there.text == own.text and there.notes == own.notes
        assert {**there.usage, "seconds": 0} == {**own.usage, "seconds": 0}


def test_a_server_without_the_route_beside_it_is_asked_one_by_one_where_need_be(
    serving: Serving, here: Choice
) -> None:
    with FakeServer(models=("mllm",), key=KEY) as plain:
        choice = choose(serving.model(plain.url))
        close(choice, here)
        assert not plain.asked
    with FakeServer(models=("mllm",), quirk=lambda _: Raw(status=500)) as broken:
        close(choose(serving.model(broken.url)), here)


def test_choices_that_begin_alike_are_read_as_text(serving: Serving) -> None:
    choice = asyncio.run(Role("x", serving.model()).choose(requests()[:2], ["Yes", "Yes!"]))
    assert any(note["kind"] == "fallback" for note in choice.notes)


def test_one_bad_picture_costs_its_own_questions(serving: Serving) -> None:
    from imagescope_agent.mllms.role import ImageRef

    bad = Request(text="Is there a tree?", images=(ImageRef("bad", b"\x89PNG no picture"),))
    choice = asyncio.run(Role("x", serving.model()).choose([bad, *requests()[:3]], LABELS))
    assert set(choice.refused) == {0} and "picture" in choice.refused[0]


def post(serving: Serving, path: str, **values: object) -> tuple[int, str]:
    answer = serving.client.post(path, json=values)
    error = answer.json().get("error", {})
    assert "\n" not in error.get("message", "") and str(MINI) not in answer.text
    return answer.status_code, str(error.get("message", ""))


def test_what_it_does_not_take_is_told_in_one_line(serving: Serving) -> None:
    say = [{"role": "user", "content": "Say Yes."}]
    chat = "/chat/completions"
    assert post(serving, chat, messages=say, model="other") == (
        404,
        "there is no model 'other' here; there is 'mllm'",
    )
    for options, told in (
        ({"temperature": 0.7}, "greedily"),
        ({"n": 2}, "one reply"),
        ({"stream": True}, "whole"),
        ({"logprobs": True, "top_logprobs": 21}, "20"),
        ({"response_format": {"type": "json_schema"}}, "json_schema"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"functions": [{"name": "f"}]}, "functions"),
        ({"logit_bias": {"1": 100}}, "logit_bias"),
        ({"presence_penalty": 2}, "presence_penalty"),
        ({"guided_regex": "a+"}, "guided_regex"),
    ):
        status, message = post(serving, chat, messages=say, **options)
        assert status in (400, 422) and told in message, message
    for url in ("http://127.0.0.1/x.png", "file:///etc/passwd", "data:image/png;base64,!!", "data:,x"):
        shown = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]
        assert post(serving, chat, messages=shown)[0] == 400
        assert post(serving, "/choices", messages=shown, questions=["?"], choices=LABELS)[0] == 400
    assert post(serving, chat, messages=[])[0] == 422
    assert post(serving, "/choices", questions=["?"] * 257, choices=LABELS)[0] == 422
    assert post(serving, "/choices", questions=["?"], choices=["Yes"])[0] == 422
    status, message = post(serving, "/choices", questions=["?"], choices=["Yes", "Yes"])
    assert status == 422 and "distinct" in message
    said = [{"role": "assistant", "content": "Yes"}]
    assert post(serving, "/choices", messages=said, questions=["?"], choices=LABELS)[0] == 400


def test_what_changes_no_greedy_reply_is_taken(serving: Serving) -> None:
    say = [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": "Say Yes."}]
    options = {
        "top_p": 0.1,
        "seed": 1,
        "user": "me",
        "tools": [],
        "tool_choice": "auto",
        "presence_penalty": 0,
    }
    plain, same = (
        serving.client.post("/chat/completions", json={"messages": say, "max_tokens": 4, **more}).json()
        for more in ({}, options)
    )
    assert plain["choices"] == same["choices"] and plain["choices"][0]["message"]["content"]
    form = {"type": "json_object"}
    answer = serving.client.post(
        "/chat/completions", json={"messages": say, "max_tokens": 8, "response_format": form}
    )
    assert answer.status_code == 200 and answer.json()["choices"][0]["message"]["content"].startswith("{")


def test_the_model_is_described_by_its_name(serving: Serving) -> None:
    (listed,) = serving.client.get("/models").json()["data"]
    assert serving.client.get("/models/mllm").json() == listed and listed["created"] > 0
    assert serving.client.get("/models/other/one").status_code == 404


def test_the_pictures_of_a_request_are_bounded_together(serving: Serving) -> None:
    def shown(picture: Image.Image, count: int) -> list[dict[str, object]]:
        buffer = io.BytesIO()
        picture.save(buffer, format="PNG")
        url = "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
        return [{"type": "image_url", "image_url": {"url": url}}] * count

    large, small = Image.new("L", (4096, 4096)), Image.new("L", (8, 8))
    for parts, told in ((shown(large, 5), "pixels"), (shown(small, 65), "65 pictures")):
        halves = [{"role": "user", "content": parts[:3]}, {"role": "user", "content": parts[3:]}]
        status, message = post(serving, "/chat/completions", messages=halves, max_tokens=1)
        assert status == 400 and told in message
        status, message = post(serving, "/choices", messages=halves, questions=["?"], choices=LABELS)
        assert status == 400 and told in message


def test_without_the_key_no_body_is_read(serving: Serving) -> None:
    for body in (b"{", b"[" * 100_000, b"x" * 2**20):
        answer = httpx.post(serving.url + "/choices", content=body, timeout=60)
        assert answer.status_code == 401, answer.text


def test_only_the_key_opens_it(serving: Serving) -> None:
    for path in ("/models", "/chat/completions", "/choices"):
        method = "GET" if path == "/models" else "POST"
        body = {"messages": [{"role": "user", "content": "?"}], "questions": ["?"], "choices": LABELS}
        answer = httpx.request(method, serving.url + path, json=None if method == "GET" else body)
        assert answer.status_code == 401 and "Bearer" in answer.json()["error"]["message"]
    with pytest.raises(Misconfigured, match="key"):
        choose(Endpoint(url=serving.url, key=SecretStr("another")))


def test_a_role_that_is_not_hosted_here_is_refused_before_anything_is_loaded(
    profile: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve-model", str(profile), "reasoner"]) == 2
    assert "class 'transformers'" in capsys.readouterr().err
    assert main(["serve-model", str(profile), "verfier"]) == 2
    assert "'verifier'" in capsys.readouterr().err
    assert main(["serve-model", str(profile), "verifier", "--host", "0.0.0.0"]) == 2
    assert "IMAGESCOPE_API_KEY" in capsys.readouterr().err


def test_a_hub_id_names_the_model_and_a_folder_only_by_its_own_name(profile: Path) -> None:
    hosted = open_hosted(str(profile), "verifier", running=1, waiting=1, timeout=1)
    assert hosted.name == "mllm" and str(MINI) not in hosted.public(f"cannot read {MINI}")
