"""Vectors in Milvus: a file of milvus-lite beside the index, or a server (extra `milvus`).

    store = "milvus"                      milvus.db beside the index
    store = "milvus:FILE.db"              a file elsewhere
    store = "milvus:http://HOST:19530"    a server; a token, where it wants one, in IMAGESCOPE_MILVUS_TOKEN

A collection of Milvus holds the spaces that were written together side by side, and ids, contents, captions and fields
beside them. Its name carries whose index it is and a hash of what it holds. A file is open in one process at a time.
"""

from __future__ import annotations

import os
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from imagescope_agent.errors import BadInput, MissingExtra
from imagescope_agent.retrieval.index.manifest import damaged
from imagescope_agent.retrieval.metadata.conditions import Condition, render
from imagescope_agent.retrieval.metadata.table import Column
from imagescope_agent.retrieval.protocols import Space, StoredSpace
from imagescope_agent.retrieval.stores.joint import DEFAULT_INDEX, Records, chosen_index
from imagescope_agent.retrieval.stores.joint_rows import JointRows, forget_owner, kept_of, new_owner, owner_of
from imagescope_agent.retrieval.stores.milvus_answers import TOKEN, answering, consistency
from imagescope_agent.retrieval.stores.rescored import Nearest, RescoredStore, Table, tables_of
from imagescope_agent.retrieval.vectors import Vectors

FILE = "milvus.db"
NAME = re.compile(r"imagescope_[0-9a-f]{12}_[0-9a-f]{16}")
BATCH = 1024  # rows that are inserted at once
MOST = 16_384  # rows that Milvus gives at once
LONGEST = 65_535  # bytes of a text
EFFORT = 8  # efSearch for each row that is wanted
LEAST_EFFORT = 400
INDEXES = {
    "exact": ("FLAT", {}),
    "hnsw": ("HNSW", {"M": 24, "efConstruction": 80}),
    "ivfpq": ("IVF_FLAT", {"nlist": 1024}),
}
PROBES = 64  # of the lists of an inverted index
NOT_LOADED = 101  # Milvus's number of that error
#: pymilvus asks every 10 s whether the server lives, and milvus-lite, busy for longer with a request, hangs up on it.
UNPINGED = {"grpc.keepalive_time_ms": 2**31 - 1}
RENAMED = 10  # times that a collection is looked for under its new name
_clients: dict[str, Any] = {}
_opening = threading.Lock()


class MilvusBackend:
    """Writes and opens collections of Milvus.

    Args:
        place: a file, an address, or "" for a file beside the index.
    """

    def __init__(self, place: str) -> None:
        self._place = place

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
        """As `JointBackend.write_joint`; "ivfpq" is an inverted index of whole vectors, which milvus-lite has too."""
        kind = chosen_index(index, len(ids), large="hnsw")
        if kind not in INDEXES:
            raise BadInput(f"milvus builds no index {kind!r}; take --index hnsw, ivfpq, exact or auto")
        fields = records.columns if records else {}
        client = self._client(location)
        owner = new_owner(location)
        making = f"imagescope_{owner}_new_{resume or secrets.token_hex(4)}"
        with answering(self._uri(location)):
            if not client.has_collection(making):
                _create(client, making, sum(space.dimension for space in spaces), list(fields.values()), kind)
            done = (
                _count(client, making, self._uri(location)) // BATCH * BATCH
            )  # a batch may be there in part
            rows = JointRows(ids, spaces, vectors, records, kind)
            for batch in rows.batches(BATCH):
                if batch[0][0] >= done:
                    put = client.upsert if done and batch[0][0] == done else client.insert
                    put(making, [_row(*each, records is not None) for each in batch])
            client.flush(making)
            name = f"imagescope_{owner}_{rows.digest()[:16]}"
            if client.has_collection(name):  # the same is there already
                client.drop_collection(making)
            else:
                _rename(client, making, name)
        tell(f"milvus: {len(ids)} rows in {name}, index {INDEXES[kind][0]}")
        return kept_of(name, spaces, list(fields), kind)

    def open(self, location: Path, ids: Sequence[str], spaces: Sequence[StoredSpace]) -> RescoredStore:
        """As `StoreBackend.open`: names, dimensions and numbers of rows are compared."""
        tables = tables_of(spaces, NAME, lambda why: damaged(location, why))
        client = self._client(location)
        with answering(self._uri(location)):
            for table in tables:
                if not client.has_collection(table.name):
                    raise FileNotFoundError(2, "no such collection", str(location / table.name))
                count = _count(client, table.name, self._uri(location))
                told = {each["name"]: each for each in client.describe_collection(table.name)["fields"]}
                size = int(told.get("joint", {}).get("params", {}).get("dim", 0))
                if count != len(ids) or size != sum(table.spaces.values()):
                    raise damaged(location, f"{table.name} does not fit the manifest")
        return RescoredStore(ids, _Milvus(client, self._uri(location)), tables)

    def tidy(self, location: Path, kept: Sequence[Mapping[str, Any]]) -> None:
        """As `StoreBackend.tidy`."""
        owner = owner_of(location) if self._place else ""
        if owner is None or (not self._place and not (location / FILE).exists()):
            return
        keep = {each.get("table") for each in kept}
        whose = owner or "[0-9a-f]{12}"  # a file beside the index has no other's
        ours = re.compile(rf"imagescope_{whose}_(?:new_)?[0-9a-f]{{8,16}}")
        client = self._client(location)
        with answering(self._uri(location)):
            for name in client.list_collections():
                if ours.fullmatch(name) and name not in keep:
                    client.drop_collection(name)
        if not kept:
            forget_owner(location)

    def _uri(self, location: Path) -> str:
        return self._place or str(location / FILE)

    def _client(self, location: Path) -> Any:
        """The connection to a place, one in a process: milvus-lite locks its file."""
        try:
            from pymilvus import MilvusClient
        except ImportError as error:
            raise MissingExtra("the store needs an extra: pip install 'imagescope-agent[milvus]'") from error
        uri = self._uri(location)
        if not self._place and (location / FILE).is_symlink():
            raise BadInput(f"{uri!r} is a link; name the file itself: milvus:FILE.db")
        uri = uri if "://" in uri else str(Path(uri).expanduser().absolute())
        with _opening, answering(uri):
            if uri not in _clients:
                told = {} if "://" in uri else {"grpc_options": UNPINGED}
                _clients[uri] = MilvusClient(uri=uri, token=os.environ.get(TOKEN, ""), **told)
            return _clients[uri]


