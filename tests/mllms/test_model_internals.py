"""Attention, embeddings and token counts of a local model, against transformers alone."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
import torch

from imagescope_agent.errors import BadInput
from imagescope_agent.mllms.budget import CHOICE_TOKENS, Budget, BudgetedRole
from imagescope_agent.mllms.engine.conversation import MessageParser
from imagescope_agent.mllms.protocols import AttentionReader, MessageEmbedder, TokenCounter
from imagescope_agent.mllms.role import Request, Role
from imagescope_agent.mllms.transformers_chat import TransformersChat
from imagescope_agent.profiles.profile import load_profile
from tests.judges.simulated import strategy
from tests.mllms.checkpoints import picture

SIDES = [(96, 64), (64, 64), (128, 160)]
ASKED = [
    Request(text="Which is the red house?", images=tuple(picture(n, side) for n, side in enumerate(SIDES))),
    Request(text="", images=(picture(1, (64, 64)),)),
    Request(text="Is there a boat?", images=(picture(1, (64, 64)),)),
    Request(text="A or B?"),
]


@pytest.fixture(params=["mini", "random"])
def hosted(request: Any, qwen3_vl: Path) -> TransformersChat:
    """The model that ships with the package, and one with deep vision features and random weights."""
    shipped = load_profile("mini").model("judge")["checkpoint"]
    return TransformersChat(checkpoint=shipped if request.param == "mini" else str(qwen3_vl), max_tokens=4)


def plainly(model: TransformersChat, request: Request) -> tuple[Any, Any]:
    """The checkpoint opened by transformers with slow attention: its inputs, and all that it gives back."""
    from transformers import AutoModelForImageTextToText, AutoProcessor

    folder = model.engine().checkpoint.folder
    slow = AutoModelForImageTextToText.from_pretrained(
        folder, attn_implementation="eager", dtype=torch.float32
    )
    images = [
        {"type": "image", "image": each.pixels()} for each in MessageParser().parse(request.messages()).images
    ]
    inputs = AutoProcessor.from_pretrained(folder).apply_chat_template(
        [{"role": "user", "content": [*images, {"type": "text", "text": request.text}]}],
        tokenize=True, add_generation_prompt=True, return_dict=True, return_tensors="pt",
    )  # fmt: skip
    with torch.inference_mode():
        return inputs, slow.eval()(**inputs, output_attentions=True, output_hidden_states=True)


def test_attention_equals_that_of_the_plain_model(hosted: TransformersChat) -> None:
    assert isinstance(hosted, AttentionReader)
    for request in (ASKED[0], ASKED[2]):
        found = asyncio.run(hosted.aattention(request.messages()))
        inputs, made = plainly(hosted, request)
        config = hosted.engine().checkpoint.model.config
        ids = inputs["input_ids"][0]
        text = int((ids == config.vision_end_token_id).nonzero().max()) + 1
        expected = sum(
            layer[0, :, text:, ids == config.image_token_id].mean(1).sum(0) for layer in made.attentions
        )
        assert torch.allclose(torch.cat([torch.tensor(each) for each in found.pictures]), expected, atol=1e-4)
        grid = inputs["image_grid_thw"].prod(dim=-1) // 4
        assert [len(each) for each in found.pictures] == grid.tolist()
        assert found.usage["prompt_tokens"] == len(ids)
        assert sum(map(sum, found.pictures)) < config.get_text_config().num_hidden_layers * (
            config.get_text_config().num_attention_heads
        )


def test_vectors_equal_the_last_state_of_the_plain_model(hosted: TransformersChat) -> None:
    assert isinstance(hosted, MessageEmbedder)
    found = asyncio.run(hosted.aembed([request.messages() for request in ASKED]))
    for request, vector in zip(ASKED, found.vectors, strict=True):
        _, made = plainly(hosted, request)
        assert torch.allclose(torch.tensor(vector), made.hidden_states[-1][0, -1], atol=1e-3)
    assert found.usage["calls"] == len(ASKED)


def test_reading_leaves_the_answers_as_they_were(hosted: TransformersChat) -> None:
    role = Role("judge", hosted)
    before = asyncio.run(role.choose(ASKED, ("Yes", "No"))).probabilities
    asyncio.run(role.attend(ASKED[:1]))
    after = asyncio.run(role.choose(ASKED, ("Yes", "No"))).probabilities
    assert after == [pytest.approx(row, abs=1e-5) for row in before]
    assert hosted.engine().checkpoint.language_model.config._attn_implementation == "sdpa"


def test_what_a_question_costs_is_known_beforehand(hosted: TransformersChat) -> None:
    assert isinstance(hosted, TokenCounter)
    hosted.clear_caches()
    seen = hosted.engine().stats()
    counted = asyncio.run(hosted.acount([request.messages() for request in ASKED]))
    assert hosted.engine().stats() == seen  # nothing passed the model
    role = Role("judge", hosted)
    assert counted == [asyncio.run(role.ask_some([each], ()))[0].usage["prompt_tokens"] for each in ASKED]
    assert counted == [asyncio.run(role.attend([each]))[0].usage["prompt_tokens"] for each in ASKED]
    assert sum(counted) >= asyncio.run(role.embed(ASKED)).usage["prompt_tokens"]


def test_a_budget_of_tokens_pays_for_what_sharing_saves(hosted: TransformersChat) -> None:
    texts = ["Is there a red house?", "Is there a blue house?", "Is there a boat?", "How many boats?"]
    asked = [Request(text=text, images=(picture(n),)) for n in range(6) for text in texts]
    group = sum(asyncio.run(hosted.acount([request.messages() for request in asked[:4]])))
    for groups in (2, 3):
        role = BudgetedRole(Role("verifier", hosted), Budget(tokens=groups * group))
        found = asyncio.run(role.choose_some(asked, ("Yes", "No"), [4] * 6))
        assert 0 < found.usage["prompt_tokens"] + found.usage["completion_tokens"] <= groups * group
        assert len(found.probabilities) % 4 == 0
    at_once = groups * group // (group + 4 * CHOICE_TOKENS)  # that could be promised before anything was paid
    assert len(found.probabilities) > 4 * at_once


def test_the_judge_that_reads_attention_works_with_hosted_models(hosted: TransformersChat) -> None:
    from imagescope_agent.judges.base import Candidate, Task

    name = "icr"
    shown = [Candidate(id=str(n), image=picture(n, side)) for n, side in enumerate(SIDES)]
    found = asyncio.run(strategy(name)(Task(query="a red house", model=Role("judge", hosted)), shown))
    assert sorted(found.order) == ["0", "1", "2"] and set(found.scores) == {"0", "1", "2"}
    assert found.order == sorted(found.order, key=lambda name: -found.scores[name])
    assert not found.notes and sum(each["calls"] for each in found.usage) == 2
    for tokens in (10, 10**6):
        role = BudgetedRole(Role("judge", hosted), Budget(tokens=tokens))
        again = asyncio.run(strategy(name)(Task(query="a red house", model=role), shown))
        assert [note["kind"] for note in again.notes] == (["budget"] if tokens == 10 else [])
        assert again.order == (["0", "1", "2"] if tokens == 10 else found.order)


def test_what_cannot_be_asked_is_told(qwen3_vl: Path) -> None:
    model = TransformersChat(checkpoint=str(qwen3_vl))
    long = Request(text="word " * 4000, images=(picture(1),)).messages()
    with pytest.raises(BadInput, match="tokens were asked"):
        asyncio.run(model.aattention(long))
    with pytest.raises(BadInput, match="tokens were asked"):
        asyncio.run(model.aembed([long]))


def test_a_hosted_model_that_was_not_taught_to_embed_changes_no_order(hosted: TransformersChat) -> None:
    from imagescope_agent.judges.base import Candidate, Task

    shown = [Candidate(id=str(n), image=picture(n, side)) for n, side in enumerate(SIDES)]
    found = asyncio.run(strategy("e2rank")(Task(query="a red house", model=Role("judge", hosted)), shown))
    assert found.order == ["0", "1", "2"] and [note["kind"] for note in found.notes] == ["fallback"]
