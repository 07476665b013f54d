"""Two ways to share a prefix between questions: a benchmark to run by hand, not a test.

    python tests/mllms/bench_expanded.py [CANDIDATES [QUESTIONS]]      default 20 x 4, the mini model

Packed: a row holds the prefix once and every question as a branch, one forward, a block mask. Expanded: the
prefixes pass first, their keys and values are repeated for every question, the questions pass next.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from imagescope_agent.lab.benchmarks.machine import machine
from imagescope_agent.lab.benchmarks.verify import make_requests
from imagescope_agent.mllms.engine.backends.prefix_batching import PackedRow, forward_rows, pack
from imagescope_agent.mllms.engine.cache.encoder_cache import EncoderOutput
from imagescope_agent.mllms.engine.conversation import MessageParser
from imagescope_agent.mllms.engine.decoding.continuous_batching import causal_mask
from imagescope_agent.mllms.engine.families.base import text_positions
from imagescope_agent.mllms.engine.model_runner import ModelRunner
from imagescope_agent.profiles.profile import load_profile
from imagescope_agent.services import open_roles


def expanded(
    runner: ModelRunner, rows: Sequence[PackedRow], features: Mapping[str, EncoderOutput]
) -> torch.Tensor:
    """Hidden states at the last token of every branch, (branches, width)."""
    prefixes = [(row.first.ids[: row.prefix], row.first.positions[:, : row.prefix]) for row in rows]
    ids, positions, seen = filled(prefixes, runner, left=True)
    cache, first = runner.new_cache(), torch.zeros(2, 1, dtype=torch.long)
    pictures = [features[key] for row in rows for key in row.first.image_keys]
    runner.hidden(ids, positions, causal_mask(seen), pictures, cache, read=first)
    counts = torch.tensor([len(row.branches) for row in rows])
    for layer in cache.layers:
        layer.keys = layer.keys.repeat_interleave(counts, 0)
        layer.values = layer.values.repeat_interleave(counts, 0)
    starts = [int(row.first.positions[:, : row.prefix].max()) + 1 for row in rows for _ in row.branches]
    tokens = [branch for row in rows for branch, _ in row.branches]
    branches = [
        (each, text_positions(start, len(each), runner.axes))
        for each, start in zip(tokens, starts, strict=True)
    ]
    ids, positions, own = filled(branches, runner, left=False)
    before = seen.repeat_interleave(counts, 0)[:, None, None].expand(-1, 1, ids.shape[1], -1)
    mask = torch.cat([before, causal_mask(own)], dim=-1)
    ends = torch.tensor([[row, len(each) - 1] for row, each in enumerate(tokens)]).T
    return runner.hidden(ids, positions, mask, (), cache, read=ends)


def filled(
    parts: Sequence[Any], runner: ModelRunner, *, left: bool
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Token ids, positions and what is no padding, in rows of one length."""
    length = max(len(ids) for ids, _ in parts)
    ids = np.full((len(parts), length), runner.pad, dtype=np.int64)
    positions = np.zeros((runner.axes, len(parts), length), dtype=np.int64)
    valid = np.zeros((len(parts), length), dtype=bool)
    for row, (tokens, places) in enumerate(parts):
        at = slice(length - len(tokens), None) if left else slice(0, len(tokens))
        ids[row, at], positions[:, row, at], valid[row, at] = tokens, places, True
    return runner.tensor(ids), runner.tensor(positions), runner.tensor(valid)


def fastest(work: Callable[[], torch.Tensor], repeats: int = 5) -> tuple[float, torch.Tensor]:
    seconds = []
    for _ in range(repeats):
        start = time.process_time()
        made = work()
        seconds.append(time.process_time() - start)
    return round(min(seconds), 4), made


def main(candidates: int = 20, questions: int = 4) -> None:
    model: Any = open_roles(load_profile("mini"))["verifier"].model
    backend = model.engine().backend
    parser = MessageParser()
    asked = [parser.parse(each.messages()) for each in make_requests(candidates, questions, 1, "mini")]
    with torch.inference_mode():
        prepared = backend.family.prepare(asked)
        rows = pack(list(prepared.prompts), share=True, row_tokens=4096)
        packed, one = fastest(lambda: forward_rows(backend.runner, rows, prepared.features)[0])
        repeated, other = fastest(lambda: expanded(backend.runner, rows, prepared.features))
    difference = float((one - other).abs().max())
    print(
        json.dumps(
            {"cpu_seconds": {"packed": packed, "expanded": repeated}, "difference": difference, **machine()}
        )
    )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
