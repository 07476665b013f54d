"""Running out of memory halves the batch and goes on; the model's answers stay what they are."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from imagescope_agent.errors import UnusableModel, may_pass
from imagescope_agent.mllms.role import Request, Role
from imagescope_agent.mllms.transformers_chat import TransformersChat
from tests.mllms.checkpoints import picture


def requests(pictures: int = 3) -> list[Request]:
    texts = ["Is there a red house?", "How many boats?", "A or B?"]
    return [Request(text=text, images=(picture(n),)) for n in range(pictures) for text in texts]


def small_memory(model: TransformersChat, monkeypatch: pytest.MonkeyPatch, tokens: int) -> None:
    """A device on which only so many tokens (cached ones included) fit into one forward."""
    runner = model.engine().backend.runner  # type: ignore[attr-defined]
    plain = runner.hidden

    def hidden(
        ids: Any, positions: Any, mask: Any, features: Any = (), cache: Any = None, **read: Any
    ) -> Any:
        if mask.shape[0] * mask.shape[-1] > tokens:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return plain(ids, positions, mask, features, cache, **read)

    monkeypatch.setattr(runner, "hidden", hidden)


def test_questions_are_asked_in_smaller_batches(qwen3_vl: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    role = Role("verifier", TransformersChat(checkpoint=str(qwen3_vl)))
    expected = asyncio.run(role.choose(requests(), ["Yes", "No"]))
    small = TransformersChat(checkpoint=str(qwen3_vl), batch_tokens=8000)
    small_memory(small, monkeypatch, 70)
    choice = asyncio.run(Role("verifier", small).choose(requests(), ["Yes", "No"]))
    assert torch.allclose(torch.tensor(choice.probabilities), torch.tensor(expected.probabilities), atol=1e-4)
    assert choice.notes and all("out of memory" in note["detail"] for note in choice.notes)
    assert all(note["step"] == "verifier" for note in choice.notes)


def test_replies_are_written_fewer_at_once(qwen3_vl: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    role = Role("captioner", TransformersChat(checkpoint=str(qwen3_vl)))
    expected = asyncio.run(role.ask(requests(), max_tokens=8))
    small = TransformersChat(checkpoint=str(qwen3_vl), batch_tokens=8001)
    small_memory(small, monkeypatch, 150)
    replies = asyncio.run(Role("captioner", small).ask(requests(), max_tokens=8))
    assert [reply.text for reply in replies] == [reply.text for reply in expected]
    assert any("out of memory" in note["detail"] for reply in replies for note in reply.notes)


def test_what_never_fits_is_one_clear_line(qwen3_vl: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = TransformersChat(checkpoint=str(qwen3_vl), batch_tokens=8002)
    small_memory(small, monkeypatch, 5)
    with pytest.raises(UnusableModel, match="not even one question") as caught:
        asyncio.run(Role("verifier", small).choose(requests(1), ["Yes", "No"]))
    with pytest.raises(UnusableModel, match="not even one reply"):
        asyncio.run(Role("captioner", small).ask(requests(1)[:1]))
    assert not may_pass(caught.value) and caught.value.exit_code == 2
    with pytest.raises(UnusableModel, match="not even one question"):
        asyncio.run(small.aattention(requests(1)[0].messages()))


def test_embeddings_are_made_in_smaller_batches(qwen3_vl: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = [request.messages() for request in requests()]
    expected = asyncio.run(TransformersChat(checkpoint=str(qwen3_vl)).aembed(asked)).vectors
    small = TransformersChat(checkpoint=str(qwen3_vl), batch_tokens=8003)
    small_memory(small, monkeypatch, 70)
    assert torch.allclose(
        torch.tensor(asyncio.run(small.aembed(asked)).vectors), torch.tensor(expected), atol=1e-4
    )


def test_plain_batches_are_halved(qwen3_vl: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel without custom masks goes through transformers' own forward."""
    from imagescope_agent.mllms.engine.config import EngineConfig
    from imagescope_agent.mllms.engine.engine import Engine

    model = TransformersChat(checkpoint=str(qwen3_vl))
    expected = asyncio.run(Role("verifier", model).choose(requests(), ["Yes", "No"]))
    checkpoint = model.engine().checkpoint
    config = checkpoint.config.model_copy(update={"attention": "flash_attention_2"})
    plain = TransformersChat(checkpoint=str(qwen3_vl))
    plain._engine = Engine(replace(checkpoint, config=config), EngineConfig())
    forward, limit = checkpoint.model.forward, 2

    def limited(*args: Any, **options: Any) -> Any:
        if len(options["input_ids"]) > limit:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(*args, **options)

    monkeypatch.setattr(checkpoint.model, "forward", limited)
    choice = asyncio.run(Role("verifier", plain).choose(requests(), ["Yes", "No"]))
    assert torch.allclose(torch.tensor(choice.probabilities), torch.tensor(expected.probabilities), atol=1e-3)
    assert any("out of memory" in note["detail"] for note in choice.notes)
    limit = 0
    with pytest.raises(UnusableModel, match="not even one question"):
        asyncio.run(Role("verifier", plain).choose(requests(), ["Yes", "No"]))
