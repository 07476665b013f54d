"""Every family of checkpoints that TransformersChat hosts, in its real format with random weights."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import BaseModel, ConfigDict, Field

from imagescope_agent.errors import BadInput
from imagescope_agent.mllms.budget import Budget, BudgetedRole
from imagescope_agent.mllms.engine.backends.shared_prefix import SharedPrefixBackend
from imagescope_agent.mllms.engine.conversation import MessageParser
from imagescope_agent.mllms.role import Request, Role
from imagescope_agent.mllms.transformers_chat import TransformersChat
from imagescope_agent.registry import load_graph
from imagescope_agent.settings import Settings
from tests.conftest import World
from tests.mllms.checkpoints import FAMILIES, build_llama, picture
from tests.mllms.plans import plan

LABELS = ("Yes", "No")
#: Families whose questions cannot share a prefix, and why.
UNSHARED = {
    "gemma3": "a picture's tokens attend to each other both ways and layers forget behind a sliding window"
}


class Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")

    word: str = Field(pattern=r"^[a-z ]{0,8}$")
    count: int = Field(ge=0, le=99)


@pytest.fixture(scope="module", params=list(FAMILIES))
def hosted(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> TransformersChat:
    folder = tmp_path_factory.mktemp(request.param)
    FAMILIES[request.param](folder)
    return TransformersChat(checkpoint=str(folder), max_tokens=6)


def requests(pictures: int = 2) -> list[Request]:
    texts = ["Is there a red house?", "How many boats are there in the picture?"]
    return [
        Request(text=text, images=(picture(n, (96, 64 + 32 * n)),)) for n in range(pictures) for text in texts
    ]


def choose(model: TransformersChat, asked: list[Request]) -> torch.Tensor:
    return torch.tensor(asyncio.run(Role("verifier", model).choose(asked, LABELS)).probabilities)


def by_processor(model: TransformersChat, request: Request) -> Any:
    """One request as the checkpoint's processor makes it."""
    checkpoint = model.engine().checkpoint
    shown = MessageParser().parse(request.messages()).images
    content = [
        *({"type": "image", "image": each.pixels()} for each in shown),
        {"type": "text", "text": request.text},
    ]
    return checkpoint.processor.apply_chat_template(
        [{"role": "user", "content": content}],
        tokenize=True,
        add_generation_prompt=True,
        return_dict=True,
        return_tensors="pt",
    )


def by_hand(model: TransformersChat, request: Request) -> torch.Tensor:
    """One request through transformers alone."""
    with torch.inference_mode():
        logits = model.engine().checkpoint.model(**by_processor(model, request)).logits[0, -1]
    probabilities: torch.Tensor = logits[list(model.engine().label_ids(LABELS))].float().softmax(-1)
    return probabilities


def test_probabilities_in_a_batch_equal_those_by_hand(hosted: TransformersChat) -> None:
    two = Request(text="The same?", images=(picture(5, (64, 64)), picture(6, (64, 64))))
    asked = [*requests(), two]
    expected = torch.stack([by_hand(hosted, request) for request in asked])
    assert torch.allclose(choose(hosted, asked), expected, atol=1e-3)
    assert torch.allclose(torch.cat([choose(hosted, [request]) for request in asked]), expected, atol=1e-3)


def test_shared_prefix_equals_plain_or_says_that_it_does_not_share(hosted: TransformersChat) -> None:
    choice = asyncio.run(Role("verifier", hosted).choose(requests(), LABELS))
    family = hosted.engine().checkpoint.model_type
    if family in UNSHARED:
        assert [note["kind"] for note in choice.notes] == ["fallback"] and family in choice.notes[0]["detail"]
    else:
        assert not choice.notes
    plain = choose(hosted.without_prefix_sharing(), requests())
    assert torch.allclose(torch.tensor(choice.probabilities), plain, atol=1e-3)


def test_captions_in_a_batch_equal_those_alone(hosted: TransformersChat) -> None:
    role = Role("captioner", hosted)

    async def both() -> None:
        together = await role.ask(requests())
        alone = [(await role.ask_some([request], ()))[0] for request in requests()]
        assert [reply.text for reply in together] == [reply.text for reply in alone]
        assert all(reply.usage["completion_tokens"] <= 6 for reply in together)

    asyncio.run(both())


def test_two_pictures_in_one_message(hosted: TransformersChat) -> None:
    two = Request(text="Which is better?", images=(picture(1), picture(2)))
    other = Request(text="Which is better?", images=(picture(2), picture(1)))
    rows = choose(hosted, [two, other])
    assert rows.shape == (2, 2) and not torch.equal(rows[0], rows[1])


