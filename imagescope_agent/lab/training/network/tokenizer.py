"""The mini chat model's tokenizer: byte-level BPE trained on the prompts and answers of the training turns."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from imagescope_agent.lab.scenes.world import random_scene
from imagescope_agent.lab.training.data.dialogue_turns import dialogue_turns
from imagescope_agent.lab.training.data.image_turns import caption_turn, text_judge_turns, verdict_turns
from imagescope_agent.lab.training.data.understanding_turns import understanding_turns

SPECIAL_TOKENS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
VOCABULARY_SIZE = 1024

#: The fixed parts of JSON answers as single tokens: fewer decoding steps, and nothing to learn.
JSON_TOKENS = (
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

#: The same of a proposed edit's answers, for the model that is taught them alone.
EDIT_TOKENS = ('{"target":"', '","type":"', '","text":"', '"}')

#: The same of instructions that name their reference.
SEVERAL_TOKENS = (*JSON_TOKENS, '","image":', '},{"type":"', '}],"core":"')

#: Words of prompts that the training turns lack, so that they are short too.
_MORE_WORDS = (
    "Yes No yes no user assistant system A B C D E F G H I J K L M N O P Q R S T 0 1 2 3 4 5 6 7 8 9 10 11 12 "
    "first second third fourth picture pictures image images candidate candidates best better worst match grade "
    "excellent good partial poor why because question answer dialog turn so far known unknown not which what "
    "colour where how many [1] > [2] > [3] > [4] > [5] > [6] > [7] > [8] > [9] > [10] forget instead correct wanted "
    '"ranking":[1,2,3] "grades":{"1":7,"2":10} "best":"A" "reason":" "answer":" "question":" "evaluation":'
)


def train_tokenizer(seed: int = 0, examples: int = 4000) -> PreTrainedTokenizerFast:
    """Train a vocabulary of about a thousand tokens; Yes and No are single tokens."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY_SIZE,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_corpus(seed, examples), trainer)
    tokenizer.add_tokens([AddedToken(piece, normalized=False) for piece in JSON_TOKENS])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=list(SPECIAL_TOKENS[1:]),
        model_max_length=4096,
    )


def _corpus(seed: int, examples: int) -> Iterator[str]:
    rng = Random(f"corpus {seed}")
    for number in range(examples):
        scene = random_scene(rng)
        turns = [caption_turn(scene), *verdict_turns(scene, rng, 8), *understanding_turns(rng)]
        turns += [*text_judge_turns(scene, rng), *dialogue_turns(rng)]
        for turn in turns:
            yield turn.prompt
            yield turn.answer
        if number % 4 == 0:
            yield _MORE_WORDS
    yield "user\n assistant\n system\n"
