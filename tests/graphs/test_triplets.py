"""The agent that builds triplets: what it keeps and drops, its budgets, and that nothing is lost or repeated."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from imagescope_agent.cli import main
from imagescope_agent.common.process_lock import hold_file
from imagescope_agent.errors import BackendUnavailable, BadInput
from imagescope_agent.mllms.role import Role
from imagescope_agent.mllms.scripted import Asked, Scripted, ScriptedScorer
from imagescope_agent.nodes.triplets.pair import OTHERS, SHOWN
from imagescope_agent.settings import Settings
from imagescope_agent.traces.store import TraceStore
from imagescope_agent.training_data import triplets
from imagescope_agent.training_data.journal import WINDOW
from imagescope_agent.training_data.triplet_files import read_triplets
from imagescope_agent.training_data.triplets import MOST_USED, build_triplets
from tests.crashes import KILLS, script
from tests.graphs.triplet_models import Models, build, reached, run
from tests.lab.training.hues import COUNT, hues

CALLS = 3 + (1 + SHOWN + OTHERS) + 2  # editor and reasoner, verifier about every image, judge


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return hues(tmp_path_factory.mktemp("hues") / "pictures")


@pytest.fixture
def models(collection: Any) -> Models:
    return Models(collection)


def test_only_what_leads_to_its_target_is_kept(collection: Any, models: Models, tmp_path: Path) -> None:
    report = build(collection, tmp_path / "t.jsonl", 60, models)
    lines = [json.loads(line) for line in (tmp_path / "t.jsonl").read_text().splitlines()]
    assert len(lines) == 60 <= report.kept and report.pairs == report.kept + sum(report.dropped.values())
    for line in lines:
        angle = int(line["text"].split()[1])
        assert (int(line["reference"][:3]) + angle * COUNT // 360) % COUNT == int(line["target"][:3])
        assert line["evidence"] == {
            "checks": 1,
            "target": 1,
            "reference": 0,
            "fitting": [],
            "orders": [True, True],
        }
        assert line["type"] == "Modification" and line["cost"]["calls"] == CALLS
        assert set(line["models"]) == {"editor", "reasoner", "verifier", "judge"}
        assert not {line["reference"], line["target"]} & set(line["distractors"]) and line["distractors"]
    assert report.dropped["denied on the target"] > 5 and report.dropped["unreachable"] > 0
    assert max(Counter(line["target"] for line in lines).values()) <= MOST_USED
    assert len({line["reference"] for line in lines}) > 40  # spread over the collection
    assert len(read_triplets(tmp_path / "t.jsonl", collection.ids)) == 60
    assert str(report.kept) in str(report) and "denied on the target" in str(report)


def test_the_editor_sees_pictures_under_labels_and_the_judge_two_orders(models: Models) -> None:
    models.wrong = 0.0
    state = run(models)
    (asked,) = models.editor.asked
    assert asked.labels == ("Reference:", "A:", "B:", "C:") and len(set(asked.images)) == 4
    first, second = models.judge.asked
    assert first.images[0] == second.images[0] == asked.images[0]
    assert set(first.images[1:]) == set(second.images[1:]) and asked.images[0] in first.images[1:]
    assert first.images[1:] != second.images[1:]
    assert json.loads(json.dumps(state)) == state


def test_the_nearest_are_shown_first_and_those_behind_them_in_the_next_round(models: Models) -> None:
    count, rounds = len(models.services.collection), list[dict[str, list[str]]]()
    for number in range(2):
        states = [run(models, number * count + pair) for pair in range(count)]
        rounds.append({state["reference"]: state["shown"] for state in states})
        assert all(not set(state["shown"]) & set(state["others"]) for state in states)
    for reference, shown in rounds[0].items():
        apart = [abs(int(name[:3]) - int(reference[:3])) for name in shown]
        assert len(shown) == SHOWN and max(min(each, COUNT - each) for each in apart) == 2
        assert not set(shown) & set(rounds[1][reference])


def test_a_model_that_always_names_one_label_keeps_nothing(collection: Any, models: Models) -> None:
    lazy = Role("judge", ScriptedScorer(lambda asked: [0.9, *[0.01] * (len(asked.choices or ()) - 1)]))
    models.services = replace(models.services, judge=lazy)
    models.wrong = 0.0
    assert {run(models, pair)["dropped"] for pair in range(12)} <= {
        "not found",
        "reference as good",
        "unreachable",
    }


@pytest.mark.parametrize(
    "reply",
    ["a nice picture", '{"target": "Q", "type": "Removal", "text": "x"}', '{"target": "A", "text": "x"}', ""],
)
def test_unreadable_proposals_are_dropped_with_their_cost(models: Models, reply: str) -> None:
    models.services = replace(models.services, editor=Role("editor", Scripted(reply)))
    state = run(models)
    assert state["dropped"] == "unreadable" and state["triplet"] is None
    assert [each["kind"] for each in state["notes"]] == ["retried", "unreadable"]
    assert sum(each["calls"] for each in state["usage"]) == 2


def test_an_editor_that_cannot_propose_is_given_up(collection: Any, models: Models, tmp_path: Path) -> None:
    models.services = replace(models.services, editor=Role("editor", Scripted("hm")))
    for _ in range(2):  # the second call knows it from the journal
        with pytest.raises(BadInput, match="the role 'editor'"):
            build(collection, tmp_path / "t.jsonl", 60, models)
    assert len((tmp_path / "t.jsonl.journal").read_text().splitlines()) <= 1 + triplets.HOPELESS + WINDOW


@pytest.mark.parametrize("budget", [*range(6), 7, CALLS - 1, CALLS])
def test_a_budget_of_calls_is_never_exceeded(models: Models, budget: int) -> None:
    models.wrong = 0.0
    for pair in range(4):
        state = run(models, pair, budget=budget)
        assert sum(each["calls"] for each in state["usage"]) <= budget
        if budget < CALLS:
            assert (state["dropped"] and any(each["kind"] == "budget" for each in state["notes"])) or (
                state["dropped"] == "unreachable"
            )


def test_a_judge_that_wants_instructions_is_given_those_of_the_words(models: Models) -> None:
    models.services = replace(models.services, judge=Role("judge", models.judge, prompt_set="mini"))
    state = reached(models)
    steps = ["propose", "understand", "predicates", "verify", "verify", "verify", "check"]
    assert state["triplet"] and [each["step"] for each in state["usage"]] == steps
    assert all("Modification: turn" in each.text for each in models.judge.asked)


def test_an_editor_of_words_is_given_captions_and_no_pictures_of_one_neighbour(models: Models) -> None:
    models.services = replace(
        models.services, editor=Role("editor", Scripted('{"target":"none"}'), prompt_set="mini")
    )
    assert run(models)["dropped"] == "unreachable"
    (asked,) = models.services.editor.model.asked  # type: ignore[union-attr]
    assert asked.images == () and asked.text.startswith("Reference: a colour\nA: a colour\nPictures: A\n")


def test_a_model_that_fails_loses_nothing(collection: Any, tmp_path: Path) -> None:
    whole = build(collection, tmp_path / "whole.jsonl")
    broken = Models(collection)
    calls = [0]

    def edit(asked: Asked) -> Any:
        calls[0] += 1
        return BadInput("the plug was pulled") if calls[0] == 30 else Models.edit(broken, asked)

    broken.services = replace(broken.services, editor=Role("editor", Scripted(edit)))
    out = tmp_path / "cut.jsonl"
    with pytest.raises((BackendUnavailable, BadInput)):
        asyncio.run(build_triplets(broken.services, out, 60, settings=Settings(seed=3)))
    so_far, whole_file = out.read_bytes(), (tmp_path / "whole.jsonl").read_bytes()
    assert 0 < len(so_far) < len(whole_file) and whole_file.startswith(so_far)
    again = build(collection, out)
    assert out.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    assert (again.kept, again.calls) == (whole.kept, whole.calls)
    assert build(collection, out, 10).kept == whole.kept  # fewer are cut from what there is
    assert len(out.read_text().splitlines()) == 10


def test_two_processes_do_not_build_one_file(collection: Any, tmp_path: Path) -> None:
    out = tmp_path / "t.jsonl"
    with (
        closing(hold_file(tmp_path / "t.jsonl.lock", "")),
        pytest.raises(BadInput, match="another process builds"),
    ):
        build(collection, out)
    assert build(collection, out).kept and out.is_file()


@pytest.mark.slow
def test_killed_at_any_moment_the_file_is_the_same(tmp_path: Path) -> None:
    summary = script("tests.graphs.triplet_models", tmp_path, min(KILLS, 3) if KILLS == 12 else KILLS)
    assert summary["killed"] > 0


def test_bad_input_is_one_clear_line(
    collection: Any, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "t.jsonl"
    few = hues(tmp_path / "few", count=5)
    with pytest.raises(BadInput, match="at least 7"):
        build(few, out, models=Models(few))
    build(collection, out, 8)
    other = Models(collection)
    with pytest.raises(BadInput, match="another seed"):
        asyncio.run(build_triplets(other.services, out, 8, settings=Settings(seed=4)))
    (tmp_path / "t.jsonl.journal").write_text("{\n" + (tmp_path / "t.jsonl.journal").read_text())
    with pytest.raises(BadInput, match="line 1: damaged"):
        build(collection, out, 8)
    (tmp_path / "mine.jsonl").write_text("my own\n")
    with pytest.raises(BadInput, match="no journal"):
        build(collection, tmp_path / "mine.jsonl", 8)
    other.services.embedder.weights = "hues-2"  # type: ignore[misc]
    with pytest.raises(BadInput, match="imagescope index"):
        asyncio.run(build_triplets(other.services, tmp_path / "n.jsonl", 8))
    command = ["triplets", str(tmp_path / "nowhere"), "--out", str(tmp_path / "n.jsonl"), "--count", "3"]
    capsys.readouterr()
    assert main(command) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_every_pair_leaves_a_trace_where_it_is_wanted(collection: Any, tmp_path: Path) -> None:
    made = Models(collection)
    file = tmp_path / "traces.sqlite"
    asyncio.run(build_triplets(made.services, tmp_path / "t.jsonl", 4, traces=file))
    store = TraceStore(file)
    try:
        assert len(store.runs()) == WINDOW
    finally:
        store.close()
