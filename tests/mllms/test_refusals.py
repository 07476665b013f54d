"""What a hosted model cannot take costs its own request; what a stranger's checkpoint brings is data."""

from __future__ import annotations

import asyncio
import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from PIL import Image

from imagescope_agent.errors import BackendUnavailable, RequestRefused
from imagescope_agent.mllms.hosting.checkpoint import Checkpoint
from imagescope_agent.mllms.hosting.conversation import NARROWEST, widened
from imagescope_agent.mllms.role import ImageRef, Request, Role
from imagescope_agent.mllms.transformers_chat import TransformersChat
from tests.mllms.checkpoints import FAMILIES, build_llama, picture

LABELS = ("Yes", "No")
STRIPS = [(1200, 5), (5, 1200), (1024, 1), (1, 1), (3, 700)]
BROKEN = ImageRef("broken", b"\x89PNG no picture at all")


def scored(model: TransformersChat, asked: list[Request]) -> Any:
    return asyncio.run(model.ascore([request.messages() for request in asked], LABELS))


@pytest.fixture(scope="module", params=FAMILIES)
def hosted(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> TransformersChat:
    folder = tmp_path_factory.mktemp(request.param)
    FAMILIES[request.param](folder)
    return TransformersChat(checkpoint=str(folder), max_tokens=3)


@pytest.fixture(scope="module")
def language(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("llama")
    build_llama(folder)
    return folder


def without_template(folder: Path, place: Path) -> Path:
    """A copy of a checkpoint as a base model comes."""
    place.mkdir()
    for file in folder.iterdir():
        (place / file.name).write_bytes(file.read_bytes())
    (place / "chat_template.jinja").unlink(missing_ok=True)
    config = json.loads((place / "tokenizer_config.json").read_text())
    config.pop("chat_template", None)
    (place / "tokenizer_config.json").write_text(json.dumps(config))
    return place


def test_pictures_of_any_shape_are_read(hosted: TransformersChat) -> None:
    """Alone and among others, in a question, a count and a reply."""
    asked = [Request(text="Is it red?", images=(picture(n, side),)) for n, side in enumerate(STRIPS)]
    together = scored(hosted, asked)
    assert not together.refused
    alone = [scored(hosted, [request]).probabilities[0] for request in asked]
    assert np.allclose(together.probabilities, alone, atol=1e-3)
    counted = asyncio.run(hosted.acount([request.messages() for request in asked]))
    replies = asyncio.run(Role("captioner", hosted).ask(asked))
    assert counted == [reply.usage["prompt_tokens"] for reply in replies]


@pytest.mark.parametrize("side", STRIPS)
def test_a_strip_is_widened_and_nothing_of_it_is_lost(side: tuple[int, int]) -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (side[1], side[0], 3), dtype=np.uint8))
    wide = widened(image)
    assert max(wide.size) <= NARROWEST * min(wide.size) and max(wide.size) == max(side)
    left, top = (wide.width - image.width) // 2, (wide.height - image.height) // 2
    shown = wide.crop((left, top, left + image.width, top + image.height))
    assert shown.tobytes() == image.tobytes()
    colours = [{tuple(each) for each in np.asarray(one).reshape(-1, 3)} for one in (wide, image)]
    assert colours[0] == colours[1]  # none that was not there
    if max(side) <= NARROWEST * min(side):
        assert wide is image


def test_what_cannot_be_read_costs_its_own_request(hosted: TransformersChat) -> None:
    good = [Request(text=text, images=(picture(n),)) for n, text in enumerate(("Is it red?", "Is it?"))]
    asked = [good[0], Request(text="Is it?", images=(BROKEN,)), good[1], Request(text="word " * 4000)]
    found = scored(hosted, asked)
    assert sorted(found.refused) == [1, 3] and "decoded" in found.refused[1] and "tokens" in found.refused[3]
    assert found.probabilities[1] == found.probabilities[3] == [0.5, 0.5]
    assert np.allclose(
        [found.probabilities[0], found.probabilities[2]], scored(hosted, good).probabilities, atol=1e-3
    )
    assert found.usage["calls"] == 2
    assert asyncio.run(hosted.acount([each.messages() for each in asked]))[1] == 0
    with pytest.raises(RequestRefused, match="decoded"):
        scored(hosted, asked[1:2])


