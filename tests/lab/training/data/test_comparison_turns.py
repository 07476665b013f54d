"""Comparison turns are true, parsed by the judges, and asked as the judges ask."""

from __future__ import annotations

import io
import re
from random import Random

import pytest
from PIL import Image
from transformers import PreTrainedTokenizerFast

from imagescope_agent.judges import replies
from imagescope_agent.judges.base import Candidate, Task, blank_image
from imagescope_agent.judges.position_debiasing import LABELS
from imagescope_agent.judges.session import JudgeSession
from imagescope_agent.lab.scenes.composed_queries import composed_group
from imagescope_agent.lab.scenes.conditions import PLURALS
from imagescope_agent.lab.scenes.language import SYNONYMS
from imagescope_agent.lab.scenes.mixed_queries import any_query, caption_query
from imagescope_agent.lab.scenes.world import Scene, random_scene
from imagescope_agent.lab.training.data.comparison_turns import (
    choice_turns,
    components,
    grade_turn,
    listwise_turns,
    satisfied_share,
    target_turn,
)
from imagescope_agent.lab.training.data.image_pool import small_image
from imagescope_agent.lab.training.data.packing import TURN_KINDS, Packer
from imagescope_agent.lab.training.data.turn import plain_steps
from imagescope_agent.mllms.role import ImageRef, Role
from imagescope_agent.mllms.scripted import Scripted, read_asked
from imagescope_agent.prompting import steps_text
from tests.lab.training.samples import hard_candidates

SEEDS = range(30)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_chain_is_parsed_by_the_judge(seed: int) -> None:
    _, scenes, query = hard_candidates(seed)
    _, (order, _, chain) = listwise_turns(query, scenes, with_steps=True, composed=seed % 2 == 1)
    places, answer = replies.parse_cotrr(chain.answer, len(scenes))
    assert components(query) == answer.components
    shares = [satisfied_share(query, scene) for scene in scenes]
    assert [shares[place] for place in places] == sorted(shares, reverse=True)
    assert places == replies.parse_order(order.answer, len(scenes))
    assert [evaluation.image for evaluation in answer.evaluations] == list(range(1, len(scenes) + 1))
    best = [evaluation.grade == "excellent" for evaluation in answer.evaluations]
    assert best == [each == 1 for each in shares]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("with_steps", [True, False])
def test_texts_after_images_have_true_targets(
    seed: int, with_steps: bool, tokenizer: PreTrainedTokenizerFast
) -> None:
    _, scenes, query = hard_candidates(seed)
    images, turns = listwise_turns(query, scenes, with_steps=with_steps, composed=seed % 2 == 1)
    assert images.texts[0] is None
    for text, scene in zip(images.texts[1:], scenes, strict=True):
        assert text is not None and text.scene == scene
        for mention in text.mentions:
            noun = mention.pattern.kind or "thing"
            assert text.text[: mention.end].endswith((noun, PLURALS[noun], *SYNONYMS.get(noun, ())))
        if with_steps:
            assert [check.satisfied for check in text.checks] == [c.holds(scene) for c in query.conditions]
    packed = Packer(tokenizer).pack([(images, turns)])
    conditions, candidates = packed.auxiliary["condition_satisfied"], packed.auxiliary["candidate_grade"]
    assert len(conditions["row"]) == sum(len(text.checks) for text in images.texts if text)
    assert (candidates["grade"] == 3).tolist() == [satisfied_share(query, scene) == 1 for scene in scenes]
    names = [str(tokenizer.decode([label])) for label in candidates["label"].tolist()]
    assert names == [label.rstrip(":") for label in images.labels[1:]]
    for turn in turns[::2]:  # each number of the order is one of the tied images
        for place, tied in turn.ranked:
            assert int(re.match(r"\d+", turn.answer[place:])[0]) - 1 in tied  # type: ignore[index]
    graded = packed.answers["token"][packed.answers["kind"] == TURN_KINDS.index("match")]
    words = [str(tokenizer.decode([token])).strip() for token in graded.tolist()]
    given = replies.parse_grades(turns[1].answer, len(scenes))
    assert words[: len(scenes)] == [str(round(10 * grade)) for grade in given]
    evaluations = replies.parse_cotrr(turns[2].answer, len(scenes))[1].evaluations
    chained = zip(words[len(scenes) :], evaluations, strict=True)
    assert all(each.grade.startswith(word) for word, each in chained)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_choice_is_the_label_of_the_best(seed: int) -> None:
    rng, scenes, query = hard_candidates(seed)
    images, order, turns = choice_turns(query, scenes[:4], rng)
    assert sorted(order) == [0, 1, 2, 3] and images.labels[0] == "Reference:"
    shares = [satisfied_share(query, scenes[item]) for item in order]
    assert bool(turns) == (shares.count(max(shares)) == 1)
    for turn in turns:
        assert images.labels[1 + shares.index(max(shares))] == f"{turn.answer}:"


