"""Cached vision features change nothing but the time: never another picture's, never another checkpoint's."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
import torch

from imagescope_agent.mllms.role import ImageRef, Request, Role
from imagescope_agent.mllms.transformers_chat import TransformersChat
from imagescope_agent.registry import load_graph
from imagescope_agent.retrieval.collection import FolderCollection, build
from imagescope_agent.settings import Settings
from tests.conftest import World
from tests.mllms.checkpoints import build_qwen3_vl, picture
from tests.mllms.plans import plan

LABELS = ("Yes", "No")


def hosted(checkpoint: Path, **options: Any) -> TransformersChat:
    return TransformersChat(checkpoint=str(checkpoint), max_tokens=6, **options)


def ask(model: TransformersChat, *pictures: ImageRef) -> tuple[torch.Tensor, int]:
    asked = [Request(text="Is it a red house?", images=(each,)) for each in pictures]
    choice = asyncio.run(Role("verifier", model).choose(asked, LABELS))
    return torch.tensor(choice.probabilities), choice.usage["image_prefills"]


def test_a_file_changed_in_place_is_another_picture(qwen3_vl: Path, tmp_path: Path) -> None:
    model = hosted(qwen3_vl, feature_folder=str(tmp_path / "features"))
    file = tmp_path / "same-name.png"
    for number in (1, 2, 1):
        file.write_bytes(picture(number).data)
        found, _ = ask(model, ImageRef("same-name.png", file.read_bytes()))
        expected, prefills = ask(hosted(qwen3_vl, vision_cache=0), picture(number))
        assert torch.allclose(found, expected, atol=1e-5) and prefills == 1


def test_two_checkpoints_share_a_folder_and_no_features(qwen3_vl: Path, tmp_path: Path) -> None:
    build_qwen3_vl(tmp_path / "other", seed=1)
    folder = str(tmp_path / "features")
    for checkpoint in (qwen3_vl, tmp_path / "other"):
        kept, prefills = ask(hosted(checkpoint, feature_folder=folder), picture(1), picture(2))
        plain, _ = ask(hosted(checkpoint, vision_cache=0), picture(1), picture(2))
        assert prefills == 2 and torch.allclose(kept, plain, atol=1e-5)
    # another process: nothing in memory, all on disk
    again, prefills = ask(hosted(qwen3_vl, feature_folder=folder, vision_cache=10**7), picture(1), picture(2))
    assert prefills == 0 and torch.equal(
        again, ask(hosted(qwen3_vl, feature_folder=folder), picture(1), picture(2))[0]
    )


def search(world: World, model: TransformersChat, folder: Path) -> tuple[list[str], dict[str, Any], int]:
    services = world.services(
        reasoner=world.role("reasoner", plan),
        verifier=Role("verifier", model),
        judge=Role("judge", model),
    )
    services = type(services)(**{**vars(services), "collection": FolderCollection.open(folder)})
    state = asyncio.run(
        load_graph("imagescope")(services).ainvoke({"query": "a red square"}, context=Settings())
    )
    return state["ranking"], state["verdicts"], sum(part["image_prefills"] for part in state["usage"])


def test_indexing_makes_the_features_and_a_search_with_them_ranks_the_same(
    qwen3_vl: Path, tmp_path: Path, world: World
) -> None:
    folder = tmp_path / "pictures"
    world.folder.rename(folder)
    kept = {"feature_folder": str(tmp_path / "features")}
    captioner = Role("captioner", hosted(qwen3_vl, **kept))
    asyncio.run(
        build(folder, tmp_path / "index", world.embedder, captioner, "describe", captioner_weights="w")
    )
    cached = search(world, hosted(qwen3_vl, vision_cache=10**7 + 1, **kept), tmp_path / "index")
    plain = search(world, hosted(qwen3_vl, vision_cache=0), tmp_path / "index")
    assert cached[0] == plain[0] and len(set(cached[0])) == len(world.collection.ids)
    assert cached[2] <= 1 < plain[2]  # the blank picture that stands for no reference
    for name, verdicts in plain[1].items():
        assert cached[1][name] == pytest.approx(verdicts, abs=1e-4)
