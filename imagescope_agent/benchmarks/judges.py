"""Every judge strategy on drawn scenes: how often the first is right, for how many calls, tokens and seconds."""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from tqdm import tqdm

from imagescope_agent.benchmarks.machine import machine
from imagescope_agent.errors import BadInput, UnreadableReply
from imagescope_agent.judges import JUDGES
from imagescope_agent.judges.base import Candidate, Judge, Judgement, Task
from imagescope_agent.ledger import spent
from imagescope_agent.mllms.role import ImageRef, Request, Role
from imagescope_agent.parsing import IntentAnswer, parse_intent
from imagescope_agent.profiles.profile import load_profile
from imagescope_agent.prompting import NO_REFERENCE, load_prompt, steps_text
from imagescope_agent.registry import resolve
from imagescope_agent.scenes.composed_queries import COMPOSED_KINDS, family
from imagescope_agent.scenes.conditions import satisfies
from imagescope_agent.scenes.draw import draw
from imagescope_agent.scenes.queries import Query
from imagescope_agent.scenes.text_queries import TEXT_KINDS, text_query
from imagescope_agent.scenes.world import Scene, random_scene
from imagescope_agent.services import open_roles

FIGURES = ("accuracy", "reciprocal_rank", "calls", "prompt_tokens", "completion_tokens", "image_prefills")
UNREADABLE = ("unreadable", "repaired")


@dataclass(frozen=True, kw_only=True)
class Case:
    """A query, and candidates of which some are right.

    Args:
        text: the query.
        reference: None for a text query.
        candidates: in a random first-stage order.
        right: ids of those that satisfy it: at least one, and not all.
        understood: its atomic instructions as the profile's reasoner reads them; every strategy is shown the same.
    """

    text: str
    reference: ImageRef | None
    candidates: list[Candidate]
    right: frozenset[str]
    understood: str = ""


def run(
    *,
    profile: str = "mini",
    role: Role | None = None,
    k: int = 10,
    queries: int = 20,
    seed: int = 0,
    names: Sequence[str] | None = None,
    budget: int | None = None,
) -> dict[str, Any]:
    """Let every strategy order the same candidates.

    Args:
        profile: whose judge is asked.
        role: asked instead of the profile's judge.
        k: candidates.
        queries: half with a reference, half without.
        seed: of scenes and queries.
        names: strategies; all when None.
        budget: most calls a query.

    Returns:
        {"bench", "machine", "k", "queries", "not_understood", "variants": {name: {"accuracy", "calls", ...}},
        "refused": {name: why}}; accuracy is the share of queries whose first is right, all else the mean over queries.

    Raises:
        BadInput: an unknown profile or judge.
        BackendUnavailable: the model does not answer.
    """
    chosen = load_profile(profile)
    cases = make_cases(queries, k, seed)
    if role is None:
        roles = open_roles(chosen)
        asked, cases = roles["judge"], asyncio.run(understood(cases, roles))
    else:
        asked = role
    variants, refused = {}, {}
    for name in tqdm(names or JUDGES, desc="judging", unit="strategy", disable=None):
        judge = resolve(name, JUDGES, kind="judge")
        try:
            variants[name] = asyncio.run(_measured(judge, asked, cases, seed, budget))
        except BadInput as error:  # the model lacks a power that this strategy needs
            refused[name] = str(error)
    return {
        "bench": "judges",
        "machine": machine(),
        "weights": str(getattr(asked.model, "weights", "") or asked.model._llm_type),
        "k": k,
        "queries": len(cases),
        "not_understood": 0 if role else sum(not case.understood for case in cases),
        "budget": budget,
        "variants": variants,
        "refused": refused,
    }


async def understood(cases: Sequence[Case], roles: Mapping[str, Role]) -> list[Case]:
    """The cases as a graph's judge is given them: taken apart by the reasoner, the reference told by the captioner.

    A request that cannot be read stays whole, which `run` counts.
    """
    captioned = [case for case in cases if case.reference is not None]
    caption = load_prompt("caption", prompt_set=roles["captioner"].prompt_set).fill()
    pictures = [Request(text=caption, images=(case.reference,)) for case in captioned if case.reference]
    told = {
        case.reference.key: reply.text
        for case, reply in zip(captioned, await roles["captioner"].ask(pictures), strict=True)
        if case.reference
    }
    prompt = load_prompt("understand", prompt_set=roles["reasoner"].prompt_set)
    texts = [
        prompt.fill(instruction=c.text, reference=told[c.reference.key] if c.reference else NO_REFERENCE)
        for c in cases
    ]
    replies = await roles["reasoner"].ask([Request(text=text) for text in texts], schema=IntentAnswer)
    return [replace(case, understood=_steps(reply.text)) for case, reply in zip(cases, replies, strict=True)]


def _steps(reply: str) -> str:
    try:
        return steps_text(parse_intent(reply)["steps"])
    except UnreadableReply:
        return ""


