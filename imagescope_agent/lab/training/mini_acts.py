"""The mini classifier: a small language model, from scratch, that tells the dialogue act of a part of a message.

A second one, taught further, tells what a message says of a value that images may be limited by. Each has weights and a
tokenizer of its own, so that nothing the other mini models can do is touched.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from torch.nn import functional
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from imagescope_agent.dialogue_acts import LABELS
from imagescope_agent.lab.training.checkpoint import load_checkpoint, save_checkpoint
from imagescope_agent.lab.training.curves import MetricsLog, learning_rate
from imagescope_agent.lab.training.data.dialogue_act_turns import dialogue_act_turns
from imagescope_agent.lab.training.data.limit_turns import limit_turn
from imagescope_agent.lab.training.data.turn import TrainingTurn
from imagescope_agent.lab.training.network.architecture import save_half

STEPS = 800
PEAK_LR = 2e-3
BATCH = 96
GROUP = 8  # batches that are drawn together and sorted by length
POOL = 16_000
VOCABULARY_SIZE = 2048
DROPOUT = 0.1  # of merges: a word is read in other pieces each time, as a misspelt one is
SPECIAL_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
#: What a classifier is taught, by its name.
LESSONS: Mapping[str, Callable[[Random], list[TrainingTurn]]] = {
    "acts": dialogue_act_turns,
    "limits": lambda rng: [limit_turn(rng)],
}
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def train_mini_acts(  # the loop of the training reads as one
    work: Path,
    target: Path,
    *,
    start: Path | None = None,
    steps: int = STEPS,
    time_limit: float | None = None,
    peak_lr: float = PEAK_LR,
    lesson: str = "acts",
) -> bool:
    """Train the classifier; resumes from the checkpoint in the working folder.

    Args:
        work: folder of the tokenizer, checkpoints and curve.
        target: folder of the finished model.
        start: a finished classifier to go on from; None begins from nothing.
        steps: in all.
        time_limit: seconds after which to save a checkpoint and stop.
        peak_lr: of the learning rate.
        lesson: which of `LESSONS` it is taught.

    Returns:
        Whether the last step was reached; the model is written either way.
    """
    folder = work / lesson
    torch.manual_seed(0)
    tokenizer, model = _begun(start, folder)
    optimizer = torch.optim.AdamW(model.parameters(), lr=peak_lr, betas=(0.9, 0.98), weight_decay=0.05)
    step = load_checkpoint(folder, {"model": model}, optimizer)
    examples = ActExamples(LESSONS[lesson])
    log, started, losses = MetricsLog(folder / "acts.jsonl"), time.monotonic(), list[float]()
    while step < steps:
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, steps, peak=peak_lr, warmup=60)
        loss = _loss(model, tokenizer, examples.batch(step))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        step += 1
        losses.append(loss.item())
        late = time_limit is not None and time.monotonic() - started > time_limit
        if step % 50 == 0:
            log.add(step, seconds=time.monotonic() - started, loss=sum(losses) / len(losses))
            losses = []
        if step % 100 == 0 or step == steps or late:
            save_checkpoint(folder, {"model": model}, optimizer)
        if late:
            break
    save_classifier(model, tokenizer, target)
    return step >= steps


def _begun(start: Path | None, folder: Path) -> tuple[PreTrainedTokenizerFast, Qwen3ForCausalLM]:
    """The tokenizer, with its dropout of merges, and the model before the first step."""
    if start is None:
        tokenizer = _tokenizer(folder)
        return tokenizer, Qwen3ForCausalLM(acts_config(tokenizer))
    tokenizer = PreTrainedTokenizerFast.from_pretrained(start)
    tokenizer.backend_tokenizer.model.dropout = DROPOUT
    model = Qwen3ForCausalLM.from_pretrained(start, dtype=torch.float32)
    if tokenizer.add_tokens(_label_tokens()):  # labels that it was not taught yet
        model.resize_token_embeddings(len(tokenizer))
    return tokenizer, model


def acts_config(tokenizer: PreTrainedTokenizerFast) -> Qwen3Config:
    """A Qwen3 model of 3 layers and width 128."""
    return Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=320,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=4,
        head_dim=32,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        initializer_range=0.05,
        eos_token_id=tokenizer.convert_tokens_to_ids("<|im_end|>"),
        pad_token_id=tokenizer.pad_token_id,
    )


def save_classifier(model: Qwen3ForCausalLM, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Write a Hugging Face checkpoint: float16 safetensors and the tokenizer with its chat template."""
    save_half(model, folder)
    tokenizer.backend_tokenizer.model.dropout = None
    tokenizer.backend_tokenizer.no_padding()  # that of the last batch
    tokenizer.save_pretrained(folder)


class ActExamples:
    """A pool of examples, and a batch of similar lengths of it for every step; step `n` always has the same one."""

    def __init__(self, make: Callable[[Random], list[TrainingTurn]]) -> None:
        rng, pool = Random("acts"), list[TrainingTurn]()
        while len(pool) < POOL:
            pool += make(rng)
        self._pool = pool

    def batch(self, step: int) -> list[TrainingTurn]:
        """The turns of a step."""
        rng = Random(f"acts {step // GROUP}")
        chosen = rng.sample(self._pool, GROUP * BATCH)
        chosen.sort(key=lambda turn: len(turn.prompt))
        place = rng.sample(range(GROUP), GROUP)[step % GROUP]
        return chosen[place * BATCH : (place + 1) * BATCH]


def _loss(
    model: Qwen3ForCausalLM, tokenizer: PreTrainedTokenizerFast, turns: Sequence[TrainingTurn]
) -> torch.Tensor:
    """The loss of a batch: the label after the prompt."""
    prompts = tokenizer(
        [_prompt(turn.prompt) for turn in turns], padding=True, return_tensors="pt", padding_side="left"
    )
    labels = torch.tensor([tokenizer.convert_tokens_to_ids(turn.answer) for turn in turns])
    positions = (prompts.attention_mask.cumsum(-1) - 1).clamp(min=0)
    states = model.model(
        input_ids=prompts.input_ids, attention_mask=prompts.attention_mask, position_ids=positions
    ).last_hidden_state[:, -1]
    return functional.cross_entropy(model.lm_head(states), labels)


def _prompt(text: str) -> str:
    """A request as `CHAT_TEMPLATE` writes it."""
    return f"<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n"


def _tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    """The tokenizer in the working folder; trains it now if it is missing."""
    path = folder / "tokenizer.json"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        _train_tokenizer().save(str(path))
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_file(str(path)),
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=list(SPECIAL_TOKENS[1:]),
        chat_template=CHAT_TEMPLATE,
        model_max_length=1024,
    )


def _train_tokenizer() -> Tokenizer:
    """Byte-level BPE of lower-case text; the labels are tokens of their own."""
    tokenizer = Tokenizer(models.BPE(dropout=DROPOUT))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY_SIZE,
        special_tokens=[*SPECIAL_TOKENS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_corpus(), trainer)
    tokenizer.add_tokens(_label_tokens())
    return tokenizer


def _label_tokens() -> list[Any]:
    from tokenizers import AddedToken

    return [AddedToken(label, normalized=False, single_word=True) for label in LABELS]


def _corpus() -> Iterator[str]:
    rng = Random("acts corpus")
    for _ in range(20_000):
        for turn in dialogue_act_turns(rng):
            yield turn.prompt
