"""Training does what it says: packing changes nothing, losses fall, a stopped training goes on as if undisturbed."""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader
from transformers import AutoModelForImageTextToText, AutoProcessor, PreTrainedTokenizerFast
from transformers.models.qwen3_vl.modeling_qwen3_vl import Qwen3VLVisionModel

from imagescope_agent.lab.scenes import questions
from imagescope_agent.lab.scenes.conditions import predicates
from imagescope_agent.lab.scenes.world import Scene, Thing, random_scene
from imagescope_agent.lab.training import skill_eval as card
from imagescope_agent.lab.training.architecture import (
    GRID,
    chat_model,
    chat_processor,
    patches,
    save_chat_model,
    vision_config,
)
from imagescope_agent.lab.training.batch import on_device
from imagescope_agent.lab.training.comparing import patterns
from imagescope_agent.lab.training.composed_groups import SCENES_A_FAMILY, families, family_scenes
from imagescope_agent.lab.training.data_mixture import Material, Plan
from imagescope_agent.lab.training.examples import (
    Pictures,
    caption_branch,
    reading_branches,
    search_branches,
    verdict_branches,
)
from imagescope_agent.lab.training.mini_clip import (
    as_seen,
    clip_config,
    save_clip,
    start_from_tower,
    text_ids,
    train_clip,
    train_clip_tokenizer,
)
from imagescope_agent.lab.training.mini_mllm import Steps, Trainer, train
from imagescope_agent.lab.training.packing import Packer
from imagescope_agent.lab.training.pool import Pool, make_shard, open_shard, single_scenes, small_picture
from imagescope_agent.lab.training.tokenizer import SCAFFOLD, train_tokenizer
from imagescope_agent.lab.training.vision import dense_labels, patch_states, train_vision
from imagescope_agent.mllms.role import Role
from imagescope_agent.mllms.scripted import Asked, Scripted, ScriptedScorer
from imagescope_agent.prompting import load_prompt


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return train_tokenizer(examples=60)


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pool")
    make_shard(folder / "singles", _few_singles, seeds=[1])
    make_shard(folder / "families", _few_families, seeds=[2])
    return folder


def _few_singles(seed: int) -> list[list[Scene]]:
    return single_scenes(seed)[:40]


def _few_families(seed: int) -> list[list[Scene]]:
    return family_scenes(seed)[:6]


class FewFamilies(Material):
    """Material over the small pool."""

    def __init__(self, pool: Path, plan: Plan) -> None:
        super().__init__(pool, plan, range(0))
        self.families = families(2)[:6]


