from __future__ import annotations

from pathlib import Path

import pytest

from tests.mllms.checkpoints import build_qwen3_vl


@pytest.fixture(scope="session")
def qwen3_vl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random checkpoint in Qwen3-VL format."""
    folder = tmp_path_factory.mktemp("qwen3_vl")
    build_qwen3_vl(folder)
    return folder
