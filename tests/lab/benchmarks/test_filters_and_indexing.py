"""The benches of filters and of indexing without captions, at a tiny size: counts and agreement, never seconds."""

from __future__ import annotations

import json

import pytest

from imagescope_agent.lab.benchmarks import filters, indexing


def test_every_filtered_ranking_is_exact() -> None:
    made = filters.run(images=3000, dimension=16, k=5, repeats=2)
    assert json.dumps(made) and made["exact"] == made["compared"] == 8
    assert set(made["ratio"]) == {"0.1%", "1.0%", "10.0%", "50.0%"}
    assert "8 of 8 filtered rankings" in filters.describe(made)


@pytest.mark.slow
def test_searches_make_captions_and_every_index_is_asked() -> None:
    made = indexing.run(images=16, queries=2, repeats=1)
    assert json.dumps(made) and set(made["recall"]) == {"none", "first", "again", "reindexed", "all"}
    assert made["captions"] == 16, "as many as are verified reach all of so few"
    assert made["recall"]["again"] == made["recall"]["reindexed"] == made["recall"]["all"]
    assert "R@1" in indexing.describe(made) and "speed" in indexing.describe(made)