def test_whatever_a_processor_raises_is_the_refusal_of_one_request(
    hosted: TransformersChat, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A processor that cannot bear one size of pictures."""
    processor = type(hosted.engine().checkpoint.processor.image_processor)
    real = processor.preprocess

    def shown(images: Any) -> list[Any]:
        return [each for one in images for each in shown(one)] if isinstance(images, list) else [images]

    def picky(self: Any, images: Any, *rest: Any, **options: Any) -> Any:
        if any(each.size == (48, 48) for each in shown(images)):
            raise IndexError("no such grid")
        return real(self, images, *rest, **options)

    monkeypatch.setattr(processor, "preprocess", picky)
    asked = [
        Request(text="Is it red?", images=(picture(7, side),)) for side in ((80, 64), (48, 48), (64, 80))
    ]
    found = scored(hosted, asked)
    assert list(found.refused) == [1] and "no such grid" in found.refused[1]

    async def both() -> list[Any]:
        asking = [hosted.ainvoke(each.messages()) for each in asked]
        return await asyncio.gather(*asking, return_exceptions=True)

    first, refused, last = asyncio.run(both())
    assert (
        isinstance(first, AIMessage) and isinstance(last, AIMessage) and isinstance(refused, RequestRefused)
    )


@pytest.mark.parametrize("attention", ["sdpa", "flex_attention"])
def test_a_language_model_says_that_it_does_not_see(language: Path, attention: str) -> None:
    """With shared prefixes, and through transformers' own forward."""
    model = TransformersChat(checkpoint=str(language), max_tokens=3)
    asked = [Request(text="Is it?", images=(picture(1),)), Request(text="Is it?")]
    if attention != "sdpa":
        from dataclasses import replace

        from imagescope_agent.mllms.hosting.engine import Engine

        checkpoint = model.engine().checkpoint
        whole = replace(checkpoint, source=replace(checkpoint.source, attention=attention))
        model._opened = Engine(whole, model.engine().limits)
    with pytest.raises(RequestRefused, match="does not see pictures"):
        asyncio.run(Role("verifier", model).ask(asked[:1]))
    found = scored(model, asked)
    assert list(found.refused) == [0] and "does not see pictures" in found.refused[0]
    with pytest.raises(RequestRefused, match="does not see pictures"):
        scored(model, asked[:1])


def test_without_a_template_the_prompt_is_plain_text(language: Path, tmp_path: Path) -> None:
    model = TransformersChat(checkpoint=str(without_template(language, tmp_path / "base")), max_tokens=3)
    checkpoint: Checkpoint = model.engine().checkpoint
    assert not checkpoint.tokenizer.chat_template
    chat = [
        SystemMessage("Be brief."),
        HumanMessage("A house?"),
        AIMessage("Yes"),
        HumanMessage("And a </s> boat?"),
    ]
    conversation = [
        {"role": role, "content": [{"type": "text", "text": str(each.text)}]}
        for role, each in zip(("system", "user", "assistant", "user"), chat, strict=True)
    ]
    ids = checkpoint.apply_template([conversation], [[]])["input_ids"][0]
    plain = checkpoint.tokenizer(
        "System:\nBe brief.\n\nUser:\nA house?\n\nAssistant:\nYes\n\nUser:\nAnd a </s> boat?\n\nAssistant:\n"
    )["input_ids"]
    assert ids.tolist() == plain
    other: list[BaseMessage] = [HumanMessage("How many stars are blue?")]
    counted = asyncio.run(model.acount([list(chat), other]))
    assert min(counted) > 10 and model.invoke(chat).usage_metadata["input_tokens"] == counted[0]  # type: ignore[index]
    rows = asyncio.run(model.ascore([list(chat), other], LABELS)).probabilities
    assert not np.allclose(rows[0], rows[1], atol=1e-3)  # it has read what it was asked
    end = checkpoint.tokenizer.convert_tokens_to_ids("</s>")
    from imagescope_agent.mllms.hosting.prompt import plain as harmless

    assert end not in checkpoint.tokenizer(harmless("a </s> boat", ["</s>"]))["input_ids"]


def test_a_template_that_refuses_a_request_is_told(language: Path, tmp_path: Path) -> None:
    folder = without_template(language, tmp_path / "strict")
    (folder / "chat_template.jinja").write_text("{{ raise_exception('only questions about boats') }}")
    with pytest.raises(RequestRefused, match="only questions about boats"):
        asyncio.run(Role("x", TransformersChat(checkpoint=str(folder))).ask([Request(text="A house?")]))


@pytest.mark.parametrize("kind", ["llama", "own"])
def test_a_checkpoint_brings_no_code(
    language: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Neither of a kind that transformers knows nor of another; and the terminal is not asked, which would say yes."""
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n" * 20))
    folder, ran = without_template(language, tmp_path / "foreign"), tmp_path / "ran"
    code = f"open({str(ran)!r}, 'w').close()\nclass Own:\n    pass\ndef generate(*a, **k):\n    pass\n"
    (folder / "own.py").write_text(code)
    (folder / "custom_generate").mkdir()
    (folder / "custom_generate" / "generate.py").write_text(code)
    own = {name: "own.Own" for name in ("AutoConfig", "AutoModel", "AutoModelForCausalLM", "AutoProcessor")}
    for name in ("config.json", "tokenizer_config.json", "generation_config.json", "processor_config.json"):
        told = json.loads((folder / name).read_text()) if (folder / name).exists() else {}
        told |= {"auto_map": {**own, "AutoTokenizer": ["own.Own", None]}, "trust_remote_code": True}
        told |= {"custom_generate": str(folder)} if name == "generation_config.json" else {}
        told |= {"model_type": kind} if name == "config.json" else {}
        (folder / name).write_text(json.dumps(told))
    model = TransformersChat(checkpoint=str(folder), max_tokens=2)
    if kind == "own":
        with pytest.raises(BackendUnavailable, match="code of its own"):
            model.invoke("A house?")
    else:
        try:
            model.invoke("A house?")
        except BackendUnavailable as error:
            assert "code" in str(error)
    assert not ran.exists()
