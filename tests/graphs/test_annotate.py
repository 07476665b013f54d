"""Chains for triplets: what is kept and dropped, that nothing is lost or repeated, and what is told of bad input."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from imagescope_agent.cli import main
from imagescope_agent.errors import BackendUnavailable, BadInput
from imagescope_agent.mllms.role import Role
from imagescope_agent.mllms.scripted import Asked, Scripted
from imagescope_agent.registry import load_graph
from imagescope_agent.settings import Settings
from imagescope_agent.training_data.chains import GRAPH, annotate, given
from imagescope_agent.training_data.triplet_files import Triplet
from tests.crashes import KILLS, script
from tests.graphs.annotate_models import TRIPLETS, models, write


def run(services: Any, triplet: Triplet = TRIPLETS[0], **settings: Any) -> Any:
    graph = load_graph(GRAPH)(services)
    return asyncio.run(graph.ainvoke(given(triplet), context=Settings(**settings)))


def test_the_writer_sees_reference_and_target_and_the_chain_is_kept(world: Any) -> None:
    services = models(world)
    state = run(services)
    (asked,) = services.judge.model.asked
    assert asked.labels == ("Reference:", "Target:")
    assert [world.keys[key] for key in asked.images] == ["red.png", "blue.png"]
    chain = state["triplet"]
    assert (
        state["dropped"] == ""
        and chain["conclusion"] == "a blue square"
        and chain["caption"] == "a red square"
    )
    assert chain["reasoning"] == "Modification: a blue square"
    assert (chain["reference"], chain["text"], chain["target"]) == ("red.png", "make it blue", "blue.png")
    assert chain["evidence"] == {"leaked": [], "checks": 1, "target": 1}
    assert chain["cost"]["calls"] == sum(each["calls"] for each in state["usage"]) > 0
    assert json.loads(json.dumps(state)) == state


def test_what_only_the_target_tells_is_a_leak(world: Any) -> None:
    state = run(models(world, says="a blue square with a walrus"))
    assert (state["dropped"], state["triplet"]) == ("leaks", None)
    assert state["evidence"]["leaked"] == ["walr"] and state["matches"] == {}


def test_what_the_verifier_denies_or_finds_elsewhere_is_dropped(world: Any) -> None:
    denied = run(models(world, sees=lambda name, text: False))
    assert (denied["dropped"], denied["triplet"]) == ("denied on the target", None)
    both = run(models(world, sees=lambda name, text: True))
    assert both["dropped"] == "fits another image" and both["evidence"]["fitting"] == ["green.png"]


@pytest.mark.parametrize("reply", ["nothing", "", '{"steps": []}'])
def test_an_unreadable_chain_is_dropped_with_its_cost(world: Any, reply: str) -> None:
    services = replace(models(world), judge=Role("judge", Scripted(reply)))
    state = run(services)
    assert state["dropped"] == "unreadable" and [each["kind"] for each in state["notes"]] == [
        "retried",
        "unreadable",
    ]


def test_models_that_write_from_words_alone_are_shown_no_picture(world: Any) -> None:
    services = models(world)
    judge = Role("judge", services.judge.model, prompt_set="mini")
    state = run(replace(services, judge=judge))
    assert judge.model.asked == [] and state["triplet"]["conclusion"] == "a blue square"  # type: ignore[attr-defined]


@pytest.mark.parametrize("budget", range(4))
def test_a_budget_is_never_exceeded(world: Any, budget: int) -> None:
    state = run(models(world), budget=budget)
    assert sum(each["calls"] for each in state["usage"]) <= budget and state["dropped"]


def _written(services: Any, asked: Asked) -> Any:
    return services.judge.model.reply(asked)


def test_every_triplet_gets_a_line_and_a_model_that_fails_loses_nothing(world: Any, tmp_path: Path) -> None:
    whole = write(world, tmp_path / "whole.jsonl")
    assert whole.pairs == len(TRIPLETS) and whole.kept + sum(whole.dropped.values()) == whole.pairs
    assert whole.dropped["leaks"] == 5 and "chains of 20 triplets" in str(whole)
    services, calls = models(world), [0]

    def broken(asked: Asked) -> Any:
        calls[0] += 1
        return BadInput("the plug was pulled") if calls[0] == 13 else _written(services, asked)

    cut = replace(services, judge=Role("judge", Scripted(broken)))
    out = tmp_path / "cut.jsonl"
    with pytest.raises((BackendUnavailable, BadInput)):
        asyncio.run(annotate(cut, TRIPLETS, out))
    assert (tmp_path / "whole.jsonl").read_text().startswith(out.read_text()) and out.read_text()
    again = write(world, out)
    assert out.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    assert (again.kept, again.calls) == (whole.kept, whole.calls)


def test_bad_input_is_one_clear_line(world: Any, tmp_path: Path, capsys: Any) -> None:
    out = tmp_path / "c.jsonl"
    write(world, out)
    with pytest.raises(BadInput, match="another triplets"):
        asyncio.run(annotate(models(world), TRIPLETS[1:], out))
    with pytest.raises(BadInput, match="another budgets"):
        asyncio.run(annotate(models(world), TRIPLETS, out, settings=Settings(budget=3)))
    command = ["annotate", str(tmp_path / "none.jsonl"), "--collection", str(world.folder), "--out", str(out)]
    capsys.readouterr()
    for each in (command, [*command[:3], str(tmp_path / "nowhere"), *command[4:]]):
        assert main([*each, "--profile", "mini"]) == 2
        assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.slow
def test_killed_at_any_moment_the_file_is_the_same(tmp_path: Path) -> None:
    summary = script("tests.graphs.annotate_models", tmp_path, min(KILLS, 3) if KILLS == 12 else KILLS)
    assert summary["killed"] > 0
