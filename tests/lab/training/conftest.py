"""Fixtures of the training tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from transformers import PreTrainedTokenizerFast

from imagescope_agent.lab.training.data.image_pool import make_shard
from imagescope_agent.lab.training.network.tokenizer import train_tokenizer
from tests.lab.training.samples import few_group_scenes, few_single_scenes


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    return train_tokenizer(examples=60)


@pytest.fixture(scope="session")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pool")
    make_shard(folder / "singles", few_single_scenes, seeds=[1])
    make_shard(folder / "families", few_group_scenes, seeds=[2])
    return folder
