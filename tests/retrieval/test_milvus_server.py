"""An index in a Milvus at an address, which may be restarted, want a token, or be asked by several processes.

The server is milvus-lite's, which takes the requests of pymilvus as a Milvus server does: that one runs in containers.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imagescope_agent.errors import BackendUnavailable, BadInput
from imagescope_agent.retrieval.collection import FolderCollection
from imagescope_agent.retrieval.index.migration import migrate
from imagescope_agent.retrieval.stores import milvus, open_store, rescored
from imagescope_agent.retrieval.stores.joint_rows import JointRows
from imagescope_agent.retrieval.stores.milvus_answers import TOKEN
from tests.engines import MilvusServer, milvus_server
from tests.retrieval.index_runs import Index

pymilvus = pytest.importorskip("pymilvus", reason="pip install 'imagescope-agent[milvus]'")
ROOT = Path(__file__).parents[2]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[MilvusServer]:
    with milvus_server(tmp_path / "server") as made:
        yield made


def rankings(folder: Path, store: str) -> list[Any]:
    """Searches with and without a filter."""
    collection = FolderCollection.open(folder, store=store)
    words = np.eye(48, dtype=np.float32)
    found: list[Any] = [collection.search(words[row], 0.3, 9) for row in range(4)]
    return [*found, collection.search(words[7], 0.2, 9, where="width > 1 and name > '0004'")]


def back(ask: Callable[[], Any]) -> Any:
    """What a server gives that was just started: gRPC waits some seconds before it looks for it again."""
    for _ in range(600):
        try:
            return ask()
        except (BackendUnavailable, pymilvus.MilvusException):
            time.sleep(0.5)
    return ask()


def collections(server: MilvusServer) -> list[str]:
    return sorted(pymilvus.MilvusClient(uri=server.address).list_collections())


ASKS = """
import json, sys
from pathlib import Path
from tests.retrieval.test_milvus_server import rankings
print(json.dumps(rankings(Path(sys.argv[1]), sys.argv[2])))
"""


@pytest.mark.parametrize("built", ["exact", "hnsw", "ivfpq"])
def test_rankings_are_those_of_files_in_every_process_that_asks(
    server: MilvusServer,
    pictures: Callable[..., Path],
    index: Index,
    built: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rescored, "FEW", 0)
    folder, store = pictures(40), f"milvus:{server.address}"
    index(folder, folder / "plain.index")
    index(folder, store=store, index=built)
    want = rankings(folder / "plain.index", "faiss")
    assert rankings(folder, store) == want
    told = subprocess.run(
        [sys.executable, "-c", ASKS, str(folder), store],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        check=True,
    )
    assert json.loads(told.stdout) == json.loads(json.dumps(want))


def test_an_index_moves_from_a_file_to_a_server_and_back(
    server: MilvusServer, pictures: Callable[..., Path], index: Index, tmp_path: Path
) -> None:
    folder, file, store = pictures(12), f"milvus:{tmp_path / 'file.db'}", f"milvus:{server.address}"
    index(folder, store=file)
    want = rankings(folder, file)
    migrate(folder, store, store=file)
    assert rankings(folder, store) == want and len(collections(server)) == 1
    migrate(folder, file, store=store)
    assert rankings(folder, file) == want and collections(server) == []


def test_a_search_goes_on_when_the_server_was_restarted(
    server: MilvusServer, pictures: Callable[..., Path], index: Index
) -> None:
    folder, store = pictures(12), f"milvus:{server.address}"
    index(folder, store=store)
    collection = FolderCollection.open(folder, store=store)
    words = np.eye(48, dtype=np.float32)[3]
    want = collection.search(words, 0.3, 9)
    server.kill()
    with pytest.raises(BackendUnavailable, match="does not answer"):
        collection.search(words, 0.3, 9)
    with pytest.raises(BackendUnavailable, match="does not answer"):
        FolderCollection.open(folder, store=store)
    server.start()
    found = back(lambda: collection.search(words, 0.3, 9))
    assert found == want, "it loads the collection, which is on its disk alone"
    collection.image_vector("0003.png")


def test_a_server_killed_while_rows_are_written_gets_them_in_the_next_run(
    server: MilvusServer, pictures: Callable[..., Path], index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, store = pictures(40), f"milvus:{server.address}"
    index(folder, folder / "plain.index")
    monkeypatch.setattr(milvus, "BATCH", 8)
    batches = JointRows.batches

    def cut(rows: JointRows, size: int) -> Any:
        for number, batch in enumerate(batches(rows, size)):
            if number == 3:
                server.kill()
            yield batch

    with monkeypatch.context() as patch, pytest.raises(BackendUnavailable, match="does not answer"):
        patch.setattr(JointRows, "batches", cut)
        index(folder, store=store)
    server.start()
    assert "_new_" in back(lambda: collections(server))[0]
    report = index(folder, store=store)
    assert (report.new, report.unchanged) == (0, 40), "no model was asked again"
    assert len(collections(server)) == 1 and "_new_" not in collections(server)[0]
    assert rankings(folder, store) == rankings(folder / "plain.index", "faiss")


def test_a_server_that_wants_a_token_is_given_it_and_a_wrong_one_is_told(
    pictures: Callable[..., Path], index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = pictures(6)
    index(folder, folder / "plain.index")
    with milvus_server(tmp_path / "closed", token="root:Milvus") as server:
        store = f"milvus:{server.address}"
        for wrong in ("", "root:guessed"):
            monkeypatch.setenv(TOKEN, wrong)
            with pytest.raises(BadInput, match=f"refuses.*{TOKEN}") as raised:
                index(folder, store=store)
            assert "guessed" not in str(raised.value)
        monkeypatch.setenv(TOKEN, "root:Milvus")
        index(folder, store=store)
        assert rankings(folder, store) == rankings(folder / "plain.index", "faiss")


def test_a_file_of_milvus_lite_is_not_asked_whether_it_lives_while_it_is_busy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: dict[str, Any] = {}
    monkeypatch.setattr(pymilvus, "MilvusClient", lambda uri, **options: made.setdefault(uri, options))
    for place in (str(tmp_path / "x.db"), "http://127.0.0.1:1"):
        open_store(f"milvus:{place}")._client(tmp_path)  # type: ignore[attr-defined]
        milvus._clients.pop(place)
    file, server = made.values()
    assert file["grpc_options"]["grpc.keepalive_time_ms"] > 10**9, "it hangs up on whoever asks every 10 s"
    assert "grpc_options" not in server
