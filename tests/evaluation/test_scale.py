"""Sizes of the real benchmarks, with short vectors and few queries; bench_scoring.py measures the whole."""

from __future__ import annotations

import bench_scoring


def test_a_gallery_of_circos_size_is_searched_exactly() -> None:
    assert bench_scoring.search_exactly(bench_scoring.IMAGES, 8, queries=2) < 30


def test_a_run_of_a_stranger_is_scored_in_one_pass() -> None:
    measured = bench_scoring.bench_score(2_000, 100)
    assert measured["cpu_seconds"] < 20  # 50 times as many take under 30 s where nothing else runs
