"""Settings: checked once, caller before environment before file before default."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from imagescope_agent.errors import BadInput
from imagescope_agent.settings import Settings, current


def test_the_caller_comes_before_the_environment_before_the_file_before_the_default(monkeypatch: Any) -> None:
    assert Settings.load().tau == 0.15
    assert Settings.load({"tau": 0.3}).tau == 0.3
    monkeypatch.setenv("IMAGESCOPE_TAU", "0.5")
    monkeypatch.setenv("IMAGESCOPE_JUDGE", "package.module:judge")
    monkeypatch.setenv("IMAGESCOPE_BUDGET", "")
    monkeypatch.setenv("IMAGESCOPE_TOKEN_BUDGET", "5000")
    monkeypatch.setenv("IMAGESCOPE_KEEP_REFERENCE", "true")
    loaded = Settings.load({"tau": 0.3, "budget": 7})
    assert (loaded.tau, loaded.judge, loaded.budget, loaded.keep_reference) == (
        0.5,
        "package.module:judge",
        None,
        True,
    )
    assert (loaded.token_budget, Settings.load(token_budget=0).token_budget) == (5000, 0)
    assert Settings.load({"tau": 0.3}, tau=1).tau == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[
            ("k", 0),
            ("k", True),
            ("k", 2.0),
            ("top_k", -1),
            ("alpha", -1),
            ("tau", 1.1),
            ("tau", float("nan")),
        ],
        *[
            ("tau", "0.1"),
            ("seed", -1),
            ("budget", -1),
            ("token_budget", -1),
            ("token_budget", 0.5),
            ("attempts", 0),
            ("judge", ""),
            ("keep_reference", 1),
        ],
    ],
)
def test_unusable_values_are_named(name: str, value: Any) -> None:
    with pytest.raises(BadInput, match=name):
        Settings(**{name: value})


def test_a_misspelt_setting_suggests_the_right_one() -> None:
    with pytest.raises(BadInput, match="did you mean 'top_k'"):
        Settings.load(topk=3)


@pytest.mark.parametrize(("name", "text"), [("ALPHA", "three"), ("KEEP_REFERENCE", "maybe")])
def test_an_unusable_environment_is_named(monkeypatch: Any, name: str, text: str) -> None:
    monkeypatch.setenv(f"IMAGESCOPE_{name}", text)
    with pytest.raises(BadInput, match=f"IMAGESCOPE_{name} is {text!r}"):
        Settings.load()


def test_settings_go_through_plain_values_and_stay_frozen() -> None:
    settings = Settings(k=3, budget=5, composed=0.3)
    assert Settings(**settings.to_dict()) == settings and "composed" not in Settings().to_dict()
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.k = 4  # type: ignore[misc]


def test_a_run_without_context_has_the_default_settings() -> None:
    class Bare:
        context = None

    assert current(Bare()) == Settings()
