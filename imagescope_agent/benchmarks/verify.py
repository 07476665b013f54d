"""Verification on one checkpoint: as published, batched, sharing prefixes, with cached features."""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import wraps
from random import Random
from statistics import median
from typing import Any

import torch

from imagescope_agent.benchmarks.machine import machine, peak_memory
from imagescope_agent.benchmarks.random_model import flops_per_token, matmul_flops, random_chat
from imagescope_agent.errors import BadInput
from imagescope_agent.mllms.hosting.checkpoint import Checkpoint
from imagescope_agent.mllms.hosting.conversation import Reader
from imagescope_agent.mllms.hosting.engine import Engine
from imagescope_agent.mllms.hosting.guide import Guides
from imagescope_agent.mllms.hosting.whole import Whole
from imagescope_agent.mllms.hosting.work import Job
from imagescope_agent.mllms.role import ImageRef, Request, Role, first_choice
from imagescope_agent.mllms.transformers_chat import TransformersChat
from imagescope_agent.profiles.profile import load_profile
from imagescope_agent.prompting import load_prompt
from imagescope_agent.scenes.draw import draw
from imagescope_agent.scenes.questions import ask
from imagescope_agent.scenes.world import random_scene

LABELS = ("Yes", "No")
_BATCH = 16  # requests of one plain batch


@dataclass(kw_only=True)
class Work:
    """What a variant did: forwards of the language model, their tokens, pictures and patches of the tower."""

    forwards: int = 0
    tokens: int = 0
    image_prefills: int = 0
    patches: int = 0


@dataclass(kw_only=True)
class Variant:
    """One way of answering all questions.

    Attributes:
        answer: True for Yes, one a question, None where the reply said neither.
        prepare: put the caches into the state that the variant begins with.
    """

    answer: Callable[[], list[bool | None]]
    prepare: Callable[[], None] = lambda: None
    seconds: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    work: Work = field(default_factory=Work)
    verdicts: list[bool | None] = field(default_factory=list)


def run(
    *,
    profile: str = "mini",
    model: TransformersChat | None = None,
    random: str | None = None,
    candidates: int = 20,
    questions: int = 4,
    repeats: int = 3,
    seed: int = 0,
) -> dict[str, Any]:
    """Measure all variants in turn, `repeats` times, and what a plain matrix product reaches on the device.

    Args:
        profile: whose verifier is measured.
        model: measured instead of the profile's.
        random: a size of `random_model.SIZES`: made up and measured instead of the profile's.
        candidates: pictures, drawn.
        questions: about each picture, the same for all as in a search.
        repeats: the fastest of them counts.
        seed: of pictures and questions.

    Returns:
        {"bench", "machine", "variants": {name: {"seconds", "image_prefills", ...}}, "ratios"}.

    Raises:
        BadInput: the verifier is not a local model.
        BackendUnavailable: it cannot be loaded.
    """
    if random is not None:
        model, prompt_set = random_chat(random), None
    chat, prompt_set = _verifier(profile) if model is None else (model, "mini")
    requests = make_requests(candidates, questions, seed, prompt_set)
    variants = _variants(chat, requests)
    _repeat(chat, variants, repeats)
    figures = _figures(chat.engine().checkpoint, variants)
    return {
        "bench": "verify",
        "machine": {**machine(), **peak_memory()},
        "model": chat.checkpoint if random else chat.weights,
        "candidates": candidates,
        "questions": questions,
        "repeats": repeats,
        **figures,
    }


def make_requests(candidates: int, questions: int, seed: int, prompt_set: str | None) -> list[Request]:
    """Questions about drawn pictures, those about one picture beside each other."""
    random = Random(f"bench verify {seed}")
    scenes = [random_scene(random) for _ in range(candidates)]
    texts = [ask(random_scene(random), random).text for _ in range(questions)]
    prompt = load_prompt("verify", prompt_set=prompt_set)
    requests = []
    for number, scene in enumerate(scenes):
        buffer = io.BytesIO()
        draw(scene).save(buffer, format="PNG")
        picture = ImageRef(f"{seed}-{number}", buffer.getvalue())
        requests += [Request(text=prompt.fill(question=text), images=(picture,)) for text in texts]
    return requests


def _verifier(profile: str) -> tuple[TransformersChat, str | None]:
    chosen = load_profile(profile)
    options = dict(chosen.model("verifier"))
    if options.pop("mllm") != "transformers":
        raise BadInput(
            f"the verifier of profile {profile!r} runs on a server; choose a profile that hosts it here"
        )
    return TransformersChat(**options), chosen.prompt_set_of("verifier")


def _variants(chat: TransformersChat, requests: Sequence[Request]) -> dict[str, Variant]:
    engine = chat.engine()
    role = Role("verifier", chat)

    def shared() -> list[bool | None]:
        choice = asyncio.run(role.choose(requests, LABELS))
        return [row[0] > row[1] for row in choice.probabilities]

    whole = Whole(engine.checkpoint, Guides(engine.checkpoint.tokenizer, engine.checkpoint.vocabulary))
    return {
        "published": Variant(answer=lambda: _published(whole, requests)),
        "batched": Variant(answer=lambda: _batched(engine, whole, requests)),
        "shared_prefix": Variant(answer=shared, prepare=chat.forget),
        "shared_prefix_cached": Variant(answer=shared),
    }


