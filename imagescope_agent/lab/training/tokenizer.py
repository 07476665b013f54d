"""The mini chat model's tokenizer: byte-level BPE learnt on what this project says, with room for what it will say."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from imagescope_agent.lab.training.examples import (
    caption_branch,
    reading_branches,
    search_branches,
    verdict_branches,
)
from imagescope_agent.lab.training.talking import talk_branches

SPECIAL = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
VOCABULARY = 1024

#: Where an answer in JSON leaves no choice one token is enough: fewer steps to write it, and nothing to learn.
SCAFFOLD = (
    '{"steps":[{"type":"',
    '","text":"',
    '"},{"type":"',
    '"}],"core":"',
    '","enhanced":"',
    '","full":"',
    '"}',
    '{"predicates":[{"question":"',
    '","expected":"',
    '"},{"question":"',
    '"}]}',
    '{"topic":"',
    '","answer":"',
    '","drop":[',
    '],"steps":[{"type":"',
    '],"steps":[],"core":"',
    '{"questions":["',
    '{"components":["',
    '"],"evaluations":[{"image":',
    ',"grade":"',
    '","grade":"',
    '"},{"image":',
    '"}],"order":[',
    '{"order":[',
    '{"grades":[',
)

#: Words and signs that later skills use, so that they are short from the first day on.
_LATER = (
    "Yes No yes no user assistant system A B C D E F G H I J K L M N O P Q R S T 0 1 2 3 4 5 6 7 8 9 10 11 12 "
    "first second third fourth picture pictures image images candidate candidates best better worst match grade "
    "excellent good partial poor why because question answer dialog turn so far known unknown not which what "
    "colour where how many [1] > [2] > [3] > [4] > [5] > [6] > [7] > [8] > [9] > [10] forget instead correct wanted "
    '"ranking":[1,2,3] "grades":{"1":7,"2":10} "best":"A" "reason":" "answer":" "question":" "evaluation":'
)


def train_tokenizer(seed: int = 0, examples: int = 4000) -> PreTrainedTokenizerFast:
    """Learn the vocabulary of about a thousand pieces; Yes and No are single tokens."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_corpus(seed, examples), trainer)
    tokenizer.add_tokens([AddedToken(piece, normalized=False) for piece in SCAFFOLD])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=list(SPECIAL[1:]),
        model_max_length=4096,
    )


def _corpus(seed: int, examples: int) -> Iterator[str]:
    from imagescope_agent.lab.scenes.world import random_scene

    rng = Random(f"corpus {seed}")
    for number in range(examples):
        scene = random_scene(rng)
        branches = [caption_branch(scene), *verdict_branches(scene, rng, 8), *reading_branches(rng)]
        branches += [*search_branches(scene, rng), *talk_branches(rng)]
        for branch in branches:
            yield branch.prompt
            yield branch.answer
        if number % 4 == 0:
            yield _LATER
    yield "user\n assistant\n system\n"
