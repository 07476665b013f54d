"""The calibrated similarity: one inner product says what its formula says, and a hub comes later."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from imagescope_agent.errors import BadInput
from imagescope_agent.lab.training.photos.calibration import calibrate, typical
from imagescope_agent.lab.training.photos.features import caption_features, picture_features
from imagescope_agent.lab.training.photos.head import Head, HeadPlan, Pairs
from imagescope_agent.retrieval.embedders import class_names, open_embedder
from imagescope_agent.retrieval.embedders.assembled import assemble
from imagescope_agent.retrieval.embedders.backbones import TEXT, VISION
from imagescope_agent.retrieval.embedders.calibrated import Calibration, read_calibration
from imagescope_agent.retrieval.embedders.class_names import class_texts, texts_hash
from imagescope_agent.retrieval.vectors import Vectors, unit_rows

TABLE = {"classes": 0.3, "hubs": 0.5, "sharpness": 12.0, "middle": 0.1}
TEXTS = ["a dog in the snow", "two people", "a red kite over the sea"]


def write_head(head: Path, *, inside: bool) -> tuple[dict[str, Vectors], dict[str, Any]]:
    """A head of random maps and its table; names of classes in its file, as earlier ones have them, or not."""
    tensors = {"visual": drawn(16, 1280), "text": drawn(16, 384, seed=1), "bias": drawn(16, seed=2)}
    tensors |= made(bank=drawn(5, 384, seed=4)).tensors()
    table: dict[str, Any] = {"vision": "efficientnet-lite2", "text": "all-minilm-l6-v2", "embed_dim": 16}
    table |= {"format": 2 if inside else 3, "calibration": dict(TABLE)}
    if inside:
        tensors["names"] = drawn(1000, 384, seed=3)
    else:
        table["calibration"]["names"] = texts_hash(class_texts(VISION["efficientnet-lite2"]))
    halves = {name: torch.from_numpy(each).half() for name, each in tensors.items()}
    head.mkdir()
    save_file(halves, head / "head.safetensors")
    (head / "head.json").write_text(json.dumps(table))
    return {name: each.float().numpy() for name, each in halves.items()}, table


def drawn(*shape: int, seed: int = 0) -> Vectors:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def made(**changed: Any) -> Calibration:
    """Seven classes, five typical captions, sentences of eleven numbers."""
    shares = np.array([0.5, 0.2, 0.1, 0.1, 0.1], np.float32)
    plain: dict[str, Any] = {"names": drawn(7, 11), "bank": drawn(5, 11, seed=1), "shares": shares}
    return Calibration(**(plain | TABLE | changed))


def by_formula(
    made: Calibration, texts: tuple[Vectors, Vectors], pictures: tuple[Vectors, Vectors], bank: Vectors
) -> Vectors:
    """(texts, pictures), computed one pair at a time in double precision."""

    def cos(one: Vectors, other: Vectors) -> float:
        one, other = one.astype(float), other.astype(float)
        return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))

    found = np.zeros((len(texts[0]), len(pictures[0])))
    for column, (head, logits) in enumerate(zip(*pictures, strict=True)):
        odds = torch.softmax(torch.from_numpy(logits).double(), 0).numpy()
        named = sum(
            p * row / np.linalg.norm(row) for p, row in zip(odds, made.names.astype(float), strict=True)
        )
        typical = [cos(b, head) + made.classes * cos(s, named) for b, s in zip(bank, made.bank, strict=True)]
        hub = np.log(np.exp(made.sharpness * np.array(typical)) @ made.shares) / made.sharpness
        for row, (text, sentence) in enumerate(zip(*texts, strict=True)):
            alike = cos(text, head) + made.classes * cos(sentence, named)
            found[row, column] = alike - made.hubs * (hub - made.middle)
    return found.astype(np.float32)


def test_the_inner_product_is_the_formula() -> None:
    calibration, bank = made(), drawn(5, 64, seed=5)
    texts = drawn(4, 64, seed=2), drawn(4, 11, seed=3)
    pictures = drawn(30, 64, seed=4), 3 * drawn(30, 7, seed=6)
    of_texts, of_pictures = calibration.texts(*texts), calibration.pictures(*pictures, bank)
    assert np.allclose(np.linalg.norm(of_texts, axis=1), 1) and np.allclose(
        np.linalg.norm(of_pictures, axis=1), 1
    )
    assert of_texts.shape[1] == of_pictures.shape[1] == 64 + calibration.extra
    length = np.sqrt(1 + 0.3 + 0.25**2) * np.sqrt(1 + 0.3 + 0.5**2)
    wanted = by_formula(calibration, texts, pictures, bank)
    assert np.allclose(length * of_texts @ of_pictures.T, wanted, atol=1e-4)
    assert (
        np.ptp(wanted - (length * made(hubs=0.0).texts(*texts) @ made(hubs=0.0).pictures(*pictures, bank).T))
        > 0.02
    )


def test_a_picture_that_is_near_to_every_caption_comes_later() -> None:
    """Both pictures are as near to the query; one of them is to the typical captions, too."""
    axes = np.eye(6, dtype=np.float32)
    query, hub, other = axes[0], axes[0] + axes[1], axes[0] + axes[2]
    bank = np.stack([axes[1]] * 5)
    sentences, logits = np.ones((1, 11), np.float32), np.zeros((2, 7), np.float32)
    ranked = made().texts(query[None], sentences) @ made().pictures(np.stack([hub, other]), logits, bank).T
    plain = made(hubs=0.0)
    even = plain.texts(query[None], sentences) @ plain.pictures(np.stack([hub, other]), logits, bank).T
    assert np.ptp(even) < 1e-6 and ranked[0, 1] > ranked[0, 0] + 0.05


def test_a_hub_beyond_measure_still_has_a_unit_vector() -> None:
    far = made(hubs=50.0).pictures(drawn(9, 6), drawn(9, 7), drawn(5, 6, seed=5))
    assert np.isfinite(far).all() and np.allclose(np.linalg.norm(far, axis=1), 1)


def test_captions_are_typical_for_many_others() -> None:
    rows = np.concatenate(
        [np.eye(8)[each] + 0.05 * drawn(size, 8, seed=each) for each, size in ((0, 30), (3, 10))]
    )
    means, shares = typical(rows.astype(np.float32), 2)
    nearest = means.argmax(axis=1)
    assert dict(zip(nearest.tolist(), shares.tolist(), strict=True)) == {0: 0.75, 3: 0.25}


def test_captions_of_other_pictures_are_half_of_the_typical_ones() -> None:
    pictures, texts = drawn(40, 9, seed=1), drawn(80, 5, seed=2)
    others = drawn(30, 5, seed=3) + 4 * np.eye(5, dtype=np.float32)[0]
    pairs = Pairs(pictures=pictures, texts=texts, owners=np.repeat(np.arange(40), 2).tolist())
    head = Head(torch.from_numpy(pictures), torch.from_numpy(texts), HeadPlan(embed_dim=4)).maps()
    classifier = torch.ones(3, 9), torch.zeros(3)
    alone, with_others = (
        calibrate(head, pairs, drawn(3, 5), classifier, further).calibration for further in (None, others)
    )
    assert alone.shares.sum() == pytest.approx(1) and len(alone.shares) == 80
    assert with_others.shares[:80].sum() == pytest.approx(0.5) == with_others.shares[80:].sum()
    assert (with_others.bank[80:] @ unit_rows(others).T).max(axis=0).min() > 0.99
    assert alone.middle != with_others.middle, "the hubs of the training pictures are others"


@pytest.mark.parametrize(
    "harm",
    [
        lambda table, _: table.pop("middle"),
        lambda table, _: table.update(sharpness=0),
        lambda table, _: table.update(hubs="much"),
        lambda table, _: table.update(classes=float("nan")),
        lambda _, tensors: tensors.pop("bank"),
        lambda _, tensors: tensors.update(names=torch.zeros(6, 11)),
        lambda _, tensors: tensors.update(shares=torch.zeros(4)),
        lambda _, tensors: tensors.update(shares=0 * tensors["shares"]),
        lambda _, tensors: tensors.update(shares=tensors["shares"][:, None]),
        lambda _, tensors: tensors.update(shares=torch.tensor(1.0)),
        lambda _, tensors: tensors["shares"][:2].copy_(
            torch.tensor([-1.0, float(tensors["shares"][:2].sum()) + 1])
        ),
        lambda _, tensors: tensors["shares"].fill_(float("nan")),
        lambda _, tensors: tensors["bank"][0].fill_(float("nan")),
        lambda _, tensors: tensors["names"][0].fill_(float("inf")),
    ],
)
def test_a_damaged_calibration_is_told(harm: Any) -> None:
    found = made().tensors() | {"names": made().names}
    table, tensors = dict(TABLE), {name: torch.from_numpy(each) for name, each in found.items()}
    assert read_calibration(table, tensors, 11, 7).table() == TABLE
    harm(table, tensors)
    with pytest.raises(BadInput, match="imagescope train photos"):
        read_calibration(table, tensors, 11, 7)


@pytest.mark.slow
@pytest.mark.parametrize("inside", [True, False], ids=["names in the file", "names made here"])
def test_a_calibrated_head_is_assembled_as_the_formula_says(
    inside: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMAGESCOPE_CACHE", str(tmp_path / "cache"))
    vision, text, head = VISION["efficientnet-lite2"], TEXT["all-minilm-l6-v2"], tmp_path / "head"
    own, table = write_head(head, inside=inside)
    paths = [tmp_path / f"{number}.png" for number in range(3)]
    for number, path in enumerate(paths):
        Image.effect_mandelbrot((90, 70), (-2 + number / 5, -1, 1, 1), 30).convert("RGB").save(path)
    features, _ = picture_features(paths, vision, tmp_path / "work")
    sentences = caption_features(TEXTS, text, tmp_path / "work")
    weight, shift = (each.float().numpy() for each in vision.tensors()[1])
    if not inside:
        own |= {"names": caption_features(class_texts(vision), text, tmp_path / "work")}
    wanted = by_formula(
        made(**{name: own[name] for name in ("names", "bank", "shares")}),
        (sentences @ own["text"].T, sentences),
        (features @ own["visual"].T + own["bias"], features @ weight.T + shift),
        own["bank"] @ own["text"].T,
    )
    embedder = open_embedder(f"assembled:{head}")
    images = embedder.images([Image.open(path).convert("RGB") for path in paths])
    length = np.sqrt(1 + 0.3 + 0.25**2) * np.sqrt(1 + 0.3 + 0.5**2)
    assert images.shape == (3, embedder.dimension) == (3, 16 + 384 + 2)
    assert np.allclose(length * embedder.texts(TEXTS) @ images.T, wanted, atol=5e-3)
    assert np.allclose(unit_rows(images), images, atol=1e-5)
    before = embedder.weights
    table["calibration"] |= {"hubs": 0.4}
    (head / "head.json").write_text(json.dumps(table))
    assert open_embedder(f"assembled:{head}").weights != before


@pytest.mark.slow
def test_names_of_classes_are_made_once_and_those_of_another_timm_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMAGESCOPE_CACHE", str(tmp_path / "cache"))
    head, other = tmp_path / "head", tmp_path / "other"
    write_head(head, inside=False)
    texts = open_embedder(f"assembled:{head}").texts(TEXTS)
    names = assemble(head) / "names.safetensors"
    whole = names.read_bytes()
    names.write_bytes(whole[:-4] + b"\1\2\3\4")
    assert assemble(head) == names.parent and names.read_bytes() == whole
    _, table = write_head(other, inside=False)
    (other / "head.json").write_text(json.dumps(table | {"calibration": TABLE}))
    with pytest.raises(BadInput, match="imagescope train photos"):  # neither names nor what they must be
        open_embedder(f"assembled:{other}")
    monkeypatch.setattr(class_names, "class_texts", lambda _: ["a photo of a thing"] * 1000)
    assert np.array_equal(open_embedder(f"assembled:{head}").texts(TEXTS), texts)  # made before
    (other / "head.json").write_text(
        json.dumps(table | {"calibration": table["calibration"] | {"hubs": 0.4}})
    )
    with pytest.raises(BadInput, match="timm names ImageNet's classes otherwise") as refused:
        open_embedder(f"assembled:{other}")
    assert "\n" not in str(refused.value)
    assert [path.name for path in names.parent.parent.iterdir()] == [
        names.parent.name
    ]  # nothing else is kept
