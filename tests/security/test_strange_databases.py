"""Databases of something else are not written to; searches and traces may share one; crafted traces are told."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from imagescope_agent.traces.store import TraceStore
from tests.security.sandbox import OWN, Sandbox, refused


def foreign(path: Path, *tables: str) -> bytes:
    with closing(sqlite3.connect(path)) as base, base:
        for table in tables:
            base.execute(table)
    return path.read_bytes()


@pytest.mark.parametrize(
    "tables",
    [
        ("create table precious (thing text)",),
        ("create table runs (run_uuid text, name text)", "create table metrics (key text)"),
        ("create table events (id integer, what text)",),
        ("create table runs (id text)", "create table events (id integer)"),
        ("create table checkpoints (epoch integer, weights blob)",),
        (),
    ],
)
def test_a_database_of_something_else_is_not_written_to(
    sandbox: Sandbox, tables: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = sandbox.named / "theirs.db"
    before = foreign(path, *tables)
    for words in (["trace", "--store", "theirs.db"], ["trace", "--last", "--store", "theirs.db"]):
        refused(sandbox, *words)
        assert path.read_bytes() == before and not list(sandbox.named.glob("theirs.db?*"))
    if not tables:
        return  # an empty file may become a store
    refused(sandbox, "chat", "photos", *OWN, "--store", "theirs.db", "--list")
    for variable in ("IMAGESCOPE_RUNS", "IMAGESCOPE_TRACES", "IMAGESCOPE_CHATS"):
        monkeypatch.setenv(variable, "theirs.db")
        told = sandbox.run("search", "photos", "red", "--graph", "retrieve", *OWN)
        assert told[0] == (2 if variable == "IMAGESCOPE_RUNS" else 0)
        sandbox.run("chat", "photos", *OWN, "--list")
        monkeypatch.delenv(variable)
    (sandbox.named / "kept").mkdir()
    path.rename(sandbox.named / "kept" / "journal.sqlite")
    refused(sandbox, "index", "photos", *OWN, "--out", "kept")
    assert (sandbox.named / "kept" / "journal.sqlite").read_bytes() == before


def test_searches_and_traces_may_share_a_file(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("IMAGESCOPE_RUNS", "IMAGESCOPE_TRACES", "IMAGESCOPE_CHATS"):
        monkeypatch.setenv(variable, "all.sqlite")
    for _ in range(2):
        code, out, _ = sandbox.run("search", "photos", "red", "--graph", "retrieve", *OWN, "--json")
        assert code == 0 and json.loads(out)["notes"] == []
    assert sandbox.run("chat", "photos", *OWN, "--list")[0] == 0
    assert len(sandbox.run("trace", "--store", "all.sqlite")[1].splitlines()) == 3


def test_crafted_traces_make_no_traceback(sandbox: Sandbox) -> None:
    path = sandbox.named / "t"
    odd: list[Any] = [None, 3, "x", [], {}, [1], {"a": 1}, [[]], [{}], 1e308]
    keys = ("ranking", "candidates", "verdicts", "matches", "judgement", "intent", "predicates", "notes")
    for number, (key, value) in enumerate((key, value) for key in keys for value in odd):
        with closing(TraceStore(path)) as store:
            run = store.start(f"r{number}", graph="g", query="q", about={key: value, "settings": value})
            span = store.append(run, "node", {"node": "retrieve", "step": 1, "attempt": 1, "parent": 0})
            update = {"ranking": ["a", "b"], "candidates": [{"id": "a", "retrieve": 1.0}], key: value}
            store.append(run, "node_end", {"span": span, "update": update})
            store.append(run, "end", {"status": "done", "keys": value})
        for more in (
            ["--html", "page.html"],
            ["--json"],
            ["--why", "a", "b"],
            ["--compare", "r0.1", "--html", "c.html"],
        ):
            told = sandbox.run("trace", f"r{number}.1", "--store", "t", *more)
            sandbox.check((key, value, more), *told)
