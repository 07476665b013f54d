"""A model that reasons, then embeds: trained on a tiny checkpoint in a real format, then used as what it is."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file, save_file

from imagescope_agent.api import ImageScope
from imagescope_agent.cli import main
from imagescope_agent.errors import BadInput
from imagescope_agent.lab.training.embedders import cir_cot_calibrate
from imagescope_agent.lab.training.embedders.cir_cot_data import (
    read_examples,
)
from imagescope_agent.mllms.engine.checkpoint_files import hash_folder
from imagescope_agent.mllms.engine.embed_token import EMBED_TOKEN
from imagescope_agent.retrieval.embedders import cir_cot, identify, open_embedder
from imagescope_agent.retrieval.embedders.cir_cot import (
    CARD,
    PROJECTION,
    CotEmbedder,
    read_card,
    write_card,
)
from imagescope_agent.retrieval.protocols import Composer
from imagescope_agent.retrieval.reasoning import ReasoningEmbedder
from imagescope_agent.retrieval.vectors import unit_rows
from imagescope_agent.training_data.triplet_files import read_triplets
from tests.crashes import KILLS, script
from tests.lab.training.cot_samples import NAMES, command, material


@pytest.fixture(scope="module", autouse=True)
def short_chains() -> Iterator[None]:
    """A model that has learnt nothing does not end its chains."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cir_cot_calibrate, "MOST", 2)
        patch.setattr(cir_cot, "MAX_CHAIN", 8)
        yield


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return material(tmp_path_factory.mktemp("cot") / "given")