def test_the_batched_tower_is_the_tower() -> None:
    torch.manual_seed(1)
    tower = Qwen3VLVisionModel(vision_config()).eval()
    torch.nn.init.normal_(tower.pos_embed.weight)
    pixels = torch.randint(0, 255, (3, 128, 128, 3), dtype=torch.uint8)
    with torch.no_grad():
        states, tokens = patch_states(tower, pixels)
        plain = tower(patches(pixels), grid_thw=torch.tensor([[1, GRID, GRID]] * 3), return_dict=True)
    torch.testing.assert_close(states, plain.last_hidden_state, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(tokens, plain.pooler_output, atol=1e-4, rtol=1e-4)


def test_patches_are_the_processors(tokenizer: PreTrainedTokenizerFast) -> None:
    scene = random_scene(Random(4))
    small = small_picture(scene)
    processor = chat_processor(tokenizer)
    theirs = processor.image_processor(images=[Image.fromarray(small)], return_tensors="pt").pixel_values
    torch.testing.assert_close(patches(torch.from_numpy(small)[None]), theirs, atol=1e-3, rtol=0)


def test_dense_labels_know_the_middle_of_a_thing() -> None:
    thing = Thing(kind="car", colour="blue", size="large", x=0.5, y=0.5, diameter=0.35)
    target = dense_labels([Scene(things=(thing,), setting="beach")])
    assert int((target["kind"] > 0).sum()) == 16
    assert set(target["colour"].tolist()) == {0, 5}  # nothing, blue


def test_packed_branches_equal_separate_turns(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    """The packed row, asked for every label, gives what the saved checkpoint gives turn by turn."""
    model = chat_model(tokenizer).eval()
    for weight in model.parameters():
        weight.data = weight.data.half().float()  # so that the 16-bit checkpoint is the same model
    save_chat_model(model, tokenizer, tmp_path)
    loaded = AutoModelForImageTextToText.from_pretrained(tmp_path, dtype=torch.float32).eval()
    processor = AutoProcessor.from_pretrained(tmp_path)
    rng = Random(5)
    scene = random_scene(rng)
    pixels = small_picture(scene)
    branches = [caption_branch(scene), *verdict_branches(scene, rng, 4)]
    trainer = Trainer(model, tokenizer, Plan(steps=1), tmp_path)
    rows = trainer.packer.pack([(Pictures.plain(1), branches)])
    with torch.no_grad():
        hidden = trainer.hidden(on_device(rows, trainer.device), torch.from_numpy(pixels)[None])
        packed = model.lm_head(hidden)[0].cpu()
        for branch in branches:
            content = [
                {"type": "image", "image": Image.fromarray(pixels)},
                {"type": "text", "text": branch.prompt},
            ]
            inputs = processor.apply_chat_template(
                [{"role": "user", "content": content}],
                tokenize=True,
                return_dict=True,
                return_tensors="pt",
                add_generation_prompt=True,
            )
            alone = loaded(**inputs).logits[0, -1]
            answer = tokenizer(branch.answer).input_ids[0]
            places = rows.answers["column"][rows.answers["token"] == answer]
            gaps = [(packed[place] - alone).abs().max().item() for place in places]
            assert min(gaps) < 1e-3


def test_branches_do_not_see_one_another(tokenizer: PreTrainedTokenizerFast) -> None:
    packer = Packer(tokenizer)
    rng = Random(6)
    branches = verdict_branches(random_scene(rng), rng, 3)
    rows = packer.pack([(Pictures.plain(1), branches)])
    first = rows.answers["column"].tolist()
    assert len(first) == 3
    mask = on_device(rows, torch.device("cpu")).mask[0, 0]
    assert mask[first[1], :5].all() and not mask[first[1], first[0]] and not mask[first[2], first[1]]


def test_yes_and_no_are_single_tokens_and_prompts_survive(tokenizer: PreTrainedTokenizerFast) -> None:
    for word in ("Yes", "No", "A", "B"):
        assert len(tokenizer(word).input_ids) == 1
    rng = Random(7)
    for branch in [*reading_branches(rng), *search_branches(random_scene(rng), rng)]:
        assert tokenizer.decode(tokenizer(branch.answer).input_ids) == branch.answer


def test_what_leaves_no_choice_is_one_token(tokenizer: PreTrainedTokenizerFast) -> None:
    text = '{"predicates":[{"question":"Is it?","expected":"Yes"},{"question":"Are they?","expected":"No"}]}'
    ids = tokenizer(text, add_special_tokens=False).input_ids
    assert tokenizer.decode(ids) == text
    pieces = [tokenizer.decode([one]) for one in ids]
    assert [piece for piece in pieces if piece in SCAFFOLD] == [
        SCAFFOLD[7], SCAFFOLD[8], SCAFFOLD[9], SCAFFOLD[8], SCAFFOLD[10]
    ]  # fmt: skip


def test_a_stopped_training_goes_on_as_if_undisturbed(
    tokenizer: PreTrainedTokenizerFast, pool: Path, tmp_path: Path
) -> None:
    plan = Plan(steps=6, scenes=2, questions=3, pairs=2, texts=1, talks=1, compared=2, warmup=2, save_every=3)
    material = FewFamilies(pool, plan)
    whole = Trainer(chat_model(tokenizer), tokenizer, plan, tmp_path / "whole")
    train(whole, material)
    first = Trainer(chat_model(tokenizer), tokenizer, plan, tmp_path / "halves")
    steps = Steps(material, first.packer)
    for number in range(3):
        first.advance(steps[number], material.pool)
    first.save()
    second = Trainer(chat_model(tokenizer, seed=99), tokenizer, plan, tmp_path / "halves")
    assert second.resume() and second.step == 3
    train(second, material)
    for one, other in zip(whole.model.parameters(), second.model.parameters(), strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


def test_the_loss_falls(tokenizer: PreTrainedTokenizerFast, pool: Path, tmp_path: Path) -> None:
    plan = Plan(steps=25, scenes=2, questions=3, pairs=1, texts=1, talks=1, compared=2, warmup=3)
    material = FewFamilies(pool, plan)
    trainer = Trainer(chat_model(tokenizer), tokenizer, plan, tmp_path)
    pictures, rows = material.singles(Random(1))
    pixels = material.pool.take(np.array(pictures))
    batch = on_device(trainer.packer.pack(rows, pictures), trainer.device)
    steps = Steps(material, trainer.packer)
    with torch.no_grad():
        before = trainer.loss(batch, pixels)[0].item()
    for number in range(25):
        trainer.advance(steps[number], material.pool)
    with torch.no_grad():
        assert trainer.loss(batch, pixels)[0].item() < 0.8 * before


def test_a_step_is_the_same_whoever_makes_it(tokenizer: PreTrainedTokenizerFast, pool: Path) -> None:
    """Worker processes hand over what the process itself would make."""
    plan = Plan(steps=2, scenes=1, questions=2, pairs=2, texts=1, talks=2, compared=3)
    steps: Any = Steps(FewFamilies(pool, plan), Packer(tokenizer))
    here = [steps[0], steps[1]]
    there = DataLoader(
        steps, batch_size=None, sampler=range(2), num_workers=1, collate_fn=lambda batches: batches
    )
    for mine, other in zip(here, there, strict=True):
        for one, two in zip(mine, other, strict=True):
            np.testing.assert_equal(one._asdict(), two._asdict())


def test_a_larger_plan_has_more_rows_of_every_sort(pool: Path) -> None:
    plan = Plan(steps=1, scenes=2, questions=3, pairs=2, texts=2, talks=2, compared=16)
    few = [len(rows) for _, rows, _ in FewFamilies(pool, plan).batches(Random(3))]
    many = [len(rows) for _, rows, _ in FewFamilies(pool, plan.larger(3)).batches(Random(3))]
    assert all(larger >= 2 * fewer for fewer, larger in zip(few, many, strict=True))


def test_pictures_are_numbered_through_the_shards() -> None:
    shards = [np.full((n, 1, 1, 3), value, dtype=np.uint8) for n, value in ((2, 7), (3, 8), (1, 9))]
    taken = Pool(shards).take(np.array([5, 0, 1, 2, 4]))
    assert taken[:, 0, 0, 0].tolist() == [9, 7, 7, 8, 8]


def test_most_pictures_to_compare_show_what_is_asked_for(pool: Path) -> None:
    material = FewFamilies(pool, Plan(steps=1))
    rng, shared, asked = Random(2), 0, 0
    for _ in range(60):
        _, _, query, _ = material._compared(rng, 4)
        looks = {(p.kind, p.colour) for c in query.conditions for p in patterns(c)}
        if looks & material._looks.keys():
            asked += 1
            scene, _ = material._alike(query, rng)
            shared += any((thing.kind, thing.colour) in looks for thing in scene.things)
    assert 0.5 * asked < shared < asked


def test_the_tower_learns_and_resumes(pool: Path, tmp_path: Path) -> None:
    pixels, scenes = open_shard(pool / "singles")
    tower = Qwen3VLVisionModel(vision_config())
    train_vision(tower, pixels, scenes, out=tmp_path, steps=8, batch=8)
    lines = (tmp_path / "vision.jsonl").read_text().splitlines()
    assert len(lines) == 2
    train_vision(tower, pixels, scenes, out=tmp_path, steps=8, batch=8)  # nothing left to do
    assert len((tmp_path / "vision.jsonl").read_text().splitlines()) == 2


def test_clip_starts_from_the_tower_learns_and_opens_again(pool: Path, tmp_path: Path) -> None:
    from imagescope_agent.retrieval.embedders import open_embedder

    pixels, scenes = open_shard(pool / "singles")
    coder = train_clip_tokenizer(examples=200)
    assert coder.token_to_id("<|end|>") == coder.get_vocab_size() - 1
    torch.manual_seed(0)
    model = open_clip.CLIP(**clip_config(coder.get_vocab_size()))
    tower = Qwen3VLVisionModel(vision_config())
    start_from_tower(model, tower)
    block: Any = model.visual.transformer.resblocks[2]
    source: Any = tower.blocks[2]
    torch.testing.assert_close(block.mlp.c_fc.weight, source.mlp.linear_fc1.weight)
    train_clip(model, coder, pixels, scenes, out=tmp_path / "work", steps=12, batch=16)
    save_clip(model.eval(), coder, tmp_path / "clip")
    embedder = open_embedder(str(tmp_path / "clip"))
    texts = ["a red house at night", "two cats"]
    with torch.no_grad():
        theirs = model.encode_text(text_ids(coder, texts), normalize=True).numpy()
        seen = model.encode_image(as_seen(np.array(pixels[:2])), normalize=True).numpy()
    np.testing.assert_allclose(embedder.texts(texts), theirs, atol=5e-3)
    pictures = [Image.fromarray(np.asarray(picture)) for picture in pixels[:2]]
    np.testing.assert_allclose(embedder.images(pictures), seen, atol=2e-2)


def test_families_hold_targets_and_near_misses() -> None:
    from imagescope_agent.lab.scenes.conditions import satisfies

    missed = 0
    for scenes, queries in families(3)[:20]:
        assert len(scenes) == SCENES_A_FAMILY
        for number, query in enumerate(queries):
            assert satisfies(scenes[1 + 2 * number], query.conditions)
            missed += not satisfies(scenes[2 + 2 * number], query.conditions)
    assert missed > 20


def _asked_truth(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    truth: list[bool] = []
    plain = questions.ask

    def remembering(scene: Scene, rng: Random, skill: str) -> Any:
        question = plain(scene, rng, skill)
        truth.append(question.answer)
        return question

    monkeypatch.setattr(card, "ask", remembering)
    return truth


@pytest.mark.parametrize(("contrary", "share"), [(False, 100.0), (True, 0.0)])
def test_the_card_counts_verdicts(monkeypatch: pytest.MonkeyPatch, contrary: bool, share: float) -> None:
    truth = _asked_truth(monkeypatch)

    def scorer(asked: Asked) -> list[float]:
        return [1.0, 0.0] if truth.pop(0) != contrary else [0.0, 1.0]

    role = Role("verifier", ScriptedScorer(scorer))
    figures = asyncio.run(card.verdict_figures(role, 1, 10, "mini"))
    assert set(figures.values()) == {share}


def test_the_card_counts_captions_and_predicates() -> None:
    silent = Role("captioner", Scripted(lambda asked: "nothing much"))
    figures = asyncio.run(card.caption_figures(silent, 1, 5, "mini"))
    assert figures == {"things named with their colour": 0.0, "captions exact": 0.0}
    from imagescope_agent.lab.training.examples import compact, understand_branch

    answers = {}
    text = [(query, None) for query, _, _ in card._text_queries(1, 10)]
    for query, reference in [*text, *((query, scene) for query, _, scene in card._composed_queries(1, 10))]:
        branch = understand_branch(query, reference)
        answers[branch.prompt] = branch.answer
        answers[load_prompt("predicates", prompt_set="mini").fill(
            steps="\n".join(f"{s.type}: {s.condition.words()}" for s in query.steps)
        )] = compact({"predicates": predicates(query.conditions)})  # fmt: skip
    reasoner = Role("reasoner", Scripted(lambda asked: answers[asked.text]))
    figures = asyncio.run(card.understand_figures(reasoner, 1, 10, "mini"))
    assert figures["tir"] == figures["cir"] == 100.0
