"""The photo head learns from features, goes on after a kill, and refuses another training's checkpoint."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from imagescope_agent import cli
from imagescope_agent.errors import BadInput
from imagescope_agent.lab.training.photos import features
from imagescope_agent.lab.training.photos import head as head_module
from imagescope_agent.lab.training.photos.features import FeatureStore
from imagescope_agent.lab.training.photos.head import HeadPlan, HeadTrainer, Pairs, recall
from imagescope_agent.lab.training.photos.merged import Maps, merged
from imagescope_agent.lab.training.photos.pipeline import train_heads
from imagescope_agent.retrieval.embedders import open_embedder
from imagescope_agent.retrieval.embedders.backbones import VISION
from imagescope_agent.retrieval.images import digest
from tests.conftest import PALETTE

PLAN = HeadPlan(embed_dim=16, steps=60, batch=64, classes=8, peak_lr=1e-2)


def pairs(count: int, seed: int, mixing: int = 9) -> Pairs:
    """Pictures and captions that are two views of one hidden vector."""
    hidden = np.random.default_rng(seed).normal(size=(count, 6))
    views = [
        np.random.default_rng(mixing + each).normal(size=(6, width)) for each, width in ((0, 40), (1, 20))
    ]
    pictures, texts = ((hidden @ view).astype(np.float32) for view in views)
    return Pairs(
        pictures=pictures, texts=np.repeat(texts, 2, axis=0), owners=np.repeat(np.arange(count), 2).tolist()
    )


def weights(trainer: HeadTrainer) -> list[torch.Tensor]:
    return [each.detach().clone() for each in trainer.head.parameters()]


def test_it_finds_pictures_it_never_saw(tmp_path: Path) -> None:
    dev = pairs(100, 2)
    trainer = HeadTrainer(pairs(400, 1), None, PLAN, tmp_path / "a")
    before = recall(trainer.head, dev)
    assert recall(trainer.train(dev), dev)["R@1"] > before["R@1"] + 0.4
    curve = [json.loads(line) for line in (tmp_path / "a" / "curve.jsonl").read_text().splitlines()]
    assert curve[-1]["step"] == PLAN.steps and set(curve[-1]) == {"step", "loss", "R@1", "R@5", "R@10"}


def test_after_a_kill_the_same_head_comes_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(head_module, "SAVE_EVERY", 20)
    data = pairs(200, 1)
    classes = (data.pictures[:10], data.texts[:10])
    whole = HeadTrainer(data, classes, PLAN, tmp_path / "whole")
    whole.train()
    cut = HeadTrainer(data, classes, PLAN, tmp_path / "cut")
    take, taken = cut._take_step, 0

    def killed() -> float:
        nonlocal taken
        taken += 1
        if taken > 33:
            raise KeyboardInterrupt
        return take()

    monkeypatch.setattr(cut, "_take_step", killed)
    with pytest.raises(KeyboardInterrupt):
        cut.train()
    again = HeadTrainer(data, classes, PLAN, tmp_path / "cut")
    assert again.step == 20
    again.train()
    for one, other in zip(weights(whole), weights(again), strict=True):
        assert torch.allclose(one, other, atol=1e-6)


def test_merged_heads_are_as_near_as_all_of_them_added() -> None:
    data, drawn = pairs(60, 1), np.random.default_rng(5)
    heads = [
        Maps(**{
            name: torch.from_numpy(drawn.normal(size=shape).astype(np.float32))
            for name, shape in {"visual": (30, 40), "bias": (30,), "text": (30, 20)}.items()
        })
        for _ in range(3)
    ]  # fmt: skip
    rows, told = torch.from_numpy(data.pictures), torch.from_numpy(data.texts)
    whole = merged(heads, data.pictures, data.texts)
    assert whole.visual.shape == (20, 40) and whole.text.shape == (20, 20), "no wider than features of texts"
    wanted = torch.zeros(len(told), len(rows))
    for head in heads:
        pictures, texts = rows @ head.visual.T + head.bias, told @ head.text.T
        wanted += texts @ pictures.T / pictures.norm(dim=1).mean() / texts.norm(dim=1).mean()
    found = (told @ whole.text.T) @ (rows @ whole.visual.T + whole.bias).T
    assert torch.allclose(found / found.norm(), wanted / wanted.norm(), atol=1e-6)


def test_heads_of_a_plan_differ_and_those_that_are_finished_are_not_trained_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data, plan = pairs(100, 1), replace(PLAN, steps=10, heads=3, seed=2)
    whole = train_heads(data, None, plan, tmp_path / "whole", None)
    assert "head 3 of 3" in capsys.readouterr().out and not torch.equal(whole[0].text, whole[1].text)
    assert {path.name for path in (tmp_path / "whole").iterdir()} == {"photos-6", "photos-7", "photos-8"}
    take, taken = HeadTrainer._take_step, 0

    def killed(self: HeadTrainer) -> float:
        nonlocal taken
        taken += 1
        if taken == 15:
            raise KeyboardInterrupt
        return take(self)

    monkeypatch.setattr(HeadTrainer, "_take_step", killed)
    with pytest.raises(KeyboardInterrupt):
        train_heads(data, None, plan, tmp_path / "cut", None)
    again = train_heads(data, None, plan, tmp_path / "cut", None)
    assert taken == 15 + 20, "the first head is read, the second begins anew"
    for one, other in zip(whole, again, strict=True):
        assert all(torch.equal(value, other.tensors()[name]) for name, value in one.tensors().items())
    with pytest.raises(BadInput, match="holds another training"):
        train_heads(data, None, replace(plan, steps=20), tmp_path / "cut", None)


def test_features_are_computed_once(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path / "features.sqlite")
    assert store.missing(["a", "b", "a"]) == ["a", "b"]
    store.add(["a"], np.full((1, 3), 0.5, np.float32))
    assert FeatureStore(tmp_path / "features.sqlite").missing(["a", "b"]) == ["b"]
    assert store.rows(["a", "a"]).tolist() == [[0.5] * 3] * 2


def test_each_picture_is_hashed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backbone, hashed = VISION["efficientnet-lite2"], list[Path]()
    paths = [tmp_path / f"{number}.png" for number in range(4)]
    for number, path in enumerate(paths):
        Image.new("RGB", (8, 8), (number % 3, 0, 0)).save(path)  # the first and the last are copies

    def hash_once(path: Path) -> str:
        hashed.append(path)
        return digest(path)

    monkeypatch.setattr(features, "digest", hash_once)
    monkeypatch.setattr(
        features, "_trunk", lambda _: lambda images: np.stack([np.asarray(each)[0, 0, :1] for each in images])
    )
    rows, kept = features.picture_features(paths, backbone, tmp_path / "work")
    assert hashed == paths == kept and rows[:, 0].tolist() == [0, 1, 2, 0]


@pytest.mark.slow
def test_the_command_trains_a_head_that_opens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("IMAGESCOPE_CACHE", str(tmp_path / "cache"))
    photos, lines = tmp_path / "photos", []
    photos.mkdir()
    for number in range(5):
        for name, colour in PALETTE.items():
            Image.new("RGB", (40 + number, 40), colour).save(photos / f"{name}{number}.png")
            lines.append(
                {"file_name": f"{name}{number}.png", "captions": [f"a {name} wall", f"something {name}"]}
            )
    (photos / "broken.png").write_bytes((photos / "red0.png").read_bytes()[:50])
    (photos / "metadata.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    command = [
        "train",
        "photos",
        "--data",
        str(photos),
        "--work",
        str(tmp_path / "work"),
        "--out",
        str(tmp_path / "head"),
    ]
    others = tmp_path / "others.txt"
    assert cli.main([*command, "--captions", str(others)]) == BadInput.exit_code
    assert "cannot read" in capsys.readouterr().err
    others.write_text("a bowl of fruit\n\na street at night\n")
    assert cli.main([*command, "--dev", str(photos), "--captions", str(others), "--steps", "20"]) == 0
    shares = load_file(tmp_path / "head" / "head.safetensors")["shares"].tolist()
    assert shares[-2:] == [0.25, 0.25], "half of what holds hubs back is of the two other captions"

    assert "R@10" in capsys.readouterr().out
    known = (tmp_path / "head" / "domain" / "words.txt").read_text().split()
    assert {"wall", "broccoli"} <= {*known}, "words of the captions, and of the names of classes"
    embedder = open_embedder(f"assembled:{tmp_path / 'head'}")
    found = (
        embedder.texts(["a red wall"])
        @ embedder.images([Image.new("RGB", (40, 40), c) for c in PALETTE.values()]).T
    )
    assert embedder.dimension == 384 + 384 + 2 and list(PALETTE)[int(found.argmax())] == "red"
    assert cli.main([*command, "--steps", "30"]) == BadInput.exit_code
    assert "holds another training" in capsys.readouterr().err
    for photo in photos.glob("*.png"):  # as many pictures, with other colours
        if photo.name != "broken.png":
            Image.new("RGB", (40, 40), (9, 9, len(photo.name))).save(photo)
    assert cli.main([*command, "--steps", "20"]) == BadInput.exit_code
    assert "holds another training" in capsys.readouterr().err
