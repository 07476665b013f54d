"""Training turns of query understanding: from a query to its intent (steps, descriptions) and to its predicates."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from random import Random

from imagescope_agent.lab.scenes.composed_queries import COMPOSED_KINDS, composed_query
from imagescope_agent.lab.scenes.conditions import PLURALS, predicates
from imagescope_agent.lab.scenes.kept_queries import kept_query
from imagescope_agent.lab.scenes.language import SYNONYMS, caption
from imagescope_agent.lab.scenes.mixed_queries import any_query
from imagescope_agent.lab.scenes.queries import QueryStep, SceneQuery
from imagescope_agent.lab.scenes.wordings.composed_wordings import FramedWording
from imagescope_agent.lab.scenes.wordings.text_wordings import worded_text_query
from imagescope_agent.lab.scenes.world import Scene, Thing, random_scene
from imagescope_agent.lab.training.data.turn import (
    EditLabel,
    TrainingTurn,
    compact_json,
    fill_prompt,
    plain_steps,
)
from imagescope_agent.prompting import NO_REFERENCE, steps_text

_MIXED = 0.4  # share of text queries that combine several kinds
_KEPT = 0.5  # share of framed composed queries that keep a few things and change them
_PLAIN = 0.1  # share of these in plain words


def understand_turn(query: SceneQuery, reference: Scene | None) -> TrainingTurn:
    """From the query's text and the reference's caption to the intent."""
    intent = {
        "steps": plain_steps(query.steps),
        "core": query.core,
        "enhanced": query.enhanced,
        "full": query.full,
    }
    description = caption(reference) if reference else NO_REFERENCE
    prompt = fill_prompt("understand", reference=description, instruction=query.text)
    answer = compact_json(intent)
    edits = tuple(_edit_labels(prompt, description, answer, query, reference)) if reference else ()
    return TrainingTurn(prompt=prompt, answer=answer, kind="text", edits=edits)


def _edit_labels(
    prompt: str, description: str, answer: str, query: SceneQuery, reference: Scene
) -> Iterator[EditLabel]:
    end = prompt.index(description)
    openings = list(_step_openings(answer, query.steps))
    last: dict[str, int] = {}
    for place, thing in enumerate(reference.things):
        name = f"{thing.colour} {thing.kind}"
        end = prompt.index(name, end) + len(name)
        steps = [number for number, where in enumerate(query.places) if where == place]
        label = query.steps[steps[0]].type if steps else "none"
        duplicate_of = last.get(name)
        last[name] = end
        # a query that keeps a few things names all that it keeps, every other query what changes
        named = label != ("none" if query.kind in ("retention", "kept") else "Retention")
        yield EditLabel(
            end=end,
            type="duplicate" if label == "Retention" and duplicate_of else label,
            duplicate_of=duplicate_of,
            request_spans=_clauses(query.text, thing, prompt) if named else (),
            answer_spans=tuple(openings[number] for number in steps),
        )


def _step_openings(answer: str, steps: Sequence[QueryStep]) -> Iterator[tuple[int, int]]:
    """For each step the span of the answer from the end of the step before up to its first word but an article."""
    start = 0
    for step in steps:
        words = step.condition.words()
        text = answer.index(f'{step.type}","text":"{words}"', start) + len(f'{step.type}","text":"')
        first = words.split(" ", 1)[0]
        yield start, text + (0 if first in ("a", "an") else len(first))
        start = text + len(words)


def _clauses(text: str, thing: Thing, prompt: str) -> tuple[tuple[int, int], ...]:
    """Spans of the prompt from each mention of the thing's kind in the query to the end of its clause."""
    nouns = "|".join((PLURALS[thing.kind], thing.kind, *SYNONYMS.get(thing.kind, ())))
    start = prompt.index(text)
    found = re.finditer(rf"\b(?:{nouns})\b(?:(?! and )[^,])*", text)
    return tuple((start + match.start(), start + match.end()) for match in found)


def predicates_turn(query: SceneQuery) -> TrainingTurn:
    """From steps to yes/no questions with expected answers."""
    prompt = fill_prompt("predicates", steps=steps_text(plain_steps(query.steps)))
    answer = compact_json({"predicates": predicates(query.conditions)})
    return TrainingTurn(prompt=prompt, answer=answer, kind="text")


def understanding_turns(rng: Random) -> list[TrainingTurn]:
    """The intent and the predicates of a random query."""
    query, reference = random_query(rng)
    return [understand_turn(query, reference), predicates_turn(query)]


def random_query(rng: Random) -> tuple[SceneQuery, Scene | None]:
    """A query with its reference: two composed ones for every text query, since they are harder."""
    while True:
        if rng.random() < 0.35:
            return any_query(random_scene(rng), rng, mixed=_MIXED), None
        reference = random_scene(rng, count=rng.choice((1, 2, 2, 3, 3, 4, 4, 5)))
        made = composed_query(reference, rng.choice(COMPOSED_KINDS), rng)
        if made is not None:
            return made[0], reference


def framed_query(rng: Random, *, unseen: bool = False) -> tuple[SceneQuery, Scene | None]:
    """As `random_query`, in many sentence frames; `unseen`: those that are held out."""
    while True:
        if rng.random() < 0.4:
            made = worded_text_query(random_scene(rng), rng, unseen=unseen)
            if made is not None:
                return made, None
            continue
        reference = random_scene(rng, count=rng.choice((1, 2, 2, 3, 3, 4, 4, 5)))
        if rng.random() < _KEPT:
            kept = kept_query(reference, rng, *(() if rng.random() < _PLAIN else (FramedWording(unseen),)))
            if kept is not None:
                return kept, reference
            continue
        pair = composed_query(reference, rng.choice(COMPOSED_KINDS), rng, FramedWording(unseen))
        if pair is not None:
            return pair[0], reference
