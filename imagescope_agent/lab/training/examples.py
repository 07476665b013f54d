"""What the mini chat model is taught to say: prompts as the graphs fill them, with the answers wanted."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

from imagescope_agent.lab.scenes.composed_queries import COMPOSED_KINDS, composed_query, near_miss_scene
from imagescope_agent.lab.scenes.conditions import (
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
from imagescope_agent.lab.scenes.edits import Step
from imagescope_agent.lab.scenes.language import SYNONYMS, caption
from imagescope_agent.lab.scenes.mixed_queries import any_query
from imagescope_agent.lab.scenes.queries import Query
from imagescope_agent.lab.scenes.questions import ask
from imagescope_agent.lab.scenes.text_queries import TEXT_KINDS, text_query
from imagescope_agent.lab.scenes.world import Scene, Thing, random_scene
from imagescope_agent.prompting import NO_REFERENCE, load_prompt, steps_text

PROMPT_SET = "mini"
MIXED = 0.4  # share of text queries that combine what the five kinds ask for


@dataclass(frozen=True, kw_only=True)
class Name:
    """A thing named in a prompt: where its name ends in characters, and the first of the two that a relation names.

    `met` says whether the picture fulfils what is said of the thing, in a request to be judged.
    """

    end: int
    pattern: Pattern
    partner: Pattern | None = None
    met: bool | None = None


FATES = ("Retention", "Removal", "Modification", "Comparison", "again", "none")


@dataclass(frozen=True, kw_only=True)
class Fate:
    """What a request does with a thing of the reference: type of the first step about it, "again" or "none".

    "again" is a thing that looks like one named before it, where that look is kept; `before` is where the name of that
    one ends.

    `end` is where the thing's name ends in the prompt, `said` the stretches of the request (characters) that name
    it; empty where the request passes it over. `decided` are the stretches of the answer (characters) up to the
    article of each step about it.
    """

    end: int
    type: str
    before: int | None
    said: tuple[tuple[int, int], ...]
    decided: tuple[tuple[int, int], ...]


@dataclass(frozen=True, kw_only=True)
class Spot:
    """Where something that a picture should fulfil has been said, in characters, and whether it does."""

    end: int
    met: bool


@dataclass(frozen=True, kw_only=True)
class Said:
    """What is said after a picture: the words, the things that they name, what it should fulfil, its whole grade."""

    text: str
    scene: Scene
    named: tuple[Name, ...]
    spots: tuple[Spot, ...]
    grade: int


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """The pictures that a row of turns is about: what stands before each (empty for nothing) and after each."""

    labels: tuple[str, ...] = ()
    said: tuple[Said | None, ...] = ()

    @classmethod
    def plain(cls, number: int) -> Pictures:
        """So many pictures and nothing else."""
        return cls(labels=("",) * number, said=(None,) * number)


@dataclass(frozen=True, kw_only=True)
class Branch:
    """One turn: what the user says (after any pictures) and what the model should answer.

    `kind` groups turns in the loss, see `packing.KINDS`. `named` are the things that a question or request names, in
    order; `scene` is the one they are sought in. `fates` are those of the reference's things. Where several pictures
    are compared, `graded` are the ends in the answer (characters) of what comes before a picture's grade, with the
    picture's place; `ordered` those before pictures are named, with the places of those that may be; 0 is the start.
    """

    prompt: str
    answer: str
    kind: str
    named: tuple[Name, ...] = ()
    scene: Scene | None = None
    fates: tuple[Fate, ...] = ()
    graded: tuple[tuple[int, tuple[int, ...]], ...] = ()
    ordered: tuple[tuple[int, tuple[int, ...]], ...] = ()


def compact(value: object) -> str:
    """JSON without spaces: every token of an answer costs a forward pass."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def fill(step: str, **values: str) -> str:
    """A step's prompt in the mini models' words."""
    return load_prompt(step, prompt_set=PROMPT_SET).fill(**values)


def caption_branch(scene: Scene) -> Branch:
    """Describe the picture."""
    return Branch(prompt=fill("caption"), answer=caption(scene), kind="caption", scene=scene)


def verdict_branches(scene: Scene, rng: Random, number: int, skill: str | None = None) -> list[Branch]:
    """Yes/no questions about a scene."""
    branches = []
    for _ in range(number):
        question = ask(scene, rng, skill)
        prompt = fill("verify", question=question.text)
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


def as_plain(steps: tuple[Step, ...]) -> list[dict[str, str]]:
    """Steps as the state of a search holds them."""
    return [{"type": step.type, "text": step.condition.words()} for step in steps]


