"""The composer that ships: composed queries in one lookup, no chat model asked, over an index of `mini_cot`, too."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import pytest

from imagescope_agent.api import ImageScope, index_folder
from imagescope_agent.lab.benchmarks.drawn import read_queries
from imagescope_agent.lab.scenes.make import make_world
from imagescope_agent.retrieval.embedders.composer_card import read_card

pytestmark = pytest.mark.slow


def test_composed_queries_are_found_in_one_lookup(tmp_path: Path) -> None:
    card = read_card(Path(str(files("imagescope_agent") / "mini" / "composer")))
    assert card.trained["triplets"] > 1000 and card.embedder == "cir_cot:package:mini/cir_cot"
    make_world(tmp_path, 57, 120)
    index_folder(tmp_path / "images", profile="mini_cot", captions="none", progress=False)
    scope = ImageScope.open(tmp_path / "images", profile="mini_mra", runs=False, traces=False)
    right = {True: 0, False: 0}
    queries = read_queries(tmp_path, 72)
    for query in queries:
        found = scope.search(query.text, image=query.reference, k=1)
        assert not found.usage["calls"]
        right[query.reference is not None] += found[0].id in query.targets
    assert right[True] >= 30 and right[False] >= 20, right  # of 36 each
