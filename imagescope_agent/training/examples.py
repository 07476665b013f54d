"""What the mini chat model is taught to say: prompts as the graphs fill them, with the answers wanted."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from random import Random

from imagescope_agent.prompting import load_prompt
from imagescope_agent.scenes.conditions import (
    PLURALS,
    Absent,
    Condition,
    Count,
    Exists,
    Pattern,
    Related,
    Setting,
    predicates,
)
from imagescope_agent.scenes.edits import Step
from imagescope_agent.scenes.language import SYNONYMS, caption
from imagescope_agent.scenes.queries import (
    COMPOSED_KINDS,
    TEXT_KINDS,
    Query,
    composed_query,
    near_miss_scene,
    text_query,
)
from imagescope_agent.scenes.questions import ask
from imagescope_agent.scenes.world import Scene, random_scene

PROMPT_SET = "mini"
NO_REFERENCE = "a blank image"


@dataclass(frozen=True, kw_only=True)
class Name:
    """A thing named in a prompt: where its name ends in characters, and the first of the two that a relation names.

    `met` says whether the picture fulfils what is said of the thing, in a request to be judged.
    """

    end: int
    pattern: Pattern
    partner: Pattern | None = None
    met: bool | None = None


@dataclass(frozen=True, kw_only=True)
class Branch:
    """One turn: what the user says (after any pictures) and what the model should answer.

    `kind` groups turns in the loss: caption, verdict, judge or text. `named` are the things that a question or
    request names, in order; `scene` is the one they are sought in.
    """

    prompt: str
    answer: str
    kind: str
    named: tuple[Name, ...] = ()
    scene: Scene | None = None


def compact(value: object) -> str:
    """JSON without spaces: every token of an answer costs a forward pass."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _prompt(step: str, **values: str) -> str:
    return load_prompt(step, prompt_set=PROMPT_SET).fill(**values)


def caption_branch(scene: Scene) -> Branch:
    """Describe the picture."""
    return Branch(prompt=_prompt("caption"), answer=caption(scene), kind="caption", scene=scene)


def verdict_branches(scene: Scene, rng: Random, number: int, skill: str | None = None) -> list[Branch]:
    """Yes/no questions about a scene."""
    branches = []
    for _ in range(number):
        question = ask(scene, rng, skill)
        prompt = _prompt("verify", question=question.text)
        branches.append(
            Branch(
                prompt=prompt,
                answer="Yes" if question.answer else "No",
                kind="verdict",
                named=_ends(prompt, question.named),
                scene=scene,
            )
        )
    return branches


def _ends(prompt: str, named: tuple[Pattern, ...]) -> tuple[Name, ...]:
    """Where the last word of each named thing ends, reading on from the one before."""
    names: list[Name] = []
    start = 0
    for pattern in named:
        noun = pattern.kind or "thing"
        start = prompt.index(noun, start) + len(noun)
        names.append(Name(end=start, pattern=pattern, partner=names[0].pattern if names else None))
    return tuple(names)


def steps_text(steps: tuple[Step, ...]) -> str:
    """Steps as the predicates prompt shows them: one "Type: words" a line."""
    return "\n".join(f"{step.type}: {step.condition.words()}" for step in steps)


def understand_branch(query: Query, reference: str) -> Branch:
    """From instruction and reference description to the intent."""
    intent = {
        "steps": [{"type": step.type, "text": step.condition.words()} for step in query.steps],
        "core": query.core,
        "enhanced": query.enhanced,
        "full": query.full,
    }
    prompt = _prompt("understand", reference=reference, instruction=query.text)
    return Branch(prompt=prompt, answer=compact(intent), kind="text")


def predicates_branch(query: Query) -> Branch:
    """From steps to yes/no questions with expected answers."""
    prompt = _prompt("predicates", steps=steps_text(query.steps))
    return Branch(prompt=prompt, answer=compact({"predicates": predicates(query.conditions)}), kind="text")


def reading_branches(rng: Random) -> list[Branch]:
    """An intent and its predicates: two composed queries for every text query, since they are harder."""
    while True:
        if rng.random() < 0.35:
            query = text_query(random_scene(rng), rng.choice(TEXT_KINDS), rng)
            reference = NO_REFERENCE
        else:
            scene = random_scene(rng, count=rng.choice((1, 2, 2, 3, 3, 4, 4, 5)))
            made = composed_query(scene, rng.choice(COMPOSED_KINDS), rng)
            query = made[0] if made else None
            reference = caption(scene)
        if query is not None:
            return [understand_branch(query, reference), predicates_branch(query)]


def judge_branch(query: Query, candidate: Scene) -> Branch:
    """Is the candidate (the second picture) what was asked for, and why."""
    failed = next((c for c in query.conditions if not c.holds(candidate)), None)
    answer = f"No: {why_not(failed)}." if failed else "Yes: everything asked for is there."
    prompt = _prompt("evaluate", instruction=query.text)
    return Branch(
        prompt=prompt, answer=answer, kind="judge", named=_said(prompt, query, candidate), scene=candidate
    )


def _said(prompt: str, query: Query, candidate: Scene) -> tuple[Name, ...]:
    """The things of the query's conditions that the prompt names, and whether the candidate fulfils the condition."""
    names: dict[int, Name] = {}
    for condition in query.conditions:
        met = condition.holds(candidate)
        if isinstance(condition, Related):
            first, second = _find(prompt, condition.first), _find(prompt, condition.second)
            if first and second and first < second:
                names[first] = Name(end=first, pattern=condition.first)
                names[second] = Name(end=second, pattern=condition.second, partner=condition.first, met=met)
        elif isinstance(condition, Exists | Absent | Count):
            end = _find(prompt, condition.pattern)
            if end:
                names[end] = Name(end=end, pattern=condition.pattern, met=met)
    return tuple(names[end] for end in sorted(names))


def _find(prompt: str, pattern: Pattern) -> int | None:
    """Where a reader knows which thing is meant: after "red cottage", or after "blue" in "make the house blue"."""
    if pattern.kind is None:
        return None
    nouns = "|".join((PLURALS[pattern.kind], pattern.kind, *SYNONYMS.get(pattern.kind, ())))
    colour = pattern.colour or ""
    shapes = (
        (rf"{colour} (?:{nouns})\b", rf"\b(?:{nouns})\b[^,]*?\b{colour}\b")
        if colour
        else (rf"\b(?:{nouns})\b",)
    )
    found = next((match for shape in shapes if (match := re.search(shape, prompt))), None)
    return found.end() if found else None


def why_not(condition: Condition) -> str:
    """What is wrong with a picture for which the condition fails."""
    if isinstance(condition, Absent):
        return f"there is {condition.words()}"
    if isinstance(condition, Setting):
        return f"{condition.words().replace('scene', 'scene is not', 1)}"
    if isinstance(condition, Count):
        return f"there {'is' if condition.number == 1 else 'are'} not {condition.words()}"
    if isinstance(condition, Related):
        return f"no {condition.first.bare} is {condition.relation} {condition.second.words()}"
    return f"there is no {condition.words().split(' ', 1)[1]}"


def search_branches(candidate: Scene, rng: Random) -> list[Branch]:
    """Two judgements of a candidate without reference: a query it answers and one it just misses."""
    wanted = []
    for scene in (candidate, near_miss_scene(candidate, rng)):
        attempts = (text_query(scene, rng.choice(TEXT_KINDS), rng) for _ in range(30))
        wanted.append(next((query for query in attempts if query), None))
    return [judge_branch(query, candidate) for query in wanted if query is not None]
