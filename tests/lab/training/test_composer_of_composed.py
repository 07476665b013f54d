"""Composers over an embedder that composes by itself."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from imagescope_agent.errors import BadInput
from imagescope_agent.lab.training.embedders.composer import (
    COMPOSED,
    TOKENS,
    ComposerPlan,
    plan_for,
    train_composer,
)
from imagescope_agent.mllms.scripted import Scripted
from imagescope_agent.retrieval.embedders import composer_card, identify
from imagescope_agent.retrieval.embedders.composer import (
    COMPOSED_SHARE,
    ComposedEmbedder,
    ComposedReasoner,
    untrained,
)
from imagescope_agent.retrieval.embedders.composer_card import read_card
from imagescope_agent.retrieval.embedders.tokens import single
from imagescope_agent.retrieval.reasoning import ReasoningEmbedder
from tests.lab.training.hues import COUNT, Hues, hues, turns

PLAN = ComposerPlan(steps=150, batch=64, hidden=64, dropout=0.1, every=25)


class Turning(Hues):
    """Composes by itself, always 30 degrees too little; its texts alone say nothing."""

    weights = "turning-1"

    def texts(self, texts: Sequence[str]) -> np.ndarray:
        return super().texts(["0"] * len(texts))

    def compose(self, images: Sequence[Image.Image], texts: Sequence[str]) -> np.ndarray:
        hues = [colorsys.rgb_to_hsv(*(np.asarray(each.convert("RGB"))[0, 0] / 255))[0] for each in images]
        turned = [h + (int(text.split()[1]) - 30) / 360 for h, text in zip(hues, texts, strict=True)]
        return self._waves([2 * np.pi * each for each in turned], 0)


class Thinking(Turning):
    """Thinks before it embeds, and is a chat model; what was thought says the hue."""

    prompt_set: str | None = "mini"
    threshold = 0.25
    chat_model = Scripted(["a chain"])

    def reasoned(
        self, images: Sequence[Image.Image | None], texts: Sequence[str], chains: Sequence[str]
    ) -> np.ndarray:
        assert all(chain or image is None for image, chain in zip(images, chains, strict=True))
        return self._waves([float(chain or 0) for chain in chains], 0)


@pytest.fixture(scope="module")
def turning(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("turning")
    train_composer(hues(out / "pictures", Turning()), Turning(), "hues", turns(), out / "made", plan=PLAN)
    return out / "made"


def test_an_embedder_that_composes_reads_the_words_with_the_reference(turning: Path) -> None:
    card = read_card(turning)
    assert card.composed and card.format == composer_card.FORMAT_COMPOSED
    assert card.trained["before"]["R@10"] < 0.7 < 0.9 < card.trained["after"]["R@10"]
    assert "the embedder's own composed vector" in (turning / "README.md").read_text()
    embedder, pictures = ComposedEmbedder(Turning(), turning, card), turning.parent / "pictures"
    (row,) = embedder.compose([Image.open(pictures / "010.png")], ["turn 90"])
    shown = Turning().images([Image.open(pictures / f"{number:03d}.png") for number in range(COUNT)])
    assert abs(int((shown @ row).argmax()) - 28) <= 2
    assert embedder.compose([], []).shape == (0, 12)


def test_a_card_that_composes_needs_an_embedder_that_does(turning: Path) -> None:
    plain = Hues()
    plain.weights = Turning.weights
    with pytest.raises(BadInput, match="an embedder that composes"):
        ComposedEmbedder(plain, turning, read_card(turning))


def test_before_training_most_of_the_vector_is_what_the_embedder_composed() -> None:
    vectors = [np.eye(4, dtype=np.float32)[[number]] for number in (0, 1)]
    card = composer_card.ComposerCard(embedder="hues", weights="0", dimension=4, hidden=4)
    for composed_by_it, share in ((True, COMPOSED_SHARE), (False, 0.5)):
        network = untrained(replace(card, composed=composed_by_it)).eval()
        row = network(*(single(torch.from_numpy(each)) for each in vectors)).detach().numpy()[0]
        np.testing.assert_allclose(row[1] / row[:2].sum(), share, atol=1e-5)


def test_an_embedder_that_composes_is_trained_in_smaller_steps() -> None:
    assert plan_for(Turning()) is COMPOSED and COMPOSED.peak_lr < ComposerPlan().peak_lr
    assert plan_for(Hues()) == ComposerPlan() and plan_for(Turning(), tokens=True) is TOKENS


def test_over_an_embedder_that_thinks_it_composes_what_nothing_was_thought_about(turning: Path) -> None:
    model, inner = ComposedReasoner(Thinking(), turning, read_card(turning)), Thinking()
    assert isinstance(model, ReasoningEmbedder)
    assert (model.prompt_set, model.threshold, model.chat_model) == ("mini", 0.25, inner.chat_model)
    picture = Image.open(turning.parent / "pictures" / "010.png")
    found = model.reasoned([picture, picture, None], ["turn 90", "turn 90", "red"], ["", "1.5", ""])
    np.testing.assert_array_equal(found[:1], model.compose([picture], ["turn 90"]))
    np.testing.assert_allclose(found[1:], inner.reasoned([picture, None], ["", ""], ["1.5", ""]), atol=1e-6)
    assert model.reasoned([], [], []).shape == (0, 12)


def test_what_it_is_made_of_is_known_without_opening_it(turning: Path) -> None:
    assert identify(f"composer:{turning}") == ("turning-1", 12)
    with pytest.raises(BadInput, match="no composer"):
        identify(f"composer:{turning}/nowhere")


def test_a_share_of_what_the_embedder_composes_is_kept_in_use_and_not_in_training(tmp_path: Path) -> None:
    card = composer_card.ComposerCard(embedder="hues", weights="0", dimension=4, hidden=4, composed=True)
    torch.manual_seed(0)
    whole, half = (untrained(replace(card, kept=kept)) for kept in (0.0, 0.5))
    with torch.no_grad():
        whole.get_parameter("text.weight").normal_()
    half.load_state_dict(whole.state_dict())
    given = [single(torch.from_numpy(np.eye(4, dtype=np.float32)[[number]])) for number in (0, 1)]
    made, mixed = (network.eval()(*given) for network in (whole, half))
    torch.testing.assert_close(mixed, torch.nn.functional.normalize(made + given[1].vectors, dim=1))
    torch.testing.assert_close(half.train()(*given), made)
    for kept, format_ in ((0.5, composer_card.FORMAT_KEPT), (0.0, composer_card.FORMAT_COMPOSED)):
        composer_card.write_card(tmp_path, replace(card, kept=kept))
        assert read_card(tmp_path).kept == kept and read_card(tmp_path).format == format_
    file = tmp_path / composer_card.CARD
    file.write_text(file.read_text().replace('"composed": true', '"composed": true, "kept": 1'))
    with pytest.raises(BadInput, match="kept"):
        read_card(tmp_path)
