"""A turn of a long conversation costs what an early one costs; opening and listing find what there is."""

from __future__ import annotations

from imagescope_agent.commands.benches import BENCHES
from imagescope_agent.lab.benchmarks.chat_store import describe, run


def test_bytes_of_a_turn_do_not_grow() -> None:
    made = run(turns=20, threads=8, images=12)
    row = made["variants"]["sqlite"]
    assert set(row["at"]) == {"1", "10"} and row["threads"] == 8
    assert made["ratios"]["sqlite bytes"] <= 1.5
    assert all(figures["bytes"] <= 60_000 for figures in row["at"].values())
    assert row["disk_bytes"] <= 60_000
    assert "opens 20 turns" in describe(made) and "chat-store" in BENCHES
