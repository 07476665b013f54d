"""Accuracy per skill of a profile's chat models on held-out synthetic scenes.

The models are asked through the profile's roles, as the graphs ask them; the ground truth is the scene graph.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from random import Random

from imagescope_agent.errors import UnreadableReply
from imagescope_agent.judges.base import blank_image
from imagescope_agent.lab.scenes.composed_queries import COMPOSED_KINDS, composed_query, near_miss_scene
from imagescope_agent.lab.scenes.conditions import PLURALS, predicates, satisfies
from imagescope_agent.lab.scenes.language import caption
from imagescope_agent.lab.scenes.queries import SceneQuery
from imagescope_agent.lab.scenes.questions import SKILLS, random_question
from imagescope_agent.lab.scenes.text_queries import TEXT_KINDS, text_query
from imagescope_agent.lab.scenes.world import COLOURS, KINDS, Scene, random_scene
from imagescope_agent.lab.training.data.turn import plain_steps
from imagescope_agent.lab.training.skill_eval.comparison import Accuracies, comparison_accuracy, rendered
from imagescope_agent.lab.training.skill_eval.dialogue import dialogue_accuracy
from imagescope_agent.lab.training.skill_eval.references import references_accuracy
from imagescope_agent.lab.training.skill_eval.wordings import wordings_accuracy
from imagescope_agent.mllms.role import Request, Role
from imagescope_agent.prompting import NO_REFERENCE, load_prompt, steps_text
from imagescope_agent.replies.parsing import parse_intent, parse_predicates, parse_yes_no

_BATCH = 256
_COLOURED_THING = re.compile(rf"\b({'|'.join(COLOURS)}) ({'|'.join([*KINDS, *PLURALS.values()])})\b")


async def verdict_accuracy(verifier: Role, seed: int, scenes: int, prompt_set: str | None) -> Accuracies:
    """Accuracy of yes/no verdicts per skill, per cent; one balanced question per skill and scene."""
    rng = Random(f"card verdicts {seed}")
    prompt = load_prompt("verify", prompt_set=prompt_set)
    right: Counter[str] = Counter()
    for start in range(0, scenes, _BATCH // 4):
        group = [random_scene(rng, count=rng.randint(2, 6)) for _ in range(min(_BATCH // 4, scenes - start))]
        images = [rendered(scene) for scene in group]
        asked = [(i, random_question(scene, rng, skill)) for i, scene in enumerate(group) for skill in SKILLS]
        requests = [Request(text=prompt.fill(question=q.text), images=(images[i],)) for i, q in asked]
        choice = await verifier.choose(requests, ("Yes", "No"))
        for (_, question), row in zip(asked, choice.probabilities, strict=True):
            right[question.skill] += (row[0] > 0.5) == question.answer
            right["asked " + question.skill] += 1
    return {skill: 100 * right[skill] / max(1, right["asked " + skill]) for skill in SKILLS}


async def caption_accuracy(captioner: Role, seed: int, scenes: int, prompt_set: str | None) -> Accuracies:
    """Recall of things named with the right colour, and share of exact captions, per cent."""
    rng = Random(f"card captions {seed}")
    prompt = load_prompt("caption", prompt_set=prompt_set).fill()
    drawn = [random_scene(rng) for _ in range(scenes)]
    replies = await captioner.ask([Request(text=prompt, images=(rendered(scene),)) for scene in drawn])
    recalled = total = exact = 0
    for scene, reply in zip(drawn, replies, strict=True):
        truth = Counter((thing.colour, thing.kind) for thing in scene.things)
        named = Counter((colour, kind) for colour, kind in _COLOURED_THING.findall(reply.text))
        recalled += sum((truth & named).values())
        total += len(scene.things)
        exact += reply.text == caption(scene)
    return {"things named with their colour": 100 * recalled / total, "captions exact": 100 * exact / scenes}


async def understand_accuracy(reasoner: Role, seed: int, queries: int, prompt_set: str | None) -> Accuracies:
    """Share of queries with exactly the right predicates after both calls of the reasoner, per cent."""
    accuracies = {}
    for name, made in (("tir", _text_queries(seed, queries)), ("cir", _composed_queries(seed, queries))):
        found = await _predicates_of(
            reasoner, [(query, reference) for query, reference, _ in made], prompt_set
        )
        right: Counter[str] = Counter()
        for (query, _, _), questions in zip(made, found, strict=True):
            truth = {(p["question"], p["expected"]) for p in predicates(query.conditions)}
            right[query.kind] += questions == truth
            right["asked " + query.kind] += 1
        kinds = TEXT_KINDS if name == "tir" else COMPOSED_KINDS
        accuracies[name] = 100 * sum(right[kind] for kind in kinds) / len(made)
        accuracies |= {f"{name} {kind}": 100 * right[kind] / max(1, right["asked " + kind]) for kind in kinds}
    return accuracies


async def _predicates_of(
    reasoner: Role, queries: Sequence[tuple[SceneQuery, str]], prompt_set: str | None
) -> list[set[tuple[str, str]]]:
    understand = load_prompt("understand", prompt_set=prompt_set)
    first = await reasoner.ask(
        [
            Request(text=understand.fill(instruction=query.text, reference=reference))
            for query, reference in queries
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


def _text_queries(seed: int, number: int) -> list[tuple[SceneQuery, str, Scene]]:
    rng = Random(f"card tir {seed}")
    made: list[tuple[SceneQuery, str, Scene]] = []
    while len(made) < number:
        scene = random_scene(rng)
        query = text_query(scene, TEXT_KINDS[len(made) % 5], rng)
        made += [(query, NO_REFERENCE, scene)] if query else []
    return made


def _composed_queries(seed: int, number: int) -> list[tuple[SceneQuery, str, Scene]]:
    rng = Random(f"card cir {seed}")
    made: list[tuple[SceneQuery, str, Scene]] = []
    while len(made) < number:
        reference = random_scene(rng, count=rng.randint(2, 4))
        pair = composed_query(reference, COMPOSED_KINDS[len(made) % 5], rng)
        made += [(pair[0], caption(reference), reference)] if pair else []
    return made


async def judge_accuracy(judge: Role, seed: int, queries: int, prompt_set: str | None) -> Accuracies:
    """Accuracy of relevance judgements, per cent; every second candidate is a near miss."""
    rng = Random(f"card judge {seed}")
    prompt = load_prompt("evaluate", prompt_set=prompt_set)
    accuracies = {}
    for name, composed in (("tir", False), ("cir", True)):
        requests: list[Request] = []
        truth: list[bool] = []
        while len(truth) < queries:
            made = _judgement_example(rng, composed)
            if made is None:
                continue
            query, reference, candidate = made
            candidate = near_miss_scene(candidate, rng) if len(truth) % 2 else candidate
            truth.append(satisfies(candidate, query.conditions))
            images = (rendered(reference) if reference else blank_image(), rendered(candidate))
            text = prompt.fill(instruction=query.text, understood=steps_text(plain_steps(query.steps)))
            requests.append(Request(text=text, images=images))
        replies = await judge.ask(requests)
        accuracies[name] = (
            100 * sum(_verdict(r.text) == t for r, t in zip(replies, truth, strict=True)) / queries
        )
    return accuracies


def _judgement_example(rng: Random, composed: bool) -> tuple[SceneQuery, Scene | None, Scene] | None:
    scene = random_scene(rng, count=rng.randint(2, 4))
    if composed:
        pair = composed_query(scene, rng.choice(COMPOSED_KINDS), rng)
        return (pair[0], scene, pair[1]) if pair else None
    query = text_query(scene, rng.choice(TEXT_KINDS), rng)
    return (query, None, scene) if query else None


def _verdict(text: str) -> bool | None:
    try:
        return parse_yes_no(text)[0]
    except UnreadableReply:
        return None


async def measure(profile: str, seed: int, scenes: int, queries: int) -> dict[str, Accuracies]:
    """All accuracies of a profile's chat models, per cent.

    Args:
        profile: by name.
        seed: of the scenes, which no training samples.
        scenes: number of scenes for verdicts, with one question per skill each.
        queries: number of captions, of queries to understand, of pairs to judge and of dialogs.
    """
    from imagescope_agent.profiles.profile import load_profile
    from imagescope_agent.services import open_roles

    chosen = load_profile(profile)
    roles = open_roles(chosen)
    prompts = {name: role.prompt_set for name, role in roles.items()}
    measured = {
        "verdicts": await verdict_accuracy(roles["verifier"], seed, scenes, prompts["verifier"]),
        "captions": await caption_accuracy(roles["captioner"], seed, queries, prompts["captioner"]),
        "understand": await understand_accuracy(roles["reasoner"], seed, queries, prompts["reasoner"]),
        "wordings": await wordings_accuracy(roles["reasoner"], seed, queries),
        "judge": await judge_accuracy(roles["judge"], seed, queries, prompts["judge"]),
        "compare": await comparison_accuracy(roles["judge"], seed, queries),
        "talk": await dialogue_accuracy(roles["talker"], seed, queries),
    }
    reader = roles.get("multi_reasoner", roles["reasoner"])
    return measured | {"references": await references_accuracy(reader, seed, queries)}


def as_table(accuracies: dict[str, Accuracies]) -> str:
    """The accuracies as a Markdown table."""
    rows = ["| skill | | right, % |", "|---|---|---|"]
    rows += [
        f"| {part} | {name} | {value:.1f} |"
        for part, row in accuracies.items()
        for name, value in row.items()
    ]
    return "\n".join(rows)
