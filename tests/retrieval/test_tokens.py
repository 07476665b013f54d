"""Composers that read tokens, and tuned text towers, over small checkpoints in real formats."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from imagescope_agent.errors import BadInput
from imagescope_agent.lab.training.embedders.composer import (
    TOKENS,
    ComposerPlan,
    ComposerTrainer,
    train_composer,
)
from imagescope_agent.lab.training.embedders.text_tuning import TunedText
from imagescope_agent.retrieval.embedders.composer import ComposedEmbedder, untrained
from imagescope_agent.retrieval.embedders.composer_card import CARD, ComposerCard, read_card
from imagescope_agent.retrieval.embedders.fusion import Fusion
from imagescope_agent.retrieval.embedders.network_files import TEXT, WEIGHTS
from imagescope_agent.retrieval.embedders.open_clip import OpenClipEmbedder
from imagescope_agent.retrieval.embedders.text_tower import with_tuned_text
from imagescope_agent.retrieval.embedders.tokens import joined, read_images, read_texts
from imagescope_agent.training_data.triplet_files import Triplet
from tests.lab.training.hues import Hues, hues
from tests.retrieval.makers import photo

COUNT = 24
PLAN = replace(TOKENS, steps=4, batch=8, every=2, hidden=32, blocks=1, rank=2)
WORDS = ["a red house", "a blue boat beside a red house", "red"]


@pytest.fixture(scope="module")
def pictures(clip: OpenClipEmbedder, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return hues(tmp_path_factory.mktemp("tokens") / "pictures", clip, COUNT)


def turned() -> list[Triplet]:
    return [
        Triplet(reference=f"{n:03d}.png", text=words, target=f"{(n + step) % COUNT:03d}.png")
        for n in range(COUNT)
        for step, words in ((5, "a red house"), (11, "a blue boat beside a red house"))
    ]


@pytest.fixture(scope="module")
def tuned(clip: OpenClipEmbedder, pictures: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("composer")
    train_composer(pictures, clip, "open_clip:clip", turned(), out, plan=PLAN)
    return out


def test_tokens_come_with_the_vectors_that_the_index_has(clip: OpenClipEmbedder) -> None:
    shown = [photo(seed=seed) for seed in range(3)]
    images, texts = read_images(clip, shown), read_texts(clip, WORDS)
    np.testing.assert_allclose(images.vectors.numpy(), clip.images(shown), atol=1e-5)
    np.testing.assert_allclose(texts.vectors.numpy(), clip.texts(WORDS), atol=1e-5)
    assert images.states.shape[:2] == (3, 16) and not images.padding.any()
    lengths = (~texts.padding).sum(1).tolist()
    assert lengths[1] == texts.states.shape[1] > lengths[0] > lengths[2] > 0


def test_an_embedder_of_vectors_alone_is_read_as_one_token() -> None:
    read = read_texts(Hues(), ["turn 30", "turn 90"])
    assert read.states.shape == (2, 1, 12) and torch.equal(read.states[:, 0], read.vectors)
    network = Fusion(12, (12, 12), 32, 1).eval()
    assert network(read, read).shape == (2, 12)


def test_what_is_composed_does_not_depend_on_the_batch(clip: OpenClipEmbedder) -> None:
    torch.manual_seed(0)
    images, texts = read_images(clip, [photo(seed=seed) for seed in range(3)]), read_texts(clip, WORDS)
    network = Fusion(clip.dimension, (images.states.shape[2], texts.states.shape[2]), 32, 2).eval()
    torch.nn.init.normal_(network.out.weight)
    together = network(images, texts)
    for row in range(3):
        only = torch.tensor([row])
        torch.testing.assert_close(
            network(images.take(only), texts.take(only))[0], together[row], atol=1e-4, rtol=1e-4
        )
    again = network(images, joined([texts.take(torch.tensor([n])) for n in range(3)]))
    torch.testing.assert_close(again, together, atol=1e-4, rtol=1e-4)


def test_only_composed_queries_are_read_by_the_tuned_tower(
    clip: OpenClipEmbedder, tuned: Path, pictures: Any
) -> None:
    before = {name: value.clone() for name, value in clip.model.state_dict().items()}
    embedder = ComposedEmbedder(clip, tuned, read_card(tuned))
    shown = [photo(seed=1)]
    np.testing.assert_array_equal(embedder.texts(WORDS), clip.texts(WORDS))
    np.testing.assert_array_equal(embedder.images(shown), clip.images(shown))
    composed = embedder.compose(shown, WORDS[:1])
    assert composed.shape == (1, clip.dimension) and np.linalg.norm(composed) == pytest.approx(1, abs=1e-5)
    after = clip.model.state_dict()
    assert before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)
    card = read_card(tuned)
    assert card.tuned and card.blocks == 1 and len(card.widths) == 2
    assert TEXT in (tuned / "README.md").read_text()


def test_the_changes_are_those_that_were_trained(clip: OpenClipEmbedder, tuned: Path, tmp_path: Path) -> None:
    text = TunedText(clip, WORDS, rank=2)
    for value in text.changes.values():
        torch.nn.init.normal_(value, std=0.3)
    changes = {name: value.detach().clone() for name, value in text.low_rank().items()}
    assert any("in_proj_weight" in name for name in changes)
    assert not any(name.startswith("visual") for name in changes)
    trained = text(torch.arange(len(WORDS)))
    read = read_texts(with_tuned_text(clip, changes, tmp_path), WORDS)
    torch.testing.assert_close(read.vectors, trained.vectors.detach(), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(read.states, trained.states.detach(), atol=1e-3, rtol=1e-3)
    assert not torch.allclose(read.vectors, read_texts(clip, WORDS).vectors, atol=1e-2)
    for name in (CARD, WEIGHTS):
        (tmp_path / name).write_bytes((tuned / name).read_bytes())
    save_file(changes, tmp_path / TEXT)
    card = read_card(tuned)
    with_them, without = ComposedEmbedder(clip, tmp_path, card), ComposedEmbedder(clip, tuned, card)
    assert with_them.composer != without.composer
    shown = [photo(seed=1)]
    assert not np.allclose(with_them.compose(shown, WORDS[:1]), without.compose(shown, WORDS[:1]), atol=1e-3)


def test_cut_off_it_ends_at_the_same_weights(
    clip: OpenClipEmbedder, tuned: Path, pictures: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    advance, left = ComposerTrainer._advance, [3]

    def dying(self: ComposerTrainer) -> float:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return advance(self)

    monkeypatch.setattr(ComposerTrainer, "_advance", dying)
    with pytest.raises(KeyboardInterrupt):
        train_composer(pictures, clip, "open_clip:clip", turned(), tmp_path, plan=PLAN)
    monkeypatch.setattr(ComposerTrainer, "_advance", advance)
    train_composer(pictures, clip, "open_clip:clip", turned(), tmp_path, plan=PLAN)
    for name in (WEIGHTS, TEXT, CARD):
        assert (tmp_path / name).read_bytes() == (tuned / name).read_bytes()


@pytest.mark.parametrize(
    "damage",
    [{"blocks": 99}, {"widths": [16]}, {"widths": [2**30, 16]}, {"hidden": 33}, {"tuned": 1}, {"format": 1}],
)
def test_a_card_of_impossible_sizes_is_one_clear_line(
    clip: OpenClipEmbedder, tuned: Path, tmp_path: Path, damage: dict[str, Any]
) -> None:
    values = json.loads((tuned / CARD).read_text())
    (tmp_path / CARD).write_text(json.dumps({**values, **damage}))
    for name in (WEIGHTS, TEXT):
        (tmp_path / name).write_bytes((tuned / name).read_bytes())
    with pytest.raises(BadInput, match="damaged") as caught:
        ComposedEmbedder(clip, tmp_path, read_card(tmp_path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"visual.proj.down": torch.zeros(2, 4), "visual.proj.up": torch.zeros(4, 2)},
        {"token_embedding.weight.down": torch.zeros(2, 4), "token_embedding.weight.up": torch.zeros(4, 2)},
        {"positional_embedding.down": torch.zeros(2, 4)},
        {"positional_embedding.down": torch.zeros(2, 4), "positional_embedding.up": torch.zeros(4, 3)},
    ],
)
def test_changes_to_anything_else_are_refused(
    clip: OpenClipEmbedder, tuned: Path, tmp_path: Path, changes: dict[str, torch.Tensor]
) -> None:
    for name in (CARD, WEIGHTS):
        (tmp_path / name).write_bytes((tuned / name).read_bytes())
    save_file(changes, tmp_path / TEXT)
    with pytest.raises(BadInput, match="damaged"):
        ComposedEmbedder(clip, tmp_path, read_card(tuned))


def test_vectors_alone_have_no_text_tower_to_tune(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="--tune-text"):
        train_composer(
            hues(tmp_path / "p"), Hues(), "hues", turned(), tmp_path / "c", plan=ComposerPlan(steps=1, rank=2)
        )


def test_huge_sizes_of_a_card_cost_no_memory(tmp_path: Path) -> None:
    card = ComposerCard(
        embedder="x", weights="0", dimension=2**14, hidden=2**14, blocks=16, widths=(2**14, 2**14)
    )
    with torch.device("meta"):
        assert next(untrained(card).parameters()).is_meta
