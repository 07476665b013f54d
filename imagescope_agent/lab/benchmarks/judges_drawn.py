"""Every judge strategy on drawn scenes: accuracy of the first rank against calls, tokens and seconds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from tqdm import tqdm

from imagescope_agent.errors import BadInput, UnreadableReply
from imagescope_agent.evaluation.reporting.tables import markdown_table
from imagescope_agent.judges import JUDGES
from imagescope_agent.judges.base import Candidate, Judge, Judgement, Task
from imagescope_agent.lab.benchmarks.first_stage_orders import (
    first_stage_orders,
    order_figures,
    place_of_relevant,
)
from imagescope_agent.lab.benchmarks.judge_case import JudgeCase, picture
from imagescope_agent.lab.benchmarks.kept_rows import KeptRows
from imagescope_agent.lab.benchmarks.machine import machine
from imagescope_agent.lab.scenes.composed_queries import COMPOSED_KINDS, composed_group
from imagescope_agent.lab.scenes.conditions import satisfies
from imagescope_agent.lab.scenes.queries import SceneQuery
from imagescope_agent.lab.scenes.text_queries import TEXT_KINDS, text_query
from imagescope_agent.lab.scenes.world import Scene, random_scene
from imagescope_agent.mllms.role import Request, Role
from imagescope_agent.profiles.profile import load_profile
from imagescope_agent.prompting import NO_REFERENCE, load_prompt, steps_text
from imagescope_agent.registry import resolve
from imagescope_agent.replies.parsing import IntentAnswer, parse_intent
from imagescope_agent.services import open_roles, weights_of
from imagescope_agent.usage import total_usage

FIGURES = ("accuracy", "reciprocal_rank", "calls", "prompt_tokens", "completion_tokens", "image_prefills")
UNREADABLE = ("unreadable", "repaired")
AFTER = "after vectors"
COMPARED = (FIGURES[0], AFTER)  # what of a strategy stands beside the order that it was given
#: By profile: judges that its models do not suit, and the profile whose models they are measured with instead.
SUITED = {"mini": {"e2rank": "mini_cot", "icr": "mini_cot"}}


def run(  # long by its arguments, which are flags of the command
    *,
    profile: str = "mini",
    role: Role | None = None,
    k: int = 10,
    queries: int = 20,
    seed: int = 0,
    names: Sequence[str] | None = None,
    budget: int | None = None,
    keep: Path | None = None,
) -> dict[str, Any]:
    """Run every strategy on the same candidates, half of the queries with a reference; accuracy is of the first place.

    Args:
        profile: whose judge is asked, unless another suits a strategy (`SUITED`).
        role: asked instead of all of these.
        k: candidates.
        queries: how many.
        seed: of scenes and queries.
        names: strategies; all when None.
        budget: most calls a query.
        keep: file of the strategies that are measured already (see `KeptRows`).

    Returns: settings, "orders": {name: figures} of what nobody judged, "variants": {name: figures; "after vectors":
        accuracy where the candidates came in the order of vectors}, "refused".

    Raises:
        BadInput: an unknown profile or judge, or kept strategies of something else.
        BackendUnavailable: the model does not answer.
    """
    chosen = {name: "" if role else SUITED.get(profile, {}).get(name, profile) for name in names or JUDGES}
    judges = {each: open_roles(load_profile(each))["judge"] for each in chosen.values() if each}
    cases = make_cases(queries, k, seed)
    if role is None:
        role, cases = _from_profile(profile, cases)
    others = {name: weights_of(judge) for name, judge in judges.items() if name != profile}
    suited = dict.fromkeys(SUITED.get(profile, {}).values() if judges else ())
    orders = first_stage_orders([*suited], cases)
    told = {"profile": profile, "weights": weights_of(role), "others": others, "k": k, "seed": seed}
    told |= {"queries": len(cases), "budget": budget}
    return {
        **{"bench": "judges", "machine": machine(), **told},
        "not_understood": sum(not case.understood for case in cases) if judges else 0,
        "orders": {name: order_figures(ordered) for name, ordered in orders.items()},
        **_measure_all(
            {name: (judges.get(of, role), of) for name, of in chosen.items()},
            [*orders.values()],
            KeptRows(keep, told),
        ),
    }


def _from_profile(profile: str, cases: list[JudgeCase]) -> tuple[Role, list[JudgeCase]]:
    """The profile's judge, and the cases as its reasoner and captioner understand them."""
    roles = open_roles(load_profile(profile))
    return roles["judge"], asyncio.run(understand(cases, roles))


