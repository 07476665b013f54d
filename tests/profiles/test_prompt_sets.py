"""Each model is asked in its own words, whatever others stand beside it in a profile."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest

from imagescope_agent.errors import BadInput
from imagescope_agent.judges import JUDGES
from imagescope_agent.judges.base import Candidate, Task
from imagescope_agent.mllms.budget import Budget, BudgetedRole
from imagescope_agent.mllms.role import Request, Role
from imagescope_agent.mllms.scripted import Asked, Scripted, ScriptedScorer
from imagescope_agent.profiles import PROFILES
from imagescope_agent.profiles.profile import ROLES, load_profile
from imagescope_agent.prompting import load_prompt, prompt_sets
from imagescope_agent.registry import load_graph, resolve
from imagescope_agent.services import open_roles
from imagescope_agent.settings import Settings
from tests.conftest import World
from tests.mllms.checkpoints import picture

HERE = "tests.profiles.test_prompt_sets"


def think(asked: Asked) -> str:
    """Good answers to the steps that are asked for JSON, a caption to all else."""
    form = (asked.options or {}).get("response_format")
    told = {"core": "a red square", "enhanced": "a red square", "full": "a red square"}
    if form in ("IntentAnswer", "FoldAnswer"):
        return json.dumps({"steps": [{"type": "Addition", "text": "a red square"}], **told})
    if form == "PredicatesAnswer":
        return json.dumps({"predicates": [{"question": "Is it red?", "expected": "Yes"}]})
    if form == "ProposalAnswer":
        return json.dumps({"questions": ["Is it warm?", "Is it dark?"]})
    return "Is it a red square?"


class Thinks(Scripted):
    def __init__(self, **given: Any) -> None:
        super().__init__(think, **given)


class Sees(ScriptedScorer):
    def __init__(self, **given: Any) -> None:
        super().__init__(lambda asked: [0.6] + [0.4] * (len(asked.choices or ()) - 1), think, **given)


PROFILE = f"""
embedder = "nowhere"
{{default}}
[models.big]
mllm = "{HERE}:Thinks"
name = "big"
{{big}}
[models.mini]
mllm = "{HERE}:Sees"
name = "mini"
prompt_set = "mini"

[roles]
captioner = "mini"
reasoner = "big"
talker = "big"
verifier = "mini"
judge = "mini"
"""


def profile(folder: Path, default: str = "", big: str = "") -> Any:
    file = folder / "mixed.toml"
    file.write_text(PROFILE.format(default=default, big=big))
    return load_profile(str(file))


def sets_of(text: str, steps: list[str]) -> set[str | None]:
    """Whose words a question may be in: the sets of which a step's prompt reads like it."""
    found = set()
    for name in (None, *prompt_sets()):
        for step in steps:
            pattern = re.sub(r"\\\$\w+", "(?s:.*)", re.escape(load_prompt(step, prompt_set=name).text))
            if re.fullmatch(pattern, text):
                found.add(name)
    return found


@pytest.mark.parametrize(
    ("default", "big", "expected"),
    [
        ("", "", None),
        ("", 'prompt_set = "small"', "small"),
        ('prompt_set = "mini"', 'prompt_set = "small"', "small"),
        ('prompt_set = "small"', "", "small"),
    ],
)
@pytest.mark.parametrize("graph", ["imagescope", "adaptive", "cotrr", "chat", "imagescope_chat"])
def test_a_mixed_profile_asks_each_model_in_its_words(
    world: World, tmp_path: Path, graph: str, default: str, big: str, expected: str | None
) -> None:
    roles = open_roles(profile(tmp_path, default, big))
    models: list[Any] = [roles["reasoner"].model, roles["verifier"].model]
    for model in models:
        model.asked.clear()  # models are shared in the whole process
    services = world.services(**roles)
    thread: Any = {"configurable": {"thread_id": "1"}}
    outside = {"query": "the same in red", "reference": str(world.folder / "blue.png")}
    if graph == "imagescope_chat":
        outside = {"query": "a red square", "reference": None}  # type: ignore[dict-item]
    made = load_graph(graph)(services)
    asyncio.run(made.ainvoke(outside, thread, context=Settings(top_k=4, attempts=1)))
    thinking = ["acts", "understand", "predicates", "target", "fold", "propose", "ask"]
    looking = ["caption", "verify", "evaluate", "grade", "best", "order", "grades", "grid", "cotrr"]
    asked = [[each.text for each in model.asked] for model in models]
    if graph == "cotrr":  # the model that judges describes the target, too
        assert not asked[0] and len(asked[1]) > 1
        assert all("mini" in sets_of(text, [*looking, "target"]) for text in asked[1]), asked[1]
        return
    assert asked[0] and asked[1]
    assert all(expected in sets_of(text, thinking) for text in asked[0]), asked[0]
    assert all("mini" in sets_of(text, looking) for text in asked[1]), asked[1]
    assert not all("mini" in sets_of(text, thinking) for text in asked[0])


