"""A folder of drawn photos with fields."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from tests.conftest import PALETTE
from tests.retrieval.metadata.fields import COLOURS


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Pictures of one colour each: 0.jpg, 1.jpg and trip/2.jpg to trip/4.jpg."""
    for number, name in enumerate(COLOURS[:5]):
        place = tmp_path / ("trip" if number > 1 else "") / f"{number}.jpg"
        place.parent.mkdir(exist_ok=True)
        Image.new("RGB", (40 + number, 20), PALETTE[name]).save(place)
    return tmp_path
