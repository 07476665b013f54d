"""PostgreSQL in trouble: unreadable addresses, silence, locks of others, too many clients, forks, a stopped move."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import empty_checkpoint

from imagescope_agent.chat import open_chats
from imagescope_agent.chat.store_migration import Moved, _runs, migrate_store
from imagescope_agent.common.postgres import SETUP_LOCK
from imagescope_agent.errors import BackendUnavailable, ImageScopeError
from imagescope_agent.retrieval.stores.postgres import answering, connect
from imagescope_agent.runs.checkpoints import open_checkpoints, open_store
from imagescope_agent.runs.gone import StoreGone
from imagescope_agent.settings import Settings
from imagescope_agent.traces.database import DatabaseTraces
from imagescope_agent.traces.finding import open_existing
from imagescope_agent.traces.instrument import recording
from tests.chat.talk import talking, think
from tests.conftest import World

THREAD: RunnableConfig = {"configurable": {"thread_id": "t", "checkpoint_ns": ""}}


async def opened(url: str) -> None:
    async with open_store(url):
        pass


def vectors(url: str) -> None:
    pytest.importorskip("pgvector")
    with answering():
        connect(url)


@pytest.mark.parametrize(
    "opens", [lambda url: asyncio.run(opened(url)), lambda url: DatabaseTraces(url, "s"), vectors]
)
@pytest.mark.parametrize("between", ["%z", " ", "[", "@", "/", "?", "#", ":", '"', "@x:1/"])
def test_no_part_of_a_password_is_told(opens: Callable[[str], Any], between: str) -> None:
    pytest.importorskip("psycopg")
    for url in (
        f"postgresql://u:qwxz{between}vykj@127.0.0.1:1/db",
        f"postgresql://u:12{between}vykj@127.0.0.1:1/db",
        f"postgresql://127.0.0.1:1/db?user=u&pasword=qwxz{between}vykj",
    ):
        with pytest.raises(ImageScopeError) as caught:
            opens(url)
        told = str(caught.value)
        assert "qwxz" not in told and "vykj" not in told and "\n" not in told


@pytest.fixture
def silent() -> Iterator[tuple[str, Callable[[], bool]]]:
    """A server that takes connections and says nothing, until it is told to hang up; whether there was one then."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)

        def hang_up() -> bool:
            try:
                listener.accept()[0].close()
            except BlockingIOError:
                return False
            return True

        yield (
            f"postgresql://u@127.0.0.1:{listener.getsockname()[1]}/d?sslmode=disable&gssencmode=disable",
            hang_up,
        )


def test_a_silent_database_of_traces_does_not_stop_the_event_loop(
    world: World, silent: tuple[str, Callable[[], bool]]
) -> None:
    pytest.importorskip("psycopg")
    url, hang_up = silent
    services = world.services()

    async def release() -> None:
        while not hang_up():
            await asyncio.sleep(0.01)

    async def story() -> list[str]:
        other = asyncio.ensure_future(release())
        async with recording(url, services, Settings.load(services.settings)) as recorders:
            await other
            return [note["detail"] for each in recorders for note in each.notes()]

    (told,) = asyncio.run(story())
    assert "does not answer" in told and "timeout" not in told


