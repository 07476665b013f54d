"""The chosen attention heads of a checkpoint: what they show, what a stranger's file may say, who reads them."""

from __future__ import annotations

import asyncio
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from imagescope_agent.errors import BadInput
from imagescope_agent.lab.benchmarks.attention_heads import weigh_heads
from imagescope_agent.mllms.engine.attention_heads import HEADS, read_heads, write_heads
from imagescope_agent.mllms.engine.checkpoint_files import hash_folder
from imagescope_agent.mllms.protocols import Attention, Embedding
from imagescope_agent.mllms.role import Role
from imagescope_agent.mllms.transformers_chat import TransformersChat
from tests.judges.simulated import judged, strategy
from tests.judges.test_powers import KEYS, Angles, Attentive, usage
from tests.mllms.test_model_internals import ASKED


@pytest.fixture
def own(qwen3_vl: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(qwen3_vl, tmp_path / "own"))


def shown(folder: Path, *, each_head: bool = False) -> Attention:
    model = TransformersChat(checkpoint=str(folder), max_tokens=4)
    return asyncio.run(model.aattention(ASKED[0].messages(), each_head=each_head))


def test_the_chosen_heads_are_summed_beside_all_and_change_no_weights(own: Path) -> None:
    before, weights = shown(own, each_head=True), hash_folder(own)
    assert before.chosen is None and before.heads is not None
    write_heads(own, [(0, 1), (1, 0)], {"queries": 3})
    after = shown(own)
    assert hash_folder(own) == weights and after.heads is None and after.chosen is not None
    for place, picture in enumerate(after.chosen):
        expected = torch.tensor(before.heads[0][1][place]) + torch.tensor(before.heads[1][0][place])
        assert torch.allclose(torch.tensor(picture), expected, atol=1e-5)
    every = torch.stack([torch.tensor(head[0]) for layer in before.heads for head in layer]).sum(0)
    assert torch.allclose(torch.tensor(after.pictures[0]), every, atol=1e-5)


@pytest.mark.parametrize(
    "content",
    [b"{", b"[]", b'{"format": 2, "heads": [[0, 0]]}', b'{"format": 1, "heads": []}', b'{"format": 1}',
     b'{"format": 1, "heads": [[0]]}', b'{"format": 1, "heads": [[0, "1"]]}', b'{"format": 1, "heads": [[-1, 0]]}',
     b'{"format": 1, "heads": [[0, 0]], "worth": [1.0, 2.0]}', b'{"format": 1, "heads": [[0, 0]], "worth": ["1"]}',
     b'{"format": 1, "heads": 3}', b'{"format": 1, "heads": [[0, 0]], "more": 1}'],
)  # fmt: skip
def test_a_damaged_card_is_told_in_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / HEADS).write_bytes(content)
    with pytest.raises(BadInput, match="imagescope train heads") as problem:
        read_heads(tmp_path)
    assert "\n" not in str(problem.value)


def test_heads_of_another_model_are_refused(own: Path) -> None:
    write_heads(own, [(40, 0)], {})
    with pytest.raises(BadInput, match="another model"):
        shown(own)


def test_a_card_is_bound_to_the_weights_that_it_was_made_for(own: Path) -> None:
    write_heads(own, [(0, 1)], {})
    card = json.loads((own / HEADS).read_text())
    assert card["weights"] == hash_folder(own) and shown(own).chosen is not None
    (own / HEADS).write_text(json.dumps({**card, "weights": "0" * 16}))
    with pytest.raises(BadInput, match="another model") as problem:
        shown(own)
    assert "imagescope train heads" in str(problem.value)
    del card["weights"], card["after"]  # as older cards are
    (own / HEADS).write_text(json.dumps(card))
    assert shown(own).chosen is not None


