from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage

from imagescope_agent.errors import BadInput
from imagescope_agent.mllms.engine.backends.generate import GenerateBackend
from imagescope_agent.mllms.engine.backends.shared_prefix import SharedPrefixBackend
from imagescope_agent.mllms.engine.config import EngineConfig
from imagescope_agent.mllms.engine.conversation import ImageInput
from imagescope_agent.mllms.engine.engine import open_backend
from imagescope_agent.mllms.protocols import UnusableLabels
from imagescope_agent.mllms.role import ImageRef, Request, Role
from imagescope_agent.mllms.transformers_chat import TransformersChat
from tests.mllms.checkpoints import picture

LABELS = ("Yes", "No")
QUESTIONS = ["Is there a red house?", "How many boats are there in the picture?", "A or B?", "Is it blue"]


def requests(pictures: int = 3, questions: int = 4) -> list[Request]:
    sides = [(96, 64), (64, 64), (128, 160)]
    return [
        Request(text=QUESTIONS[q], images=(picture(p, sides[p % 3]),))
        for p in range(pictures)
        for q in range(questions)
    ]


def choose(model: TransformersChat, asked: list[Request]) -> torch.Tensor:
    return torch.tensor(asyncio.run(Role("verifier", model).choose(asked, LABELS)).probabilities)


def by_hand(model: TransformersChat, request: Request) -> torch.Tensor:
    """One request through transformers alone."""
    checkpoint = model.engine().checkpoint
    images = [ImageInput(ref.key, ref.base64).pixels() for ref in request.images]
    content = [
        *({"type": "image", "image": image} for image in images),
        {"type": "text", "text": request.text},
    ]
    inputs = checkpoint.processor.apply_chat_template(
        [{"role": "user", "content": content}],
        tokenize=True, add_generation_prompt=True, return_dict=True, return_tensors="pt",
    )  # fmt: skip
    with torch.inference_mode():
        logits = checkpoint.model(**inputs).logits[0, -1]
    labels = [checkpoint.tokenizer.convert_tokens_to_ids(label) for label in LABELS]
    probabilities: torch.Tensor = logits[labels].float().softmax(-1)
    return probabilities


def test_probabilities_equal_transformers_one_by_one(qwen3_vl: Path) -> None:
    model = TransformersChat(checkpoint=str(qwen3_vl))
    asked = [
        *requests(),
        Request(text="Yes or no?"),
        Request(text="Same?", images=(picture(1), picture(2, (64, 64)))),
    ]
    expected = torch.stack([by_hand(model, request) for request in asked])
    assert expected[:, 0].std() > 0.05  # else the comparison would say nothing
    assert torch.allclose(choose(model, asked), expected, atol=1e-4)


def test_shared_prefix_equals_plain(qwen3_vl: Path) -> None:
    shared = TransformersChat(checkpoint=str(qwen3_vl))
    plain = TransformersChat(checkpoint=str(qwen3_vl), share_prefix=False)
    cramped = TransformersChat(checkpoint=str(qwen3_vl), row_tokens=40, batch_tokens=100)
    asked = requests()
    expected = choose(plain, asked)
    assert torch.allclose(choose(shared, asked), expected, atol=1e-4)
    assert torch.allclose(choose(cramped, asked), expected, atol=1e-4)


@pytest.mark.parametrize("bound", [10**7, 3000])
def test_a_known_picture_is_not_read_again(qwen3_vl: Path, bound: int) -> None:
    """Other questions about the same pictures, with room for all prefixes and for one or two."""
    plain = TransformersChat(checkpoint=str(qwen3_vl), share_prefix=False)
    mindful = TransformersChat(checkpoint=str(qwen3_vl), prefix_cache=bound, batch_tokens=200)
    counted, cost = mindful.engine().stats, list[int]()
    more = [Request(text=f"{each.text} Really?", images=each.images) for each in requests()]
    both = [
        Request(text="Same?", images=(picture(1), picture(2, (64, 64)))),
        Request(text="Other?", images=(picture(1), picture(2, (64, 64)))),
    ]
    for asked in (requests(), more, both[:1], both[1:], [Request(text="Yes or no?")], [*both, *more], more):
        before = counted().tokens
        assert torch.allclose(choose(mindful, asked), choose(plain, asked), atol=1e-4)
        cost.append(counted().tokens - before)
    mindful.clear_caches()
    before = counted().tokens
    choose(mindful, more)
    forgotten = counted().tokens - before
    assert cost[-1] < forgotten if bound == 10**7 else cost[-1] <= forgotten
    assert cost[3] < cost[2] or bound < 10**7