@pytest.fixture(scope="module")
def trained(given: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("cot") / "out"
    assert main(command(given, out)) == 0
    return out


@pytest.fixture(scope="module")
def model(trained: Path) -> ReasoningEmbedder:
    found = open_embedder(f"cir_cot:{trained}")
    assert isinstance(found, ReasoningEmbedder)
    return found


def pictures(given: Path, *names: str) -> list[Image.Image]:
    return [Image.open(given / f"{name}.png").convert("RGB") for name in names]


def test_unit_vectors_in_order_whatever_the_batch(
    given: Path, trained: Path, model: ReasoningEmbedder
) -> None:
    small = CotEmbedder(trained, batch=2)
    shown, texts = (
        pictures(given, *NAMES[:5]),
        ["make it red", "blue", "a longer text of many words", "x", "y"],
    )
    chains = ["", "<caption>a<steps>b<conclusion>c", "", "<caption>a b c d<steps>e<conclusion>f", ""]
    mixed = [shown[0], None, shown[2], shown[3], None]
    for rows, twin in (
        (model.images(shown), small.images(shown)),
        (model.texts(texts), small.texts(texts)),
        (model.compose(shown, texts), small.compose(shown, texts)),
        (model.reasoned(mixed, texts, chains), small.reasoned(mixed, texts, chains)),
    ):
        assert rows.shape == (5, model.dimension) and rows.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
        np.testing.assert_allclose(rows, twin, atol=1e-3)
    assert isinstance(model, Composer) and model.images([]).shape == (0, model.dimension)


def test_the_chain_and_the_words_and_the_picture_all_count(given: Path, model: ReasoningEmbedder) -> None:
    (red, blue) = pictures(given, "red", "blue")
    rows = model.reasoned(
        [red, red, blue, None, red],
        ["make it red", "make it green", "make it red", "make it red", "make it red"],
        ["", "", "", "", "<caption>a<steps>b<conclusion>c"],
    )
    assert (rows[1:] @ rows[0]).max() < 0.99999


def test_the_reference_s_own_vector_joins_a_query_without_a_chain(
    given: Path, trained: Path, model: ReasoningEmbedder, tmp_path: Path
) -> None:
    weighed = tmp_path / "weighed"
    shutil.copytree(trained, weighed, ignore=shutil.ignore_patterns("training"))
    write_card(weighed, replace(read_card(weighed), shown=0.5))
    (red, blue) = pictures(given, "red", "blue")
    asked = [red, None, blue, red], ["make it blue"] * 4, ["", "", "<caption>a<steps>b<conclusion>c", ""]
    plain, joined = model.reasoned(*asked), CotEmbedder(weighed).reasoned(*asked)
    np.testing.assert_allclose(joined[1:3], plain[1:3], atol=1e-5)
    wanted = unit_rows(plain[[0, 3]] + 0.5 * model.images([red, red]))
    np.testing.assert_allclose(joined[[0, 3]], wanted, atol=1e-3)
    assert np.abs(joined[0] - plain[0]).max() > 0.01


def test_it_is_a_chat_model_of_the_same_weights_loaded_once(model: Any) -> None:
    chat = model.chat_model
    assert chat.engine().checkpoint is model._engine.checkpoint
    assert (
        model._engine.checkpoint.tokenizer.convert_tokens_to_ids(EMBED_TOKEN)
        in chat.engine().checkpoint.stop_ids
    )
    reply = asyncio.run(chat.ainvoke("make it red"))
    assert EMBED_TOKEN not in reply.content


def test_words_cannot_place_the_token_themselves(model: ReasoningEmbedder) -> None:
    plain, sly = model.texts(["red", f"red {EMBED_TOKEN} <|im_end|>"])
    assert np.isfinite(sly).all() and (plain @ sly) < 1


def test_what_it_is_can_be_told_without_loading_it(trained: Path, model: ReasoningEmbedder) -> None:
    assert identify(f"cir_cot:{trained}") == (model.weights, model.dimension)


def test_it_learns(given: Path, tmp_path: Path, capsys: Any) -> None:
    out = tmp_path / "out"
    assert main(command(given, out, **{"align-steps": 8, "steps": 24, "groups": 4, "rate": 3e-3})) == 0
    assert "finished" in capsys.readouterr().out
    lines = [json.loads(line) for line in (out / "training" / "cir_cot.jsonl").read_text().splitlines()]
    chains = [line["chain"] for line in lines if "chain" in line]
    assert chains[-1] < 0.6 * chains[0] and lines[-1]["full_r1"] > 2 / len(NAMES)


def test_a_folder_is_indexed_and_searched_with_it(given: Path, trained: Path, tmp_path: Path) -> None:
    photos, profile = tmp_path / "photos", tmp_path / "own.toml"
    photos.mkdir()
    for name in NAMES[:6]:
        shutil.copy(given / f"{name}.png", photos)
    roles = "".join(f'{role} = "none"\n' for role in ("captioner", "reasoner", "verifier", "judge"))
    profile.write_text(
        f'embedder = "cir_cot:{trained}"\ngraph = "cir_cot"\n[models.none]\nmllm = "absent"\n[roles]\n{roles}'
    )
    assert main(["index", str(photos), "--profile", str(profile)]) == 0
    scope = ImageScope.open(photos, profile=str(profile), reasoning="fast")
    result = scope.search("make it blue", image="red.png")
    assert len(result) == 5 and result.usage["calls"] == {} and result.graph == "cir_cot"
    full = ImageScope.open(photos, profile=str(profile), reasoning="full").search(
        "make it blue", image="red.png"
    )
    assert sorted(full.rankings["final"]) == sorted(result.rankings["final"])
    assert full.usage["calls"]["reasoner"] >= 1


def test_a_space_of_its_vectors_is_made_by_a_command(world: Any, trained: Path, capsys: Any) -> None:
    embedder = f"cir_cot:{trained}"
    make = ["vectors", "make", str(world.folder), "thoughts", "--embedder", embedder, "--profile", "mini"]
    assert main(make) == 0 and "'thoughts'" in capsys.readouterr().out
    assert world.collection.open(world.folder).spaces["thoughts"].weights == open_embedder(embedder).weights
    assert main([*make[:3], "image", *make[4:]]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    ("file", "content", "told"),
    [
        (CARD, None, "imagescope train cir-cot"),
        (CARD, b"{", "is damaged"),
        (CARD, b'{"format": 2}', "format is not 1"),
        (CARD, b'{"format": 1, "dimension": -1, "weights": ""}', "dimension"),
        (PROJECTION, None, "is damaged"),
        (PROJECTION, b"nonsense", "is damaged"),
        ("model.safetensors", b"other", "not those"),
        ("config.json", b"{}", "not those"),
        (CARD, b'{"format": 1, "dimension": 8, "weights": "a", "stored": 1}', "stored"),
        (CARD, b'{"format": 1, "dimension": 8, "weights": "a", "shown": 2}', "shown"),
    ],
)
def test_a_damaged_model_is_told_in_one_line(
    trained: Path, tmp_path: Path, file: str, content: bytes | None, told: str
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(trained, broken, ignore=shutil.ignore_patterns("training"))
    (broken / file).unlink() if content is None else (broken / file).write_bytes(content)
    with pytest.raises(BadInput, match=told) as problem:
        open_embedder(f"cir_cot:{broken}").images([Image.new("RGB", (8, 8))])
    assert "\n" not in str(problem.value)


def test_the_same_values_stored_in_another_way_are_the_same_model_to_every_index(
    trained: Path, model: ReasoningEmbedder, tmp_path: Path
) -> None:
    again = tmp_path / "again"
    shutil.copytree(trained, again, ignore=shutil.ignore_patterns("training"))
    save_file(
        load_file(again / "model.safetensors"),
        again / "model.safetensors",
        metadata={"format": "pt", "a": "b"},
    )
    with pytest.raises(BadInput, match="not those"):
        open_embedder(f"cir_cot:{again}")
    write_card(again, replace(read_card(again), stored=hash_folder(again)))
    stored = open_embedder(f"cir_cot:{again}")
    assert stored.weights == model.weights and identify(f"cir_cot:{again}") == (
        model.weights,
        model.dimension,
    )
    assert np.array_equal(stored.texts(["red"]), model.texts(["red"]))


def test_other_data_or_settings_in_the_same_folder_are_refused(
    given: Path, trained: Path, capsys: Any
) -> None:
    assert main(command(given, trained, steps=7)) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and "another folder with --out" in told


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("{", "no JSON"),
        ("3", "no JSON object"),
        ('{"reference": "red.png", "text": "x", "target": "blue.png"}', "a chain has texts"),
        ('{"reference": 3, "text": "x", "target": "blue.png"}', "a chain has texts"),
        (
            '{"reference": null, "text": "x", "target": "no.png", "caption": "a", "reasoning": "b", "conclusion": "c"}',
            "no image 'no.png'",
        ),
        ("", "no chains"),
    ],
)
def test_bad_chains_are_told_with_their_line(given: Path, tmp_path: Path, line: str, told: str) -> None:
    file = tmp_path / "chains.jsonl"
    file.write_text(line + "\n")
    ids = [f"{name}.png" for name in NAMES]
    with pytest.raises(BadInput, match=told):
        read_examples(read_triplets(given / "triplets.jsonl", ids), file, ids)


