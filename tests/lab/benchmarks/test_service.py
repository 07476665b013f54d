from __future__ import annotations

import json

import pytest

from imagescope_agent.lab.benchmarks.service import describe, run


@pytest.mark.slow
def test_a_service_is_measured_beside_direct_calls() -> None:
    made = run(images=12, searches=2, clients=4, rounds=1, memory=6)
    assert json.dumps(made) and describe(made)
    assert made["latency"].keys() == {"retrieve", "imagescope"}
    assert made["clients"]["failed"] == 0 and made["clients"]["searches"] == 4
    assert made["rerank"]["documents"] == 12 and made["rerank"]["same_order"]
    assert made["rerank"]["largest_difference"] < 1e-3
    assert len(made["memory"]["mb"]) == 6 and min(made["memory"]["mb"]) > 50
