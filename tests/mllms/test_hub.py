"""What a hub refuses is one clear line; code that comes with weights does not run. The hub is on loopback."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from imagescope_agent.errors import BackendUnavailable
from imagescope_agent.mllms.engine.checkpoint import open_checkpoint
from imagescope_agent.mllms.engine.config import ModelConfig


@contextmanager
def hub(status: int, code: str) -> Iterator[str]:
    """A hub that answers everything with that status and error code."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

        def do_GET(self) -> None:
            content = json.dumps({"error": "told to"}).encode()
            self.send_response(status)
            if code:
                self.send_header("x-error-code", code)
            self.send_header("x-error-message", "told to")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_HEAD = do_GET

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("status", "code", "told"),
    [
        (404, "RepoNotFound", "check its id"),
        (403, "GatedRepo", "accept its terms and set HF_TOKEN"),
        (401, "", "HF_TOKEN"),
        (404, "RevisionNotFound", "revision"),
    ],
)
def test_what_the_hub_refuses_is_one_clear_line(
    status: int, code: str, told: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with hub(status, code) as url:
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", url)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
        with pytest.raises(BackendUnavailable, match=told) as caught:
            open_checkpoint(ModelConfig(checkpoint="somebody/something", revision="0" * 40))
    assert "\n" not in str(caught.value) and "somebody/something" in str(caught.value)
    assert caught.value.exit_code == 3


def test_a_hub_that_cannot_be_reached_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(BackendUnavailable, match="download it first"):
        open_checkpoint(ModelConfig(checkpoint="somebody/something"))


def test_code_that_comes_with_a_checkpoint_does_not_run(tmp_path: Path) -> None:
    marker = tmp_path / "it-ran"
    (tmp_path / "configuration_own.py").write_text(
        f"open({str(marker)!r}, 'w').close()\nfrom transformers import PretrainedConfig\n"
        "class OwnConfig(PretrainedConfig):\n    model_type = 'own'\n"
    )
    (tmp_path / "config.json").write_text(
        json.dumps({"model_type": "own", "auto_map": {"AutoConfig": "configuration_own.OwnConfig"}})
    )
    with pytest.raises(BackendUnavailable, match="set trust_remote_code") as caught:
        open_checkpoint(ModelConfig(checkpoint=str(tmp_path)))
    assert not marker.exists() and "\n" not in str(caught.value)


def test_pickled_weights_are_refused(qwen3_vl: Path, tmp_path: Path) -> None:
    for file in qwen3_vl.iterdir():
        name = "pytorch_model.bin" if file.suffix == ".safetensors" else file.name
        (tmp_path / name).write_bytes(file.read_bytes())
    with pytest.raises(BackendUnavailable, match="safetensors"):
        open_checkpoint(ModelConfig(checkpoint=str(tmp_path)))