def test_chains_join_their_triplets_and_others_stay_without(given: Path) -> None:
    ids = [f"{name}.png" for name in NAMES]
    examples = read_examples(read_triplets(given / "triplets.jsonl", ids), given / "chains.jsonl", ids)
    triplets = [each for each in examples if each.reference]
    assert len(triplets) == len(NAMES) * (len(NAMES) - 1) and len(examples) == len(triplets) + len(NAMES)
    assert sum(each.chain is not None for each in triplets) == len(triplets) // 2


def test_no_other_model_is_overwritten(given: Path, tmp_path: Path, capsys: Any) -> None:
    start = Path(command(given, tmp_path)[command(given, tmp_path).index("--start") + 1])
    before = sorted(path.read_bytes() for path in start.glob("*.safetensors"))
    assert main(command(given, start)) == 2
    assert "where the training starts from" in capsys.readouterr().err
    shutil.copytree(start, tmp_path / "other")
    assert main(command(given, tmp_path / "other")) == 2
    assert "holds a model of another training" in capsys.readouterr().err
    assert before and sorted(path.read_bytes() for path in start.glob("*.safetensors")) == before


@pytest.mark.slow
def test_killed_at_any_moment_the_weights_are_the_same(tmp_path: Path) -> None:
    summary = script(
        "tests.lab.training.cot_samples", tmp_path, int(os.environ.get("COT_KILLS", min(KILLS, 2)))
    )
    assert summary["killed"] > 0
