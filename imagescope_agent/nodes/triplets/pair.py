"""Pair: a reference and neighbours in a band of image similarity, related and no duplicates."""

from __future__ import annotations

import asyncio
from functools import lru_cache
from random import Random
from typing import Any

from langgraph.runtime import Runtime

from imagescope_agent.retrieval.protocols import Collection
from imagescope_agent.settings import Settings, current
from imagescope_agent.state import State, new_turn, overwrite

SHOWN = 3  # neighbours that the editor chooses from: the nearest, in the next round those behind them
SHOWN_IN_WORDS = (
    1  # to an editor that reads captions: a small model tells what one differs in, and chooses badly
)
OTHERS = 3  # further neighbours that the judge could mistake for the target
BAND = 24
DUPLICATE = 0.995  # cosine above which two images show the same
LEAST = 1 + SHOWN + OTHERS  # images of a collection that a band can be made of


class Pair:
    """Chooses reference and neighbours by seed and number: every image once, in random order, then again.

    Args:
        collection: of the images.
        shown: how many neighbours the editor chooses from.
    """

    def __init__(self, collection: Collection, shown: int = SHOWN) -> None:
        self.collection, self.shown = collection, shown

    async def __call__(self, state: State, runtime: Runtime[Settings]) -> dict[str, Any]:
        """Return the keys of a turn, empty, and `reference`, `reference_caption`, `shown` and `others`.

        Where the band is too small, `dropped` says so.
        """
        found = await asyncio.to_thread(self._pair, state, current(runtime).seed)
        return {
            **overwrite(new_turn()),
            "query": "",
            "proposal": None,
            "evidence": {},
            "dropped": "",
            "triplet": None,
            **found,
        }

    def _pair(self, state: State, seed: int) -> dict[str, Any]:
        number, ids, collection = state["pair"], self.collection.ids, self.collection
        reference = ids[_order(len(ids), seed, number // len(ids))[number % len(ids)]]
        left_out = collection.alike([reference, *state.get("tired", [])])
        near = collection.search(
            collection.image_vector(reference), 0.0, BAND, exclude=left_out, once=collection.merges_copies
        )
        band = [name for name, score in near if score < DUPLICATE]
        rng, round_ = Random(f"{seed}-{number}"), number // len(ids)
        first = self.shown * (round_ % max(1, len(band) // self.shown))
        nearest = band[first : first + self.shown]  # few changes lead to the nearest
        shown = rng.sample(nearest, len(nearest))
        rest = [name for name in band if name not in shown]
        return {
            "reference": reference,
            "reference_caption": collection.caption(reference),
            "shown": shown,
            "others": rng.sample(rest, min(OTHERS, len(rest))),
            "dropped": "" if shown and len(band) > 1 else "alone",
        }


@lru_cache(maxsize=4)
def _order(count: int, seed: int, round_: int) -> list[int]:
    """The images' numbers in the random order of a round."""
    order = list(range(count))
    Random(f"{seed}-round {round_}").shuffle(order)
    return order
