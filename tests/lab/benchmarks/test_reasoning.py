"""The bench of a model that reasons: what a conclusion says of a scene, and the table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from imagescope_agent.commands.benches import REASONING_WAYS
from imagescope_agent.errors import BadInput
from imagescope_agent.lab.benchmarks import reasoning
from imagescope_agent.lab.benchmarks.reasoning_chains import is_true
from imagescope_agent.lab.benchmarks.reasoning_threshold import describe_curve, roles_leads, threshold_curve
from imagescope_agent.lab.scenes.world import Scene, Thing
from imagescope_agent.profiles.profile import load_profile
from imagescope_agent.retrieval.embedders.composer_card import ComposerCard, write_card
from tests.graphs.reasoning_colours import ReasoningColours

SCENE = Scene(
    things=(
        Thing(kind="house", colour="red", size="small", x=0.2, y=0.3, diameter=0.2),
        Thing(kind="fish", colour="blue", size="large", x=0.5, y=0.3, diameter=0.3),
        Thing(kind="fish", colour="blue", size="small", x=0.8, y=0.3, diameter=0.2),
    ),
    setting="night",
)


@pytest.mark.parametrize(
    ("conclusion", "true"),
    [
        ("a small red house and a large blue fish at night", True),
        ("a red house and two blue fish", True),
        ("a blue fish, a blue fish and a red house", True),
        ("a large red house at night", False),
        ("three blue fish", False),
        ("a red house in the snow", False),
        ("a red house, a green fish and a blue fish", False),
        ("a red house left of a blue fish", True),
    ],
)
def test_a_conclusion_is_held_against_the_scene(conclusion: str, true: bool) -> None:
    assert is_true(conclusion, SCENE) is true


def test_the_command_and_the_bench_know_the_same_ways() -> None:
    assert tuple(reasoning.WAYS) == REASONING_WAYS


def test_a_model_that_does_not_reason_is_refused() -> None:
    with pytest.raises(BadInput, match="does not reason"):
        reasoning.run(model=load_profile("mini").embedder)


def test_every_way_is_asked_the_same_queries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = ReasoningColours("<caption>a blank image<steps>Addition: a cat<conclusion>a cat", threshold=2.0)
    monkeypatch.setattr(reasoning, "open_embedder", lambda _name: model)
    ways = ["fast", "full", "auto", "plain vectors", "mra"]
    told: dict[str, Any] = {
        "seeds": [11],
        "images": 60,
        "queries": 4,
        "tries": 0,
        "composed": 0.5,
        "ways": ways,
        "apart": ["addition", "purple"],
    }
    found = reasoning.run(model="scripted", root=tmp_path, **told)
    assert list(found["ways"]) == ways[:-1] and found["queries"] == 4 and found["left_out"] == ["mra"]
    told_apart = found["ways"]["fast"]["apart"]
    assert list(told_apart) == ["addition", "purple", "none of them"]
    assert 2 <= sum(each["queries"] for each in told_apart.values()) <= 4
    assert "mra is left out" in reasoning.describe(found) and "purple (" in reasoning.describe(found)
    calls = {name: each["calls"] for name, each in found["ways"].items()}
    assert calls == {"fast": 0, "full": 1, "auto": 1, "plain vectors": 0}
    assert found["threshold"] is None and "roles_threshold" not in reasoning.describe(found)
    assert found["ways"]["fast"]["true"] is None
    assert found["ways"]["full"]["cir"] == found["ways"]["auto"]["cir"]
    assert reasoning.describe(found).count("\n| ") >= 4


def test_how_often_conclusions_are_true_is_told_of_every_way() -> None:
    rows: list[dict[str, Any]] = [
        {"kind": kind, "rank": 0, "calls": 1, "tokens": 9, "verdicts": 0, "true": true, "parts": []}
        for kind, true in (("cir", True), ("tir", False), ("cir", None), ("tir", True))
    ]
    means = reasoning._means(rows, ())
    assert means["true"] == 0.6667
    told = {
        "queries": 4,
        "ways": {"full by roles": means},
        "left_out": [],
        "composer": None,
        "threshold": None,
        "followed": None,
    }
    assert "full by roles: the conclusion is true of 66.7%" in reasoning.describe(told)


def test_what_taught_a_composer_is_told(tmp_path: Path) -> None:
    trained = {"triplets": 40, "files": ["true.jsonl"], "steps": 9}
    card = ComposerCard(embedder="clip", weights="w", dimension=4, hidden=4, trained=trained)
    write_card(tmp_path, card)
    told = reasoning.composer_told(f"composer:{tmp_path}")
    assert "40 triplets (true.jsonl), 9 steps" in told and "upper bound" in told
    assert reasoning.composer_told("multimodal:DIR") == "the embedder multimodal:DIR"


def test_the_threshold_of_the_roles_is_the_least_that_costs_nothing_of_its_kind() -> None:
    def asked(kind: str, rank: int, lead: float) -> dict[str, Any]:
        return {"kind": kind, "rank": rank, "lead": lead}

    fast = [asked("cir", rank, lead) for rank, lead in ((0, 0.4), (3, 0.1), (0, 0.3), (1, 0.2))]
    fast += [asked("tir", 0, 0.1), asked("tir", 2, 0.5)]
    full = [{"rank": rank} for rank in (0, 0, 1, 0, 4, 2)]
    found = threshold_curve({"fast": fast, "full by roles": full})
    assert found is not None
    composed, alone = found["cir"], found["tir"]
    assert 0.1 < composed["threshold"] <= 0.2 and composed["written"] == 0.25
    assert composed["R@1"][0] == 50 and composed["R@1"][50] == 100 and composed["R@1"][100] == 75
    assert alone["threshold"] == 0 and alone["written"] == 0 and alone["R@1"][100] == 0
    assert threshold_curve({"fast": fast}) is None
    told = describe_curve(found)
    assert (
        f"roles_threshold = {composed['threshold']} " in told[1] and "roles_threshold_text = 0.0 " in told[2]
    )


def test_auto_by_roles_goes_by_what_ships_where_nothing_else_is_given() -> None:
    shipped = load_profile("mini_cot").settings
    assert roles_leads(None, 0.3) == {
        "roles_threshold": shipped["roles_threshold"],
        "roles_threshold_text": 0.3,
    }


def test_parts_that_there_are_not_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reasoning, "open_embedder", lambda _name: ReasoningColours())
    with pytest.raises(BadInput, match="no 'pink'"):
        reasoning.run(model="scripted", apart=["pink"])
