"""What the mini chat model can do, skill by skill, on scenes of seeds it was never trained on.

Everything is asked through the roles of a profile, exactly as the graphs ask; the truth comes from the scene graph.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from random import Random

from imagescope_agent.errors import UnreadableReply
from imagescope_agent.mllms.role import Request, Role
from imagescope_agent.parsing import parse_intent, parse_predicates, parse_yes_no
from imagescope_agent.prompting import NO_REFERENCE, load_prompt, steps_text
from imagescope_agent.scenes.composed_queries import COMPOSED_KINDS, composed_query, near_miss_scene
from imagescope_agent.scenes.conditions import PLURALS, predicates, satisfies
from imagescope_agent.scenes.language import caption
from imagescope_agent.scenes.queries import Query
from imagescope_agent.scenes.questions import SKILLS, ask
from imagescope_agent.scenes.text_queries import TEXT_KINDS, text_query
from imagescope_agent.scenes.world import COLOURS, KINDS, Scene, random_scene
from imagescope_agent.training.card_judging import comparing_figures
from imagescope_agent.training.card_pictures import blank, picture
from imagescope_agent.training.card_talking import talking_figures
from imagescope_agent.training.examples import as_plain

_BATCH = 256
_LOOK = re.compile(rf"\b({'|'.join(COLOURS)}) ({'|'.join([*KINDS, *PLURALS.values()])})\b")
Figures = dict[str, float]


async def verdict_figures(verifier: Role, seed: int, scenes: int, prompt_set: str | None) -> Figures:
    """Share of right yes/no verdicts for each skill, balanced; one question a skill a scene."""
    rng = Random(f"card verdicts {seed}")
    prompt = load_prompt("verify", prompt_set=prompt_set)
    right: Counter[str] = Counter()
    for start in range(0, scenes, _BATCH // 4):
        group = [random_scene(rng, count=rng.randint(2, 6)) for _ in range(min(_BATCH // 4, scenes - start))]
        pictures = [picture(scene) for scene in group]
        asked = [(i, ask(scene, rng, skill)) for i, scene in enumerate(group) for skill in SKILLS]
        requests = [Request(text=prompt.fill(question=q.text), images=(pictures[i],)) for i, q in asked]
        choice = await verifier.choose(requests, ("Yes", "No"))
        for (_, question), row in zip(asked, choice.probabilities, strict=True):
            right[question.skill] += (row[0] > 0.5) == question.answer
            right["asked " + question.skill] += 1
    return {skill: 100 * right[skill] / max(1, right["asked " + skill]) for skill in SKILLS}


async def caption_figures(captioner: Role, seed: int, scenes: int, prompt_set: str | None) -> Figures:
    """Share of things that a caption names with the right colour, and of captions right to the letter."""
    rng = Random(f"card captions {seed}")
    prompt = load_prompt("caption", prompt_set=prompt_set).fill()
    drawn = [random_scene(rng) for _ in range(scenes)]
    replies = await captioner.ask([Request(text=prompt, images=(picture(scene),)) for scene in drawn])
    named = total = exact = 0
    for scene, reply in zip(drawn, replies, strict=True):
        truth = Counter((thing.colour, thing.kind) for thing in scene.things)
        said = Counter((colour, kind) for colour, kind in _LOOK.findall(reply.text))
        named += sum((truth & said).values())
        total += len(scene.things)
        exact += reply.text == caption(scene)
    return {"things named with their colour": 100 * named / total, "captions exact": 100 * exact / scenes}


async def understand_figures(reasoner: Role, seed: int, queries: int, prompt_set: str | None) -> Figures:
    """Share of queries whose predicates and expected answers are all right, both calls of the reasoner in a row."""
    figures = {}
    for name, made in (("tir", _text_queries(seed, queries)), ("cir", _composed_queries(seed, queries))):
        found = await _predicates_of(reasoner, [(query, told) for query, told, _ in made], prompt_set)
        right: Counter[str] = Counter()
        for (query, _, _), questions in zip(made, found, strict=True):
            truth = {(p["question"], p["expected"]) for p in predicates(query.conditions)}
            right[query.kind] += questions == truth
            right["asked " + query.kind] += 1
        kinds = TEXT_KINDS if name == "tir" else COMPOSED_KINDS
        figures[name] = 100 * sum(right[kind] for kind in kinds) / len(made)
        figures |= {f"{name} {kind}": 100 * right[kind] / max(1, right["asked " + kind]) for kind in kinds}
    return figures


async def _predicates_of(
    reasoner: Role, told: Sequence[tuple[Query, str]], prompt_set: str | None
) -> list[set[tuple[str, str]]]:
    understand = load_prompt("understand", prompt_set=prompt_set)
    first = await reasoner.ask(
        [
            Request(text=understand.fill(instruction=query.text, reference=reference))
            for query, reference in told
        ]
    )
    turn = load_prompt("predicates", prompt_set=prompt_set)
    steps = []
    for reply in first:
        try:
            steps.append(steps_text(parse_intent(reply.text)["steps"]))
        except UnreadableReply:
            steps.append("")
    second = await reasoner.ask([Request(text=turn.fill(steps=text)) for text in steps])
    found: list[set[tuple[str, str]]] = []
    for reply in second:
        try:
            found.append({(p["question"], p["expected"]) for p in parse_predicates(reply.text)})
        except UnreadableReply:
            found.append(set())
    return found


def _text_queries(seed: int, number: int) -> list[tuple[Query, str, Scene]]:
    rng = Random(f"card tir {seed}")
    made: list[tuple[Query, str, Scene]] = []
    while len(made) < number:
        scene = random_scene(rng)
        query = text_query(scene, TEXT_KINDS[len(made) % 5], rng)
        made += [(query, NO_REFERENCE, scene)] if query else []
    return made


def _composed_queries(seed: int, number: int) -> list[tuple[Query, str, Scene]]:
    rng = Random(f"card cir {seed}")
    made: list[tuple[Query, str, Scene]] = []
    while len(made) < number:
        reference = random_scene(rng, count=rng.randint(2, 4))
        pair = composed_query(reference, COMPOSED_KINDS[len(made) % 5], rng)
        made += [(pair[0], caption(reference), reference)] if pair else []
    return made


async def judge_figures(judge: Role, seed: int, queries: int, prompt_set: str | None) -> Figures:
    """Share of right "is this what was asked for" answers, fitting and near-missing candidates alike."""
    rng = Random(f"card judge {seed}")
    prompt = load_prompt("evaluate", prompt_set=prompt_set)
    figures = {}
    for name, composed in (("tir", False), ("cir", True)):
        requests: list[Request] = []
        truth: list[bool] = []
        while len(truth) < queries:
            made = _judged(rng, composed)
            if made is None:
                continue
            query, reference, candidate = made
            candidate = near_miss_scene(candidate, rng) if len(truth) % 2 else candidate
            truth.append(satisfies(candidate, query.conditions))
            images = (picture(reference) if reference else blank(), picture(candidate))
            text = prompt.fill(instruction=query.text, understood=steps_text(as_plain(query.steps)))
            requests.append(Request(text=text, images=images))
        replies = await judge.ask(requests)
        figures[name] = 100 * sum(_says(r.text) == t for r, t in zip(replies, truth, strict=True)) / queries
    return figures


def _judged(rng: Random, composed: bool) -> tuple[Query, Scene | None, Scene] | None:
    scene = random_scene(rng, count=rng.randint(2, 4))
    if composed:
        pair = composed_query(scene, rng.choice(COMPOSED_KINDS), rng)
        return (pair[0], scene, pair[1]) if pair else None
    query = text_query(scene, rng.choice(TEXT_KINDS), rng)
    return (query, None, scene) if query else None


def _says(text: str) -> bool | None:
    try:
        return parse_yes_no(text)[0]
    except UnreadableReply:
        return None


async def measure(profile: str, seed: int, scenes: int, queries: int) -> dict[str, Figures]:
    """All figures of a profile's chat models, per cent.

    Args:
        profile: by name.
        seed: of the scenes; the training draws from other streams.
        scenes: for verdicts, one question a skill each.
        queries: captions, requests to understand and pairs to judge, of each sort.
    """
    from imagescope_agent.profiles.profile import load_profile
    from imagescope_agent.services import open_roles

    chosen = load_profile(profile)
    roles = open_roles(chosen)
    words = {name: role.prompt_set for name, role in roles.items()}
    return {
        "verdicts": await verdict_figures(roles["verifier"], seed, scenes, words["verifier"]),
        "captions": await caption_figures(roles["captioner"], seed, queries, words["captioner"]),
        "understand": await understand_figures(roles["reasoner"], seed, queries, words["reasoner"]),
        "judge": await judge_figures(roles["judge"], seed, queries, words["judge"]),
        "compare": await comparing_figures(roles["judge"], seed, queries),
        "talk": await talking_figures(roles["talker"], seed, queries),
    }


def as_table(figures: dict[str, Figures]) -> str:
    """The figures as a Markdown table."""
    rows = ["| skill | | right, % |", "|---|---|---|"]
    rows += [
        f"| {part} | {name} | {value:.1f} |" for part, row in figures.items() for name, value in row.items()
    ]
    return "\n".join(rows)
