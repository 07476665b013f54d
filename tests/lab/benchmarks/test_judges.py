"""The judges' benchmarks: counts, accuracy, the Pareto front, and the files that are written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from imagescope_agent.cli import main
from imagescope_agent.errors import BadInput
from imagescope_agent.judges import JUDGES
from imagescope_agent.lab.benchmarks import judges, judges_drawn, judges_simulated
from imagescope_agent.lab.benchmarks.first_stage_orders import FIRST_STAGE
from imagescope_agent.lab.benchmarks.judges import pareto_front
from imagescope_agent.mllms.role import Role
from imagescope_agent.mllms.scripted import Scripted, ScriptedScorer


def test_the_pareto_front_is_what_nothing_cheaper_matches() -> None:
    points = {
        "expensive": (9.0, 0.8),
        "best": (4.0, 0.9),
        "cheap": (1.0, 0.5),
        "worse": (1.0, 0.4),
        "same": (5.0, 0.9),
    }
    assert pareto_front(points) == ["cheap", "best"]
    assert pareto_front({}) == []


def test_the_study_ranks_strategies_and_writes_what_it_found(tmp_path: Path, capsys: Any) -> None:
    argv = ["bench", "judges", "--simulated", "-k", "5", "--trials", "12", "--out", str(tmp_path), "--json"]
    assert main([*argv, "--judge", "pointwise", "--judge", "listwise"]) == 0
    made = json.loads(capsys.readouterr().out)
    cells = made["variants"]["pointwise"]["k"]["5"]
    assert cells["none"] == {**cells["none"], "quality": 1.0, "first": 1.0, "calls": 5.0, "shown": 5.0}
    assert cells["error 0.3"]["quality"] < 1.0
    text = (tmp_path / "judges-simulated.md").read_text()
    assert "| pointwise | 5.0 | 5 |" in text and "| listwise | 1.0 | 5 |" in text
    assert "](judges-simulated.svg)" in text
    root = ElementTree.fromstring((tmp_path / "judges-simulated.svg").read_text())
    names = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert names.count("pointwise") == names.count("listwise") == names.count("k = 5") == 1


def test_every_strategy_is_simulated_or_left_out_with_a_reason() -> None:
    made = judges_simulated.run(sizes=[2], trials=1, noise={"none": {}})
    assert set(made["variants"]) | set(made["left_out"]) == set(JUDGES)
    assert all(row["k"][2]["none"]["quality"] == 1.0 for row in made["variants"].values())


def test_cases_hold_right_and_wrong_candidates_in_no_order() -> None:
    cases = judges_drawn.make_cases(8, 6, seed=3)
    assert [case.text for case in cases] == [case.text for case in judges_drawn.make_cases(8, 6, seed=3)]
    assert [case.reference is None for case in cases] == [True, False] * 4
    for case in cases:
        assert len({candidate.id for candidate in case.candidates}) == 6
        assert 0 < len(case.relevant) < 6
    assert len({case.candidates[0].id for case in cases}) > 1


def test_strategies_are_measured_on_the_same_queries_and_refused_by_name() -> None:
    cases = judges_drawn.make_cases(4, 5, seed=0)
    right = {each.image.key for case in cases for each in case.candidates if each.id in case.relevant}
    oracle = ScriptedScorer(lambda asked: [0.9, 0.1] if asked.images[-1] in right else [0.1, 0.9])
    names = ["pointwise", "icr", "listwise"]
    made = judges_drawn.run(role=Role("judge", oracle), k=5, queries=4, names=names)
    assert made["variants"]["pointwise"]["accuracy"] == 1.0
    assert made["variants"]["pointwise"]["calls"] == 5
    assert made["variants"]["listwise"]["unreadable"] == 1  # it writes nothing
    assert set(made["refused"]) == {"icr"}
    text = judges_drawn.describe(made)
    assert text.index("| pointwise |") < text.index("| listwise |")
    assert "`icr` was refused" in text
    chance = judges_drawn.run(
        role=Role("judge", Scripted("Yes")), k=5, queries=4, names=["pointwise"], budget=2
    )
    assert chance["variants"]["pointwise"]["calls"] == 2


def test_the_given_order_is_measured_and_what_stands_below_it_is_named() -> None:
    cases = judges_drawn.make_cases(4, 5, seed=0)
    right = {each.image.key for case in cases for each in case.candidates if each.id in case.relevant}
    contrary = ScriptedScorer(lambda asked: [0.1, 0.9] if asked.images[-1] in right else [0.9, 0.1])
    made = judges_drawn.run(role=Role("judge", contrary), k=5, queries=4, names=["pointwise", "listwise"])
    given = sum(case.candidates[0].id in case.relevant for case in cases) / 4
    assert made["orders"] == {FIRST_STAGE: made["orders"][FIRST_STAGE]}
    assert made["orders"][FIRST_STAGE]["accuracy"] == given == made["variants"]["listwise"]["accuracy"] > 0
    text = judges_drawn.describe(made)
    assert text.index(f"| {FIRST_STAGE} |") < text.index("| listwise |")
    assert f"Worse than {FIRST_STAGE} ({given:.2f}): pointwise." in text
    del made["variants"]["pointwise"]
    assert f"Worse than {FIRST_STAGE} ({given:.2f}): none." in judges_drawn.describe(made)


def test_strategies_stand_beside_the_order_that_they_were_given() -> None:
    row = {**dict.fromkeys(judges_drawn.FIGURES, 0.5), "unreadable": 0, "seconds": 1, "accuracy": 0.6}
    made = {
        **{"queries": 20, "k": 10, "weights": "w", "not_understood": 0, "refused": {}},
        "orders": {
            name: {"accuracy": accuracy, "reciprocal_rank": 0.7}
            for name, accuracy in ((FIRST_STAGE, 0.25), ("by vectors", 0.85))
        },
        "variants": {"good": {**row, "after vectors": 0.9}, "bad": {**row, "after vectors": 0.7}, "old": row},
    }
    text = judges_drawn.describe(made)
    assert (
        f"Worse than {FIRST_STAGE} (0.25): none." in text
        and "Worse than by vectors (0.85), of 2 measured of 3: bad.\n" in text
    )
    assert f"| {FIRST_STAGE} |  | 0.25 |  |" in text and "| by vectors |  |  | 0.85 |" in text
    assert "| good |  | 0.60 | 0.90 |" in text and "| old |  | 0.60 |  |" in text


def test_a_strategy_that_is_left_out_keeps_its_figures_of_the_same_queries_alone(tmp_path: Path) -> None:
    role = Role("judge", ScriptedScorer(lambda asked: [0.9, 0.1]))

    def written(seed: int, *names: str) -> Any:
        made = judges_drawn.run(role=role, k=3, queries=2, names=names, seed=seed)
        judges.write(made, tmp_path)
        return json.loads((tmp_path / "judges.json").read_text())

    assert set(written(0, "pointwise", "listwise")["variants"]) == {"pointwise", "listwise"}
    again = written(0, "listwise")
    assert set(again["variants"]) == {"pointwise", "listwise"} and again["kept"] == ["pointwise"]
    assert "Measured before, on the same queries: pointwise." in (tmp_path / "judges.md").read_text()
    assert set(written(1, "listwise")["variants"]) == {"listwise"}  # other queries
    (tmp_path / "judges.json").write_text("{")
    with pytest.raises(BadInput, match="damaged"):
        written(1, "listwise")


def test_the_weights_of_another_profile_stay_with_the_rows_that_they_made(tmp_path: Path) -> None:
    def made(rows: dict[str, str], **others: str) -> dict[str, Any]:
        variants = {name: {"accuracy": 0.5, "profile": profile} for name, profile in rows.items()}
        return {"variants": variants, "refused": {}, "profile": "mini", "weights": "w", "others": others}

    file = tmp_path / "judges.json"
    file.write_text(json.dumps(made({"icr": "a", "first": "mini", "listwise": "b"}, a="1", b="1", c="1")))
    found = judges.completed(made({"first": "mini", "listwise": "b"}, b="2"), file)
    assert found["kept"] == ["icr"] and found["others"] == {"a": "1", "b": "2"}
    elsewhere = {**made({"first": "mini"}), "weights": "x"}
    assert judges.completed(elsewhere, file)["others"] == {}


@pytest.mark.slow
def test_judges_that_embed_are_measured_with_the_profile_that_suits_them() -> None:
    made = judges_drawn.run(k=3, queries=2, names=["e2rank", "first"])
    assert [made["variants"][name]["profile"] for name in ("e2rank", "first")] == ["mini_cot", "mini"]
    assert set(made["orders"]) == {FIRST_STAGE, "first stage, by vectors of mini_cot"}
    assert "| e2rank | mini_cot |" in judges_drawn.describe(made)
    by_vectors = made["orders"]["first stage, by vectors of mini_cot"]["accuracy"]
    assert made["variants"]["e2rank"]["after vectors"] >= by_vectors


def test_an_unknown_strategy_is_told(capsys: Any) -> None:
    assert main(["bench", "judges", "--simulated", "--judge", "pointwize", "--trials", "1", "-k", "2"]) == 2
    assert "did you mean 'pointwise'" in capsys.readouterr().err


@pytest.mark.parametrize("cost", ["calls", "prompt_tokens", "seconds"])
def test_points_are_of_the_cost_that_was_asked_for(cost: str) -> None:
    made = {"variants": {"a": {"accuracy": 0.5, "calls": 1.0, "prompt_tokens": 20.0, "seconds": 0.1}}}
    assert judges_drawn.points(made, cost) == {"a": (made["variants"]["a"][cost], 0.5)}


def test_a_run_that_was_cut_off_goes_on_after_the_strategies_that_it_kept(tmp_path: Path) -> None:
    asked: list[Any] = []

    def answer(each: Any) -> list[float]:
        asked.append(each)
        return [0.9, 0.1]

    def measured(*names: str, seed: int = 0) -> Any:
        role, asked[:] = Role("judge", ScriptedScorer(answer)), []
        keep = tmp_path / "rows" / "kept.json"
        return judges_drawn.run(role=role, k=3, queries=2, names=names, seed=seed, keep=keep)["variants"]

    first = measured("pointwise")
    assert len(asked) == 6
    assert measured("pointwise", "prp-allpair")["pointwise"] == first["pointwise"]
    assert len(asked) == 12  # both orders of three pairs, for two queries
    with pytest.raises(BadInput, match="seed"):
        measured("pointwise", seed=1)
    (tmp_path / "rows" / "kept.json").write_text("{")
    with pytest.raises(BadInput, match="damaged"):
        measured("pointwise")
