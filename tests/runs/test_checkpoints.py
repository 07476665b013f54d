"""The store of searches stays within its bound, the oldest go first, and the bound is one setting."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from langgraph.graph import END, START, StateGraph
from typing_extensions import TypedDict

from imagescope_agent.errors import BadInput
from imagescope_agent.runs.checkpoints import limit, make_room, open_checkpoints


class State(TypedDict, total=False):
    text: str


async def fill(path: Path, largest: int, keep: str = "") -> list[str]:
    """Twenty threads of some 20 kB; what is left of them within the bound, sorted."""
    graph = StateGraph(State)
    graph.add_node("say", lambda state: {"text": state["text"] * 2})
    graph.add_edge(START, "say")
    graph.add_edge("say", END)
    async with open_checkpoints(path) as saver:
        built = graph.compile(checkpointer=saver)
        for number in range(20):
            config: Any = {"configurable": {"thread_id": f"t{number:02}"}}
            await built.ainvoke({"text": f"{number}" * 5_000}, config)
        await make_room(saver, largest, keep=keep)
        return sorted({each.config["configurable"]["thread_id"] async for each in saver.alist(None)})


def test_the_oldest_make_room(tmp_path: Path) -> None:
    kept = asyncio.run(fill(tmp_path / "runs", 300_000))
    assert 0 < len(kept) < 20
    assert kept == [f"t{number:02}" for number in range(20 - len(kept), 20)]


def test_a_run_that_goes_on_is_kept_however_old(tmp_path: Path) -> None:
    assert asyncio.run(fill(tmp_path / "runs", 1, keep="t00")) == ["t00"]


def test_within_the_bound_nothing_is_forgotten(tmp_path: Path) -> None:
    assert len(asyncio.run(fill(tmp_path / "runs", 10**9))) == 20


def test_the_bound_is_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    assert limit() == 512_000_000
    monkeypatch.setenv("IMAGESCOPE_RUNS_MB", "1.5")
    assert limit() == 1_500_000
    for wrong in ("0", "-1", "many", "nan"):
        monkeypatch.setenv("IMAGESCOPE_RUNS_MB", wrong)
        with pytest.raises(BadInput, match="IMAGESCOPE_RUNS_MB"):
            limit()


def test_many_open_a_new_store_at_the_same_moment(tmp_path: Path) -> None:
    async def opens(path: Path) -> None:
        async with open_checkpoints(path) as saver:
            await saver.conn.execute(
                "insert or replace into writes values ('a', '', 'b', 'c', 0, 'd', 'e', null, '')"
            )
            await saver.conn.commit()

    async def together() -> None:
        for number in range(60):
            await asyncio.gather(*(opens(tmp_path / f"{number}" / "runs") for _ in range(12)))

    asyncio.run(together())
