"""What the mini reader is taught about several references: instructions that are true of the captions it is shown."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random

import pytest
import torch
from safetensors.torch import load_file

from imagescope_agent.lab.scenes.conditions import Absent, Exists, InSetting
from imagescope_agent.lab.scenes.references.queries import several_query
from imagescope_agent.lab.scenes.references.wording import FramedReferences, PlainReferences
from imagescope_agent.lab.training.data.compose_turns import compose_turn, turn_of
from imagescope_agent.lab.training.further import teach
from imagescope_agent.lab.training.mini_reader import READER
from imagescope_agent.lab.training.network.tokenizer import SEVERAL_TOKENS
from imagescope_agent.replies.reference_replies import parse_referenced_intent

ROOT = Path(__file__).parents[3]
SHIPPED = ROOT / "imagescope_agent" / "mini" / "mllm"
WORDINGS = (PlainReferences, FramedReferences, partial(FramedReferences, unseen=True))


def test_answers_are_read_as_the_graph_reads_them() -> None:
    rng, types, counts = Random(4), Counter[str](), Counter[int]()
    for _ in range(300):
        turn = compose_turn(rng)
        request, head, *captions, last = turn.prompt.split("\n")
        assert (head, last) == ("References:", "What is wanted?") and request.startswith("Request: ")
        assert [line.split(":")[0] for line in captions] == [f"image {n + 1}" for n in range(len(captions))]
        intent = parse_referenced_intent(turn.answer, len(captions))
        types.update(step["type"] for step in intent["steps"])
        counts[len(captions)] += 1
        assert all(step.get("reference", 1) <= len(captions) for step in intent["steps"])
    assert set(types) == {"Retention", "Modification", "Addition", "Removal"} and min(types.values()) > 30
    assert set(counts) == {2, 3, 4, 5}


@pytest.mark.parametrize("wording", WORDINGS)
def test_what_a_reference_gives_is_there_and_what_is_wanted_is_no_contradiction(
    wording: Callable[[Random], PlainReferences],
) -> None:
    rng = Random(9)
    for _ in range(400):
        query = several_query(rng, wording)
        absent = [each.condition.pattern for each in query.takes if isinstance(each.condition, Absent)]
        for take in query.takes:
            if take.type == "Retention" and isinstance(take.condition, Exists | InSetting):
                assert take.condition.holds(query.references[take.image - 1])
            if take.source is not None:
                reference, index = take.source
                assert reference == take.image - 1
                thing = query.references[reference].things[index]
                assert query.phrases[reference, index] in query.text and thing is not None
        assert len(set(query.shown)) == len(query.shown)
        assert not any(gone.kind == each.kind and gone.colour in (None, each.colour)
                       for gone in absent for each in query.shown)  # fmt: skip


@pytest.mark.parametrize("wording", WORDINGS)
def test_the_words_that_decide_about_a_thing_are_where_the_turn_says(
    wording: Callable[[Random], PlainReferences],
) -> None:
    rng, found = Random(2), 0
    for _ in range(100):
        query = several_query(rng, wording)
        turn = turn_of(query)
        things = [thing for scene in query.references for thing in scene.things]
        assert len(turn.edits) == len(things)
        for label, thing in zip(turn.edits, things, strict=True):
            assert turn.prompt[: label.end].endswith(f"{thing.colour} {thing.kind}")
            for start, end in label.request_spans:
                assert turn.prompt[start:end] in query.text
                found += 1
            assert bool(label.answer_spans) == (label.type != "none")
    assert found > 150


def test_a_taught_checkpoint_has_the_tokens(tmp_path: Path) -> None:
    assert teach(READER, tmp_path / "work", tmp_path / "made", start=SHIPPED, steps=1, time_limit=0.0)
    vocabulary = json.loads((tmp_path / "made" / "tokenizer.json").read_text())["added_tokens"]
    assert set(SEVERAL_TOKENS) <= {each["content"] for each in vocabulary}
    config = json.loads((tmp_path / "made" / "config.json").read_text())
    assert config["architectures"] == ["Qwen3ForCausalLM"]  # it reads captions, so it has no vision tower
    assert teach(
        READER, tmp_path / "more", tmp_path / "again", start=tmp_path / "made", steps=1, time_limit=0.0
    )


def test_a_start_may_be_the_mean_of_two(tmp_path: Path) -> None:
    reader = SHIPPED.parent / "reader"
    made = [tmp_path / name for name in ("one", "other", "both")]
    ways: list[tuple[Path, Path | None]] = [(SHIPPED, None), (reader, None), (SHIPPED, reader)]
    for out, (start, mean) in zip(made, ways, strict=True):
        teach(READER, tmp_path / out.name / "work", out, start=start, mean=mean, steps=1, peak_lr=1e-12)
    one, other, both = (load_file(out / "model.safetensors") for out in made)
    name = "model.layers.3.mlp.up_proj.weight"
    assert not torch.allclose(one[name], other[name], atol=1e-3)
    assert torch.allclose(both[name].float(), (one[name].float() + other[name].float()) / 2, atol=1e-3)
