"""Vectors in PostgreSQL with the extension `vector` (extra `pgvector`), beside conversations: one database, one backup.

    store = "pgvector:postgresql://USER@HOST/DB"

A table holds the spaces that were written together side by side, and ids, contents, captions and fields beside them.
Its name carries whose index it is and a hash of what it holds; it has that name when all is written. A search with a
filter compares all rows that match; one without uses an index "hnsw".
"""

from __future__ import annotations

import os
import re
import secrets
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from imagescope_agent.common.redact import learn
from imagescope_agent.retrieval.index.manifest import damaged
from imagescope_agent.retrieval.metadata.conditions import Condition, render
from imagescope_agent.retrieval.protocols import Space, StoredSpace
from imagescope_agent.retrieval.stores.joint import DEFAULT_INDEX, Records
from imagescope_agent.retrieval.stores.joint_rows import JointRows, forget_owner, kept_of, new_owner, owner_of
from imagescope_agent.retrieval.stores.pgvector_tables import build_index, copy_rows, create, kind_of
from imagescope_agent.retrieval.stores.postgres import answering, connect, library
from imagescope_agent.retrieval.stores.rescored import Nearest, RescoredStore, Table, tables_of
from imagescope_agent.retrieval.vectors import Vectors

NAME = re.compile(r"imagescope_[0-9a-f]{12}_[0-9a-f]{16}")
_OURS = re.compile(r"imagescope_[0-9a-f]{12}_(?:new_)?[0-9a-f]{8,16}")
MOST = 100_000  # rows that one search may give
MOST_INDEXED = 1000  # rows that a search with HNSW may give: the most that hnsw.ef_search can be
EFFORT, LEAST_EFFORT = 8, 400  # hnsw.ef_search for each row that is wanted, and at least
CONNECTIONS = 4  # searches of a store that ask the database at a time
Answer = TypeVar("Answer")


class PgvectorBackend:
    """Writes and opens tables of PostgreSQL.

    Args:
        place: postgresql:// URL.
    """

    def __init__(self, place: str) -> None:
        self._url = place
        if password := re.match(r"[a-z]+://[^/@]*:([^/@]+)@", self._url):
            learn(password[1])

    def write(
        self, location: Path, ids: Sequence[str], space: Space, vectors: Iterable[Vectors]
    ) -> dict[str, Any]:
        """As `StoreBackend.write`."""
        return self.write_joint(location, ids, [space], [vectors])[0]

    def write_joint(
        self,
        location: Path,
        ids: Sequence[str],
        spaces: Sequence[Space],
        vectors: Sequence[Iterable[Vectors]],
        *,
        index: str = DEFAULT_INDEX,
        records: Records | None = None,
        tell: Callable[[str], None] = lambda _: None,
        resume: str = "",
    ) -> list[dict[str, Any]]:
        """As `JointBackend.write_joint`; the index "hnsw" is of numbers of 16 bits, and ranked by those of 32."""
        size = sum(space.dimension for space in spaces)
        kind = kind_of(index, len(ids), size, tell)
        fields, owner = records.columns if records else {}, new_owner(location)
        making = f"imagescope_{owner}_new_{resume or secrets.token_hex(4)}"
        rows = JointRows(ids, spaces, vectors, records, kind)
        with self._connection() as base:
            create(base, making, size, list(fields.values()))
            copy_rows(base, making, rows, list(fields.values()))
            base.execute(f"VACUUM {making}")  # rows are counted in the index of their numbers from then on
            name = f"imagescope_{owner}_{rows.digest()[:16]}"
            with base.transaction():
                base.execute(f"DROP TABLE IF EXISTS {name}")  # the same, written once more
                if kind == "hnsw":
                    build_index(base, making, len(ids), size, tell)
                base.execute(f"ALTER TABLE {making} RENAME TO {name}")
        tell(f"pgvector: {len(ids)} rows in {name}, index {kind}")
        return kept_of(name, spaces, list(fields), kind)

    def open(self, location: Path, ids: Sequence[str], spaces: Sequence[StoredSpace]) -> RescoredStore:
        """As `StoreBackend.open`: names, dimensions and numbers of rows are compared."""
        tables = tables_of(spaces, NAME, lambda why: damaged(location, why))
        indexed = {str(space.kept["table"]) for space in spaces if space.kept.get("index") == "hnsw"}
        engine = _Postgres(self._url, indexed)
        for table in tables:
            if (found := engine.shape(table.name)) is None:
                raise FileNotFoundError(2, "no such table", str(location / table.name))
            if found != (len(ids), sum(table.spaces.values())):
                raise damaged(location, f"{table.name} does not fit the manifest")
        return RescoredStore(ids, engine, tables)

    def tidy(self, location: Path, kept: Sequence[Mapping[str, Any]]) -> None:
        """As `StoreBackend.tidy`."""
        if (owner := owner_of(location)) is None:
            return
        keep, ours = {each.get("table") for each in kept}, f"imagescope_{owner}_"
        with self._connection() as base:
            query = "SELECT tablename FROM pg_tables WHERE schemaname = current_schema() AND starts_with(tablename, %s)"
            for (name,) in base.execute(query, (ours,)).fetchall():
                if name not in keep and _OURS.fullmatch(name):
                    base.execute(f"DROP TABLE IF EXISTS {name}")
        if not kept:
            forget_owner(location)

    @contextmanager
    def _connection(self) -> Iterator[Any]:
        with answering(), connect(self._url) as base:
            yield base


