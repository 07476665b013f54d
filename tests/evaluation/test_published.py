from __future__ import annotations

from typing import Any

import pytest

from imagescope_agent.evaluation import aggregate, datasets
from imagescope_agent.evaluation.reporting import published

KNOWN = {
    "cirr/val/reference-removed", "cirr/test1/reference-removed", "circo/val", "circo/test",
    "fashioniq/val/original/one-order", "fashioniq/val/VAL/one-order", "flickr30k/test/1k",
    "mscoco/test/karpathy-5k/all-captions", "mscoco/test/karpathy-5k/5-captions",
    "visdial/val/human-dialogs/rounds-0-10",
}  # fmt: skip


def test_every_figure_has_a_source_a_backbone_and_a_known_or_no_protocol() -> None:
    for figure in published.published_figures():
        assert figure["system"] and figure["source"].startswith("arXiv") and figure["backbone"]
        assert figure["dataset"] in datasets.DATASETS
        assert figure["protocol"] in KNOWN or (figure["protocol"] == "" and figure["remark"])
        for name, value in figure["metrics"].items():
            assert name.split("@")[0] in {*aggregate.MEASURES, aggregate.DIALOG_HITS} and 0 < value < 100


def test_the_keys_are_those_of_the_data_sets(layout: Any) -> None:
    splits: dict[str, Any] = {"cirr": ["val", "test1"], "circo": ["val", "test"], "fashioniq": ["val", "val-VAL"],
              "flickr30k": [None], "mscoco": ["test", "test-5"], "visdial": [None]}  # fmt: skip
    made = {datasets.load(n, layout(n), split=s).key for n, chosen in splits.items() for s in chosen}
    assert made == KNOWN


def test_an_unknown_protocol_is_never_called_the_same() -> None:
    rows = published.rows({"dataset": "cirr", "protocol_key": ""})
    assert rows and all(row["protocol"].startswith("different or not stated") for row in rows)
    rows = published.rows({"dataset": "fashioniq", "protocol_key": "fashioniq/val/original/one-order"})
    assert [row["protocol"].split(":")[0] for row in rows] == ["same", "different or not stated"]
    other = published.rows({"dataset": "fashioniq", "protocol_key": "fashioniq/val/VAL/one-order"})
    assert not any(row["protocol"].startswith("same") for row in other)


@pytest.mark.parametrize("name", ["circo", "cirr", "fashioniq", "flickr30k", "mscoco", "visdial"])
def test_each_benchmark_has_published_figures(name: Any) -> None:
    assert any(figure["dataset"] == name for figure in published.published_figures())