@pytest.mark.parametrize("name", JUDGES)
def test_every_judge_asks_in_the_words_of_its_model(name: str) -> None:
    told: dict[str | None, list[str]] = {}
    for words in (None, "mini"):
        role = Role("judge", Sees(), prompt_set=words)
        shown = [Candidate(id=str(n), image=picture(n)) for n in range(3)]
        task = Task(query="a red house", understood="Addition: a red house", model=role)
        try:
            asyncio.run(resolve(name, JUDGES, kind="judge")(task, shown))
        except BadInput:
            pytest.skip("it needs a power that no script has")
        told[words] = [each.text for each in role.model.asked]  # type: ignore[attr-defined]
    assert told[None] and told["mini"] and told[None][0] != told["mini"][0]
    assert "Request:" in told["mini"][0]


def test_a_role_on_a_budget_keeps_its_words() -> None:
    assert BudgetedRole(Role("x", Thinks(), prompt_set="mini"), Budget(calls=1)).prompt_set == "mini"
    assert Role("x", Thinks()).prompt_set is None


@pytest.mark.parametrize("name", PROFILES)
def test_the_mini_models_alone_have_words_of_their_own(name: str) -> None:
    chosen = load_profile(name)
    ours = {role for role in ROLES if "/mini/" in str(chosen.model(role).get("checkpoint"))}
    assert {role for role in ROLES if chosen.prompt_set_of(role) == "mini"} == ours
    whole = {each: {*ROLES} for each in ("mini", "mini_cot", "mini_mra")}
    assert ours == {**whole, "photos": {"classifier"}}.get(name, set())


@pytest.mark.parametrize(
    ("default", "big", "message"),
    [
        ('prompt_set = "mimi"', "", "did you mean 'mini'"),
        ("", 'prompt_set = "smal"', "model 'big' names the prompt set 'smal'; did you mean 'small'"),
        ("", "prompt_set = 3", "model 'big'"),
        ("", 'prompt_set = ""', "model 'big'"),
        ("", 'prompt_set = "../mini"', "mini"),
        ('prompt_set = ["mini"]', "", "prompt_set is no text"),
    ],
)
def test_a_set_that_is_not_there_is_told_when_the_profile_is_read(
    tmp_path: Path, default: str, big: str, message: str
) -> None:
    with pytest.raises(BadInput, match=re.escape(message)) as caught:
        profile(tmp_path, default, big)
    assert "\n" not in str(caught.value)


def test_the_same_weights_in_two_sets_are_loaded_once(tmp_path: Path) -> None:
    text = (
        PROFILE.format(default="", big="").replace("Thinks", "Sees").replace('name = "big"', 'name = "mini"')
    )
    (tmp_path / "one.toml").write_text(text)
    roles = open_roles(load_profile(str(tmp_path / "one.toml")))
    assert roles["reasoner"].model is roles["verifier"].model
    assert (roles["reasoner"].prompt_set, roles["verifier"].prompt_set) == (None, "mini")
    asyncio.run(roles["verifier"].ask([Request(text="x")]))
