"""Composers: what they learn, that a killed training ends at the same weights, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from imagescope_agent.cli import main
from imagescope_agent.errors import BadInput
from imagescope_agent.lab.training.embedders.composer import ComposerPlan, ComposerTrainer, train_composer
from imagescope_agent.registry import load_graph
from imagescope_agent.retrieval.embedders import composer_card, open_embedder
from imagescope_agent.retrieval.embedders.composer import ComposedEmbedder
from imagescope_agent.retrieval.embedders.composer_card import CARD, read_card
from imagescope_agent.retrieval.embedders.network_files import WEIGHTS
from imagescope_agent.retrieval.protocols import Composer, Embedder
from imagescope_agent.settings import Settings
from imagescope_agent.training_data.triplet_files import read_triplets
from tests.crashes import KILLS, Moments, script, undisturbed
from tests.lab.training.hues import Hues, hues, turns

PLAN = ComposerPlan(steps=150, batch=64, hidden=64, dropout=0.1, every=25)


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return hues(tmp_path_factory.mktemp("hues") / "pictures")


@pytest.fixture(scope="module")
def folder(collection: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("composer")
    train_composer(collection, Hues(), "hues", turns(), out, plan=PLAN, source=["turns.jsonl"])
    return out


def composed(folder: Path) -> ComposedEmbedder:
    return ComposedEmbedder(Hues(), folder, read_card(folder))


def test_it_learns_what_the_mean_of_the_vectors_does_not_know(folder: Path) -> None:
    made = read_card(folder).trained
    assert made["before"]["R@10"] < 0.5 < 0.9 < made["after"]["R@10"]
    assert made["triplets"] + made["held_out"] < len(
        turns()
    )  # what leads to a held-out reference is not used
    card = (folder / "README.md").read_text()
    assert "turns.jsonl" in card and f"{made['triplets']} triplets" in card
    assert (folder / "curve.svg").read_text().startswith("<svg")
    curve = [json.loads(line) for line in (folder / "training" / "curve.jsonl").read_text().splitlines()]
    assert [line["step"] for line in curve] == list(range(25, made["steps"] + 1, 25))


def test_images_and_texts_stay_the_embedder_s(folder: Path, collection: Any) -> None:
    embedder, plain = composed(folder), Hues()
    picture = Image.open(collection.folder / "003.png")
    assert isinstance(embedder, Embedder) and isinstance(embedder, Composer)
    assert embedder.weights == plain.weights and embedder.composer
    np.testing.assert_array_equal(embedder.images([picture]), plain.images([picture]))
    np.testing.assert_array_equal(embedder.texts(["turn 90"]), plain.texts(["turn 90"]))
    rows = embedder.compose([picture, picture], ["turn 90", "turn 30"])
    assert rows.shape == (2, 12) and rows.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(rows[1:], embedder.compose([picture], ["turn 30"]), atol=1e-5)
    assert embedder.compose([], []).shape == (0, 12)


def test_the_graph_composes_and_asks_nobody(folder: Path, collection: Any, world: Any) -> None:
    import asyncio

    services = replace(world.services(), embedder=composed(folder), collection=collection)
    run = load_graph("mra")(services).ainvoke
    state = asyncio.run(run({"query": "turn 90", "reference": "010.png"}, context=Settings(tau=0.0)))
    assert abs(int(state["ranking"][0][:3]) - 28) <= 2  # 90 degrees are 18 of 72 pictures
    assert "010.png" not in state["ranking"] and state["notes"] == []
    assert [entry["calls"] for entry in state["usage"]] == [0]
    text = asyncio.run(run({"query": "turn 90"}, context=Settings(tau=0.0)))
    plain = replace(services, embedder=Hues())
    other = asyncio.run(
        load_graph("retrieve")(plain).ainvoke({"query": "turn 90"}, context=Settings(tau=0.0))
    )
    assert text["ranking"] == other["ranking"]
    with pytest.raises(BadInput, match="imagescope train composer"):
        asyncio.run(load_graph("mra")(plain).ainvoke({"query": "turn 90", "reference": "010.png"}))


def train(collection: Any, out: Path) -> None:
    train_composer(collection, Hues(), "hues", turns(), out, plan=PLAN)


def test_cut_off_after_a_step_it_ends_at_the_same_weights(
    collection: Any, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    advance, left = ComposerTrainer._advance, [60]

    def dying(self: ComposerTrainer) -> float:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return advance(self)

    monkeypatch.setattr(ComposerTrainer, "_advance", dying)
    with pytest.raises(KeyboardInterrupt):
        train(collection, tmp_path)
    assert not (tmp_path / CARD).exists()
    monkeypatch.setattr(ComposerTrainer, "_advance", advance)
    train(collection, tmp_path)
    for name in (WEIGHTS, "training/curve.jsonl"):
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()


@pytest.mark.slow
def test_killed_at_any_moment_it_ends_at_the_same_weights(tmp_path: Path) -> None:
    summary = script("tests.lab.training.test_composer", tmp_path, min(KILLS, 3) if KILLS == 12 else KILLS)
    assert summary["killed"] > 0


def kill(base: Path, count: int) -> dict[str, Any]:
    collection = hues(base / "pictures")
    seconds = undisturbed(partial(train, collection, base / "whole"))
    moments, kills, tries = Moments(0, seconds), 0, 0
    while kills < count and tries < 4 * count:
        tries += 1
        out = base / f"out{tries}"
        if moments.kill(partial(train, collection, out)):
            kills += 1
            undisturbed(partial(train, collection, out))
            for name in (WEIGHTS, CARD):
                assert (out / name).read_bytes() == (base / "whole" / name).read_bytes(), tries
    return {"killed": kills, "tries": tries}


def test_another_training_in_the_same_folder_is_refused(collection: Any, folder: Path) -> None:
    with pytest.raises(BadInput, match="--out"):
        train_composer(collection, Hues(), "hues", turns()[:100], folder, plan=PLAN)


def test_too_few_triplets_are_refused(collection: Any, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="at least 20"):
        train_composer(collection, Hues(), "hues", turns()[:12], tmp_path, plan=PLAN)


def test_a_composer_of_other_weights_is_refused(folder: Path) -> None:
    other = Hues()
    other.weights = "hues-2"
    with pytest.raises(BadInput, match="other weights"):
        ComposedEmbedder(other, folder, read_card(folder))


@pytest.mark.parametrize(
    "damage",
    [
        {"format": 2},
        {"dimension": 10**9},
        {"hidden": True},
        {"embedder": 3},
        {"more": 1},
        {"hidden": 65},
        {"composed": True},
        {"format": 3, "composed": 1},
    ],
)
def test_a_damaged_composer_is_one_clear_line(folder: Path, tmp_path: Path, damage: dict[str, Any]) -> None:
    values = json.loads((folder / CARD).read_text())
    (tmp_path / CARD).write_text(json.dumps({**values, **damage}))
    (tmp_path / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes())
    with pytest.raises(BadInput, match="damaged") as caught:
        composed(tmp_path)
    assert "\n" not in str(caught.value)


def test_damaged_weights_are_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:-40])
    (tmp_path / CARD).write_bytes((folder / CARD).read_bytes())
    with pytest.raises(BadInput, match="damaged"):
        composed(tmp_path)
    with pytest.raises(BadInput, match="no composer"):
        open_embedder(f"composer:{tmp_path / 'nowhere'}")


@pytest.mark.parametrize("spec", ["os:system:echo", "composer:.", "tests.lab.training.hues:Hues:"])
def test_a_card_names_no_code(folder: Path, tmp_path: Path, spec: str) -> None:
    values = json.loads((folder / CARD).read_text())
    (tmp_path / CARD).write_text(json.dumps({**values, "embedder": spec}))
    (tmp_path / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes())
    with pytest.raises(BadInput, match="no kind of ours"):
        open_embedder(f"composer:{tmp_path}")


def test_a_place_of_the_package_is_found_wherever_it_is_installed() -> None:
    shipped = composer_card.located("package:mini/clip")
    assert shipped.is_dir() and composer_card.portable(str(shipped)) == "package:mini/clip"
    assert composer_card.portable(f"multimodal:{shipped}") == "multimodal:package:mini/clip"
    assert composer_card.portable("hf-hub:a/b@c") == "hf-hub:a/b@c"


FORMS = {
    "ours": '{"reference": "003.png", "text": "turn 90", "target": "021.png", "distractors": ["020.png", "gone"]}\n',
    "cirr": json.dumps(
        [
            {
                "pairid": 1,
                "reference": "003",
                "target_hard": "021",
                "caption": "turn 90",
                "img_set": {"members": ["003", "021", "020"]},
            }
        ]
    ),
    "fashioniq": json.dumps([{"candidate": "003", "target": "021", "captions": ["turn 90.", ""]}]),
    "lasco": json.dumps(
        [{"query-image": [3, "x/003.png"], "query-text": "turn 90", "target-image": [4, "y/021.png"]}]
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_triplets_of_others_are_read(form: str, collection: Any, tmp_path: Path) -> None:
    file = tmp_path / "triplets.json"
    file.write_text(FORMS[form])
    (found,) = read_triplets(file, collection.ids)
    assert (found.reference, found.text, found.target) == ("003.png", "turn 90", "021.png")
    assert found.distractors == (("020.png",) if form in ("ours", "cirr") else ())


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "holds no triplets"),
        ("[]", "holds no triplets"),
        ('{"reference": "003.png", "text": "turn', "line 1"),
        ('[{"reference": "003.png"', "cut off"),
        (
            '{"reference": "003.png", "text": " ", "target": "021.png"}',
            "no known form|no triplet of a known form",
        ),
        ('{"reference": "903.png", "text": "turn 90", "target": "021.png"}', "no image '903.png'"),
        ('{"reference": "003.png", "text": "turn 90", "target": "003"}', "is the reference"),
        ("[3]", "no JSON object"),
        ("[" * 99, "no JSON"),
    ],
)
def test_bad_triplets_are_one_clear_line_and_exit_2(
    text: str, problem: str, collection: Any, tmp_path: Path, capsys: Any
) -> None:
    file = tmp_path / "triplets.jsonl"
    file.write_text(text)
    with pytest.raises(BadInput, match=problem):
        read_triplets(file, collection.ids)
    command = [
        "train",
        "composer",
        str(collection.folder),
        "--triplets",
        str(file),
        "--out",
        str(tmp_path / "c"),
    ]
    assert main([*command, "--profile", "mini"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_no_collection_and_an_index_of_other_weights_exit_2(
    collection: Any, tmp_path: Path, capsys: Any
) -> None:
    file = tmp_path / "triplets.jsonl"
    file.write_text("".join(json.dumps(vars(each)) + "\n" for each in turns()))
    for folder, problem in ((tmp_path / "none", "no collection"), (collection.folder, "imagescope index")):
        command = ["train", "composer", str(folder), "--triplets", str(file), "--out", str(tmp_path / "c")]
        assert main([*command, "--profile", "mini"]) == 2
        said = capsys.readouterr().err
        assert problem in said and said.count("\n") == 1


if __name__ == "__main__":
    import sys

    json.dump(kill(Path(sys.argv[1]), int(sys.argv[2])), sys.stdout)
