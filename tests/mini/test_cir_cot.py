"""The shipped model that reasons, then embeds, end to end: nothing here is scripted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from imagescope_agent import ImageScope
from imagescope_agent.api import index_folder
from imagescope_agent.cli import main
from imagescope_agent.lab.scenes.make import make_world
from imagescope_agent.mllms.engine.attention_heads import read_heads
from imagescope_agent.replies.chains import Chain, parse_chain
from imagescope_agent.retrieval.embedders.cir_cot import CARD, read_card

SHIPPED = Path(__file__).parents[2] / "imagescope_agent" / "mini"
MODEL = SHIPPED / "cir_cot"
MOST = 15 * 2**20  # bytes of the model

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drawn")
    make_world(folder, 78, 64)
    index_folder(folder / "images", profile="mini_cot")
    return folder


def composed(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "cir.jsonl").read_text(encoding="utf-8").splitlines()]


def first_place(folder: Path, query: dict[str, Any], **settings: Any) -> bool:
    scope = ImageScope.open(folder / "images", **settings)
    found = scope.search(query["text"], image=query["reference"].removeprefix("images/"), k=64)
    ids = [hit.id for hit in found]
    assert len(ids) == len(set(ids)) == 63
    return f"images/{ids[0]}" in query["targets"]


def test_one_lookup_beats_the_plain_embedder_on_composed_queries(drawn: Path, tmp_path: Path) -> None:
    asked = composed(drawn)
    fast = sum(first_place(drawn, each, graph="cir_cot", reasoning="fast") for each in asked)
    plain = tmp_path / "plain"
    make_world(plain, 78, 64)
    index_folder(plain / "images", profile="mini")
    assert fast > sum(first_place(plain, each, graph="retrieve") for each in asked)


def test_the_chain_is_written_with_one_call_and_told(drawn: Path) -> None:
    query = composed(drawn)[0]
    scope = ImageScope.open(drawn / "images", reasoning="full")
    assert scope.services.profile == "mini_cot"
    found = scope.search(query["text"], image=query["reference"].removeprefix("images/"))
    assert sum(found.usage["calls"].values()) == 1 and found.graph == "cir_cot"
    assert parse_chain(str(Chain(**found.chain))).conclusion == found.intent["full"]
    assert found.chain["caption"].startswith("From left to right:")
    auto = ImageScope.open(drawn / "images").search(
        query["text"], image=query["reference"].removeprefix("images/")
    )
    assert sum(auto.usage["calls"].values()) <= 1


def test_it_is_small_and_says_what_it_was_found_to_do() -> None:
    assert sum(file.stat().st_size for file in MODEL.iterdir()) <= MOST
    card = read_card(MODEL)
    held = card.trained["held_out"]
    assert 0 <= card.threshold <= 2 and held["queries"] >= 100 and (MODEL / CARD).exists()
    assert held["auto"]["R@1"] >= held["full"]["R@1"] - 0.005


def test_the_profile_is_listed_and_the_chosen_heads_are_read(capsys: Any) -> None:
    assert main(["profiles"]) == 0 and "mini_cot" in capsys.readouterr().out
    assert read_heads(SHIPPED / "mllm") is not None
