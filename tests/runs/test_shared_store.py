"""Searches and traces in SQLite and in PostgreSQL, which several processes share and which may go away."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from imagescope_agent.api import ImageScope
from imagescope_agent.chat import open_chats
from imagescope_agent.chat.store_migration import migrate_store
from imagescope_agent.errors import BackendUnavailable, BadInput
from imagescope_agent.runs.checkpoints import POSTGRES
from imagescope_agent.runs.run_store import open_runs
from imagescope_agent.traces import write_behind
from imagescope_agent.traces.database import DatabaseTraces
from imagescope_agent.traces.finding import find_run
from imagescope_agent.traces.open_store import OpenStore
from imagescope_agent.traces.store import TraceStore
from tests.api_models import think
from tests.chat.talk import talking
from tests.conftest import World
from tests.crashes import script
from tests.engines import Server

Make = Callable[..., ImageScope]


def ids(found: Any) -> list[str]:
    return [hit.id for hit in found.results]


def asked_of(scope: ImageScope, role: str) -> list[Any]:
    """What a scripted model was asked."""
    found: list[Any] = getattr(scope.services, role).model.asked
    return found


def searching(world: World, kept: str, judge: Any = "No: not quite", **options: Any) -> ImageScope:
    def scorer(asked: Any) -> list[float]:
        return [0.9, 0.1] if world.colour(asked) in asked.text else [0.1, 0.9]

    services = world.services(
        reasoner=world.role("reasoner", think),
        verifier=world.role("verifier", scorer=scorer),
        judge=world.role("judge", judge),
    )
    return ImageScope(services, runs=kept, **{"traces": False, **options})


def test_a_kept_run_is_found_again_and_others_are_not(make: Make, kept: str) -> None:
    found = make(runs=kept, traces=False).search("a red square", k=3)
    again = make(runs=kept, traces=False)
    assert ids(again.resume(found.run)) == ids(found)
    assert asyncio.run(again.afind(found.run)) == ("imagescope", True)
    with pytest.raises(BadInput, match="no run 'nothing'"):
        again.resume("nothing")
    with pytest.raises(BadInput, match="belongs to the graph"):
        make(runs=kept, traces=False, graph="retrieve").resume(found.run)


def test_a_run_that_was_cut_off_goes_on_where_it_was(world: World, kept: str) -> None:
    def broken(asked: Any) -> str:
        raise BackendUnavailable("away")

    with pytest.raises(BackendUnavailable, match="away"):
        asyncio.run(searching(world, kept, broken).asearch("a red square", run="r", k=3))
    whole = searching(world, kept)
    found = whole.resume("r")
    assert not asked_of(whole, "verifier"), "what was asked before is not asked again"
    assert ids(found) == ids(searching(world, kept).search("a red square", k=3))


def test_collections_in_one_database_do_not_see_each_others_runs(tmp_path: Path, url: str) -> None:
    one, two = World(tmp_path / "one" / "w"), World(tmp_path / "two" / "w")
    mine = searching(one, url, traces=url)
    found = asyncio.run(mine.asearch("a red square", run="same"))
    with pytest.raises(BadInput, match="no run 'same'"):
        searching(two, url).resume("same")
    asyncio.run(searching(two, url, traces=url).asearch("a blue square", run="same", k=2))
    assert ids(mine.resume("same")) == ids(found)
    place = open_runs(url, one.collection.location, required=True)
    assert place.place.startswith(POSTGRES)
    from imagescope_agent.runs.run_store import scope_of

    told = [
        find_run("same", url, scope=scope_of(each.collection.location))[0]["query"] for each in (one, two)
    ]
    assert told == ["a red square", "a blue square"]


def test_the_oldest_runs_make_room_in_a_database(
    world: World, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from imagescope_agent.runs import run_store

    monkeypatch.setattr(run_store, "_EVERY", 1)
    scope = searching(world, url)
    for number in range(3):
        asyncio.run(scope.asearch("a red square", run=f"r{number}"))
    monkeypatch.setenv("IMAGESCOPE_RUNS_MB", "0.001")
    asyncio.run(scope.asearch("a red square", run="last"))
    with pytest.raises(BadInput, match="no run"):
        scope.resume("r0")
    assert ids(scope.resume("last"))


@pytest.mark.slow
def test_a_killed_process_leaves_its_run_to_another_and_two_do_not_both_finish_it(
    tmp_path: Path, url: str
) -> None:
    told = script("tests.runs.shared", tmp_path / "shared", url)
    assert told["codes"] == [0, 0, 0] and not told["early"]
    assert told["found"] == [told["undisturbed"]] * 2
    first, second = Counter(told["first"]), Counter(told["second"])
    assert first["reasoner"] > 0 and first["verifier"] > 0
    assert set(second) == {"judge"}, "finished steps are not repeated"
    events = find_run("r", url)[1]
    assert sum(event["kind"] == "end" for event in events) >= 1


def test_a_run_goes_on_after_its_database_was_restarted(tmp_path: Path, url: str, postgres: Server) -> None:
    world, calm = World(tmp_path / "w"), World(tmp_path / "calm")
    asked: list[str] = []
    starting = threading.Timer(0.3, postgres.start)

    def judge(call: Any) -> str:
        if not asked:
            postgres.kill()
            starting.start()
        asked.append(call.text)
        return "No: not quite"

    scope = searching(world, url, judge, traces=url)
    try:
        found = asyncio.run(scope.asearch("a red square", run="r", k=3))
    finally:
        starting.join()
    plain = searching(calm, url, traces=False)
    assert ids(found) == ids(plain.search("a red square", k=3))
    for role in ("reasoner", "verifier"):
        mine, theirs = (asked_of(each, role) for each in (scope, plain))
        assert len(mine) == len(theirs), "nothing is asked twice"
    assert ids(scope.resume("r")) == ids(found)


def test_a_database_that_stays_away_ends_a_run_in_one_line(
    make: Make,
) -> None:
    away = "postgresql://me:pass-w0rd@127.0.0.1:1/nothing"
    with pytest.raises(BackendUnavailable, match="does not answer") as caught:
        make(runs=away, traces=False).search("a red square")
    assert "pass-w0rd" not in str(caught.value) and "\n" not in str(caught.value)
    found = make(runs=False, traces=away).search("a red square")
    assert any("there is no trace" in note["detail"] for note in found.notes)


@pytest.fixture
def traces(kept: str) -> TraceStore | DatabaseTraces:
    return OpenStore().open(kept if kept.startswith(POSTGRES) else Path(kept), "mine")


def test_traces_are_kept_alike(traces: TraceStore | DatabaseTraces) -> None:
    first = traces.start("t", graph="g", query="a \ud800red\0 square", about={"profile": "mini"})
    second = traces.start("t", graph="g", query="a blue square", about={})
    assert (first, second) == ("t.1", "t.2")
    numbers = [traces.append(first, kind, {"n": kind}) for kind in ("node", "node_end", "end")]
    assert numbers == sorted(numbers)
    traces.append(second, "end", {"status": "failed"})
    head, events = traces.read("t.1")
    assert head["profile"] == "mini" and head["thread"] == "t" and head["turn"] == 1
    assert [event["kind"] for event in events] == ["node", "node_end", "end"]
    assert [event["n"] for event in events] == ["node", "node_end", "end"]
    assert traces.read("t")[0]["id"] == traces.read()[0]["id"] == "t.2" == traces.newest_of("t")
    assert traces.holds("t") and traces.holds("t.1") and not traces.holds("u")
    assert (traces.runs()[0].id, traces.runs()[0].status) == ("t.2", "failed")
    with pytest.raises(BadInput, match=r"no run 't\.3'.*did you mean"):
        traces.read("t.3")


def test_traces_of_several_processes_get_numbers_of_their_own(url: str) -> None:
    stores = [DatabaseTraces(url, "s") for _ in range(4)]

    def begin(store: DatabaseTraces) -> list[str]:
        return [store.start("t", graph="g", query="q", about={}) for _ in range(10)]

    with ThreadPoolExecutor(4) as pool:
        found = [each for part in pool.map(begin, stores) for each in part]
    assert len(set(found)) == 40


def test_traces_go_on_after_the_database_was_restarted(url: str, postgres: Server) -> None:
    with closing(DatabaseTraces(url, "s")) as store:
        run, other = (store.start(name, graph="g", query="q", about={}) for name in "tu")
        store.append(other, "node", {})
        postgres.kill()
        with pytest.raises(BackendUnavailable):  # the end is not waited with
            store.append(other, "end", {})
        postgres.start()
        store.append(run, "node", {})
        store.append(run, "end", {})
        assert [event["kind"] for event in store.read(run)[1]] == ["node", "end"]


def test_events_wait_for_a_database_that_is_back_soon_and_are_there_once(
    url: str, postgres: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write_behind, "MOMENT", 0.001)
    with closing(DatabaseTraces(url, "s")) as store:
        run = store.start("t", graph="g", query="q", about={})
        store.append(run, "node", {"n": 0})
        postgres.kill()
        for number in range(1, 40):
            store.append(run, "call", {"n": number})
        postgres.start()
        store.append(run, "end", {})
        head, events = store.read(run)
        assert [event.get("n") for event in events] == [*range(40), None]
        rows = [(each["seq"], run, 0.0, each["kind"], b"") for each in events]
        store._behind._events.write(rows)  # as after an answer that never came
        assert store.read(run) == (head, events)


def test_events_reach_the_database_together(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write_behind, "MOMENT", 60.0)
    with closing(DatabaseTraces(url, "s")) as store:
        run = store.start("t", graph="g", query="q", about={})
        said: list[str] = []
        execute = store._session.execute

        def heard(sql: str, *given: Any, **then: Any) -> Any:
            said.append(sql)
            return execute(sql, *given, **then)

        monkeypatch.setattr(store._session, "execute", heard)
        for number in range(30):
            store.append(run, "call", {"n": number})
        assert len(said) == 1 and "nextval" in said[0]
        store.append(run, "end", {})
        assert len(said) == 2
        assert [event.get("n") for event in store.read(run)[1]] == [*range(30), None]


def test_a_run_that_another_process_goes_on_with_keeps_its_order(kept: str) -> None:
    place = kept if kept.startswith(POSTGRES) else Path(kept)
    early, late = (OpenStore().open(place, "mine") for _ in range(2))
    early.append(early.start("a", graph="g", query="q", about={}), "end", {})
    run = late.start("t", graph="g", query="q", about={})
    late.append(run, "end", {"status": "waiting for an answer"})
    for kind in ("resume", "node", "end"):
        early.append(run, kind, {})
    assert [event["kind"] for event in late.read(run)[1]] == ["end", "resume", "node", "end"]


def test_what_files_keep_is_moved_into_a_database(tmp_path: Path, url: str) -> None:
    world = World(tmp_path / "w")
    before = searching(world, "", traces=None)
    before = ImageScope(before.services)
    done = before.search("a red square", k=3)

    def broken(asked: Any) -> str:
        raise BackendUnavailable("away")

    cut = ImageScope(searching(world, "", broken).services)
    with pytest.raises(BackendUnavailable):
        asyncio.run(cut.asearch("a red square", run="cut", k=3))

    async def said(store: str | None) -> list[Any]:
        async with open_chats(talking(world), store=store) as chats:
            session = await chats.get("c")
            if store is None:
                await session.say("a red square")
            return [turn["message"] for turn in await session.turns()]

    told = asyncio.run(said(None))
    first = asyncio.run(migrate_store(world.services(), url))
    assert (first.conversations, first.runs) == (1, 2) and first.traces >= 2
    again = asyncio.run(migrate_store(world.services(), url))
    assert (again.conversations, again.runs, again.traces) == (0, 0, 0)
    after = searching(world, url, traces=url)
    assert ids(after.resume(done.run)) == ids(done)
    assert ids(after.resume("cut")) == ids(done)
    assert not asked_of(after, "verifier")
    assert asyncio.run(said(url)) == told
    assert find_run(done.run, url)[0]["query"] == "a red square"
    with pytest.raises(BadInput, match="postgresql://"):
        asyncio.run(migrate_store(world.services(), "sqlite.db"))
