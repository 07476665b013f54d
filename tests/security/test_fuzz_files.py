"""Damaged index, SQLite and trace files: found, told in one line, and never made worse.

FUZZ=200 make test ARGS=tests/security/test_fuzz_files.py     damages so many instead of a few
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.security.drawn import changed, value
from tests.security.sandbox import Sandbox, copied, count, damage

FILES = ("imagescope.json", "*.faiss", "journal.sqlite", "runs.sqlite", "traces.sqlite", "chats.sqlite")
USES = (
    ["search", "photos", "a red square", "--graph", "retrieve", "--profile", "mine.toml"],
    ["chat", "photos", "--list", "--profile", "mine.toml"],
    ["chat", "photos", "--thread", "mine", "--profile", "mine.toml"],
    ["trace", "--store", "photos"],
    ["trace", "--last", "--store", "photos", "--json"],
    ["trace", "--last", "--store", "photos", "--html", "page.html"],
    ["index", "photos", "--profile", "mine.toml"],
)


@pytest.fixture
def sandbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """With an indexed folder, and what searches and conversations keep beside it."""
    made = Sandbox(tmp_path / "sandbox", monkeypatch)
    assert made.run("index", "photos", "--profile", "mine.toml")[0] == 0
    assert made.run("search", "photos", "a red square", "--profile", "mine.toml")[0] == 0
    assert (
        made.run("chat", "photos", "--profile", "mine.toml", "--thread", "mine", said="a red square\n")[0]
        == 0
    )
    for file in (made.photos / ".imagescope").glob("*.sqlite"):
        with closing(sqlite3.connect(file)) as base:
            base.execute("pragma wal_checkpoint(truncate)")
    shutil.copytree(made.photos / ".imagescope", made.root / "kept")
    return made


def rankings(sandbox: Sandbox) -> Any:
    code, out, _ = sandbox.run(*USES[0], "--json")
    return [(hit["id"], hit["scores"]) for hit in json.loads(out)["results"]] if code == 0 else None


def use(sandbox: Sandbox, told: object, random: Random) -> set[int]:
    """Some of what reads a collection; the exit codes."""
    found = set()
    for words in random.sample(USES, 3):
        code, out, err = sandbox.run(*words, said="no, a blue one\n" if "--thread" in words else "")
        if code == 0 or words[0] == "chat":
            err = "\n".join(err.splitlines()[-1:]) if code else ""
        sandbox.check((told, words), code, out, err)
        found.add(code)
    return found


def test_damaged_files(sandbox: Sandbox) -> None:
    index, kept = sandbox.photos / ".imagescope", sandbox.root / "kept"
    right, codes = rankings(sandbox), set[int]()
    assert right
    for number in range(count(30)):
        random = Random(f"file {number}")
        path = random.choice(sorted(index.glob(random.choice(FILES))))
        kind, data = damage(path.read_bytes(), random)
        path.write_bytes(data)
        told = (number, path.name, kind)
        found = rankings(sandbox)
        assert found in (None, right), told
        codes |= use(sandbox, told, random)
        assert rankings(sandbox) in (None, right), told
        copied(kept, index)
    assert codes <= {0, 2, 3}


@contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path)) as base, base:
        yield base


def _rows(base: sqlite3.Connection, random: Random) -> str | None:
    """One cell of a table becomes something else."""
    tables = [
        name
        for (name,) in base.execute("select name from sqlite_schema where type = 'table'")
        if "sqlite_" not in name
    ]
    table = random.choice(tables)
    columns = [row[1] for row in base.execute(f"pragma table_info({table})")]
    rows = [row for (row,) in base.execute(f"select rowid from {table}")]
    if not rows:
        return None
    column, row = random.choice(columns), random.choice(rows)
    other: list[Callable[[], Any]] = [
        lambda: None, lambda: random.randint(-(2**62), 2**62), lambda: 9e300, lambda: "\x1b[2J", lambda: "x" * 10_000,
        lambda: random.randbytes(50), lambda: zlib.compress(json.dumps(value(random)).encode()), lambda: b"\xc1" * 20,
        lambda: "[" * 3000, lambda: "\udcff".encode("utf-8", "surrogatepass"), lambda: "{}", lambda: b"\x91" * 3000,
    ]  # fmt: skip
    base.execute(f"update or ignore {table} set {column} = ? where rowid = ?", (random.choice(other)(), row))
    return f"{table}.{column}"


def _event(base: sqlite3.Connection, random: Random) -> str | None:
    """One value in an event of a trace becomes something else."""
    row, data = random.choice(base.execute("select seq, data from events").fetchall())
    content = changed(json.loads(zlib.decompress(data)), random)
    text = json.dumps(content).encode("utf-8", "replace")
    base.execute("update events set data = ? where seq = ?", (zlib.compress(text), row))
    return "event"


def test_made_up_rows(sandbox: Sandbox) -> None:
    index, kept = sandbox.photos / ".imagescope", sandbox.root / "kept"
    right = rankings(sandbox)
    for number in range(count(30)):
        random = Random(f"row {number}")
        name = random.choice(["journal", "runs", "traces", "traces", "chats"])
        change = _event if name == "traces" and random.random() < 0.6 else _rows
        with opened(index / f"{name}.sqlite") as base:
            try:
                what = change(base, random)
            except sqlite3.IntegrityError:
                what = "refused by SQLite"
        told = (number, name, what)
        use(sandbox, told, random)
        assert rankings(sandbox) in (None, right), told
        copied(kept, index)
