"""Runs, conversations and traces that somebody else made, and places that take nothing."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from imagescope_agent.api import ImageScope
from imagescope_agent.chat import open_chats
from imagescope_agent.errors import BackendUnavailable, BadInput
from imagescope_agent.evaluation.run_store import PER_QUERY, RunStore
from imagescope_agent.settings import Settings
from tests.chat.talk import talking
from tests.security.strangers import database, snapshot

NAMES = ("runs.sqlite", "traces.sqlite", "chats.sqlite")


def made(world: Any) -> None:
    """A search and a conversation, kept beside the index."""
    ImageScope(talking(world), graph="retrieve").search("a red square")

    async def talk() -> None:
        async with open_chats(talking(world)) as chats:
            await (await chats.create("mine")).say("a red square")

    asyncio.run(talk())


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """The folder and what is in it can be read; root is somebody else for as long."""
    paths = [folder, *folder.rglob("*")]
    modes = [path.stat().st_mode for path in paths]
    user = os.geteuid()
    for parent in folder.parents:
        if parent.stat().st_uid == user and parent != Path("/"):
            parent.chmod(parent.stat().st_mode | 0o055)
    for path in paths:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        if user == 0:
            os.seteuid(65534)
        yield
    finally:
        os.seteuid(user)
        for path, mode in zip(paths, modes, strict=True):
            path.chmod(mode)


@pytest.mark.parametrize("shipped", ["with its runs", "without runs"])
def test_a_collection_on_read_only_media_is_searched(
    world: Any, shipped: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    died: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", died.append)
    expected = ImageScope(talking(world)).search("a red square")  # what is imported late is imported now
    if shipped == "without runs":
        for file in world.collection.location.glob("*.sqlite*"):
            file.unlink()
    before = snapshot(world.folder)
    with read_only(world.folder):
        scope = ImageScope(talking(world))
        result = scope.search("a red square")
        with pytest.raises(BadInput, match=r"no run|cannot keep"):
            scope.resume(result.run)
    assert result.rankings == expected.rankings
    assert [(note["step"], note["kind"]) for note in result.notes] == [
        ("run", "skipped"),
        ("trace", "skipped"),
    ]
    assert snapshot(world.folder) == before and died == []
    assert "Traceback" not in capfd.readouterr().err


def test_a_conversation_on_read_only_media_says_where_else_to_keep_it(world: Any, tmp_path: Path) -> None:
    made(world)

    async def talk(store: Path | None) -> Any:
        async with open_chats(talking(world), store=store) as chats:
            return await (await chats.create()).say("a red square")

    (tmp_path / "mine").mkdir(mode=0o777)
    (tmp_path / "mine").chmod(0o777)
    with read_only(world.folder):
        with pytest.raises(BadInput, match="--store"):
            asyncio.run(talk(None))
        assert asyncio.run(talk(tmp_path / "mine" / "chats.sqlite"))["results"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["link to a database", "link to nothing", "pipe", "folder", "link beside"])
def test_links_beside_an_index_lead_no_search_elsewhere(
    world: Any, tmp_path: Path, name: str, kind: str
) -> None:
    target, path = tmp_path / "precious.sqlite", world.collection.location / name
    if kind == "link to a database":
        with database(target) as base:
            base.execute("create table precious (thing text)")
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "link beside":
        path.with_name(name + "-wal").symlink_to(target)
    else:
        path.symlink_to(target)
    before = {k: v for k, v in snapshot(tmp_path).items() if not k.startswith("world/")}

    def use() -> None:
        if name == "chats.sqlite":

            async def opened() -> None:
                async with open_chats(talking(world)):
                    pass

            asyncio.run(opened())
        else:
            ImageScope(talking(world), graph="retrieve").search("a red square")

    with pytest.raises(BadInput, match="no regular file"):
        use()
    assert {k: v for k, v in snapshot(tmp_path).items() if not k.startswith("world/")} == before


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "statement",
    ["create trigger t after insert on {table} begin delete from {table}; end",
     "create view v as with recursive n(i) as (select 1 union all select i + 1 from n) select i from n",
     "create virtual table f using fts5(x)"],
)  # fmt: skip
def test_a_store_that_runs_something_of_its_own_is_no_store(
    world: Any, name: str, statement: str, tmp_path: Path
) -> None:
    made(world)
    table = "runs" if name == "traces.sqlite" else "checkpoints"
    with database(world.collection.location / name) as base:
        base.execute(statement.format(table=table))
    if name == "traces.sqlite":
        result = ImageScope(talking(world), graph="retrieve").search("a red square")
        assert [(note["step"], note["kind"]) for note in result.notes] == [("trace", "skipped")]
        return
    with pytest.raises(BadInput, match="not ours") as caught:
        if name == "runs.sqlite":
            ImageScope(talking(world), graph="retrieve").search("a red square")
        else:
            made(world)
    assert "\n" not in str(caught.value)


def stopped(world: Any, **settings: Any) -> ImageScope:
    """A run "r" that waits to be gone on with."""
    down = talking(world, judge=world.role("judge", [BackendUnavailable("down")] * 9))
    scope = ImageScope(down, **settings)
    with pytest.raises(BackendUnavailable):
        asyncio.run(scope.asearch("a red square", run="r"))
    return scope


def edit(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the metadata of every checkpoint."""
    with database(path) as base:
        for row, text in base.execute("select rowid, metadata from checkpoints").fetchall():
            content = json.loads(text)
            change(content)
            base.execute(
                "update checkpoints set metadata = ? where rowid = ?", (json.dumps(content).encode(), row)
            )


