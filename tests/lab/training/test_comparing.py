"""What the mini chat model is taught of comparing pictures is true, readable, and asked as the judges ask."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import re
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor, PreTrainedTokenizerFast

from imagescope_agent.judges import replies
from imagescope_agent.judges.base import Candidate, Task, blank_image
from imagescope_agent.judges.position_debiasing import LABELS
from imagescope_agent.judges.session import JudgeSession
from imagescope_agent.lab.scenes.composed_queries import COMPOSED_KINDS, family
from imagescope_agent.lab.scenes.conditions import PLURALS
from imagescope_agent.lab.scenes.language import SYNONYMS
from imagescope_agent.lab.scenes.mixed_queries import any_query, caption_query
from imagescope_agent.lab.scenes.queries import Query
from imagescope_agent.lab.scenes.world import Scene, random_scene
from imagescope_agent.lab.training import architecture
from imagescope_agent.lab.training import skill_eval_judging as card_judging
from imagescope_agent.lab.training import skill_eval_talking as card_talking
from imagescope_agent.lab.training.architecture import chat_model, grown_chat_model, save_chat_model
from imagescope_agent.lab.training.batch import on_device
from imagescope_agent.lab.training.comparing import (
    components,
    grade_branch,
    lettered,
    met,
    numbered,
    target_branch,
)
from imagescope_agent.lab.training.data_mixture import Plan
from imagescope_agent.lab.training.examples import as_plain
from imagescope_agent.lab.training.mini_mllm import Trainer
from imagescope_agent.lab.training.packing import KINDS, Packer
from imagescope_agent.lab.training.pool import small_picture
from imagescope_agent.lab.training.skill_eval_images import picture
from imagescope_agent.lab.training.talking import ask_branch, fold_branch, propose_branch, propose_example
from imagescope_agent.lab.training.tokenizer import SCAFFOLD, train_tokenizer
from imagescope_agent.mllms.role import ImageRef, Role
from imagescope_agent.mllms.scripted import Asked, Scripted, ScriptedScorer, read_asked
from imagescope_agent.prompting import steps_text

SEEDS = range(30)


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return train_tokenizer(examples=60)


def _some(seed: int) -> tuple[Random, list[Scene], Query]:
    """Easily confused scenes, and a request that one of them answers: composed for odd seeds."""
    rng = Random(seed)
    made = None
    while made is None:
        made = family(rng, rng.sample(COMPOSED_KINDS, 3))
    scenes, changes = made
    return rng, scenes[1:], changes[0] if seed % 2 else any_query(scenes[1], rng)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_chain_is_what_the_judge_reads(seed: int) -> None:
    _, scenes, query = _some(seed)
    _, (order, _, chain) = numbered(query, scenes, apart=True, composed=seed % 2 == 1)
    places, answer = replies.parse_cotrr(chain.answer, len(scenes))
    assert components(query) == answer.components
    worth = [met(query, scene) for scene in scenes]
    assert [worth[place] for place in places] == sorted(worth, reverse=True)
    assert places == replies.parse_order(order.answer, len(scenes))
    assert [evaluation.image for evaluation in answer.evaluations] == list(range(1, len(scenes) + 1))
    best = [evaluation.grade == "excellent" for evaluation in answer.evaluations]
    assert best == [each == 1 for each in worth]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("apart", [True, False])
def test_what_stands_after_a_picture_is_about_it(
    seed: int, apart: bool, tokenizer: PreTrainedTokenizerFast
) -> None:
    _, scenes, query = _some(seed)
    pictures, branches = numbered(query, scenes, apart=apart, composed=seed % 2 == 1)
    assert pictures.said[0] is None
    for said, scene in zip(pictures.said[1:], scenes, strict=True):
        assert said is not None and said.scene == scene
        for name in said.named:
            noun = name.pattern.kind or "thing"
            assert said.text[: name.end].endswith((noun, PLURALS[noun], *SYNONYMS.get(noun, ())))
        if apart:
            assert [spot.met for spot in said.spots] == [c.holds(scene) for c in query.conditions]
    packed = Packer(tokenizer).pack([(pictures, branches)])
    found, ends = packed.lessons["found"], packed.lessons["ends"]
    assert len(found["row"]) == sum(len(said.spots) for said in pictures.said if said)
    assert (ends["grade"] == 3).tolist() == [met(query, scene) == 1 for scene in scenes]
    names = [str(tokenizer.decode([label])) for label in ends["label"].tolist()]
    assert names == [label.rstrip(":") for label in pictures.labels[1:]]
    for branch in branches[::2]:  # where the order says a number, that picture is one of those meant
        for place, meant in branch.ordered:
            assert int(re.match(r"\d+", branch.answer[place:])[0]) - 1 in meant  # type: ignore[index]
    graded = packed.answers["token"][packed.answers["kind"] == KINDS.index("match")]
    words = [str(tokenizer.decode([token])).strip() for token in graded.tolist()]
    given = replies.parse_grades(branches[1].answer, len(scenes))
    assert words[: len(scenes)] == [str(round(10 * grade)) for grade in given]
    evaluations = replies.parse_cotrr(branches[2].answer, len(scenes))[1].evaluations
    chained = zip(words[len(scenes) :], evaluations, strict=True)
    assert all(each.grade.startswith(word) for word, each in chained)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_best_is_the_one_under_its_label(seed: int) -> None:
    rng, scenes, query = _some(seed)
    pictures, order, branches = lettered(query, scenes[:4], rng)
    assert sorted(order) == [0, 1, 2, 3] and pictures.labels[0] == "Reference:"
    worth = [met(query, scenes[item]) for item in order]
    assert bool(branches) == (worth.count(max(worth)) == 1)
    for branch in branches:
        assert pictures.labels[1 + worth.index(max(worth))] == f"{branch.answer}:"


@pytest.mark.parametrize("seed", SEEDS)
def test_grades_are_true(seed: int) -> None:
    _, scenes, query = _some(seed)
    _, (_, grades, _) = numbered(query, scenes, apart=False, composed=seed % 2 == 1)
    given = replies.parse_grades(grades.answer, len(scenes))
    assert all(abs(a - met(query, b)) <= 0.051 for a, b in zip(given, scenes, strict=True))
    single = grade_branch(query, scenes[0])
    assert replies.parse_grade(single.answer) == given[0]
    for name in single.named:
        noun = name.pattern.kind or "thing"
        assert single.prompt[: name.end].endswith((noun, PLURALS[noun]))


def test_places_do_not_tell_which_is_best() -> None:
    """Every place and every label is the best one about as often."""
    rng, firsts, letters = Random(1), [0] * 4, [0] * 4
    while sum(firsts) < 400:
        scenes = [random_scene(rng) for _ in range(4)]
        pictures, _, branches = lettered(any_query(rng.choice(scenes), rng), scenes, rng)
        for branch in branches:
            letters[LABELS.index(branch.answer)] += 1
            firsts[pictures.labels.index(f"{branch.answer}:") - 1] += 1
    assert min(firsts) > 60 and min(letters) > 60, (firsts, letters)


def test_a_deeper_model_starts_as_the_model_it_was(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(architecture, "LAYERS", 6)
    save_chat_model(chat_model(tokenizer), tokenizer, tmp_path)
    monkeypatch.undo()
    saved = AutoModelForImageTextToText.from_pretrained(tmp_path, dtype=torch.float32)
    deep, grown = grown_chat_model(tmp_path, ["a new piece"])
    assert len(deep.model.language_model.layers) == architecture.LAYERS == 7
    assert len(grown) == len(tokenizer) + 1
    ids = torch.tensor([tokenizer("a red house at night").input_ids])
    with torch.no_grad():
        old, new = saved(input_ids=ids).logits, deep(input_ids=ids).logits
    torch.testing.assert_close(new[..., : old.shape[-1]], old, atol=1e-4, rtol=1e-3)


def test_a_caption_is_a_query_that_its_scene_answers() -> None:
    rng = Random(3)
    for _ in range(50):
        scene = random_scene(rng)
        query = caption_query(scene, rng)
        assert met(query, scene) == 1 and query.full


def test_the_target_is_described_without_what_goes() -> None:
    rng = Random(4)
    made = None
    while made is None:
        made = family(rng, ["removal"])
    scenes, queries = made
    gone = [step.condition.words() for step in queries[0].steps if step.type == "Removal"]
    there, *without = target_branch(queries[0], scenes[0]).answer.split(", without ")
    assert gone == without and all(words not in there for words in gone)


def test_judges_ask_as_the_training_does(tokenizer: PreTrainedTokenizerFast) -> None:
    """The same words, labels and pictures in the same places, read back from the messages a model gets."""
    _, scenes, query = _some(5)
    scenes = scenes[:3]
    refs = [ImageRef(key=str(place), data=_png(scene)) for place, scene in enumerate(scenes)]
    task = Task(
        query=query.text,
        understood=steps_text(as_plain(query.steps)),
        model=Role("judge", Scripted()),
        prompt_set="mini",
    )
    session = JudgeSession(task, [Candidate(id=ref.key, image=ref) for ref in refs])
    pictures, branches = numbered(query, scenes, apart=True, composed=True)
    request = session.numbered("order", range(3))
    assert request.labels == pictures.labels and request.text == branches[0].prompt
    assert request.after == tuple(said.text if said else "" for said in pictures.said)
    assert read_asked(request.messages()).images == (blank_image().key, "0", "1", "2")
    request = session.request("best", (1, 0), ("B", "A"), labels="B, A")
    assert request.labels == ("Reference:", "B:", "A:")


def test_labelled_rows_equal_what_the_checkpoint_is_asked(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    model = chat_model(tokenizer).eval()
    for weight in model.parameters():
        weight.data = weight.data.half().float()  # so that the 16-bit checkpoint is the same model
    save_chat_model(model, tokenizer, tmp_path)
    loaded = AutoModelForImageTextToText.from_pretrained(tmp_path, dtype=torch.float32).eval()
    processor = AutoProcessor.from_pretrained(tmp_path)
    _, scenes, query = _some(9)
    pictures, branches = numbered(query, scenes[:3], apart=True, composed=True)
    pixels = np.stack([small_picture(scene) for scene in (scenes[4], *scenes[:3])])
    rows = Packer(tokenizer).pack([(pictures, branches)])
    trainer = Trainer(model, tokenizer, Plan(steps=1), tmp_path)
    content: list[dict[str, object]] = []
    for label, seen, said in zip(pictures.labels, pixels, pictures.said, strict=True):
        content += [{"type": "text", "text": label}, {"type": "image", "image": Image.fromarray(seen)}]
        content += [{"type": "text", "text": said.text}] if said else []
    with torch.no_grad():
        hidden = trainer.hidden(on_device(rows, trainer.device), torch.from_numpy(pixels))
        packed = model.lm_head(hidden)[0].cpu()
        opening = tokenizer.convert_tokens_to_ids(SCAFFOLD[-2])
        ends = rows.answers["column"][rows.answers["token"] == opening]
        inputs = processor.apply_chat_template(
            [{"role": "user", "content": [*content, {"type": "text", "text": branches[0].prompt}]}],
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
            add_generation_prompt=True,
        )
        alone = loaded(**inputs).logits[0, -1]
    assert min((packed[end] - alone).abs().max().item() for end in ends) < 1e-3


def _png(scene: Scene) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(small_picture(scene)).save(buffer, "PNG")
    return buffer.getvalue()


def _knows(seed: int, queries: int) -> ScriptedScorer:
    """A judge that has seen the truth of the card's own questions: by the text and the pictures of each."""
    truth: dict[tuple[str, tuple[str, ...]], str] = {}
    rng = Random(f"card comparing {seed}")
    for count in (2, 4):
        made = 0
        while made < queries:
            reference, scenes, query = card_judging._compared(rng, count, composed=made % 2 == 1)
            _, order, branches = lettered(query, scenes, rng)
            if branches:
                truth[branches[0].prompt, _keys(reference, [scenes[i] for i in order])] = branches[0].answer
                made += 1
    for number in range(queries):
        reference, scenes, query = card_judging._compared(rng, 1, composed=number % 2 == 1)
        branch = grade_branch(query, scenes[0])
        truth[branch.prompt, _keys(reference, scenes)] = branch.answer
    for number in range(queries):
        reference, scenes, query = card_judging._compared(rng, card_judging.MANY, composed=number % 2 == 1)
        for branch in numbered(query, scenes, apart=True, composed=reference is not None)[1]:
            truth[branch.prompt, _keys(reference, scenes)] = branch.answer

    def reply(asked: Asked) -> str:
        # what stands after the last picture comes before the question
        return next(truth[key] for key in truth if asked.text.endswith(key[0]) and key[1] == asked.images)

    return ScriptedScorer(
        lambda asked: [1.0 if c == reply(asked) else 0.1 for c in asked.choices or ()], reply
    )


