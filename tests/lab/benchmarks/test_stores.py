"""The benchmark of vector stores measures every row, on the same vectors."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from imagescope_agent.errors import BadInput
from imagescope_agent.lab.benchmarks import stores
from tests.engines import pgvector_server, require_milvus


def test_every_store_is_measured_and_exact_ones_find_all() -> None:
    require_milvus()
    with pgvector_server() as server:
        made = stores.run(images=400, dimension=32, queries=6, k=5, pgvector=server.database())
    assert list(made["rows"]) == list(stores.ROWS)
    for name, row in made["rows"].items():
        assert set(row) == {*stores.KEYS, "told"}, row
        assert row["recall"] == 1.0 if "exact" in name else row["recall"] >= 0.9
    text = stores.describe(made)
    assert all(name in text for name in stores.ROWS)


def test_a_store_that_is_not_there_is_left_out() -> None:
    made = stores.run(images=100, dimension=8, queries=4, k=3, row=["faiss exact", "pgvector exact"])
    assert "skipped" in made["rows"]["pgvector exact"] and made["rows"]["faiss exact"]["recall"] == 1.0
    assert "skipped: give --pgvector" in stores.describe(made)


def test_rows_are_kept_and_not_measured_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = {"images": 60, "dimension": 8, "queries": 4, "k": 3, "keep": tmp_path}
    stores.run(**small, row=["faiss exact", "pgvector exact"])  # type: ignore[arg-type]
    measured, asked = stores._row, list[str]()

    def dies(world: object, name: str, *others: object) -> object:
        asked.append(name)
        if name == "faiss ivfpq":
            raise KeyboardInterrupt
        return measured(world, name, *others)  # type: ignore[arg-type]

    monkeypatch.setattr(stores, "_row", dies)
    rows = ["faiss exact", "faiss hnsw", "faiss ivfpq"]
    with pytest.raises(KeyboardInterrupt):
        stores.run(**small, row=rows)  # type: ignore[arg-type]
    assert asked == ["faiss hnsw", "faiss ivfpq"]
    monkeypatch.setattr(stores, "_row", measured)
    monkeypatch.setattr(stores, "machine", lambda: {"system": "another"})
    made = stores.run(**small, row=rows)  # type: ignore[arg-type]
    assert set(made["rows"]) == {*rows, "pgvector exact"} and made["rows"]["faiss hnsw"]["recall"] > 0.5
    assert made["machines"]["faiss ivfpq"] == {"system": "another"} != made["machines"]["faiss hnsw"]
    assert "faiss ivfpq: system another" in stores.describe(made)
    with pytest.raises(BadInput, match="other vectors"):
        stores.run(**{**small, "images": 61})  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="faiss exact"):
        stores.run(row=["faiss exakt"])


def test_a_row_of_a_call_that_measured_less_is_shown(tmp_path: Path) -> None:
    small = {"images": 60, "dimension": 8, "queries": 4, "k": 3, "keep": tmp_path, "row": ["faiss exact"]}
    made = stores.run(**small)  # type: ignore[arg-type]
    assert made["rows"]["faiss exact"].pop("cpu_ms") > 0
    (tmp_path / stores.FILE).write_text(json.dumps(made))
    again = stores.run(**small)  # type: ignore[arg-type]
    assert again["rows"] == made["rows"] and " - " in stores.describe(again)