def _measure_all(
    asked: Mapping[str, tuple[Role, str]], orders: Sequence[list[JudgeCase]], kept: KeptRows
) -> dict[str, Any]:
    """All figures in the first order; of one by vectors, the accuracy."""
    variants, refused = {}, {}

    def measure(name: str, role: Role, profile: str) -> dict[str, Any]:
        judge = resolve(name, JUDGES, kind="judge")
        limits = kept.of["seed"], kept.of["budget"]
        found = [asyncio.run(_measured(judge, role, cases, *limits)) for cases in orders[:2]]
        after = {AFTER: found[1]["accuracy"]} if len(found) > 1 else {}
        return {**found[0], **after, **({"profile": profile} if profile else {})}

    for name, (role, profile) in tqdm(asked.items(), desc="judging", unit="strategy", disable=None):
        try:
            variants[name] = kept.row(name, partial(measure, name, role, profile))
        except BadInput as error:  # the model lacks a capability that this strategy needs
            refused[name] = str(error)
    return {"variants": variants, "refused": refused}


async def understand(cases: Sequence[JudgeCase], roles: Mapping[str, Role]) -> list[JudgeCase]:
    """Add what a graph gives its judge: the reasoner's instructions, from the query and a caption of the reference.

    Where the reasoner's reply cannot be parsed there are no instructions, which `run` counts.
    """
    captioned = [case for case in cases if case.reference is not None]
    caption = load_prompt("caption", prompt_set=roles["captioner"].prompt_set).fill()
    pictures = [Request(text=caption, images=(case.reference,)) for case in captioned if case.reference]
    captions = {
        case.reference.key: reply.text
        for case, reply in zip(captioned, await roles["captioner"].ask(pictures), strict=True)
        if case.reference
    }
    prompt = load_prompt("understand", prompt_set=roles["reasoner"].prompt_set)
    texts = [
        prompt.fill(instruction=c.text, reference=captions[c.reference.key] if c.reference else NO_REFERENCE)
        for c in cases
    ]
    replies = await roles["reasoner"].ask([Request(text=text) for text in texts], schema=IntentAnswer)
    return [replace(case, understood=_steps(reply.text)) for case, reply in zip(cases, replies, strict=True)]


def _steps(reply: str) -> str:
    try:
        return steps_text(parse_intent(reply)["steps"])
    except UnreadableReply:
        return ""


def make_cases(queries: int, k: int, seed: int) -> list[JudgeCase]:
    """Queries on drawn scenes, text and composed ones alternating, with near misses among the candidates."""
    rng = Random(f"bench judges {seed}")
    cases: list[JudgeCase] = []
    while len(cases) < queries:
        made = _composed_case(rng, len(cases)) if len(cases) % 2 else _text_case(rng, len(cases))
        if made is None:
            continue
        reference, query, scenes = made
        scenes = [*scenes, *(random_scene(rng) for _ in range(k - len(scenes)))][:k]
        relevant = {number for number, scene in enumerate(scenes) if satisfies(scene, query.conditions)}
        if not relevant or len(relevant) == len(scenes):
            continue
        name = f"{seed}-{len(cases)}"
        shown = [
            Candidate(id=f"{number}.png", image=picture(f"{name}-{number}", scene))
            for number, scene in enumerate(scenes)
        ]
        rng.shuffle(shown)
        cases.append(
            JudgeCase(
                text=query.text,
                reference=None if reference is None else picture(f"{name}-reference", reference),
                candidates=shown,
                relevant=frozenset(f"{number}.png" for number in relevant),
            )
        )
    return cases