def understand_branch(query: Query, reference: Scene | None) -> Branch:
    """From instruction and reference description to the intent."""
    intent = {
        "steps": as_plain(query.steps),
        "core": query.core,
        "enhanced": query.enhanced,
        "full": query.full,
    }
    told = caption(reference) if reference else NO_REFERENCE
    prompt = fill("understand", reference=told, instruction=query.text)
    answer = compact(intent)
    fates = tuple(_fates(prompt, told, answer, query, reference)) if reference else ()
    return Branch(prompt=prompt, answer=answer, kind="text", fates=fates)


def _fates(prompt: str, told: str, answer: str, query: Query, reference: Scene) -> Iterator[Fate]:
    end = prompt.index(told)
    openings = list(_openings(answer, query.steps))
    last: dict[str, int] = {}
    for place, thing in enumerate(reference.things):
        look = f"{thing.colour} {thing.kind}"
        end = prompt.index(look, end) + len(look)
        here = [number for number, where in enumerate(query.places) if where == place]
        fate = query.steps[here[0]].type if here else "none"
        before = last.get(look)
        last[look] = end
        # a request to keep something names what stays, every other request what changes
        named = (fate == "Retention") == (query.kind == "retention")
        said = _clauses(query.text, thing, prompt) if named else ()
        decided = tuple(openings[number] for number in here)
        known = "again" if fate == "Retention" and before else fate
        yield Fate(end=end, type=known, before=before, said=said, decided=decided)


def _openings(answer: str, steps: Sequence[Step]) -> Iterator[tuple[int, int]]:
    """For each step the stretch of the answer from the end of the step before up to its first word but an article."""
    start = 0
    for step in steps:
        words = step.condition.words()
        text = answer.index(f'{step.type}","text":"{words}"', start) + len(f'{step.type}","text":"')
        first = words.split(" ", 1)[0]
        yield start, text + (0 if first in ("a", "an") else len(first))
        start = text + len(words)


def _clauses(request: str, thing: Thing, prompt: str) -> tuple[tuple[int, int], ...]:
    """From each mention of the thing's kind to the end of its clause, where the request may say more about it."""
    nouns = "|".join((PLURALS[thing.kind], thing.kind, *SYNONYMS.get(thing.kind, ())))
    start = prompt.index(request)
    found = re.finditer(rf"\b(?:{nouns})\b(?:(?! and )[^,])*", request)
    return tuple((start + match.start(), start + match.end()) for match in found)


def predicates_branch(query: Query) -> Branch:
    """From steps to yes/no questions with expected answers."""
    prompt = fill("predicates", steps=steps_text(as_plain(query.steps)))
    return Branch(prompt=prompt, answer=compact({"predicates": predicates(query.conditions)}), kind="text")


def reading_branches(rng: Random) -> list[Branch]:
    """An intent and its predicates."""
    query, reference = reading(rng)
    return [understand_branch(query, reference), predicates_branch(query)]


def reading(rng: Random) -> tuple[Query, Scene | None]:
    """A request to be read, with its reference: two composed ones for every text query, since they are harder."""
    while True:
        if rng.random() < 0.35:
            return any_query(random_scene(rng), rng, mixed=MIXED), None
        reference = random_scene(rng, count=rng.choice((1, 2, 2, 3, 3, 4, 4, 5)))
        made = composed_query(reference, rng.choice(COMPOSED_KINDS), rng)
        if made is not None:
            return made[0], reference


def judge_branch(query: Query, candidate: Scene) -> Branch:
    """Is the candidate (the second picture) what was asked for, and why."""
    failed = next((c for c in query.conditions if not c.holds(candidate)), None)
    answer = f"No: {why_not(failed)}." if failed else "Yes: everything asked for is there."
    understood = steps_text(as_plain(query.steps))
    prompt = fill("evaluate", instruction=query.text, understood=understood)
    return Branch(
        prompt=prompt,
        answer=answer,
        kind="judge",
        named=tuple(_named(query, candidate, prompt.index(understood))),
        scene=candidate,
    )


def _named(query: Query, candidate: Scene, start: int) -> Iterator[Name]:
    """The things that the lines of steps name, from `start` of the prompt on, and whether what is said is met."""
    for step in query.steps:
        condition, met = step.condition, step.condition.holds(candidate)
        end = start + len(f"{step.type}: {condition.words()}")
        if isinstance(condition, Related):
            first = end - len(f" {condition.relation} {condition.second.words()}")
            yield Name(end=first, pattern=condition.first)
            yield Name(end=end, pattern=condition.second, partner=condition.first, met=met)
        elif isinstance(condition, Exists | Absent | Count):
            yield Name(end=end, pattern=condition.pattern, met=met)
        start = end + 1


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