def test_a_statement_that_waits_too_long_is_given_up(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import psycopg

    with closing(DatabaseTraces(url, "s")) as store, psycopg.connect(url) as other:
        other.execute("lock table imagescope_trace_runs")
        with monkeypatch.context() as hurried:
            hurried.setattr(store._session, "_patience", 0.5)
            with pytest.raises(ImageScopeError):
                store.start("t", graph="g", query="q", about={})
        other.rollback()
        assert store.start("t", graph="g", query="q", about={}) == "t.1"


def test_a_session_that_falls_silent_is_replaced(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(DatabaseTraces(url, "s")) as store, ThreadPoolExecutor(1) as pool:
        run = store.start("t", graph="g", query="q", about={})
        stopped = store._execute("select pg_backend_pid()")[0][0]
        answers = store._session._answers

        def hurried(*given: Any) -> bool:  # only the sign of life: what comes after it may take its time
            with monkeypatch.context() as patch:
                patch.setattr(store._session, "_patience", 0.5)
                return answers(*given)

        monkeypatch.setattr(store._session, "_answers", hurried)
        os.kill(stopped, signal.SIGSTOP)
        try:
            pool.submit(store.append, run, "end", {}).result(30)
        finally:
            os.kill(stopped, signal.SIGCONT)
        assert [event["kind"] for event in store.read(run)[1]] == ["end"]


def test_readers_of_traces_wait_for_no_writer(url: str) -> None:
    import psycopg

    with pytest.raises(ImageScopeError, match="there are no traces"):
        open_existing(url, "s")
    with closing(DatabaseTraces(url, "s")) as store, psycopg.connect(url) as writing:
        run = store.start("t", graph="g", query="q", about={})
        writing.execute(
            "insert into imagescope_trace_events (scope, run, at, kind, data) values ('s', 'x', 1, 'k', '')"
        )
        writing.execute("set local lock_timeout = 1")
        with closing(open_existing(url, "s")) as reader, closing(DatabaseTraces(url, "s")) as second:
            assert reader.holds(run) and second.holds(run)


def test_a_forked_process_leaves_the_connection_of_its_parent(url: str) -> None:
    with closing(DatabaseTraces(url, "s")) as store:
        run = store.start("t", graph="g", query="q", about={})
        before = store._execute("select pg_backend_pid()")
        if not (child := os.fork()):
            code = 1
            try:
                store.append(run, "end", {})
                store.close()
                code = 0
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert store._execute("select pg_backend_pid()") == before
        assert [event["kind"] for event in store.read(run)[1]] == ["end"]


def test_more_searches_than_connections_wait_for_each_other(url: str) -> None:
    import psycopg

    name = f"few{os.urandom(4).hex()}"
    with psycopg.connect(url, autocommit=True) as base:
        base.execute(f"create role {name} login connection limit 2")
        base.execute(f"grant all on schema public to {name}")

    async def one() -> None:
        async with open_store(url.replace("user=tests", f"user={name}")):
            await asyncio.sleep(0.01)

    async def all_() -> None:
        await asyncio.gather(*(one() for _ in range(6)))

    asyncio.run(all_())


def test_tables_that_are_there_are_looked_at_without_a_lock(url: str) -> None:
    import psycopg

    asyncio.run(opened(url))
    with psycopg.connect(url, autocommit=True) as other:
        other.execute("select pg_advisory_lock(%s)", (SETUP_LOCK,))
        asyncio.run(asyncio.wait_for(opened(url), 60))


@pytest.mark.parametrize("error", ["DiskFull", "QueryCanceled", "DeadlockDetected", "AdminShutdown"])
def test_a_server_that_refuses_is_not_said_to_be_away(url: str, error: str) -> None:
    import psycopg

    async def story() -> None:
        async with open_store(url):
            raise getattr(psycopg.errors, error)("told")

    with pytest.raises(ImageScopeError, match="told") as caught:
        asyncio.run(story())
    assert isinstance(caught.value, StoreGone) == (error == "AdminShutdown")


def test_a_broken_connection_is_closed_and_lists_have_names_of_the_scope(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import psycopg

    async def story() -> None:
        async with open_store(url, scope="a:") as opened, open_store(url, scope="b:") as other:
            saver: Any = opened
            await saver.aput(THREAD, empty_checkpoint(), {"step": 1}, {})
            await other.aput(THREAD, empty_checkpoint(), {"step": 2}, {})
            for config in (THREAD, None):
                found = [each async for each in saver.alist(config, limit=1)]
                assert [
                    (each.config["configurable"]["thread_id"], each.metadata["step"]) for each in found
                ] == [("t", 1)]
            before = saver.conn

            async def fails(*given: Any) -> None:
                raise psycopg.OperationalError("broken")

            monkeypatch.setattr(before, "execute", fails)
            await saver.reopen()
            assert before.closed and not saver.conn.closed and await saver.aget_tuple(THREAD)

    asyncio.run(story())


def test_a_move_that_was_killed_loses_nothing_of_a_run(tmp_path: Path, url: str) -> None:
    async def story() -> None:
        async with open_checkpoints(tmp_path / "r") as before, open_store(url, scope="a:") as after:
            kept = await before.aput(THREAD, empty_checkpoint(), {"step": 1}, {})
            await before.aput_writes(kept, [("x", 1)], "task")
            reached = asyncio.Event()

            async def stuck(*given: Any) -> None:
                reached.set()
                await asyncio.sleep(3600)

            for name in ("aput", "aput_writes"):
                with pytest.MonkeyPatch.context() as patch:
                    patch.setattr(after, name, stuck)
                    moving = asyncio.ensure_future(_runs(before, after, Moved()))
                    await asyncio.wait_for(reached.wait(), 60)
                    moving.cancel()
                    await asyncio.wait([moving])
                    reached.clear()
            first, again = Moved(), Moved()
            await _runs(before, after, first)
            await _runs(before, after, again)
            assert (first.runs, first.kept, again.runs, again.kept) == (1, 0, 0, 1)
            found: Any = await after.aget_tuple(THREAD)
            assert found.pending_writes == [("task", "x", 1)]

    asyncio.run(story())


def test_a_move_takes_the_steps_of_a_turn_that_was_cut_off(
    world: World, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "chats.sqlite"
    monkeypatch.setenv("IMAGESCOPE_CHATS", str(file))
    services = talking(world)

    def cut(asked: Any) -> str:
        if cut.calls:  # type: ignore[attr-defined]
            raise BackendUnavailable("away")
        cut.calls = True  # type: ignore[attr-defined]
        return think(asked)

    cut.calls = False  # type: ignore[attr-defined]
    for role in {id(each): each for each in (services.reasoner, services.talker)}.values():
        role.model.reply = cut

    async def story() -> None:
        async with open_chats(services, store=file) as chats:
            session = await chats.create("c")
            with pytest.raises(BackendUnavailable):
                await session.say("a red square")
            name = chats.store.key("c")
            before = [each async for each in chats.store.saver.alist({"configurable": {"thread_id": name}})]
        assert before
        assert (await migrate_store(world.services(), url)).conversations == 1
        async with open_chats(talking(world), store=url) as chats:
            name = chats.store.key("c")
            after = [each async for each in chats.store.saver.alist({"configurable": {"thread_id": name}})]
            assert [each.checkpoint["id"] for each in after] == [each.checkpoint["id"] for each in before]
            assert await (await chats.open("c")).turns()

    asyncio.run(story())