def _text_case(rng: Random, number: int) -> tuple[Scene | None, SceneQuery, list[Scene]] | None:
    """No reference, a text query, the scene it describes and slightly changed ones."""
    made = composed_group(rng, [COMPOSED_KINDS[number % len(COMPOSED_KINDS)]] * 2)
    if made is None:
        return None
    query = text_query(made[0][0], TEXT_KINDS[number // 2 % len(TEXT_KINDS)], rng)
    return None if query is None else (None, query, made[0])


def _composed_case(rng: Random, number: int) -> tuple[Scene | None, SceneQuery, list[Scene]] | None:
    """A reference, a composed query, its target and near miss, and those of another change of the reference."""
    kinds = [COMPOSED_KINDS[(number // 2 + step) % len(COMPOSED_KINDS)] for step in range(2)]
    made = composed_group(rng, kinds)
    return None if made is None else (made[0][0], made[1][0], made[0][1:])


async def _measured(
    judge: Judge, role: Role, cases: Sequence[JudgeCase], seed: int, budget: int | None
) -> dict[str, Any]:
    """The judge's means over all cases, which run concurrently, as on a server."""
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


def _figures(case: JudgeCase, judgement: Judgement) -> dict[str, float]:
    place = place_of_relevant(case, judgement.order)
    usage = total_usage(judgement.usage)
    return {
        "accuracy": float(place == 0),
        "reciprocal_rank": 1 / (1 + place),
        **{name: usage[name] for name in FIGURES[2:]},
        "unreadable": sum(note["kind"] in UNREADABLE for note in judgement.notes),
    }


def describe(made: Mapping[str, Any]) -> str:
    """The strategies as Markdown, the most accurate first, after the orders that nobody judged."""
    orders = made.get("orders", {})
    columns = [FIGURES[0], *([AFTER] if len(orders) > 1 else []), *FIGURES[1:], "unreadable", "seconds"]
    nobody = [
        (name, _in_column(row, column)) for (name, row), column in zip(orders.items(), COMPARED, strict=False)
    ]
    ranked = sorted(
        made["variants"].items(), key=lambda pair: (-pair[1]["accuracy"], pair[1]["prompt_tokens"])
    )
    rows = [
        [name, row.get("profile", ""), *(_figure(row, column) for column in columns)]
        for name, row in [*nobody, *ranked]
    ]
    lines = [
        f"{made['queries']} queries on drawn scenes, k = {made['k']}, judge {made['weights']}; means a query; "
        f"{made['not_understood']} requests could not be taken apart.\n",
        markdown_table(["strategy", "profile", *(name.replace("_", " ") for name in columns)], rows),
        *(f"`{name}` was refused: {why}." for name, why in made["refused"].items()),
        *([_comparison(made)] if orders else []),
        *(
            [f"\nMeasured before, on the same queries: {', '.join(made['kept'])}."]
            if made.get("kept")
            else []
        ),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _figure(row: Mapping[str, Any], column: str) -> str:
    if column not in row:
        return ""
    return f"{row[column]:.2f}" if row[column] < 10 else f"{row[column]:.0f}"


def _in_column(order: Mapping[str, Any], column: str) -> dict[str, Any]:
    """An order's figures, with its accuracy beside that of the strategies that were given it."""
    return {"reciprocal_rank": order["reciprocal_rank"], column: order["accuracy"]}


def _comparison(made: Mapping[str, Any]) -> str:
    """Which strategies make the order worse that they are given."""
    lines = []
    for (order, figures), column in zip(made["orders"].items(), COMPARED, strict=False):
        below = [n for n, row in made["variants"].items() if row.get(column, 1.0) < figures["accuracy"]]
        measured = sum(column in row for row in made["variants"].values())
        every = len(made["variants"])
        of = f", of {measured} measured of {every}" if measured < every else ""
        lines.append(f"Worse than {order} ({figures['accuracy']:.2f}){of}: {', '.join(below) or 'none'}.")
    lines += ["", "What makes an order worse is not to be used on it with these models."]
    if len(made["orders"]) > 1:
        lines += [
            f"Accuracy {AFTER}: of the same strategies, where the candidates came in that order; blank: not measured."
        ]
    return "\n" + "\n".join(lines)


def points(made: Mapping[str, Any], cost: str) -> dict[str, tuple[float, float]]:
    """(cost, accuracy) of each strategy; `cost` is "calls", "prompt_tokens", "image_prefills" or "seconds"."""
    return {name: (row[cost], row["accuracy"]) for name, row in made["variants"].items()}