class _Milvus:
    """As `rescored.Engine`."""

    most = MOST

    def __init__(self, client: Any, uri: str) -> None:
        self._client, self._uri = client, uri

    def nearest(
        self, table: Table, query: Vectors, count: int, where: Condition | None, *, exact: bool
    ) -> Nearest:
        """As `Engine.nearest`; a collection that has an index is searched with it, since Milvus has no other way."""
        names = {field: f"f{place}" for place, field in enumerate(table.fields)}
        told = (
            "" if where is None else render(where, names, equals="==", several=lambda values: f"[{values}]")
        )
        effort = {"ef": max(LEAST_EFFORT, EFFORT * count), "nprobe": PROBES}
        (hits,) = self._asked(
            self._client.search, table, data=[query], limit=count, filter=told, output_fields=["joint"],
            search_params={"metric_type": "IP", "params": effort},
        )  # fmt: skip
        rows = np.array([hit["row"] for hit in hits], dtype=np.int64)
        products = np.array([hit["distance"] for hit in hits], dtype=np.float64)
        vectors = np.array([hit["entity"]["joint"] for hit in hits], dtype=np.float32)
        return Nearest(rows, products, vectors.reshape(len(rows), len(query)))

    def fetch(self, table: Table, rows: Sequence[int]) -> Vectors:
        found: dict[int, Any] = {}
        for start in range(0, len(rows), BATCH):
            some = list(rows[start : start + BATCH])
            for each in self._asked(self._client.get, table, ids=some, output_fields=["row", "joint"]):
                found[each["row"]] = each["joint"]
        return np.array([found[row] for row in rows], dtype=np.float32)

    def _asked(self, ask: Callable[..., Any], table: Table, **options: Any) -> Any:
        """What a request gives. A server that was restarted, or made room, has the collection on disk alone."""
        options |= consistency(self._uri)
        with answering(self._uri):
            try:
                return ask(table.name, **options)
            except Exception as error:
                if getattr(error, "code", None) != NOT_LOADED:
                    raise
            self._client.load_collection(table.name)
            return ask(table.name, **options)


def _count(client: Any, name: str, uri: str) -> int:
    client.load_collection(name)
    asked = {"output_fields": ["count(*)"], **consistency(uri)}
    return int(client.query(name, filter="", **asked)[0]["count(*)"])


def _create(client: Any, name: str, dimension: int, fields: Sequence[Column], kind: str) -> None:
    from pymilvus import DataType, MilvusClient

    schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
    schema.add_field("row", DataType.INT64, is_primary=True)
    for text in ("id", "key", "caption"):
        schema.add_field(text, DataType.VARCHAR, max_length=LONGEST)
    schema.add_field("captioned", DataType.BOOL)
    for place, column in enumerate(fields):
        schema.add_field(f"f{place}", DataType.DOUBLE if column.kind == "number" else DataType.INT64)
    schema.add_field("joint", DataType.FLOAT_VECTOR, dim=dimension)
    index, (built, options) = MilvusClient.prepare_index_params(), INDEXES[kind]
    index.add_index(field_name="joint", index_type=built, metric_type="IP", params=options)
    client.create_collection(name, schema=schema, index_params=index)


def _row(
    row: int, name: str, key: str, caption: str | None, values: Sequence[float], vector: Vectors, told: bool
) -> dict[str, Any]:
    texts = {"id": name, "key": key, "caption": caption or "", "captioned": told and caption is not None}
    fields = {f"f{place}": value for place, value in enumerate(values)}
    return {"row": row, **texts, **fields, "joint": vector}


def _rename(client: Any, old: str, new: str) -> None:
    """Rename a collection. A client that has waited long asks again, and what is renamed by then is not found."""
    try:
        client.rename_collection(old, new)
    except Exception:  # pymilvus, gRPC and milvus-lite each raise their own
        for _ in range(RENAMED):
            if client.has_collection(new) and not client.has_collection(old):
                return
            time.sleep(0.2)
        raise


def open_backend(place: str) -> MilvusBackend:
    """The backend of a place (see the module)."""
    return MilvusBackend(place)