def test_what_follows_a_picture_is_its_own_and_no_part_of_the_question(own: Path) -> None:
    said = replace(ASKED[0], after=("a house and a boat", "a boat", "a red house of two storeys"))
    model = TransformersChat(checkpoint=str(own), max_tokens=4)
    plain = asyncio.run(model.aattention(ASKED[0].messages(), each_head=True))
    told = asyncio.run(model.aattention(said.messages(), each_head=True))
    assert told.heads_after is not None and plain.heads_after is not None and told.after is None
    for one, other in zip(told.heads_after, plain.heads_after, strict=True):
        for more, less in zip(one, other, strict=True):
            assert all(
                a > b for a, b in zip(more, less, strict=True)
            )  # more tokens follow each, the last too
    write_heads(own, [(0, 1), (1, 0)], {}, after=True)
    chosen = asyncio.run(model.aattention(said.messages()))
    expected = np.array(told.heads_after[0][1]) + np.array(told.heads_after[1][0])
    assert chosen.after == pytest.approx(expected.tolist(), abs=1e-5)


def test_heads_are_weighed_so_that_sums_are_log_odds() -> None:
    rng = np.random.default_rng(0)
    right = np.stack([np.arange(5) == place % 5 for place in range(200)])
    scores = rng.normal(size=(200, 3, 5))
    scores[:, 1] += 2 * right
    scores[:, 2] -= right
    worth = weigh_heads(scores, right)
    assert worth[1] > 0.8 and worth[2] < -0.3 and abs(worth[0]) < 0.2
    odds = np.einsum("h,qhk->qk", worth, scores)
    odds = np.exp(odds) / np.exp(odds).sum(axis=1, keepdims=True)
    best = odds.argmax(axis=1)
    assert right[np.arange(200), best].mean() == pytest.approx(odds.max(axis=1).mean(), abs=0.1)


def test_weighed_heads_are_summed_with_their_worth_and_told_as_log_odds(own: Path) -> None:
    write_heads(own, [(0, 1), (1, 0)], {}, worth=[2.0, -0.5], after=True)
    model = TransformersChat(checkpoint=str(own), max_tokens=4)
    found = asyncio.run(model.aattention(ASKED[0].messages(), each_head=True))
    assert found.log_odds and found.heads is not None and found.heads_after is not None
    expected = 2 * np.array(found.heads_after[0][1]) - 0.5 * np.array(found.heads_after[1][0])
    assert found.after == pytest.approx(expected.tolist(), abs=1e-5)
    first = 2 * np.array(found.heads[0][1][0]) - 0.5 * np.array(found.heads[1][0][0])
    assert found.chosen is not None and found.chosen[0] == pytest.approx(first.tolist(), abs=1e-5)
    write_heads(own, [(0, 1), (1, 0)], {})
    assert not asyncio.run(model.aattention(ASKED[0].messages())).log_odds


class Choosing(Attentive):
    """Its chosen heads point the other way than all together."""

    async def aattention(self, messages: list) -> Attention:  # type: ignore[type-arg]
        found = await super().aattention(messages)
        return Attention(
            pictures=found.pictures,
            chosen=[[-value for value in each] for each in found.pictures],
            usage=usage(1),
        )


def test_icr_reads_the_chosen_heads_alone() -> None:
    found, _ = judged(strategy("icr"), Role("judge", Choosing(reply="")), KEYS)
    assert found.order == sorted(KEYS, reverse=True)


def test_e2rank_keeps_the_order_where_nobody_taught_the_model_to_embed() -> None:
    class Untaught(Angles):
        async def aembed(self, messages: list) -> Embedding:  # type: ignore[type-arg]
            found = await super().aembed(messages)
            return Embedding(vectors=found.vectors, usage=found.usage, trained=False)

    found, _ = judged(strategy("e2rank"), Role("judge", Untaught(reply="")), KEYS)
    assert found.order == KEYS and [each["kind"] for each in found.notes] == ["fallback"]
    assert judged(strategy("e2rank"), Role("judge", Angles(reply="")), KEYS)[0].order == sorted(KEYS)


def test_a_chat_model_is_not_taught_to_embed_and_one_of_sentence_transformers_is(own: Path) -> None:
    def embedding() -> Embedding:
        model = TransformersChat(checkpoint=str(own), max_tokens=4)
        return asyncio.run(model.aembed([ASKED[3].messages()]))

    assert not embedding().trained
    (own / "modules.json").write_text("[]")
    assert embedding().trained
