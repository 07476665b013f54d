"""Tables of the store `pgvector`: made, filled, indexed.

An HNSW index is built in the memory of the server, `maintenance_work_mem`, until that is full, and from then on page by
page: many times as slowly. Its own setting, 64 MB, is full with 23,000 rows of two spaces of 512 numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from imagescope_agent.errors import BadInput
from imagescope_agent.retrieval.metadata.table import Column
from imagescope_agent.retrieval.stores.joint import chosen_index
from imagescope_agent.retrieval.stores.joint_rows import JointRows

BATCH = 4096  # rows of a transaction
MOST_HALVES = 4000  # numbers of 16 bits that a vector in an index may have
IN_ROW = 8000  # bytes of a vector that a page of PostgreSQL holds beside the rest of its row
LINKS, BUILD_EFFORT = 24, 128  # of HNSW
NODE = 1100  # bytes of a row in a graph beside its vector: 713 measured with 16 links
ROUNDED = 2**23  # bytes of a graph beside its rows: it takes memory in blocks, of those that workers share


def kind_of(index: str, count: int, size: int, tell: Callable[[str], None]) -> str:
    """The kind of index of `count` vectors (size,).

    Raises:
        BadInput: PostgreSQL builds none such.
    """
    if index in ("ivfpq", "pq4", "sq8"):
        raise BadInput(f"pgvector builds no index {index!r}; take --index hnsw, exact or auto")
    kind = chosen_index(index, count, large="hnsw")
    if kind == "exact" or size <= MOST_HALVES:
        return kind
    long = f"pgvector builds no index of {size} numbers side by side, {MOST_HALVES} at most"
    if index == "hnsw":
        raise BadInput(f"{long}; take --index exact or auto")
    tell(f"{long}: searches compare all vectors")
    return "exact"


def create(base: Any, name: str, dimension: int, columns: Sequence[Column]) -> None:
    """Make an empty table, where there is none of that name."""
    fields = [
        f"f{place} {'double precision' if column.kind == 'number' else 'bigint'} NOT NULL"
        for place, column in enumerate(columns)
    ]
    own = ["row integer PRIMARY KEY", "id text NOT NULL", "key text NOT NULL", "caption text", *fields]
    base.execute(f"CREATE TABLE IF NOT EXISTS {name} ({', '.join(own)}, joint vector({dimension}) NOT NULL)")
    storage = "PLAIN" if 4 * dimension < IN_ROW else "EXTERNAL"  # packing vectors gains nothing
    base.execute(f"ALTER TABLE {name} ALTER COLUMN joint SET STORAGE {storage}")


def copy_rows(base: Any, name: str, rows: JointRows, columns: Sequence[Column]) -> None:
    """Write the rows in batches; those that are there already, of a run that was stopped, stay."""
    kinds = ["float8" if column.kind == "number" else "int8" for column in columns]
    done = base.execute(f"SELECT count(*) FROM {name}").fetchone()[0]
    for batch in rows.batches(BATCH):
        if batch[0][0] < done:
            continue
        with base.cursor().copy(f"COPY {name} FROM STDIN WITH (FORMAT BINARY)") as copy:
            copy.set_types(["int4", "text", "text", "text", *kinds, "vector"])
            for row, image, key, caption, values, vector in batch:
                said = None if caption is None else caption.replace("\0", "")
                copy.write_row((row, image, key, said, *values, vector))


def build_index(base: Any, name: str, count: int, size: int, tell: Callable[[str], None]) -> None:
    """Build an HNSW index of `count` vectors (size,), in memory where the server may take so much.

    That is at most its `effective_cache_size`, by which whoever set it up says what a query may count on.
    """
    import psycopg

    own, most = (
        base.execute("SELECT pg_size_bytes(current_setting(%s))", (setting,)).fetchone()[0]
        for setting in ("maintenance_work_mem", "effective_cache_size")
    )
    sql = f"CREATE INDEX ON {name} USING hnsw ((joint::halfvec({size})) halfvec_ip_ops) "
    sql += f"WITH (m = {LINKS}, ef_construction = {BUILD_EFFORT})"
    graph = count * (2 * size + NODE) + ROUNDED
    given = min(graph, max(own, most))
    if given < graph:
        tell(
            f"pgvector: the index takes {_mb(graph)} of memory and gets {_mb(given)}, which makes building it slow; "
            "where PostgreSQL has more, raise its effective_cache_size"
        )
    if given > own:
        try:
            with base.transaction():
                base.execute(f"SET LOCAL maintenance_work_mem = '{given // 1024 + 1} kB'")
                base.execute(sql)
                return
        # workers share it in /dev/shm, of which a container may have little
        except (psycopg.errors.DiskFull, psycopg.errors.OutOfMemory) as error:
            tell(
                f"pgvector: the index does not get {_mb(given)} of memory ({str(error).splitlines()[0]}); "
                f"with {_mb(own)}, building it is slow"
            )
    base.execute(sql)


def _mb(size: int) -> str:
    return f"{size / 1e6:,.0f} MB"
