"""What a name stands for is looked at before it is called; profiles and inputs of a wrong type are told."""

from __future__ import annotations

import asyncio
import os
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from imagescope_agent import cli
from imagescope_agent.api import ImageScope
from imagescope_agent.errors import BadInput
from imagescope_agent.judges import JUDGES
from imagescope_agent.mllms import MLLMS
from imagescope_agent.profiles.profile import load_profile
from imagescope_agent.registry import KINDS, graphs, load_graph, resolve
from imagescope_agent.services import open_services
from tests.chat.talk import talking

NOT_A_MODEL = [
    "subprocess:Popen",
    "os:system",
    "builtins:dict",
    "builtins:print",
    "json:loads",
    "langchain_core.language_models:BaseChatModel.invoke",
    "langchain_core.messages:HumanMessage",
]


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What was run by the operating system; whatever is imported late is imported before."""
    for table in (JUDGES, MLLMS, graphs()):
        for name in table:
            resolve(name, table)
    seen: list[Any] = []
    monkeypatch.setattr(os, "system", seen.append)
    monkeypatch.setattr("subprocess.Popen.__init__", lambda self, *args, **more: seen.append(args))
    return seen


@pytest.mark.parametrize("option", ["--judge", "--graph"])
@pytest.mark.parametrize(
    "name",
    ["os:system", "subprocess:Popen", "builtins:print", "os:path", "os:sep", "asyncio:sleep", "builtins:dict", "this:x",
     ".:x", ":", "a:", ":a", "os:path.join.x", "antigravity:", "tests.nowhere:x", "imagescope_agent.judges:JUDGES",
     "imagescope_agent.judges.strategy:Strategy", "imagescope_agent.api:ImageScope", "os:system:x", "..os:system"],
)  # fmt: skip
def test_a_judge_and_a_graph_are_of_their_kind(
    world: Any, option: str, name: str, called: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert cli.main(["search", str(world.folder), "red", option, name]) == 2
    said = capsys.readouterr()
    assert said.err.count("\n") == 1 and "Traceback" not in said.err and called == []


@pytest.mark.parametrize("name", NOT_A_MODEL)
def test_a_model_class_is_one_before_it_is_called(
    world: Any, name: str, called: list[Any], tmp_path: Path
) -> None:
    path = tmp_path / "mine.toml"
    roles = "\n".join(f'{role} = "m"' for role in ("captioner", "reasoner", "verifier", "judge"))
    path.write_text(f'embedder = "x/y"\n[models.m]\nmllm = "{name}"\nargs = "touch /tmp/x"\n[roles]\n{roles}')
    with pytest.raises(BadInput, match="is no model class"):
        open_services(str(path), world.folder)
    assert called == []


def test_everything_that_ships_is_of_its_kind() -> None:
    for kind, table in (("judge", JUDGES), ("model class", MLLMS), ("graph", graphs())):
        for name in table:
            assert resolve(name, table, kind=kind) is not None
    for name in graphs():
        assert callable(load_graph(name))


async def _judge(task: Any, candidates: Any, *, more: int = 1) -> Any: ...


class _Judge:
    async def __call__(self, task: Any, candidates: Any) -> Any: ...


def test_judges_of_others_may_be_anything_that_is_awaited() -> None:
    fits = KINDS["judge"][0]
    assert fits(_judge) and fits(_Judge()) and fits(partial(_judge, more=2))
    assert not fits(_Judge) and not fits(lambda task, candidates: None)


BASE = {
    "embedder": 'embedder = "x/y"',
    "models": '[models.m]\nmllm = "scripted"\nreply = "No"',
    "roles": '[roles]\ncaptioner = "m"\nreasoner = "m"\nverifier = "m"\njudge = "m"',
}
WRONG = [
    {"embedder": "embedder = 5"}, {"embedder": "embedder = []"}, {"embedder": "embedder = true"}, {"embedder": ""},
    {"embedder": "embedder = {a = 1}"}, {"models": 'models = "m"'}, {"models": "models = 5"}, {"models": "models = []"},
    {"models": '[models]\nm = "scripted"'}, {"models": "[models]\nm = 5"}, {"models": "[models.m]\nmllm = 5"},
    {"models": "[[models]]\nm = 1"}, {"models": '[models.m]\nmllm = "scripted"\nreply = 2020-01-01'},
    {"models": '[models.m]\nmllm = "scripted"\nreply = nan'},
    {"models": '[models.m]\nmllm = "scripted"\nreply = [inf]'},
    {"models": '[models.m]\nmllm = ["scripted"]'}, {"roles": 'roles = "m"'}, {"roles": 'roles = ["m"]'},
    {"roles": BASE["roles"].replace('judge = "m"', 'judge = ["m"]')}, {"roles": "roles = 5"},
    {"roles": BASE["roles"].replace('judge = "m"', "judge = 5")}, {"roles": BASE["roles"] + "\ntalker = {a = 1}"},
    {"settings": "settings = 5"}, {"settings": "settings = []"}, {"settings": '[settings]\nk = "many"'},
    {"settings": "[settings]\nk = 1.5"}, {"settings": "[settings]\nk = [1]"}, {"settings": "[settings]\ntau = true"},
    {"settings": "[settings]\njudge = 5"}, {"settings": "[settings]\nseed = -1"}, {"prompt_set": "prompt_set = 5"},
    {"prompt_set": 'prompt_set = ["mini"]'}, {"description": "description = 5"}, {"name": 'name = "x"'},
    {"x": "x = " + "[" * 3000 + "]" * 3000}, {"x": "\0"}, {"x": "="}, {"x": "[a"}, {"x": "a.b.c = 1\na.b = 2"},
]  # fmt: skip


@pytest.mark.parametrize("changes", WRONG, ids=lambda each: str(each)[:50])
def test_a_profile_of_wrong_types_is_told(world: Any, tmp_path: Path, changes: dict[str, str]) -> None:
    top = {name: text for name, text in {**BASE, **changes}.items() if not text.startswith("[")}
    tables = {name: text for name, text in {**BASE, **changes}.items() if name not in top}
    path = tmp_path / "mine.toml"
    path.write_text("\n".join([*top.values(), *tables.values()]))
    with pytest.raises(BadInput) as caught:
        ImageScope.open(world.folder, profile=str(path))
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 1000


@pytest.mark.parametrize("kind", ["folder", "pipe", "device", "not text", "huge", "missing", "nul", "nobody"])
def test_a_profile_that_is_no_file_is_told(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "mine.toml"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "not text":
        path.write_bytes(b"\xff\xfe")
    elif kind == "huge":
        with path.open("wb") as file:
            file.truncate(2**30)
    name = {"nul": "a\0.toml", "nobody": "~no-such-user/x.toml"}.get(kind, str(path))
    with pytest.raises(BadInput):
        load_profile(name)


@pytest.mark.parametrize("rejected", [-1, "red.png", None, [1], {"a": 1}, [None], [["red.png"]], 1.5, True])
def test_rejected_images_are_a_list_of_ids(world: Any, rejected: Any) -> None:
    services = talking(world, reasoner=world.role("reasoner", "never asked"))
    graph = load_graph("cotrr")(services)
    with pytest.raises(BadInput, match="rejected"):
        asyncio.run(graph.ainvoke({"query": "a red square", "rejected": rejected}))
    assert services.reasoner.model.asked == []


FORKED = """
import os, signal, sys
from imagescope_agent.errors import BadInput
from imagescope_agent.mllms.role import Request, Role
from imagescope_agent.profiles.profile import load_profile
from imagescope_agent.services import open_embedder_of, open_roles
import asyncio

profile = load_profile("mini")
talker, embedder = open_roles(profile)["talker"], open_embedder_of(profile)
asyncio.run(talker.ask([Request(text="say a word")], max_tokens=2))
embedder.texts(["a red ball"])
if (child := os.fork()) == 0:
    signal.alarm(60)
    told = []
    for use in (lambda: asyncio.run(talker.ask([Request(text="say a word")], max_tokens=2)),
                lambda: embedder.texts(["a red ball"])):
        try:
            use()
        except BadInput as error:
            told.append("spawn" in str(error))
    os._exit(0 if told == [True, True] else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.slow
def test_a_fork_says_that_its_models_do_not_answer() -> None:
    import subprocess
    import sys

    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", FORKED], capture_output=True, text=True, check=False, env=environment
    )
    assert done.stdout.strip() == "0", done.stderr
