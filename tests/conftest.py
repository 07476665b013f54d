"""What every test starts from: no other machine is reached, no setting leaks in, nothing is tracked."""

from __future__ import annotations

import os

# before any test module imports a library that reads them
os.environ.update(
    HF_HUB_OFFLINE="1",
    HF_HUB_DISABLE_PROGRESS_BARS="1",
    LANGSMITH_TRACING="false",
    TOKENIZERS_PARALLELISM="false",
)

import pytest
import torch

torch.set_num_threads(max(1, min(2, os.cpu_count() or 1)))  # the models are small: more threads only wait


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings of whoever runs the tests do not reach them."""
    for name in [name for name in os.environ if name.startswith("IMAGESCOPE_")]:
        monkeypatch.delenv(name)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs a CUDA device where there is none; run the quick tests first."""
    if not torch.cuda.is_available():
        for item in items:
            if item.get_closest_marker("gpu"):
                item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))
    items.sort(key=lambda item: item.get_closest_marker("slow") is not None)
