"""Training turns of reading a query about several references: from captions and words to atomic instructions."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from imagescope_agent.lab.scenes.language import caption
from imagescope_agent.lab.scenes.queries import listing, with_setting
from imagescope_agent.lab.scenes.references.queries import SeveralQuery, Take, several_query
from imagescope_agent.lab.scenes.references.wording import FramedReferences
from imagescope_agent.lab.training.data.turn import (
    EDIT_LABELS,
    EditLabel,
    TrainingTurn,
    compact_json,
    fill_prompt,
)
from imagescope_agent.lab.training.data.understanding_turns import (
    framed_query,
    predicates_turn,
    random_query,
    understand_turn,
)
from imagescope_agent.nodes.intent.understand import numbered


def compose_turn(rng: Random) -> TrainingTurn:
    """From the captions of several references and the words about them to the intent."""
    return turn_of(several_query(rng))


def reading_turn(rng: Random) -> TrainingTurn:
    """Queries of every sort, mostly in many sentence frames; and what else the reasoner is asked in text alone."""
    choice = rng.random()
    if choice < 0.08:
        return compose_turn(rng)
    if choice < 0.4:
        return turn_of(several_query(rng, FramedReferences))
    if choice < 0.84:
        return understand_turn(*framed_query(rng))
    query, reference = random_query(rng)
    return understand_turn(query, reference) if choice < 0.97 else predicates_turn(query)


def turn_of(query: SeveralQuery) -> TrainingTurn:
    """The question of a query with its answer, and which words decide about which thing."""
    captions = [caption(scene) for scene in query.references]
    told = numbered(captions, "\n")
    prompt = fill_prompt("compose", instruction=query.text, references=told)
    wanted = with_setting(listing(query.shown), query.setting)
    answer = compact_json(
        {
            "steps": [plain_take(each) for each in query.takes],
            "core": listing(query.shown),
            "enhanced": wanted,
            "full": wanted,
        }
    )
    edits = tuple(_edit_labels(query, prompt, prompt.index(told), answer))
    return TrainingTurn(prompt=prompt, answer=answer, kind="text", edits=edits)


def plain_take(take: Take) -> dict[str, object]:
    """An atomic instruction as the reply has it; without a number where it is about no reference."""
    step = {"type": take.type, "text": take.condition.words()}
    return {**step, "image": take.image} if take.image else dict(step)


def _edit_labels(query: SeveralQuery, prompt: str, end: int, answer: str) -> Iterator[EditLabel]:
    openings = dict(_openings(query, answer))
    for number, scene in enumerate(query.references):
        end = prompt.index(f"image {number + 1}: ", end)
        for index, thing in enumerate(scene.things):
            name = f"{thing.colour} {thing.kind}"
            end = prompt.index(name, end) + len(name)
            about = [each for each in query.takes if each.source == (number, index)]
            spans: tuple[tuple[int, int], ...] = ()
            if (phrase := query.phrases.get((number, index))) and about:
                start = prompt.index(phrase)
                spans = ((start, start + len(phrase)),)
            yield EditLabel(
                end=end,
                type=about[0].type
                if about and about[0].type in EDIT_LABELS
                else "Modification"
                if about
                else "none",
                duplicate_of=None,
                request_spans=spans,
                answer_spans=tuple(openings[id(each)] for each in about),
            )


def _openings(query: SeveralQuery, answer: str) -> Iterator[tuple[int, tuple[int, int]]]:
    """For each step the span of the answer from the end of the step before up to its first word but an article."""
    start = 0
    for take in query.takes:
        words = take.condition.words()
        opening = f'{take.type}","text":"'
        text = answer.index(f'{opening}{words}"', start) + len(opening)
        first = words.split(" ", 1)[0]
        yield id(take), (start, text + (0 if first in ("a", "an") else len(first)))
        start = text + len(words)
