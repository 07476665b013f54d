"""Fields of before, of strangers and damaged ones."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save

from imagescope_agent.errors import BadInput
from imagescope_agent.retrieval.collection import FolderCollection
from imagescope_agent.retrieval.index import manifest
from imagescope_agent.retrieval.index.cache import JOURNAL
from imagescope_agent.retrieval.metadata.table import FieldTable
from tests.conftest import World
from tests.retrieval.metadata.fields import found, index


def test_an_index_of_before_says_which_command_adds_fields(world: World) -> None:
    location = world.folder / ".imagescope"
    content = manifest.read(location)
    manifest.write(location, replace(content, fields={}))
    assert found(world.folder, "name = 'red.png'") == ["red.png"]
    for name in ("date", "owner"):
        with pytest.raises(BadInput, match=rf"field '{name}'.*imagescope index {world.folder}"):
            found(world.folder, f"{name} is missing")
    assert index(world.folder).unchanged == 8
    assert len(found(world.folder, "date is missing and width = 32")) == 8


def damage(location: Path, how: Callable[[bytes], bytes]) -> None:
    (file,) = location.glob("fields.*.safetensors")
    file.write_bytes(how(file.read_bytes()))


@pytest.mark.parametrize(
    "how",
    [lambda data: data[:-1], lambda data: b"", lambda data: data[:-8] + bytes(8), lambda data: b"x" * 500],
)
def test_damaged_fields_are_told_and_nothing_else_is_lost(
    world: World, how: Callable[[bytes], bytes]
) -> None:
    damage(world.folder / ".imagescope", how)
    with pytest.raises(BadInput, match=r"damaged.*imagescope index"):
        found(world.folder, "width = 32")


def test_two_threads_may_ask_first(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    location = world.folder / ".imagescope"
    content = manifest.read(location)
    opened = FieldTable(location, content.fields, len(content.entries))

    class Slow:
        """A checksum that is done after another thread has compared its own."""

        def __init__(self, data: Any) -> None:
            self.data = bytes(data)

        def hexdigest(self) -> str:
            monkeypatch.undo()
            opened.column("height")
            return hashlib.sha256(self.data).hexdigest()

    monkeypatch.setattr("imagescope_agent.retrieval.metadata.table.hashlib.sha256", Slow)
    assert opened.column("width").value(0) == 32


def test_fields_of_a_stranger_are_checked(world: World) -> None:
    """A file with a right checksum and wrong content."""
    location = world.folder / ".imagescope"
    content = manifest.read(location)
    count = len(content.entries)
    bad: dict[str, dict[str, Any]] = {
        "short": {"0.values": np.zeros(count - 1)},
        "type": {"0.values": np.zeros(count, dtype=np.int16)},
        "codes": {"0.values": np.full(count, 9, dtype=np.int32), "0.words": np.zeros(1, dtype=np.uint8),
                  "0.ends": np.array([0, 1])},
        "bytes": {"0.values": np.zeros(count, dtype=np.int32), "0.words": np.full(1, 255, dtype=np.uint8),
                  "0.ends": np.array([0, 1])},
    }  # fmt: skip
    for name, arrays in bad.items():
        kind = "number" if name in ("short", "type") else "text"
        data = save(arrays, metadata={"fields": json.dumps([["f", kind]])})
        sha = hashlib.sha256(data).hexdigest()
        file = f"fields.{sha[:16]}.safetensors"
        (location / file).write_bytes(data)
        manifest.write(location, replace(content, fields={"file": file, "sha256": sha}))
        with pytest.raises(BadInput, match="damaged"):
            found(world.folder, "f is missing")
    manifest.write(location, replace(content, fields={"file": "../../etc/passwd", "sha256": ""}))
    with pytest.raises(BadInput, match="names no file of fields"):
        FolderCollection.open(world.folder)


def test_damaged_facts_in_the_journal_are_read_again(folder: Path) -> None:
    index(folder)
    base = sqlite3.connect(folder / ".imagescope" / JOURNAL)
    base.execute("update fields set value = ? where rowid = 1", ('{"width": "wide"}',))
    base.execute("update fields set value = ? where rowid = 2", ("nonsense",))
    base.commit()
    base.close()
    index(folder)
    assert len(found(folder, "width >= 40 and height = 20")) == 5
