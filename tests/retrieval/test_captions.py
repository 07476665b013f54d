"""Pictures that a captioner does not take are indexed without a caption, and named."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from PIL import Image

from imagescope_agent.errors import RequestRefused, UnreadableReply
from imagescope_agent.mllms.role import Role
from imagescope_agent.mllms.scripted import Asked, Scripted
from imagescope_agent.retrieval.collection import FolderCollection
from imagescope_agent.retrieval.index.indexer import build
from imagescope_agent.retrieval.index.report import IndexReport
from tests.conftest import PALETTE, ColourEmbedder

COLOURS = list(PALETTE)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number, name in enumerate(COLOURS[:4]):
        Image.new("RGB", (32, 32), PALETTE[name]).save(tmp_path / f"{number}.png")
    return tmp_path


def index(folder: Path, reply: Any, **options: Any) -> IndexReport:
    captioner = Role("captioner", Scripted(reply))
    work = build(
        folder, None, ColourEmbedder(), captioner, "describe", captioner_weights="scripted", **options
    )
    return asyncio.run(work)


@pytest.mark.parametrize(
    "error", [RequestRefused("filtered"), ValueError("absolute aspect ratio"), UnreadableReply("odd")]
)
def test_one_picture_that_is_refused_costs_its_caption(folder: Path, error: Exception) -> None:
    report = index(folder, ["a red square", error, "a blue square", "a yellow square"])
    assert report.images == 4
    (note,) = report.notes
    assert "'1.png' got no caption" in note["detail"] and str(error).partition(";")[0] in note["detail"]
    assert note["kind"] == ("unreadable" if isinstance(error, UnreadableReply) else "refused")
    assert "'1.png' got no caption" in str(report)
    collection = FolderCollection.open(folder)
    assert [collection.caption(name) for name in collection.ids][:3] == ["a red square", "", "a blue square"]


def test_a_captioner_that_takes_no_picture_is_mended_first(folder: Path) -> None:
    with pytest.raises(RequestRefused, match=r"refuses all of the first 4 pictures.*no pictures here"):
        index(folder, [RequestRefused("no pictures here")] * 4)
    assert index(folder, "a square").new == 4


def test_later_pictures_may_all_be_refused(folder: Path) -> None:
    report = index(folder, ["a", "b", RequestRefused("filtered"), RequestRefused("filtered")], batch=2)
    assert report.images == 4 and len(report.notes) == 2
    for number in (4, 5):
        Image.new("RGB", (32, 32), PALETTE[COLOURS[number]]).save(folder / f"{number}.png")
    assert index(folder, [RequestRefused("filtered")] * 2).images == 6


def test_the_only_picture_may_be_the_one_that_is_refused(tmp_path: Path) -> None:
    Image.new("RGB", (32, 32), "red").save(tmp_path / "a.png")
    assert index(tmp_path, [RequestRefused("filtered")]).images == 1


def test_a_captioner_that_thinks_is_given_room(folder: Path) -> None:
    def reply(asked: Asked) -> AIMessage:
        if (asked.options or {})["max_tokens"] < 200:
            return AIMessage(content="<think>what may it be", response_metadata={"finish_reason": "length"})
        return AIMessage(content="<think>a square?</think>a red square")

    report = index(folder, reply)
    assert report.notes == () and report.usage["calls"] == 8
    assert FolderCollection.open(folder).caption("0.png") == "a red square"