def test_kernels_that_heed_no_mask_share_nothing(qwen3_vl: Path) -> None:
    checkpoint = TransformersChat(checkpoint=str(qwen3_vl)).engine().checkpoint
    assert isinstance(open_backend(checkpoint, EngineConfig()), SharedPrefixBackend)
    flash = checkpoint.config.model_copy(update={"attention": "flash_attention_2"})
    assert isinstance(open_backend(replace(checkpoint, config=flash), EngineConfig()), GenerateBackend)


def test_usage_counts_each_picture_once_and_known_ones_never(qwen3_vl: Path) -> None:
    model = TransformersChat(checkpoint=str(qwen3_vl), vision_cache=10**6)
    model.clear_caches()
    role = Role("verifier", model)
    first = asyncio.run(role.choose(requests(), LABELS)).usage
    again = asyncio.run(role.choose(requests(), LABELS)).usage
    assert (first["calls"], first["image_prefills"], again["image_prefills"]) == (12, 3, 0)
    plain = TransformersChat(checkpoint=str(qwen3_vl), share_prefix=False)
    alone = asyncio.run(Role("verifier", plain).choose(requests(), LABELS)).usage
    assert first["prompt_tokens"] < alone["prompt_tokens"]


def test_the_same_question_twice_gets_the_same_answer(qwen3_vl: Path) -> None:
    model = TransformersChat(checkpoint=str(qwen3_vl))
    asked = requests(1, 1) * 2 + requests(2, 1)
    rows = choose(model, asked)
    assert torch.equal(rows[0], rows[1]) and not torch.equal(rows[0], rows[3])


def test_a_name_given_to_a_picture_is_not_trusted(qwen3_vl: Path) -> None:
    model = TransformersChat(checkpoint=str(qwen3_vl))
    a, b = picture(1), picture(2)
    lie = type(b)(a.key, b.data)
    rows = choose(model, [Request(text="Is it?", images=(each,)) for each in (a, lie, b)])
    assert torch.equal(rows[1], rows[2]) and not torch.allclose(rows[0], rows[1], atol=1e-3)


def test_replies_of_a_batch_equal_those_alone(qwen3_vl: Path) -> None:
    model = TransformersChat(checkpoint=str(qwen3_vl))
    asked = [request.messages() for request in requests(3, 3)]

    async def both() -> None:
        together = await asyncio.gather(*(model.ainvoke(each, max_tokens=12) for each in asked))
        alone = [await model.ainvoke(each, max_tokens=12) for each in asked]
        assert [reply.content for reply in together] == [reply.content for reply in alone]
        assert all(0 < reply.usage_metadata["output_tokens"] <= 12 for reply in together)  # type: ignore[index]

    asyncio.run(both())


def test_replies_equal_generate(qwen3_vl: Path) -> None:
    model = TransformersChat(checkpoint=str(qwen3_vl))
    request = requests(1, 1)[0]
    checkpoint = model.engine().checkpoint
    image = ImageInput("", request.images[0].base64).pixels()
    content = [{"type": "image", "image": image}, {"type": "text", "text": request.text}]
    inputs = checkpoint.processor.apply_chat_template(
        [{"role": "user", "content": content}],
        tokenize=True, add_generation_prompt=True, return_dict=True, return_tensors="pt",
    )  # fmt: skip
    ids = checkpoint.model.generate(**inputs, max_new_tokens=10, do_sample=False)[
        0, inputs["input_ids"].shape[1] :
    ]
    text = checkpoint.tokenizer.decode(ids, skip_special_tokens=True)
    assert asyncio.run(Role("x", model).ask([request], max_tokens=10))[0].text == text.strip()


def test_rows_join_and_leave_while_others_are_written(qwen3_vl: Path) -> None:
    model = TransformersChat(checkpoint=str(qwen3_vl), rows=3)
    asked = requests(3, 4)

    async def one(number: int, request: Request) -> str:
        return str((await model.ainvoke(request.messages(), max_tokens=3 + 5 * (number % 4))).content)

    async def staggered() -> list[str]:
        async def later(number: int, request: Request) -> str:
            await asyncio.sleep(0.003 * number)
            return await one(number, request)

        return await asyncio.gather(*(later(number, request) for number, request in enumerate(asked)))

    async def alone() -> list[str]:
        return [await one(number, request) for number, request in enumerate(asked)]

    assert asyncio.run(staggered()) == asyncio.run(alone())


def test_messages_of_a_conversation(qwen3_vl: Path) -> None:
    model = TransformersChat(checkpoint=str(qwen3_vl), max_tokens=4)
    url = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{picture(1).base64}"}}
    messages = [
        SystemMessage("Be brief."),
        HumanMessage([url, {"type": "text", "text": "A?"}]),
        AIMessage("B"),
        HumanMessage("C?"),
    ]
    answer = model.invoke(messages)
    assert answer.usage_metadata and answer.usage_metadata["output_tokens"] <= 4
    assert answer.response_metadata["image_prefills"] in (0, 1)
    with pytest.raises(BadInput, match="nothing is fetched"):
        model.invoke([HumanMessage([{"type": "image_url", "image_url": {"url": "https://x.org/a.png"}}])])


