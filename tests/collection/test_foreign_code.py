"""An embedding model of somebody else's: its files are data, and nothing that they bring or name is run."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest

from imagescope_agent.collection.embed import CONFIG, TOKENIZER, open_embedder
from imagescope_agent.errors import BadInput

OWN = {
    "AutoConfig": "own.OwnConfig",
    "AutoModel": "own.OwnModel",
    "AutoTokenizer": ["own.OwnTokenizer", None],
}


@pytest.fixture
def ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that the folder's code would make, with a terminal that says yes to everything."""
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n" * 20))
    return tmp_path / "ran"


@pytest.fixture
def foreign(tmp_path: Path, ran: Path, make_clip: Callable[..., Path]) -> Callable[..., Path]:
    """A folder with a module of its own beside its weights, and changes to its configuration."""

    def make(change: Callable[[dict[str, Any]], None], **files: Any) -> Path:
        folder = make_clip(tmp_path / "clip")
        (folder / TOKENIZER).unlink()
        code = f"open({str(ran)!r}, 'w').close()\n" + "".join(
            f"class {name}:\n    pass\n" for name in ("OwnConfig", "OwnModel", "OwnTokenizer")
        )
        (folder / "own.py").write_text(code)
        config = json.loads((folder / CONFIG).read_text())
        change(config)
        (folder / CONFIG).write_text(json.dumps(config))
        for name, content in files.items():
            (folder / f"{name}.json").write_text(json.dumps(content))
        return folder

    return make


def in_text(**options: Any) -> Callable[[dict[str, Any]], None]:
    return lambda config: config["model_cfg"]["text_cfg"].update(options)


@pytest.mark.parametrize(
    "change",
    [
        in_text(hf_tokenizer_name="own", tokenizer_kwargs={"trust_remote_code": True}),
        in_text(hf_tokenizer_name="own", tokenizer_kwargs={"config": {"trust_remote_code": True}}),
        in_text(hf_tokenizer_name="own", tokenizer_kwargs={"tokenizer_file": "/etc/passwd"}),
        in_text(hf_tokenizer_name="own", tokenizer_kwargs=["trust_remote_code"]),
        in_text(hf_tokenizer_name="own"),  # transformers would ask the terminal, which says yes
        in_text(trust_remote_code=True),
        lambda config: config["model_cfg"]["vision_cfg"].update(trust_remote_code=True),
        lambda config: config["model_cfg"].update(auto_map=OWN),
        lambda config: config["preprocess_cfg"].update(trust_remote_code=1),
        lambda config: config.update(layers=[{"auto_map": OWN}]),
    ],
)
def test_no_key_of_a_configuration_runs_code(
    foreign: Callable[..., Path], ran: Path, change: Callable[[dict[str, Any]], None]
) -> None:
    tokenizer = {"tokenizer_class": "OwnTokenizer", "auto_map": OWN}
    folder = foreign(change, tokenizer_config=tokenizer, config={"model_type": "own", "auto_map": OWN})
    with pytest.raises(BadInput) as caught:
        open_embedder(folder)
    assert not ran.exists() and "\n" not in str(caught.value) and str(folder) in str(caught.value)


@pytest.mark.parametrize("known", ["own", "bert"])
def test_a_text_tower_brings_no_code(
    foreign: Callable[..., Path], ran: Path, tmp_path: Path, known: str
) -> None:
    """Of a kind that transformers knows, and of one that only its own code knows."""
    folder = foreign(
        in_text(hf_model_name=str(tmp_path / "clip")), config={"model_type": known, "auto_map": OWN}
    )
    with pytest.raises(BadInput, match="text tower"):
        open_embedder(folder)
    assert not ran.exists()


def test_what_a_tokenizer_may_be_told_still_is(
    tmp_path: Path, make_clip: Callable[..., Path], ran: Path
) -> None:
    folder = make_clip(tmp_path / "clip")
    config = json.loads((folder / CONFIG).read_text())
    in_text(tokenizer_kwargs={"clean": "canonicalize", "strip_sep_token": True, "trust_remote_code": False})(
        config
    )
    (folder / CONFIG).write_text(json.dumps(config))
    assert open_embedder(folder).texts(["a red house"]).shape == (1, open_embedder(folder).dimension)


def test_a_hub_is_asked_for_data_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[str] = []

    def download(repo: str, *, allow_patterns: list[str], **_: Any) -> str:
        asked.extend(allow_patterns)
        return str(tmp_path)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    with pytest.raises(BadInput):
        open_embedder("hf-hub:somebody/clip")
    wanted = [
        "tokenizer.json",
        "tokenizer_config.json",
        "vocab.json",
        "vocab.txt",
        "merges.txt",
        "spiece.model",
    ]
    assert all(any(fnmatch(name, pattern) for pattern in asked) for name in wanted)
    code = [
        "tokenizer.py",
        "tokenizer_own.py",
        "vocab.py",
        "tokenizer/own.py",
        "vocab/json.py",
        "own.py",
        "x.so",
    ]
    assert not any(fnmatch(name, pattern) for name in code for pattern in asked)
