"""Weights in 8 bits are what they were, but for a rounding."""

from __future__ import annotations

import torch

from imagescope_agent.common.packed_weights import packed, unpacked


def test_each_number_is_as_near_as_eight_bits_can_say() -> None:
    tensors = {
        "map": torch.randn(40, 70) * torch.logspace(-3, 3, 40)[:, None],
        "tall": torch.randn(90, 6) * torch.logspace(-3, 3, 6),
        "bias": torch.randn(40),
        "words": torch.arange(70, dtype=torch.int32),
        "nothing": torch.zeros(3, 5),
    }
    stored = packed(tensors)
    assert stored["map"].dtype == torch.int8 and stored["bias"].dtype == torch.float16
    assert torch.equal(stored["words"], tensors["words"])
    found = unpacked(stored)
    assert found.keys() == tensors.keys() and torch.equal(found["nothing"], tensors["nothing"])
    for name, over in (("map", 1), ("tall", 0)):
        largest = tensors[name].abs().amax(dim=over, keepdim=True)
        assert ((found[name] - tensors[name]).abs() <= largest / 254 * 1.001).all()
    assert stored["tall.scale"].shape == (1, 6)


def test_what_is_stored_in_16_bits_stays() -> None:
    halves = {"map": torch.randn(3, 4).half(), "bias": torch.randn(3).half()}
    assert unpacked(halves) == halves
