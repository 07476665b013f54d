"""Refitting on judged queries, and how an evaluation counts the stated probabilities."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from imagescope_agent.cli import main
from imagescope_agent.errors import BadInput
from imagescope_agent.evaluation import calibration
from imagescope_agent.evaluation.calibration import Judged, calibrated, measured, read_judged
from imagescope_agent.evaluation.evaluate import evaluate
from imagescope_agent.lab.benchmarks.fulfilment import fitted
from imagescope_agent.lab.benchmarks.fulfilment import run as bench
from imagescope_agent.nodes.fulfilment import Fulfilment

COLOURS = ("red", "green", "blue", "yellow")


def think(asked: Any) -> str:
    colour = next((each for each in (*COLOURS, "pink", "grey") if each in asked.text), "pink")
    if asked.options["response_format"] == "IntentAnswer":
        text = f"a {colour} square"
        step = {"type": "Addition", "text": text}
        return json.dumps({"steps": [step], "core": text, "enhanced": text, "full": text})
    return json.dumps({"predicates": [{"question": f"Is it {colour}?", "expected": "Yes"}]})


def judged_file(folder: Path) -> Path:
    lines = [{"text": f"a {each} square", "relevant": [f"{each}.png"]} for each in COLOURS]
    lines += [{"text": f"a {each} square", "relevant": []} for each in ("pink", "grey")]
    lines += [{"text": "a pink one", "image": "red.png", "relevant": []}]
    path = folder / "judged.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    return path


def test_calibrate_writes_what_a_profile_names(
    make: Any, world: Any, tmp_path: Path, monkeypatch: Any, capsys: Any
) -> None:
    services = make(reasoner=think).services
    monkeypatch.setattr(calibration, "open_services", lambda profile, folder: services)
    out = tmp_path / "fulfilment.json"
    told = ["--queries", str(judged_file(tmp_path)), "--out", str(out), "--profile", "mini"]
    assert main(["calibrate", str(world.folder), *told, "--graph", "imagescope"]) == 0
    shown = capsys.readouterr().out
    assert "false reject" in shown and f'fulfilment = "{out}"' in shown
    model = Fulfilment.load(out)
    assert "judged.jsonl" in model.fitted_on and "(7 queries)" in model.fitted_on
    from imagescope_agent.api import ImageScope

    scope = ImageScope(replace(services, fulfilment=str(out)), runs=False)
    good, bad = scope.search("a red square"), scope.search("a pink square")
    assert (good.fulfilment or 0) > (bad.fulfilment or 0)
    assert good.remarks == () and bad.remarks
    assert main(["calibrate", str(world.folder), *told, "--graph", "retrieve"]) == 2
    assert "verified nothing" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('{"text": "a", "relevant": ["none.png"]}', "no image 'none.png'"),
        ('{"text": "a"}', "relevant"),
        ('{"relevant": []}', "text"),
        ('{"text": "a", "image": 3, "relevant": []}', "image is no text"),
        ('{"text": "a", "images": ["a.png", "a.png"], "relevant": []}', "'images' is not understood"),
        ("[1]", "JSON object"),
    ],
)
def test_damaged_judged_queries_are_refused(tmp_path: Path, line: str, why: str) -> None:
    path = tmp_path / "judged.jsonl"
    path.write_text(line, encoding="utf-8")
    with pytest.raises(BadInput, match=why):
        read_judged(path, ["a.png"])


def row(least: float, right: bool) -> Judged:
    return Judged(features=(least, least, 0.0, 0.0), right=right, answerable=right)


def test_the_threshold_makes_both_errors_as_rare_as_can_be() -> None:
    rows = [row(3.0 - each / 10, True) for each in range(20)] + [row(-3.0, False)] * 20
    model = calibrated([*rows, row(1.05, False)], fitted_on="made up")  # below one of the right ones
    lowest, next_ = model.chance(rows[19].features), model.chance(rows[18].features)
    assert model.threshold < lowest < next_
    found = measured(model, rows)
    assert found["false reject"] == 0 and found["false accept"] == 0 and found["right"] == 20
    two_wrong = calibrated([*rows, *[row(1.15, False)] * 2], fitted_on="made up")  # two of 22 or one of 20
    assert two_wrong.threshold > two_wrong.chance(row(1.15, False).features)


def test_the_benchmark_fits_on_some_seeds_and_measures_on_others() -> None:
    rows = [
        {"seed": seed, "graph": graph, "features": [least] * 4, "right": least > 0, "answerable": True}
        for seed in (900, 71)
        for graph in ("imagescope", "adaptive")
        for least in (-2.0, -1.0, 1.0, 2.0)
    ]
    wrong = {**rows[-1], "right": False}  # of a seed that is not fitted on
    made = fitted([*rows, *[wrong] * 8], (900,), "mini")
    assert "(8 queries)" in Fulfilment.from_json(made["model"]).fitted_on
    assert made["measured"]["fitted on"]["false accept"] == 0
    assert made["measured"]["unseen, imagescope"]["false accept"] == 0
    assert made["measured"]["unseen, adaptive"]["false accept"] == 0.8
    with pytest.raises(BadInput, match="seed 71 cannot"):
        bench(train_seeds=(71,), seeds=(70, 71))


def test_an_evaluation_counts_what_was_stated(
    drawn: Any, images: Any, fast_system: Any, tmp_path: Any
) -> None:
    inner = fast_system(images, place=lambda query: 1 if query.qid.endswith(("0", "1")) else 2)

    async def stating(query: Any) -> Any:
        found = await inner.answer(query)
        if query.reference:
            return found  # states nothing
        sure = query.qid.endswith(("1", "2"))
        return replace(found, fulfilment=0.75 if sure else 0.25, accepted=sure)

    out = tmp_path / "run"
    given: dict[str, Any] = {"root": drawn, "out": out, "progress": False}
    metrics = evaluate("scenes", system=SimpleNamespace(answer=stating), **given)
    told = metrics[
        "fulfilment"
    ]  # text queries 0..19: 0, 1, 10 and 11 are right; 1, 2, 11 and 12 are accepted
    assert (told["queries"], told["right"]) == (20, 4)
    assert told["false accept"] == round(2 / 16, 4) and told["false reject"] == 0.5
    assert told["ECE"] == pytest.approx(0.25 * 4 / 20 + (0.25 - 2 / 16) * 16 / 20, abs=1e-4)
    assert "false reject 0.5" in (out / "table.md").read_text()
    assert "false reject" in (out / "report.html").read_text()
    again = evaluate("scenes", system=SimpleNamespace(answer=None), **given)  # resumed: nothing is asked
    assert again["fulfilment"] == told
    plain = evaluate("scenes", system=inner, **{**given, "out": tmp_path / "plain"})
    assert "fulfilment" not in plain
