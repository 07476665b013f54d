"""Image geometry of the mini models: pixels, vision patches and image tokens."""

from __future__ import annotations

import torch

from imagescope_agent.lab.scenes.world import Thing

IMAGE_SIDE = 128  # pixels
PATCH = 16
MERGE = 2
GRID = IMAGE_SIDE // PATCH  # patches along a side
TOKEN_GRID = GRID // MERGE  # image tokens along a side
IMAGE_TOKENS = TOKEN_GRID**2  # per image, in the language model's sequence


def patches(pixels: torch.Tensor) -> torch.Tensor:
    """The image processor's patches for 128 x 128 images, computed for a whole batch.

    Args:
        pixels: (n, 128, 128, 3) uint8.

    Returns:
        (n * 64, 768) float32: patches in merge order, channels first.
    """
    n = pixels.shape[0]
    values = pixels.permute(0, 3, 1, 2).float().div_(127.5).sub_(1.0)
    values = values.reshape(n, 3, TOKEN_GRID, MERGE, PATCH, TOKEN_GRID, MERGE, PATCH)
    values = values.permute(0, 2, 5, 3, 6, 1, 4, 7)  # n, rows, columns, 2, 2, channel, y, x
    return values.reshape(n * GRID * GRID, -1)


def patch_centres() -> torch.Tensor:
    """Centres of the 64 patches in merge order: (64, 2) x, y in fractions of the side."""
    rows = torch.arange(GRID).float().add(0.5).div(GRID)
    grid = torch.stack(torch.meshgrid(rows, rows, indexing="ij"), dim=-1).flip(-1)  # y-major, (x, y)
    return grid.reshape(TOKEN_GRID, MERGE, TOKEN_GRID, MERGE, 2).permute(0, 2, 1, 3, 4).reshape(-1, 2)


def centre_token(thing: Thing) -> int:
    """The image token (row-major, from 0) that contains a thing's centre."""
    row, column = (min(int(value * TOKEN_GRID), TOKEN_GRID - 1) for value in (thing.y, thing.x))
    return row * TOKEN_GRID + column


def covered_tokens(thing: Thing) -> list[int]:
    """The image tokens (row-major, from 0) whose centres lie within a thing or just outside it."""
    reach = thing.diameter / 2 + 0.2 / TOKEN_GRID
    centres = [(i + 0.5) / TOKEN_GRID for i in range(TOKEN_GRID)]
    return [
        row * TOKEN_GRID + column
        for row, y in enumerate(centres)
        for column, x in enumerate(centres)
        if abs(x - thing.x) < reach and abs(y - thing.y) < reach
    ]
