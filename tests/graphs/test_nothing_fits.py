"""A search says how probable it is that its first place fulfils everything and, where it is not, that nothing fits."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from imagescope_agent.api import ImageScope
from imagescope_agent.chat.web import html
from imagescope_agent.commands.chat import describe as described_turn
from imagescope_agent.commands.search import describe
from imagescope_agent.errors import BadInput
from imagescope_agent.integrations.langchain import describe as described_to_models
from imagescope_agent.nodes.fulfilment import Fulfilment
from imagescope_agent.profiles.profile import load_profile
from imagescope_agent.service.routes.search import answer
from imagescope_agent.traces.finding import find_run
from imagescope_agent.traces.pages.page import render
from imagescope_agent.traces.trace import Trace

#: The probability is that of the least verdict: 0.9 or 0.1 where the verifier says so.
LEAST = Fulfilment(weights=(1.0, 0.0, 0.0, 0.0), bias=0.0, fitted_on="made up", threshold=0.6)
Opened = Callable[..., ImageScope]


def think(asked: Any) -> str:
    """Checks for the colour that the query names, of which "pink" is that of no picture."""
    colour = "pink" if "pink" in asked.text else "blue"
    if asked.options["response_format"] == "IntentAnswer":
        text = f"a {colour} square"
        step = {"type": "Addition", "text": text}
        return json.dumps({"steps": [step], "core": text, "enhanced": text, "full": text})
    return json.dumps({"predicates": [{"question": f"Is it {colour}?", "expected": "Yes"}]})


@pytest.fixture
def opened(make: Any, tmp_path: Path) -> Opened:
    file = tmp_path / "fulfilment.json"
    file.write_text(LEAST.to_json(), encoding="utf-8")

    def again(**options: Any) -> ImageScope:
        services = make(reasoner=think).services
        return ImageScope(replace(services, fulfilment=str(file)), runs=False, **options)

    return again


@pytest.mark.parametrize("graph", ["imagescope", "adaptive"])
def test_what_fits_is_told_with_its_probability(opened: Opened, graph: str) -> None:
    found = opened(graph=graph).search("a blue square")
    assert found[0].id == "blue.png" and found.fulfilment == 0.9 and found.remarks == ()
    shown = found.to_dict()
    assert shown["fulfilment"] == 0.9 and "remarks" not in shown
    told = "the first fulfils the whole query with probability 0.90"
    assert told in describe(shown) and told in found._repr_html_()
    assert told in described_to_models(opened(graph=graph), found)
    turn: Any = {"message": "", "reference": None, "request": "blue", "question": None, **shown}
    assert told in described_turn(turn) and told.capitalize() in html.gallery(turn, str)
    assert not any("probability" in line for line in described_turn({**turn, "fulfilment": None}))


def test_where_nothing_fits_it_is_said_with_what_is_missing_and_the_nearest(opened: Opened) -> None:
    found = opened().search("a pink square")
    told = "Nothing fits everything; these come closest, missing: "
    assert found.fulfilment == 0.1 and len(found) == 8
    assert found.remarks[0].startswith(told) and "pink" in found.remarks[0]
    shown = found.to_dict()
    assert describe(shown)[0] == found.remarks[0] and shown["remarks"] == list(found.remarks)
    assert told in found._repr_html_()
    served: Any = SimpleNamespace(name="here", public=str)
    response = answer(found, served)
    assert response.fulfilment == 0.1 and response.remarks == list(found.remarks)


def test_the_page_of_a_trace_says_it(opened: Opened, tmp_path: Path) -> None:
    place = tmp_path / "traces.sqlite"
    scope = opened(traces=place)
    for colour, told in (("pink", "Nothing fits everything"), ("blue", "with a probability of 90 %")):
        found = scope.search(f"a {colour} square")
        trace = Trace(*find_run(found.run, place))
        assert trace.remarks == list(found.remarks) and trace.fulfilment == found.fulfilment
        assert told in render(trace)


def test_the_ranking_is_the_same_with_and_without(opened: Opened) -> None:
    scope = opened()
    plain = ImageScope(replace(scope.services, fulfilment=None), runs=False).search("a pink square")
    assert plain.rankings == scope.search("a pink square").rankings
    assert plain.fulfilment is None and plain.remarks == ()
    assert not {"fulfilment", "remarks"} & plain.to_dict().keys()


def test_the_setting_comes_before_the_measured_threshold(opened: Opened) -> None:
    scope = opened()
    strict = scope.search("a blue square", nothing_fits=0.95)
    assert strict.fulfilment == 0.9 and "least certain: " in strict.remarks[0] and "blue" in strict.remarks[0]
    assert scope.search("a pink square", nothing_fits=0.0).remarks == ()
    with pytest.raises(BadInput, match="nothing_fits is 2"):
        scope.search("a blue square", nothing_fits=2)


def test_a_graph_that_verifies_nothing_says_nothing(opened: Opened) -> None:
    found = opened(graph="retrieve").search("a pink square")
    assert found.fulfilment is None and found.remarks == ()


def test_a_profile_names_its_calibration(tmp_path: Path, opened: Opened) -> None:
    named = load_profile("mini").fulfilment
    assert named is not None and 0 < Fulfilment.load(Path(named)).threshold < 1
    services = replace(opened().services, fulfilment=str(tmp_path / "none.json"))
    with pytest.raises(BadInput, match="imagescope calibrate"):
        ImageScope(services, runs=False).search("a blue square")
