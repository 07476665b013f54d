"""The adapter of the chat model for photos: what it is taught, side by side as alone, and the same after a kill."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
import torch

from imagescope_agent import cli
from imagescope_agent.errors import BadInput
from imagescope_agent.lab.training.photo_chat import trainer as trainer_module
from imagescope_agent.lab.training.photo_chat.held_out import area, measure
from imagescope_agent.lab.training.photo_chat.intents import intent_turn
from imagescope_agent.lab.training.photo_chat.pipeline import go_on, write_adapter
from imagescope_agent.lab.training.photo_chat.questions import SORTS, Lexicon
from imagescope_agent.lab.training.photo_chat.rows import NOTHING, Row, Writer, batch_rows
from imagescope_agent.lab.training.photo_chat.trainer import ChatPlan, ChatTrainer, Photos
from imagescope_agent.lab.training.photo_chat.words import make_projector, word_shares
from imagescope_agent.photo_chat.language import IMAGE_TOKEN, TEMPLATE
from imagescope_agent.replies.parsing import parse_intent, parse_predicates
from tests.mllms.checkpoint_parts import TEXT, configured, ends, sharpen, tokenizer

CELLS, FEATURES = 4, 8
SAID = [
    ["A red house by a tree.", "Two boats on the water"],
    ["A blue house .", "Three boats near a house", "A man is running ."],
    ["A dog is running in a red coat.", "a dog and a man"],
]
PLAN = ChatPlan(rank=2, word_steps=3, word_batch=4, steps=4, batch=2, captions=2, questions=5, intents=1.0)


def language() -> tuple[Any, Any]:
    """A random model of Llama's kind in which pictures have a token, and its tokenizer."""
    from transformers import LlamaConfig, LlamaForCausalLM

    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", IMAGE_TOKEN]
    words = tokenizer(special, end="<|im_end|>", pad="<|endoftext|>")
    words.chat_template = TEMPLATE
    torch.manual_seed(0)
    config = configured(LlamaConfig, vocab_size=len(words), tie_word_embeddings=True, **TEXT, **ends(words))
    return sharpen(LlamaForCausalLM(config).eval(), 2.0), words


def trainer(work: Path, plan: ChatPlan = PLAN) -> ChatTrainer:
    model, words = language()
    captions = [each for each in SAID for _ in range(4)]
    grids = np.random.default_rng(0).normal(size=(len(captions), CELLS, FEATURES)).astype(np.float16)
    lexicon = Lexicon(captions)
    torch.manual_seed(1)
    projector, _ = make_projector(lexicon, words, FEATURES, TEXT["hidden_size"])
    return ChatTrainer((model, words), projector, Photos(grids=grids, captions=captions), lexicon, plan, work)


def weights(made: ChatTrainer) -> list[torch.Tensor]:
    return [*made.projector.state_dict().values(), *made.changes.state_dict().values()]


def taught(made: ChatTrainer) -> ChatTrainer:
    words = [made.writer.tokenizer.decode([token]).strip() for token in made.projector.words]
    made.teach_words(word_shares(made.photos.captions, words))
    return made


def test_questions_are_answered_by_the_captions() -> None:
    lexicon, rng = Lexicon([each for each in SAID for _ in range(4)]), Random(0)
    seen = set()
    for number, captions in enumerate(SAID):
        said = " ".join(captions).lower()
        for sort in SORTS:
            for answer in (True, False):
                others = SAID[(number + 1) % 3]
                for _ in range(5):
                    question = lexicon.ask(sort, captions, others, answer, rng)
                    if question is None:
                        continue
                    seen.add((sort, answer))
                    assert question.text.endswith("?") and question.answer == answer
                    held = question.statement.removeprefix("someone ").removeprefix("a ") in said
                    assert held == answer, question
    assert seen == {(sort, answer) for sort in SORTS for answer in (True, False)}


def test_queries_have_intents_that_the_project_reads() -> None:
    kinds = set()
    for seed in range(300):
        prompt, answer = intent_turn(
            "A dog runs in the snow with a stick .", 'A man in a "red" hat', Random(seed)
        )
        if "What must be checked" in prompt:
            assert {each["expected"] for each in parse_predicates(answer)} <= {"Yes", "No"}
        else:
            intent = parse_intent(answer)
            kinds |= {step["type"] for step in intent["steps"]}
            assert intent["full"] and "What is wanted?" in prompt
    assert kinds == {"Addition", "Removal", "Modification"}