def _keys(reference: Scene | None, scenes: list[Scene]) -> tuple[str, ...]:
    first = picture(reference) if reference else blank_image()
    return (first.key, *(picture(scene).key for scene in scenes))


def test_the_card_tells_who_knows_from_who_does_not() -> None:
    knowing = asyncio.run(card_judging.comparing_figures(Role("judge", _knows(3, 6)), 3, 6))
    assert set(knowing.values()) == {100.0}
    babbling = ScriptedScorer(lambda asked: [1.0] * len(asked.choices or ()), "well")
    lost = asyncio.run(card_judging.comparing_figures(Role("judge", babbling), 3, 6))
    assert lost["order"] == lost["grades"] == lost["cotrr"] == lost["grade"] == 0


def test_the_card_of_conversations_tells_who_knows() -> None:
    rng = Random("card talking 2")
    folds = [fold_branch(rng) for _ in range(8)]
    asks = [ask_branch(rng) for _ in range(8)]
    proposals = [propose_branch(rng) for _ in range(8)]
    truth = {branch.prompt: branch.answer for branch in (*folds, *asks, *proposals)}
    knowing = Role("reasoner", Scripted(lambda asked: truth[asked.text]))
    assert set(asyncio.run(card_talking.talking_figures(knowing, 2, 8)).values()) == {100.0}
    wrong = {prompt: _spoilt(answer) for prompt, answer in truth.items()}
    spoilt = Role("reasoner", Scripted(lambda asked: wrong[asked.text]))
    assert set(asyncio.run(card_talking.talking_figures(spoilt, 2, 8)).values()) == {0.0}


@pytest.mark.parametrize("question", ["What?", "Is there a ?", "Is there a silver spoon?", "?"])
def test_only_questions_about_what_is_shown_count(question: str) -> None:
    branch, fair = propose_example(Random("card talking 2"))
    assert card_talking._all_fair(branch.answer, fair)
    assert not card_talking._all_fair(json.dumps({"questions": [question]}), fair)


def _spoilt(answer: str) -> str:
    if not answer.startswith("{"):
        return "What is it?"
    value = json.loads(answer)
    if "questions" in value:
        return json.dumps({"questions": ["Is there a silver spoon?"]})
    return json.dumps({**value, "topic": "new" if value["topic"] == "same" else "same"})


def test_keys_are_the_pictures_own() -> None:
    scene = random_scene(Random(1))
    shown = picture(scene)
    assert shown.key == hashlib.sha256(shown.data).hexdigest()
