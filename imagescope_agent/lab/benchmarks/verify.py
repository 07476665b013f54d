"""`imagescope bench verify`: one checkpoint as published, batched, with shared prefixes, with cached features."""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from statistics import median
from typing import Any

import torch

from imagescope_agent.errors import BadInput
from imagescope_agent.lab.benchmarks.forward_counts import ForwardCounts, counting
from imagescope_agent.lab.benchmarks.machine import describe_machine, machine, peak_memory
from imagescope_agent.lab.benchmarks.random_model import flops_per_token, matmul_flops, random_chat
from imagescope_agent.lab.scenes.draw import draw
from imagescope_agent.lab.scenes.questions import random_question
from imagescope_agent.lab.scenes.world import random_scene
from imagescope_agent.mllms.engine.backends.generate import GenerateBackend
from imagescope_agent.mllms.engine.checkpoint import Checkpoint
from imagescope_agent.mllms.engine.config import EngineConfig
from imagescope_agent.mllms.engine.conversation import MessageParser
from imagescope_agent.mllms.engine.decoding.structured_output import GrammarCache
from imagescope_agent.mllms.engine.engine import Engine
from imagescope_agent.mllms.engine.request_queue import Job
from imagescope_agent.mllms.role import ImageRef, Request, Role, first_choice
from imagescope_agent.mllms.transformers_chat import TransformersChat
from imagescope_agent.profiles.profile import load_profile
from imagescope_agent.prompting import load_prompt

LABELS = ("Yes", "No")
COLUMNS = (
    *("seconds", "verdicts_per_second", "of_ceiling", "image_prefills", "tokens", "forwards", "unreadable"),
    "agreement",
)
_BATCH = 16  # requests of one plain batch


@dataclass(kw_only=True)
class Variant:
    """One way of answering all questions.

    Attributes:
        answer: a verdict for each question: True for Yes, None where the reply is neither.
        prepare: puts the caches into the state that the variant starts from.
    """

    answer: Callable[[], list[bool | None]]
    prepare: Callable[[], None] = lambda: None
    seconds: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    counts: ForwardCounts = field(default_factory=ForwardCounts)
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
        random: measure a model of this size of `random_model.SIZES` with random weights, or `model`, which is one.
        candidates: images, drawn.
        questions: about each image, the same for all as in a search.
        repeats: the fastest counts.
        seed: of images and questions.

    Returns:
        {"bench", "machine", "variants": {name: {"seconds", "image_prefills", ...}}, "ratios"}.

    Raises:
        BadInput, BackendUnavailable: the verifier is not a local model, or cannot be loaded.
    """
    if random is not None and model is None:
        model = random_chat(random)
    chat, prompt_set = _verifier(profile) if model is None else (model, "mini")
    requests = make_requests(candidates, questions, seed, prompt_set)
    variants = _variants(chat, requests)
    _repeat(chat, variants, repeats)
    return {
        "bench": "verify",
        "machine": {**machine(), **peak_memory()},
        "model": chat.checkpoint if random else chat.weights,
        **{"candidates": candidates, "questions": questions, "repeats": repeats},
        **_figures(chat.engine().checkpoint, variants),
    }


def make_requests(candidates: int, questions: int, seed: int, prompt_set: str | None) -> list[Request]:
    """Questions about drawn images, grouped by image."""
    random = Random(f"bench verify {seed}")
    scenes = [random_scene(random) for _ in range(candidates)]
    texts = [random_question(random_scene(random), random).text for _ in range(questions)]
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

    whole = GenerateBackend(
        engine.checkpoint,
        GrammarCache(engine.checkpoint.tokenizer, engine.checkpoint.vocabulary),
        EngineConfig(),
    )
    return {
        "published": Variant(answer=lambda: _published(whole, requests)),
        "batched": Variant(answer=lambda: _batched(engine, whole, requests)),
        "shared_prefix": Variant(answer=shared, prepare=chat.clear_caches),
        "shared_prefix_cached": Variant(answer=shared),
    }


def _published(whole: GenerateBackend, requests: Sequence[Request]) -> list[bool | None]:
    """One request a question: the picture read, encoded and prefilled anew, the answer decoded as text."""
    verdicts: list[bool | None] = []
    for request in requests:
        job = Job(messages=request.messages(), caller=None, max_tokens=8)
        with torch.inference_mode():
            inputs = whole.inputs([MessageParser().parse(job.messages)])
            text = whole.generate_batch([job], inputs)[0].text
        choice = first_choice(text, LABELS)
        verdicts.append(None if choice is None else choice == 0)
    return verdicts


def _batched(engine: Engine, whole: GenerateBackend, requests: Sequence[Request]) -> list[bool | None]:
    """Label probabilities of plain batches: every question still brings its own picture."""
    labels = engine.label_ids(LABELS)
    verdicts: list[bool | None] = []
    for start in range(0, len(requests), _BATCH):
        part = requests[start : start + _BATCH]
        jobs = [Job(messages=each.messages(), caller=None, labels=labels) for each in part]
        with torch.inference_mode():
            inputs = whole.inputs([MessageParser().parse(job.messages) for job in jobs])
            scored = whole.score_batch(jobs, inputs)
        verdicts += [each.probabilities[0] > each.probabilities[1] for each in scored]
    return verdicts


def _repeat(chat: TransformersChat, variants: dict[str, Variant], repeats: int) -> None:
    for variant in variants.values():  # warm-up
        _measure(chat, variant)
    for variant in variants.values():
        variant.seconds.clear()
        variant.cpu.clear()
    for _ in range(max(1, repeats)):
        for variant in variants.values():
            _measure(chat, variant)


def _measure(chat: TransformersChat, variant: Variant) -> None:
    variant.prepare()
    with counting(chat.engine().checkpoint) as counts:
        wall, cpu = time.perf_counter(), time.process_time()
        variant.verdicts = variant.answer()
        variant.seconds.append(time.perf_counter() - wall)
        variant.cpu.append(time.process_time() - cpu)
    variant.counts = counts


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
    """The model's matrix product operations per second as a share of what the device reaches."""
    text, patch = costs
    done = text * variant.counts.tokens + patch * variant.counts.patches
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
        "image_prefills": variant.counts.image_prefills,
        "tokens": variant.counts.tokens,
        "forwards": variant.counts.forwards,
        "verdicts": len(variant.verdicts),
        "unreadable": variant.verdicts.count(None),
        "agreement": round(sum(both) / len(both), 4) if both else None,
    }


def _ratios(variants: dict[str, Variant]) -> dict[str, float]:
    """Speed-ups by the fastest repeat, and by processor time, which other load on the machine disturbs less."""
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


def describe(made: Mapping[str, Any]) -> str:
    """The measurement as text: variants, speed-ups, and the machine."""
    lines = [f"{made['candidates']} images x {made['questions']} questions, the fastest of {made['repeats']}"]
    lines.append(" ".join([f"{'':<22}", *(f"{name.replace('_', ' '):>19}" for name in COLUMNS)]))
    for name, row in made["variants"].items():
        cells = ["-" if row[column] is None else row[column] for column in COLUMNS]
        lines.append(" ".join([f"{name.replace('_', ' '):<22}", *(f"{cell:>19}" for cell in cells)]))
    for pair, ratio in made["ratios"].items():
        lines.append(f"{pair.replace('_', ' ').replace('/', ' : ')} = {ratio}")
    lines.append(f"of ceiling: of {made['ceiling_gflops']} GFLOP/s, measured with a large matrix product")
    return "\n".join([*lines, describe_machine(made["machine"])])
