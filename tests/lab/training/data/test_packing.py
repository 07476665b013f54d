"""Packed rows: branches, targets of names, copied words and things of the reference."""

from __future__ import annotations

from random import Random

import torch
from transformers import PreTrainedTokenizerFast

from imagescope_agent.lab.scenes.world import random_scene
from imagescope_agent.lab.training.data.batch import on_device
from imagescope_agent.lab.training.data.image_turns import verdict_turns
from imagescope_agent.lab.training.data.packed_row import SINK, RowBuilder
from imagescope_agent.lab.training.data.packing import Packer
from imagescope_agent.lab.training.data.targets import attention_targets
from imagescope_agent.lab.training.data.turn import ImageContext


def test_turns_do_not_attend_to_one_another(tokenizer: PreTrainedTokenizerFast) -> None:
    packer = Packer(tokenizer)
    rng = Random(6)
    turns = verdict_turns(random_scene(rng), rng, 3)
    rows = packer.pack([(ImageContext.unlabelled(1), turns)])
    first = rows.answers["column"].tolist()
    assert len(first) == 3
    mask = on_device(rows, torch.device("cpu")).mask[0, 0]
    assert mask[first[1], :5].all() and not mask[first[1], first[0]] and not mask[first[2], first[1]]


def test_attention_targets_are_grouped_by_head() -> None:
    row = RowBuilder(0)
    row.add_text([1, 2, 3, 4, 5], branch=0)
    row.attend(2, (0, 1), "copy")
    row.attend(3, (2,), "copy")
    row.attend(4, (), "edit")
    targets = attention_targets(row.attention)
    assert targets["copy"]["column"].tolist() == [2, 3]
    assert (targets["copy"]["index"].tolist(), targets["copy"]["key"].tolist()) == ([0, 0, 1], [0, 1, 2])
    assert targets["edit"]["key"].tolist() == [SINK] and "weight" not in targets["edit"]