def make_cases(queries: int, k: int, seed: int) -> list[Case]:
    """Queries on drawn scenes, with and without a reference in turn; near misses stand among the candidates."""
    rng = Random(f"bench judges {seed}")
    cases: list[Case] = []
    while len(cases) < queries:
        made = _composed(rng, len(cases)) if len(cases) % 2 else _plain(rng, len(cases))
        if made is None:
            continue
        reference, query, scenes = made
        scenes = [*scenes, *(random_scene(rng) for _ in range(k - len(scenes)))][:k]
        right = {number for number, scene in enumerate(scenes) if satisfies(scene, query.conditions)}
        if not right or len(right) == len(scenes):
            continue
        name = f"{seed}-{len(cases)}"
        shown = [
            Candidate(id=f"{number}.png", image=_picture(f"{name}-{number}", scene))
            for number, scene in enumerate(scenes)
        ]
        rng.shuffle(shown)
        cases.append(
            Case(
                text=query.text,
                reference=None if reference is None else _picture(f"{name}-reference", reference),
                candidates=shown,
                right=frozenset(f"{number}.png" for number in right),
            )
        )
    return cases


def _plain(rng: Random, turn: int) -> tuple[Scene | None, Query, list[Scene]] | None:
    """A text query, a scene it describes, and what was changed a little."""
    made = family(rng, [COMPOSED_KINDS[turn % len(COMPOSED_KINDS)]] * 2)
    if made is None:
        return None
    query = text_query(made[0][0], TEXT_KINDS[turn // 2 % len(TEXT_KINDS)], rng)
    return None if query is None else (None, query, made[0])


def _composed(rng: Random, turn: int) -> tuple[Scene | None, Query, list[Scene]] | None:
    """A composed query, its target and near miss, and those of another change of the same reference."""
    kinds = [COMPOSED_KINDS[(turn // 2 + step) % len(COMPOSED_KINDS)] for step in range(2)]
    made = family(rng, kinds)
    return None if made is None else (made[0][0], made[1][0], made[0][1:])


def _picture(key: str, scene: Scene) -> ImageRef:
    buffer = io.BytesIO()
    draw(scene).save(buffer, format="PNG")
    return ImageRef(key=key, data=buffer.getvalue())


async def _measured(
    judge: Judge, role: Role, cases: Sequence[Case], seed: int, budget: int | None
) -> dict[str, Any]:
    """The judge's means over all cases, which are judged at the same time, as a server would have it."""
    tasks = [
        Task(
            query=case.text,
            understood=case.understood,
            reference=case.reference,
            model=role,
            seed=seed,
            budget=budget,
        )
        for case in cases
    ]
    start = time.perf_counter()
    pairs = zip(tasks, cases, strict=True)
    judged = await asyncio.gather(*(judge(task, case.candidates) for task, case in pairs))
    rows = [_figures(case, judgement) for case, judgement in zip(cases, judged, strict=True)]
    seconds = (time.perf_counter() - start) / max(1, len(cases))
    mean = {name: round(sum(row[name] for row in rows) / max(1, len(rows)), 4) for name in rows[0]}
    return {**mean, "seconds": round(seconds, 4)}


def _figures(case: Case, judgement: Judgement) -> dict[str, float]:
    place = next(place for place, name in enumerate(judgement.order) if name in case.right)
    usage: Mapping[str, Any] = spent("judge", "judge", *judgement.usage)
    return {
        "accuracy": float(place == 0),
        "reciprocal_rank": 1 / (1 + place),
        **{name: usage[name] for name in FIGURES[2:]},
        "unreadable": sum(note["kind"] in UNREADABLE for note in judgement.notes),
    }


def table(made: Mapping[str, Any]) -> str:
    """The strategies as Markdown, the most accurate first."""
    columns = [*FIGURES, "unreadable", "seconds"]
    lines = [
        f"{made['queries']} queries on drawn scenes, k = {made['k']}, judge {made['weights']}; means a query; "
        f"{made['not_understood']} requests could not be taken apart.\n",
        "| strategy | " + " | ".join(name.replace("_", " ") for name in columns) + " |",
        "|---|" + "---:|" * len(columns),
    ]
    rows = made["variants"].items()
    for name, row in sorted(rows, key=lambda pair: (-pair[1]["accuracy"], pair[1]["prompt_tokens"])):
        cells = [f"{row[column]:.2f}" if row[column] < 10 else f"{row[column]:.0f}" for column in columns]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    lines += ["", *(f"`{name}` was refused: {why}." for name, why in made["refused"].items())]
    return "\n".join(lines).rstrip() + "\n"


def points(made: Mapping[str, Any], cost: str) -> dict[str, tuple[float, float]]:
    """(cost, accuracy) of each strategy; `cost` is "calls", "prompt_tokens", "image_prefills" or "seconds"."""
    return {name: (row[cost], row["accuracy"]) for name, row in made["variants"].items()}
