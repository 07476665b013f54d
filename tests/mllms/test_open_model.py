"""Opening a local model: what cannot work is one clear line, tried once; families of other packages."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from imagescope_agent.errors import BackendUnavailable, BadInput, UnusableModel
from imagescope_agent.mllms.engine.backends.shared_prefix import SharedPrefixBackend
from imagescope_agent.mllms.engine.checkpoint import open_checkpoint
from imagescope_agent.mllms.engine.conversation import Conversation
from imagescope_agent.mllms.engine.families.base import PreparedBatch
from imagescope_agent.mllms.engine.families.qwen_vl import QwenVL
from imagescope_agent.mllms.role import Request, Role
from imagescope_agent.mllms.transformers_chat import TransformersChat
from imagescope_agent.registry import load_graph
from imagescope_agent.settings import Settings
from tests.conftest import World
from tests.mllms.checkpoints import picture


class CountingQwenVL(QwenVL):
    """A family adapter of another package."""

    prepared = 0

    def prepare(self, conversations: Sequence[Conversation]) -> PreparedBatch:
        self.prepared += 1
        return super().prepare(conversations)


@pytest.mark.parametrize("name", ["no/such/folder", "/nowhere", "nobody/nothing"])
def test_a_missing_checkpoint_is_one_clear_line(name: str) -> None:
    with pytest.raises(BackendUnavailable) as caught:
        asyncio.run(Role("x", TransformersChat(checkpoint=name)).ask([Request(text="a")]))
    assert name in str(caught.value) and "\n" not in str(caught.value)


def test_a_model_that_cannot_be_opened_is_tried_once(
    qwen3_vl: Path, tmp_path: Path, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A graph retries what may pass; a wrong dtype, device or folder does not."""
    tried: list[str] = []

    def counted(*args: Any, **options: Any) -> Any:
        tried.append("")
        return open_checkpoint(*args, **options)

    monkeypatch.setattr("imagescope_agent.mllms.engine.engine.open_checkpoint", counted)
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "config.json").write_text("{}")
    wrong: list[tuple[str, dict[str, Any]]] = [
        ("dtype 'floaty'", {"checkpoint": str(qwen3_vl), "dtype": "floaty"}),
        ("device 'abacus'", {"checkpoint": str(qwen3_vl), "device": "abacus"}),
        ("no model folder", {"checkpoint": "/nowhere"}),
        ("cannot load", {"checkpoint": str(broken)}),
    ]
    if not torch.cuda.is_available():
        wrong.append(("no CUDA device", {"checkpoint": str(qwen3_vl), "device": "cuda"}))
    for told, options in wrong:
        tried.clear()
        graph = load_graph("imagescope")(
            world.services(reasoner=Role("reasoner", TransformersChat(**options)))
        )
        with pytest.raises(UnusableModel, match=told) as caught:
            asyncio.run(graph.ainvoke({"query": "a red square"}, context=Settings()))
        assert len(tried) == 1 and caught.value.exit_code == 2 and "\n" not in str(caught.value)


def test_a_family_of_another_package_is_named(qwen3_vl: Path) -> None:
    own = TransformersChat(checkpoint=str(qwen3_vl), family=f"{__name__}:CountingQwenVL")
    backend = own.engine().backend
    assert isinstance(backend, SharedPrefixBackend) and isinstance(backend.family, CountingQwenVL)
    asked = [Request(text="Is it red?", images=(picture(n),)) for n in range(2)]
    ours = TransformersChat(checkpoint=str(qwen3_vl))
    rows = [asyncio.run(Role("verifier", each).choose(asked, ("Yes", "No"))) for each in (own, ours)]
    # batches may be put together differently, which changes the last bits
    assert rows[0].probabilities == [pytest.approx(row, abs=1e-5) for row in rows[1].probabilities]
    assert backend.family.prepared
    with pytest.raises(BadInput, match="did you mean 'qwen3_vl'"):
        TransformersChat(checkpoint=str(qwen3_vl), family="qwen3vl").engine()