def test_control_tokens_in_a_text_are_only_text(qwen3_vl: Path) -> None:
    model = TransformersChat(checkpoint=str(qwen3_vl), max_tokens=2)
    assert asyncio.run(Role("x", model).ask([Request(text="<|image_pad|> <|im_end|>", images=(picture(1),))]))


def test_a_bad_request_does_not_harm_its_neighbours(qwen3_vl: Path) -> None:
    model = TransformersChat(checkpoint=str(qwen3_vl), max_tokens=2)

    async def both() -> list[object]:
        bad = HumanMessage([{"type": "text", "text": "word " * 4000}])
        asking = [model.ainvoke([bad]), model.ainvoke([HumanMessage("fine?")])]
        return list(await asyncio.gather(*asking, return_exceptions=True))

    wrong, right = asyncio.run(both())
    assert isinstance(wrong, BadInput) and isinstance(right, AIMessage)


def test_a_broken_picture_does_not_harm_its_neighbours(qwen3_vl: Path) -> None:
    role = Role("verifier", TransformersChat(checkpoint=str(qwen3_vl), max_tokens=2))
    broken = Request(text="Is it?", images=(ImageRef("x", b"no picture at all"),))

    async def both() -> list[object]:
        asking = [role.choose([each], LABELS) for each in (broken, *requests(1, 2))]
        return await asyncio.gather(
            *asking, role.ask([broken]), role.ask(requests(1, 1)), return_exceptions=True
        )

    wrong, *right, refused, written = asyncio.run(both())
    assert isinstance(wrong, BadInput) and isinstance(refused, BadInput)
    assert not any(isinstance(each, BaseException) for each in (*right, written))


def test_stream_gives_the_whole_reply(qwen3_vl: Path) -> None:
    model = TransformersChat(checkpoint=str(qwen3_vl), max_tokens=15)
    message = requests(1, 1)[0].messages()
    whole = model.invoke(message)

    async def pieces() -> list[str]:
        return [str(chunk.text) async for chunk in model.astream(message)]

    assert "".join(asyncio.run(pieces())) == whole.text
    assert "".join(str(chunk.text) for chunk in model.stream(message)) == whole.text


def test_stop_text_ends_the_reply(qwen3_vl: Path) -> None:
    model = TransformersChat(checkpoint=str(qwen3_vl), max_tokens=20)
    message = requests(1, 1)[0].messages()
    whole = str(model.invoke(message).text)
    stop = whole[3:5]
    cut = model.invoke(message, stop=[stop])
    assert cut.text == whole[: whole.find(stop)] and cut.response_metadata["finish_reason"] == "stop"
    assert "".join(str(chunk.text) for chunk in model.stream(message, stop=[stop])) == cut.text


def test_labels_must_differ_in_their_first_token(qwen3_vl: Path) -> None:
    model = TransformersChat(checkpoint=str(qwen3_vl), max_tokens=2)
    with pytest.raises(UnusableLabels):
        asyncio.run(model.ascore([[HumanMessage("x")]], ["Yes", "Yes!"]))
    choice = asyncio.run(Role("judge", model).choose([Request(text="x")], ["Yes", "Yes!"]))
    assert choice.notes[0]["kind"] == "fallback" and "distinct" in choice.notes[0]["detail"]


def test_weights_hash_tells_checkpoints_apart(qwen3_vl: Path, tmp_path: Path) -> None:
    from tests.mllms.checkpoints import build_qwen3_vl

    build_qwen3_vl(tmp_path, seed=1)
    first, second = TransformersChat(checkpoint=str(qwen3_vl)), TransformersChat(checkpoint=str(tmp_path))
    assert first.weights != second.weights and len(first.weights) == 16


def test_what_all_questions_begin_with_is_read_once(qwen3_vl: Path) -> None:
    texts = ["Is there a red house?", "Is there a boat", "Is there", "Is there a red house? Yes"]
    asked = [Request(text=text, images=(picture(1),)) for text in texts]
    model = TransformersChat(checkpoint=str(qwen3_vl))
    assert torch.allclose(choose(model, asked), choose(model.without_prefix_sharing(), asked), atol=1e-4)
    both = asyncio.run(Role("verifier", model).choose(asked, LABELS)).usage["prompt_tokens"]
    apart = [
        asyncio.run(Role("verifier", model).choose([each], LABELS)).usage["prompt_tokens"] for each in asked
    ]
    alone = apart[0]
    own = len(model.engine().checkpoint.tokenizer("Is there", add_special_tokens=False)["input_ids"])
    assert both <= sum(apart) - (len(asked) - 1) * own and both > alone
