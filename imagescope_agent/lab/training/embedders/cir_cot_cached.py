"""Gradient caching (GradCache, arXiv 2101.06983): a large batch's contrast in the memory of a small one.

Vectors are made without gradients first, part by part; the loss gives the gradient of each vector; then every part
passes once more and takes its own. Several processes (`accelerate launch`) share the parts and sum their gradients.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from imagescope_agent.lab.training.embedders.cir_cot_model import CotModel
from imagescope_agent.lab.training.workers import Workers
from imagescope_agent.mllms.engine.embed_token import EmbedRow

Loss = Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, dict[str, torch.Tensor]]]


def cached_backward(
    model: CotModel, rows: Sequence[EmbedRow], loss: Loss, *, part: int, workers: Workers, half: bool
) -> dict[str, torch.Tensor]:
    """Leave the gradients of a step in the weights, as one backward pass over all rows would.

    Args:
        model: that is trained.
        rows: of the step, the same in every process.
        loss: of the vectors (n, d) and the chains' mean cross-entropy.
        part: rows that pass at once.
        workers: that share the parts.
        half: whether products are computed in bfloat16.

    Returns:
        The metrics of the loss.
    """
    device = model.projection.weight.device
    places = [list(range(start, min(start + part, len(rows)))) for start in range(0, len(rows), part)]
    mine = places[workers.rank :: workers.count]

    def run(numbers: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
        with torch.autocast(device.type, torch.bfloat16, enabled=half):
            return tuple(model([rows[number] for number in numbers]))

    vectors = torch.zeros(len(rows), model.projection.out_features, device=device)
    told = torch.zeros(2, device=device)  # the chains' cross-entropy, and their tokens
    with torch.no_grad():
        for numbers in mine:
            vectors[numbers], losses = run(numbers)
            told += torch.stack([losses.sum(), losses.new_tensor(len(losses))])
    vectors, told = workers.sum(vectors).requires_grad_(), workers.sum(told)
    chain = (told[0] / told[1].clamp(min=1)).requires_grad_()
    total, metrics = loss(vectors, chain)
    total.backward()
    pull, weight = (torch.zeros_like(each) if each.grad is None else each.grad for each in (vectors, chain))
    for numbers in mine:
        found, losses = run(numbers)
        ((found * pull[numbers]).sum() + weight * losses.sum() / told[1].clamp(min=1)).backward()
    _share(model, workers)
    return metrics


def _share(model: CotModel, workers: Workers) -> None:
    """Sum the gradients of all processes; the scale's is whole in each of them."""
    if workers.count == 1:
        return
    for weight in model.parameters():
        if weight.requires_grad:
            own = torch.zeros_like(weight) if weight.grad is None else weight.grad
            whole = weight is model.log_scale
            weight.grad = workers.sum(own) / (workers.count if whole else 1)
