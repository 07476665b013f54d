"""Tokens chosen under a grammar are those of masking all logits, one token at a time."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
import torch

import imagescope_agent
from imagescope_agent.mllms.engine.decoding.structured_output import GrammarMask
from imagescope_agent.mllms.transformers_chat import TransformersChat
from imagescope_agent.replies.parsing import IntentAnswer, PredicatesAnswer
from tests.mllms.checkpoints import build_llama

MINI = Path(imagescope_agent.__file__).parent / "mini" / "mllm"
SCHEMAS: list[dict[str, Any]] = [
    IntentAnswer.model_json_schema(),
    PredicatesAnswer.model_json_schema(),
    {"type": "integer"},
    {"enum": ["certain", "certainly", "uncertain"]},
    {
        "type": "object",
        "properties": {"certainly": {"enum": ["indeed", "never"]}, "why": {"type": "string"}},
        "required": ["certainly", "why"],
        "additionalProperties": False,
    },
]
LONGEST = 24


@pytest.fixture(scope="module", params=["mini", "llama"])
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Of a tokenizer that was taught our schemas, and of one that splits their keys."""
    if request.param == "mini":
        return TransformersChat(checkpoint=str(MINI)).engine()
    build_llama(folder := tmp_path_factory.mktemp("llama"))
    return TransformersChat(checkpoint=str(folder)).engine()


def logits_after(ids: list[int], seed: int, vocabulary: int) -> torch.Tensor:
    """What a made-up model says after a prefix: it heeds no grammar and, as small models, likes to end."""
    found = torch.rand(vocabulary, generator=torch.Generator().manual_seed(hash((seed, *ids)) % 2**31))
    found[: vocabulary // 50] += 0.2
    return found


def masked_one_by_one(grammar: GrammarMask, seed: int, vocabulary: int) -> list[int]:
    """The slow twin: all logits masked, one token at a time."""
    ids: list[int] = []
    while len(ids) < LONGEST and not grammar.done:
        row = logits_after(ids, seed, vocabulary)[None].clone()
        grammar.apply(row)
        ids.append(int(row[0].argmax()))
        grammar.advance(ids[-1])
    return ids


def chosen(grammar: GrammarMask, seed: int, vocabulary: int, expected: list[int]) -> tuple[list[int], int]:
    """The ids by `choose`, with drafts that are right up to a random place, and how many forwards they took."""
    rng, ids, forwards = random.Random(seed), list[int](), 0
    while len(ids) < LONGEST and not grammar.done:
        guessed = expected[len(ids) :][: rng.randint(0, 6)]
        if guessed and rng.random() < 0.5:
            guessed[rng.randrange(len(guessed))] = rng.randrange(vocabulary)
        draft = grammar.allowed([*grammar.forced(6), *guessed])[: LONGEST - len(ids) - 1]
        rows = [logits_after([*ids, *draft[:right]], seed, vocabulary) for right in range(len(draft) + 1)]
        logits = torch.stack(rows)
        new = grammar.choose(logits, logits.argmax(dim=-1).tolist(), draft)
        assert 1 <= len(new) <= len(draft) + 1
        assert new[:-1] == draft[: len(new) - 1]
        for token in new:
            ids.append(token)
            grammar.advance(token)
        forwards += 1
    return ids, forwards


@pytest.mark.parametrize(
    "schema", SCHEMAS, ids=lambda schema: str(schema.get("title", schema.get("type", "enum")))
)
def test_the_choice_is_that_of_masking_all_logits(engine: Any, schema: dict[str, Any]) -> None:
    grammars, vocabulary = engine.backend.grammars, len(engine.backend.runner._head.weight)
    text, taken, written = json.dumps(schema), 0, 0
    for seed in range(30):
        expected = masked_one_by_one(grammars.start(text), seed, vocabulary)
        ids, forwards = chosen(grammars.start(text), seed, vocabulary, expected)
        assert ids == expected
        taken, written = taken + forwards, written + len(ids)
    assert (
        taken < 0.8 * written or written == 30
    )  # a draft serves a model that heeds no grammar, but for one token


def test_forced_tokens_are_taken_from_a_model_that_would_say_something_else(engine: Any) -> None:
    grammar = engine.backend.grammars.start(json.dumps(SCHEMAS[-1]))
    forced = grammar.forced(8)
    vocabulary = len(engine.backend.runner._head.weight)
    wanted = next(token for token in range(vocabulary) if token not in forced)
    logits = torch.zeros(len(forced) + 1, vocabulary)
    logits[:, wanted] = 1.0
    new = grammar.choose(logits, [wanted] * len(logits), forced)
    assert forced and new[: len(forced)] == forced
    assert grammar.forced(8) == forced  # nothing of it is taken yet
