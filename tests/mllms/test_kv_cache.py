"""Appendable layers hold the same keys and values as concatenation and indexing would give."""

from __future__ import annotations

from random import Random

import pytest
import torch

from imagescope_agent.mllms.engine.cache.kv_cache import SPARE, AppendableLayer, compact_order


@pytest.mark.parametrize("seed", range(8))
def test_appending_joining_and_dropping_rows_equals_concatenation(seed: int) -> None:
    rng, rows = Random(seed), 5
    keys, values = torch.randn(rows, 2, 7, 3), torch.randn(rows, 2, 7, 4)
    appendable = AppendableLayer(keys, values)
    for _ in range(3 * SPARE):
        if rng.random() < 0.1 and rows > 1:
            order = compact_order(sorted(rng.sample(range(rows), rng.randint(1, rows - 1))))
            empty, rows = rng.randint(0, 1), len(order)
            appendable.keep(order, empty)
            keys, values = keys[order, :, empty:], values[order, :, empty:]
        if rng.random() < 0.05:  # others join, with shorter and with longer prompts
            joined = torch.randn(2, 2, max(1, keys.shape[2] + rng.choice((-5, 0, 9, 100))), 4)
            appendable.join(joined[..., :3], joined)
            length = max(keys.shape[2], joined.shape[2])
            keys = torch.cat([padded(keys, length), padded(joined[..., :3], length)])
            values = torch.cat([padded(values, length), padded(joined, length)])
            rows += 2
        if rng.random() < 0.1 and keys.shape[2] > 4:  # guessed tokens are dropped, at the end or anywhere
            keys, values = keys[:, :, :-2], values[:, :, :-2]
            appendable.crop(2)
            length = keys.shape[2]
            kept = torch.tensor([sorted(rng.sample(range(length), length - 1)) for _ in range(rows)])
            appendable.select(kept)
            keys, values = (
                torch.stack([row[:, places] for row, places in zip(each, kept, strict=True)])
                for each in (keys, values)
            )
        token = torch.randn(rows, 2, 1, 3), torch.randn(rows, 2, 1, 4)
        keys, values = torch.cat([keys, token[0]], dim=2), torch.cat([values, token[1]], dim=2)
        shown = appendable.update(*token)
        assert torch.equal(shown[0], keys) and torch.equal(shown[1], values)
    assert appendable.get_seq_length() == keys.shape[2]


def padded(tokens: torch.Tensor, length: int) -> torch.Tensor:
    return torch.nn.functional.pad(tokens, (0, 0, length - tokens.shape[2], 0))


def test_appending_copies_nothing_within_the_capacity() -> None:
    layer = AppendableLayer(torch.zeros(3, 1, 4, 2), torch.zeros(3, 1, 4, 2))
    token = torch.ones(3, 1, 1, 2)
    places = {layer.update(token, token)[0].data_ptr() for _ in range(SPARE)}
    layer.keep(compact_order([0, 2]), 0)
    layer.join(torch.ones(1, 1, 9, 2), torch.ones(1, 1, 9, 2))
    assert places == {layer.views[0].data_ptr()} and len(layer.views[0]) == 3


def test_few_rows_move() -> None:
    assert compact_order([0, 1, 2]) == [0, 1, 2]
    assert compact_order([0, 2, 3, 5]) == [0, 5, 2, 3]
    assert compact_order([4]) == [4]
