"""A composer that several processes train ends at the weights of one that a single process trains."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from imagescope_agent.lab.training.embedders.composer import ComposerPlan, train_composer
from imagescope_agent.retrieval.collection import FolderCollection
from imagescope_agent.retrieval.embedders.composer_card import read_card
from imagescope_agent.retrieval.embedders.network_files import WEIGHTS, load_tensors
from tests.lab.training.hues import Hues, hues, turns
from tests.processes import run_in_processes

PLAN = ComposerPlan(steps=40, batch=63, hidden=64, dropout=0.0, every=20)


def collection(folder: Path) -> FolderCollection:
    return FolderCollection.open(folder) if folder.is_dir() else hues(folder)


def train(place: Path, out: str) -> None:
    train_composer(collection(place / "pictures"), Hues(), "hues", turns(), place / out, plan=PLAN)


@pytest.mark.slow
def test_two_processes_end_where_one_does(tmp_path: Path) -> None:
    train(tmp_path, "one")
    code = (
        "import sys; from pathlib import Path; from tests.lab.training.test_composer_processes import train; "
        "train(Path(sys.argv[1]), 'two')"
    )
    run_in_processes([sys.executable, "-c", code, str(tmp_path)], 2)
    one, two = (load_tensors(tmp_path / name / WEIGHTS) for name in ("one", "two"))
    for name, each in one.items():
        torch.testing.assert_close(two[name], each, atol=5e-3, rtol=2e-2, msg=name)
    untrained = torch.eye(len(one["text.weight"]))
    assert not torch.allclose(one["text.weight"], untrained, atol=2e-2)
    assert read_card(tmp_path / "two").trained["after"] == read_card(tmp_path / "one").trained["after"]