def _published(whole: Whole, requests: Sequence[Request]) -> list[bool | None]:
    """One request a question: the picture read, encoded and prefilled anew, the answer decoded as text."""
    verdicts: list[bool | None] = []
    for request in requests:
        job = Job(messages=request.messages(), caller=None, max_tokens=8)
        with torch.inference_mode():
            text = whole.write([job], [Reader().read(job.messages)])[0].text
        choice = first_choice(text, LABELS)
        verdicts.append(None if choice is None else choice == 0)
    return verdicts


def _batched(engine: Engine, whole: Whole, requests: Sequence[Request]) -> list[bool | None]:
    """Label probabilities of plain batches: every question still brings its own picture."""
    labels = engine.label_ids(LABELS)
    verdicts: list[bool | None] = []
    for start in range(0, len(requests), _BATCH):
        part = requests[start : start + _BATCH]
        jobs = [Job(messages=each.messages(), caller=None, labels=labels) for each in part]
        with torch.inference_mode():
            scored = whole.score(jobs, [Reader().read(job.messages) for job in jobs])
        verdicts += [each.probabilities[0] > each.probabilities[1] for each in scored]
    return verdicts


def _repeat(chat: TransformersChat, variants: dict[str, Variant], repeats: int) -> None:
    for variant in variants.values():  # the first run of anything is not like the others
        _measure(chat, variant)
    for variant in variants.values():
        variant.seconds.clear()
        variant.cpu.clear()
    for _ in range(max(1, repeats)):
        for variant in variants.values():
            _measure(chat, variant)


def _measure(chat: TransformersChat, variant: Variant) -> None:
    variant.prepare()
    with _counting(chat.engine().checkpoint) as work:
        wall, cpu = time.perf_counter(), time.process_time()
        variant.verdicts = variant.answer()
        variant.seconds.append(time.perf_counter() - wall)
        variant.cpu.append(time.process_time() - cpu)
    variant.work = work


@contextmanager
def _counting(checkpoint: Checkpoint) -> Iterator[Work]:
    """Count what passes the language model and the vision tower, whichever way it is called."""
    work = Work()
    inner = checkpoint.model.model
    plain = getattr(inner, "get_image_features", None)

    def forward(module: Any, args: Any, kwargs: dict[str, Any]) -> None:
        work.forwards += 1
        work.tokens += int(kwargs["inputs_embeds"].shape[0] * kwargs["inputs_embeds"].shape[1])

    @wraps(plain or forward)  # transformers reads its signature
    def see(*args: Any, **kwargs: Any) -> Any:
        made = plain(*args, **kwargs)  # type: ignore[misc]
        pooled = getattr(made, "pooler_output", made)
        work.image_prefills += len(pooled)
        work.patches += len(args[0] if args else kwargs["pixel_values"])
        return made

    handle = checkpoint.language_model.register_forward_pre_hook(forward, with_kwargs=True)
    if plain is not None:
        inner.get_image_features = see
    try:
        yield work
    finally:
        handle.remove()
        if plain is not None:
            del inner.get_image_features


def _figures(checkpoint: Checkpoint, variants: dict[str, Variant]) -> dict[str, Any]:
    ceiling = matmul_flops(checkpoint.device, checkpoint.dtype)
    costs = flops_per_token(checkpoint)
    return {
        "ceiling_gflops": round(ceiling / 1e9, 1),
        "variants": {
            name: {**_row(variant, variants["published"]), "of_ceiling": _share(variant, costs, ceiling)}
            for name, variant in variants.items()
        },
        "ratios": _ratios(variants),
    }


def _share(variant: Variant, costs: tuple[int, int], ceiling: float) -> float:
    """What part of the device's speed at matrix products went into the model's own."""
    text, patch = costs
    done = text * variant.work.tokens + patch * variant.work.patches
    return round(done / min(variant.seconds) / ceiling, 4)


def _row(variant: Variant, published: Variant) -> dict[str, Any]:
    both = [
        one == other
        for one, other in zip(variant.verdicts, published.verdicts, strict=True)
        if one is not None and other is not None
    ]
    return {
        "seconds": round(min(variant.seconds), 4),
        "verdicts_per_second": round(len(variant.verdicts) / min(variant.seconds), 1),
        "median_seconds": round(median(variant.seconds), 4),
        "cpu_seconds": round(min(variant.cpu), 4),
        "image_prefills": variant.work.image_prefills,
        "tokens": variant.work.tokens,
        "forwards": variant.work.forwards,
        "verdicts": len(variant.verdicts),
        "unreadable": variant.verdicts.count(None),
        "agreement": round(sum(both) / len(both), 4) if both else None,
    }


def _ratios(variants: dict[str, Variant]) -> dict[str, float]:
    """How many times sooner, by the fastest repeat, and by processor time, which a busy machine leaves alone."""
    best = {name: min(variant.seconds) for name, variant in variants.items()}
    cpu = {name: min(variant.cpu) for name, variant in variants.items()}
    pairs = [
        ("published", "shared_prefix"),
        ("batched", "shared_prefix"),
        ("published", "shared_prefix_cached"),
        ("batched", "shared_prefix_cached"),
        ("shared_prefix", "shared_prefix_cached"),
    ]
    ratios = {f"{slow}/{fast}": round(best[slow] / best[fast], 2) for slow, fast in pairs}
    return {**ratios, **{f"{slow}/{fast} cpu": round(cpu[slow] / cpu[fast], 2) for slow, fast in pairs}}