def test_json_follows_the_schema(hosted: TransformersChat) -> None:
    asked = [Request(text=f"Number {n}?", images=(picture(n % 3),)) for n in range(50)]
    replies = asyncio.run(Role("reasoner", hosted).ask(asked, schema=Answer, max_tokens=80))
    for reply in replies:
        Answer.model_validate(json.loads(reply.text))
        assert list(json.loads(reply.text)) == ["word", "count"], (
            "keys come in the schema's order, not the alphabet's"
        )
    assert not replies[0].notes


def test_what_a_question_costs_is_known_beforehand(hosted: TransformersChat) -> None:
    asked = [*requests(), Request(text="The same?", images=(picture(5, (64, 64)), picture(6, (96, 64))))]
    counted = asyncio.run(hosted.acount([request.messages() for request in asked]))
    role = Role("judge", hosted)
    assert counted == [
        asyncio.run(role.ask_some([request], ()))[0].usage["prompt_tokens"] for request in asked
    ]
    budget = sum(counted[:4])
    found = asyncio.run(BudgetedRole(role, Budget(tokens=budget)).choose_some(asked, LABELS, [2, 2, 1]))
    assert 0 < len(found.probabilities) < 5 and found.usage["prompt_tokens"] <= budget


def test_attention_is_that_of_the_slow_kernel(hosted: TransformersChat) -> None:
    request = Request(text="The same?", images=(picture(5, (64, 64)), picture(6, (96, 64))))
    checkpoint, backend = hosted.engine().checkpoint, hosted.engine().backend
    if checkpoint.model_type in UNSHARED:
        with pytest.raises(BadInput, match="cannot be read"):
            asyncio.run(hosted.aattention(request.messages()))
        with pytest.raises(BadInput, match="vectors"):
            asyncio.run(hosted.aembed([request.messages()]))
        return
    found = asyncio.run(hosted.aattention(request.messages()))
    assert isinstance(backend, SharedPrefixBackend)
    inputs = by_processor(hosted, request)
    checkpoint.model.set_attn_implementation("eager")
    try:
        with torch.inference_mode():
            made = checkpoint.model(**inputs, output_attentions=True, output_hidden_states=True)
    finally:
        checkpoint.model.set_attn_implementation("sdpa")
    ids = inputs["input_ids"][0]
    shown = ids == backend.family.image_token
    other = by_processor(hosted, replace(request, text="9?"))["input_ids"][0]
    text = next(place for place, (one, two) in enumerate(zip(ids, other, strict=False)) if one != two)
    expected = sum(layer[0, :, text:, shown].mean(1).sum(0) for layer in made.attentions)
    assert torch.allclose(torch.cat([torch.tensor(each) for each in found.pictures]), expected, atol=1e-4)
    assert len(found.pictures) == 2 and all(found.pictures)
    vector = asyncio.run(hosted.aembed([request.messages()])).vectors[0]
    assert torch.allclose(torch.tensor(vector), made.hidden_states[-1][0, -1], atol=1e-3)


@pytest.mark.parametrize("thinks", ["itself", "scripted"])
def test_the_whole_graph_ends_in_a_complete_ranking(
    hosted: TransformersChat, thinks: str, world: World
) -> None:
    """Random weights write no readable plan: the graph falls back, and goes through every step with a plan."""
    roles = {name: Role(name, hosted) for name in ("captioner", "reasoner", "verifier", "judge")}
    if thinks == "scripted":
        roles["reasoner"] = world.role("reasoner", plan)
    graph = load_graph("imagescope")(world.services(**roles))
    outside = {"query": "a red square", "reference": str(world.folder / "blue.png")}
    state = asyncio.run(graph.ainvoke(outside, context=Settings(top_k=5)))
    assert sorted(state["ranking"]) == sorted(set(world.collection.ids) - {"blue.png"})
    asked = {part["role"] for part in state["usage"] if part["calls"]}
    assert asked >= ({"verifier", "judge"} if thinks == "scripted" else {"reasoner", "judge"})
    if thinks == "scripted":
        assert all(len(answers) == 2 for answers in state["verdicts"].values())


def test_a_language_model_without_eyes(tmp_path: Path) -> None:
    build_llama(tmp_path)
    model = TransformersChat(checkpoint=str(tmp_path), max_tokens=5)
    role = Role("reasoner", model)
    asked = [Request(text="A or B?"), Request(text="Is it a very long question, this one?")]
    together = choose(model, asked)
    assert torch.allclose(together, torch.cat([choose(model, [request]) for request in asked]), atol=1e-3)
    assert len(asyncio.run(role.ask(asked, schema=Answer, max_tokens=60))) == 2
    with pytest.raises(Exception, match="takes no pictures"):
        asyncio.run(role.ask(requests()[:1]))