def test_a_kept_run_names_no_code(world: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "stranger.py").write_text(
        f"open({str(tmp_path / 'mark')!r}, 'w')\nasync def judge(t, c): ...\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    stopped(world)
    for judge in ("os:system", "asyncio:sleep", "stranger:judge"):

        def named(content: dict[str, Any], judge: str = judge) -> None:
            content["settings"] = json.dumps({**json.loads(content["settings"]), "judge": judge})

        edit(world.collection.location / "runs.sqlite", named)
        with pytest.raises(BadInput, match="name it yourself"):
            ImageScope(talking(world)).resume("r")
    assert not (tmp_path / "mark").exists()


def test_a_cut_off_conversation_names_no_code(world: Any) -> None:
    def down(asked: Any) -> list[float]:
        raise BackendUnavailable("the model is away")

    async def talk(**roles: Any) -> Any:
        async with open_chats(talking(world, **roles)) as chats:
            return await (await chats.get("mine")).say("a red square")

    with pytest.raises(BackendUnavailable):
        asyncio.run(talk(verifier=world.role("verifier", scorer=down)))

    with database(world.collection.location / "chats.sqlite") as base:
        ((text,),) = base.execute("select pending from imagescope_conversations").fetchall()
        pending = json.loads(text)
        pending["settings"] = json.dumps({**json.loads(pending["settings"]), "judge": "os:system"})
        base.execute("update imagescope_conversations set pending = ?", (json.dumps(pending),))
    with pytest.raises(BadInput, match="name it yourself"):
        asyncio.run(talk())


def test_a_judge_that_the_user_names_goes_on(
    world: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "our_judge.py").write_text(
        "from imagescope_agent.judges.base import Judgement\n"
        "async def judge(task, candidates):\n    return Judgement(order=[c.id for c in candidates][::-1])\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    scope = ImageScope(talking(world), judge="our_judge:judge")
    run = scope.search("a red square").run
    assert scope.resume(run).run == run


@pytest.mark.parametrize(
    "settings",
    ["null", "[]", '{"k": "x"}', '{"nothing": 1}', "{", "[" * 5000, '{"k": 1e400}', '{"judge": 7}'],
)
def test_damaged_settings_of_a_kept_run_are_told(settings: str) -> None:
    with pytest.raises(BadInput) as caught:
        Settings.from_record(settings, judges=())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("damage", "read_by"),
    [
        ("update imagescope_conversations set about = '[]'", ("list", "say")),
        ("update imagescope_conversations set notes = '7'", ("list", "say")),
        ("update imagescope_conversations set pending = '[[]]'", ("list", "say")),
        ("update imagescope_conversations set turns = 'x'", ("list", "say")),
        ("update imagescope_conversations set turns = 7", ("say",)),
        ("update imagescope_turns set turn = x'92c0c0'", ("say",)),
        ("update imagescope_turns set turn = 'text'", ("say",)),
        ("update imagescope_turns set turn = kept", ("say",)),
        ("update imagescope_turns set kept = x'789c'", ("say",)),
        ("update imagescope_turns set kept = zeroblob(100)", ("say",)),
        ("update imagescope_turns set verdicts = turn", ("say",)),
    ],
)
def test_kept_values_of_a_wrong_kind_are_told(world: Any, damage: str, read_by: tuple[str, ...]) -> None:
    made(world)
    chats = world.collection.location / "chats.sqlite"

    async def read(what: str) -> Any:
        async with open_chats(talking(world)) as opened:
            if what == "list":
                return await opened.list()
            return await (await opened.open("mine")).say("no, blue")

    good = asyncio.run(read("list"))
    assert [row["thread"] for row in good] == ["mine"]
    with database(chats) as base:
        base.execute(damage)
    for what in read_by:
        with pytest.raises(BadInput) as caught:
            asyncio.run(read(what))
        assert "\n" not in str(caught.value)


def test_a_linked_file_of_answers_is_not_shortened(tmp_path: Path) -> None:
    notes, out = tmp_path / "notes.txt", tmp_path / "run"
    notes.write_text("one line without an end")
    out.mkdir()
    (out / "run.json").write_text('{"seed": 1}')
    (out / PER_QUERY).symlink_to(notes)
    with pytest.raises(BadInput, match="no regular file"):
        RunStore(out, {"seed": 1})
    assert notes.read_text() == "one line without an end"