class _Postgres:
    """As `rescored.Engine`: a few connections, made when searches need them, and again where the server was restarted.

    Args:
        url: of the database.
        indexed: tables with an HNSW index.
    """

    most = MOST

    def __init__(self, url: str, indexed: set[str]) -> None:
        self._url, self._indexed = url, indexed
        self._room = threading.BoundedSemaphore(CONNECTIONS)
        self._idle: list[tuple[int, Any]] = []  # the connections that no search uses, and the process of each

    def __del__(self) -> None:
        if hasattr(self, "_idle"):
            self._close_idle()

    def shape(self, table: str) -> tuple[int, int] | None:
        """Rows of a table and numbers of a vector, None where there is no such table."""

        def ask(base: Any) -> tuple[int, int] | None:
            query = (
                "SELECT atttypmod FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attname = 'joint'"
            )
            if (size := base.execute(query, (table,)).fetchone()) is None:
                return None
            return int(base.execute(f"SELECT count(*) FROM {table}").fetchone()[0]), int(size[0])

        return self._ask(ask)

    def nearest(
        self, table: Table, query: Vectors, count: int, where: Condition | None, *, exact: bool
    ) -> Nearest:
        names = {field: f"f{place}" for place, field in enumerate(table.fields)}
        told = "" if where is None else render(where, names, equals="=", several=lambda values: f"({values})")
        near = not exact and where is None and table.name in self._indexed and count <= MOST_INDEXED
        size = len(query)
        distance = (
            f"(joint::halfvec({size})) <#> %s::vector::halfvec({size})" if near else "joint <#> %s::vector"
        )
        # products of the nearest alone: beside the order they would be made of every row
        some = f"SELECT ctid FROM {table.name} {f'WHERE {told}' if told else ''} ORDER BY {distance} LIMIT {count}"
        sql = f"SELECT row, joint, -(joint <#> %s::vector) FROM {table.name} WHERE ctid = ANY(ARRAY({some}))"
        effort = min(max(LEAST_EFFORT, EFFORT * count), MOST_INDEXED)
        settings = {"enable_indexscan": _switch(near), "enable_seqscan": _switch(not near)}
        settings |= {"hnsw.ef_search": str(effort)} if near else {}
        setting = f"SELECT {', '.join(['set_config(%s, %s, true)'] * len(settings))}"

        def ask(base: Any) -> list[Any]:
            from pgvector import Vector

            asked = Vector(query)
            # sent together: each answer that is waited for is a turn of both processes
            with base.pipeline(), base.transaction():
                base.execute(setting, [each for pair in settings.items() for each in pair])
                found: list[Any] = base.execute(sql, (asked, asked), binary=True).fetchall()
            return found

        found = self._ask(ask)
        rows = np.array([each[0] for each in found], dtype=np.int64)
        vectors = np.array([each[1].to_numpy() for each in found], dtype=np.float32).reshape(len(rows), size)
        products = np.array([each[2] for each in found], dtype=np.float64)
        order = np.argsort(-products, kind="stable")  # the index orders by numbers of 16 bits
        return Nearest(rows[order], products[order], vectors[order])

    def fetch(self, table: Table, rows: Sequence[int]) -> Vectors:
        def ask(base: Any) -> dict[int, Any]:
            query = f"SELECT row, joint FROM {table.name} WHERE row = ANY(%s)"
            return {row: vector.to_numpy() for row, vector in base.execute(query, (list(rows),), binary=True)}

        found = self._ask(ask)
        return np.array([found[row] for row in rows], dtype=np.float32)

    def _ask(self, ask: Callable[[Any], Answer]) -> Answer:
        psycopg, _ = library()
        with self._room, answering():
            try:
                return self._answer(ask, self._taken() or connect(self._url))
            except (psycopg.OperationalError, psycopg.InterfaceError):
                self._close_idle()  # the server was restarted: what is idle is broken, too
            return self._answer(ask, connect(self._url))

    def _answer(self, ask: Callable[[Any], Answer], base: Any) -> Answer:
        """What a connection answers; it is kept for the next search unless it broke, or was stopped in a statement."""
        try:
            return ask(base)
        finally:
            if base.closed or base.info.transaction_status:
                base.close()
            else:
                self._idle.append((os.getpid(), base))

    def _taken(self) -> Any | None:
        """A connection of this process that no search uses; None where there is none."""
        with suppress(IndexError):  # asked first, another thread might take the last one in between
            while True:
                pid, base = self._idle.pop()
                if pid == os.getpid():  # those of a parent are its own still
                    return base
        return None

    def _close_idle(self) -> None:
        while (base := self._taken()) is not None:
            base.close()


def _switch(on: bool) -> str:
    return "on" if on else "off"


def open_backend(place: str) -> PgvectorBackend:
    """The backend of a database (see the module)."""
    return PgvectorBackend(place)