@pytest.mark.parametrize("seed", SEEDS)
def test_grades_are_true(seed: int) -> None:
    _, scenes, query = hard_candidates(seed)
    _, (_, grades, _) = listwise_turns(query, scenes, with_steps=False, composed=seed % 2 == 1)
    given = replies.parse_grades(grades.answer, len(scenes))
    assert all(abs(a - satisfied_share(query, b)) <= 0.051 for a, b in zip(given, scenes, strict=True))
    single = grade_turn(query, scenes[0])
    assert replies.parse_grade(single.answer) == given[0]
    for mention in single.mentions:
        noun = mention.pattern.kind or "thing"
        assert single.prompt[: mention.end].endswith((noun, PLURALS[noun]))


def test_positions_and_labels_are_balanced() -> None:
    """Every position and every label is the best one about as often."""
    rng, firsts, labels = Random(1), [0] * 4, [0] * 4
    while sum(firsts) < 400:
        scenes = [random_scene(rng) for _ in range(4)]
        images, _, turns = choice_turns(any_query(rng.choice(scenes), rng), scenes, rng)
        for turn in turns:
            labels[LABELS.index(turn.answer)] += 1
            firsts[images.labels.index(f"{turn.answer}:") - 1] += 1
    assert min(firsts) > 60 and min(labels) > 60, (firsts, labels)


def test_a_caption_is_a_query_that_its_scene_answers() -> None:
    rng = Random(3)
    for _ in range(50):
        scene = random_scene(rng)
        query = caption_query(scene, rng)
        assert satisfied_share(query, scene) == 1 and query.full


def test_a_target_description_excludes_what_is_removed() -> None:
    rng = Random(4)
    made = None
    while made is None:
        made = composed_group(rng, ["removal"])
    scenes, queries = made
    removed = [step.condition.words() for step in queries[0].steps if step.type == "Removal"]
    visible, *without = target_turn(queries[0], scenes[0]).answer.split(", without ")
    assert removed == without and all(words not in visible for words in removed)


def test_judges_ask_as_the_training_does(tokenizer: PreTrainedTokenizerFast) -> None:
    """The same texts, labels and images in the same order, parsed from the messages that a model gets."""
    _, scenes, query = hard_candidates(5)
    scenes = scenes[:3]
    refs = [ImageRef(key=str(place), data=_png(scene)) for place, scene in enumerate(scenes)]
    task = Task(
        query=query.text,
        understood=steps_text(plain_steps(query.steps)),
        model=Role("judge", Scripted()),
        prompt_set="mini",
    )
    session = JudgeSession(task, [Candidate(id=ref.key, image=ref) for ref in refs])
    images, turns = listwise_turns(query, scenes, with_steps=True, composed=True)
    request = session.numbered("order", range(3))
    assert request.labels == images.labels and request.text == turns[0].prompt
    assert request.after == tuple(text.text if text else "" for text in images.texts)
    assert read_asked(request.messages()).images == (blank_image().key, "0", "1", "2")
    request = session.request("best", (1, 0), ("B", "A"), labels="B, A")
    assert request.labels == ("Reference:", "B:", "A:")


def _png(scene: Scene) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(small_image(scene)).save(buffer, "PNG")
    return buffer.getvalue()