def test_what_is_asked_side_by_side_is_answered_as_alone(tmp_path: Path) -> None:
    made = trainer(tmp_path)
    with torch.no_grad():
        made.projector.ask.weight.normal_()
    grid = torch.from_numpy(made.photos.grids[:1])

    def hidden(row: Row) -> torch.Tensor:
        batch = batch_rows([row], torch.float32)
        with torch.inference_mode():
            return made.hidden(batch, grid)[batch.targets != NOTHING]

    asked = [
        ("Is there a house?", ["Yes"]),
        ("Describe the picture.", ["A tree.", "Two boats"]),
        ("Red?", ["No"]),
    ]
    together = made.writer.photo()
    alone = []
    for question, answers in asked:
        made.writer.ask(together, question, answers, end=True, weight=1.0)
        for answer in answers:
            row = made.writer.photo()
            made.writer.ask(row, question, [answer], end=True, weight=1.0)
            alone.append(hidden(row))
    assert torch.allclose(hidden(together), torch.cat(alone), atol=1e-4)
    chat = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Red?"}]}]
    text = made.writer.tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    row = made.writer.photo()
    made.writer.ask(row, "Red?", ["No"], end=False, weight=1.0)
    written = text.replace(IMAGE_TOKEN, IMAGE_TOKEN * CELLS)
    assert row.ids == made.writer.tokenizer(written)["input_ids"], "as the hosted model is asked"


def test_a_caption_cannot_end_its_turn() -> None:
    writer = Writer(language()[1], CELLS)
    assert writer.end[0] not in writer.text("a dog<|im_end|>\n<|im_start|>assistant\nYes")
    assert writer.image not in writer.text(f"a {IMAGE_TOKEN} dog")


def test_after_a_kill_the_same_adapter_comes_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer_module, "SAVE_EVERY", 2)
    whole = taught(trainer(tmp_path / "whole"))
    before = [each.clone() for each in weights(whole)]
    assert whole.train()
    assert any(not torch.equal(one, other) for one, other in zip(before, weights(whole), strict=True))
    cut = taught(trainer(tmp_path / "cut"))
    draw = cut.draw

    def killed(step: int) -> Any:
        if step == 3:
            raise KeyboardInterrupt
        return draw(step)

    monkeypatch.setattr(cut, "draw", killed)
    with pytest.raises(KeyboardInterrupt):
        cut.train()
    again = taught(trainer(tmp_path / "cut"))
    assert again.train()
    for one, other in zip(weights(whole), weights(again), strict=True):
        assert torch.equal(one, other)


def test_it_stops_when_the_time_is_over_and_goes_on(tmp_path: Path) -> None:
    made = taught(trainer(tmp_path))
    assert not made.train(time_limit=0.0)
    assert taught(trainer(tmp_path)).train()
    curve = [json.loads(line) for line in (tmp_path / "curve.jsonl").read_text().splitlines()]
    assert curve[-1]["step"] == PLAN.steps


def test_it_goes_on_from_a_finished_adapter(tmp_path: Path) -> None:
    made = taught(trainer(tmp_path / "made"))
    made.train()
    write_adapter(made, tmp_path / "adapter")
    further = trainer(tmp_path / "further")
    go_on(further, tmp_path / "adapter")
    for one, other in zip(weights(made), weights(further), strict=True):
        assert torch.allclose(one.float(), other.float(), atol=float(one.abs().max()) / 200, rtol=1e-3)
    with pytest.raises(BadInput, match="another rank"):
        go_on(trainer(tmp_path / "more", replace(PLAN, rank=3)), tmp_path / "adapter")


def test_it_learns_what_it_is_shown(tmp_path: Path) -> None:
    plan = replace(PLAN, steps=60, peak_lr=2e-2, word_steps=60)
    made = taught(trainer(tmp_path, plan))
    few = Photos(grids=made.photos.grids[::4], captions=made.photos.captions[::4])
    before = measure(made, few)
    made.train()
    after = measure(made, few)
    assert after["loss"] < before["loss"] - 0.2 and {f"auc {sort}" for sort in SORTS} <= after.keys()


def test_area_under_the_curve() -> None:
    assert area([True, False, True, False], [0.9, 0.1, 0.4, 0.4]) == 0.875


@pytest.mark.parametrize("problem", ["few", "start"])
def test_bad_input_ends_with_one_line(
    tmp_path: Path, problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from PIL import Image

    count = 3 if problem == "few" else 33
    lines = []
    for number in range(count):
        Image.new("RGB", (9, 9), (number, 9, 9)).save(tmp_path / f"{number}.png")
        lines.append({"file_name": f"{number}.png", "captions": ["a dog"]})
    (tmp_path / "metadata.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    command = ["train", "photos-chat", "--data", str(tmp_path), "--out", str(tmp_path / "out")]
    start = ["--start", str(tmp_path / "nothing")] if problem == "start" else []
    assert cli.main([*command, "--work", str(tmp_path / "work"), *start]) == BadInput.exit_code == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert ("too few" if problem == "few" else "there is no adapter") in line
