"""The tokenizer keeps answers and JSON scaffolding short and lossless."""

from __future__ import annotations

from random import Random

from transformers import PreTrainedTokenizerFast

from imagescope_agent.lab.scenes.world import random_scene
from imagescope_agent.lab.training.data.image_turns import text_judge_turns
from imagescope_agent.lab.training.data.understanding_turns import understanding_turns
from imagescope_agent.lab.training.network.tokenizer import JSON_TOKENS


def test_yes_and_no_are_single_tokens_and_answers_round_trip(tokenizer: PreTrainedTokenizerFast) -> None:
    for word in ("Yes", "No", "A", "B"):
        assert len(tokenizer(word).input_ids) == 1
    rng = Random(7)
    for turn in [*understanding_turns(rng), *text_judge_turns(random_scene(rng), rng)]:
        assert tokenizer.decode(tokenizer(turn.answer).input_ids) == turn.answer


def test_fixed_parts_of_json_are_single_tokens(tokenizer: PreTrainedTokenizerFast) -> None:
    text = '{"predicates":[{"question":"Is it?","expected":"Yes"},{"question":"Are they?","expected":"No"}]}'
    ids = tokenizer(text, add_special_tokens=False).input_ids
    assert tokenizer.decode(ids) == text
    pieces = [tokenizer.decode([one]) for one in ids]
    assert [piece for piece in pieces if piece in JSON_TOKENS] == [
        JSON_TOKENS[7], JSON_TOKENS[8], JSON_TOKENS[9], JSON_TOKENS[8], JSON_TOKENS[10]
    ]  # fmt: skip
