"""Training turns about one image: captioning, yes/no verification, and judging a candidate against a query."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from imagescope_agent.lab.scenes.composed_queries import near_miss_scene
from imagescope_agent.lab.scenes.conditions import (
    Absent,
    Condition,
    Count,
    Exists,
    InSetting,
    Pattern,
    Related,
)
from imagescope_agent.lab.scenes.language import caption
from imagescope_agent.lab.scenes.queries import SceneQuery
from imagescope_agent.lab.scenes.questions import random_question
from imagescope_agent.lab.scenes.text_queries import TEXT_KINDS, text_query
from imagescope_agent.lab.scenes.world import Scene
from imagescope_agent.lab.training.data.turn import TextMention, TrainingTurn, fill_prompt, plain_steps
from imagescope_agent.prompting import steps_text


def caption_turn(scene: Scene) -> TrainingTurn:
    """Describe the image."""
    return TrainingTurn(prompt=fill_prompt("caption"), answer=caption(scene), kind="caption", scene=scene)


def verdict_turns(scene: Scene, rng: Random, count: int, skill: str | None = None) -> list[TrainingTurn]:
    """`count` yes/no questions about a scene."""
    turns = []
    for _ in range(count):
        question = random_question(scene, rng, skill)
        prompt = fill_prompt("verify", question=question.text)
        turns.append(
            TrainingTurn(
                prompt=prompt,
                answer="Yes" if question.answer else "No",
                kind="verdict",
                mentions=_question_mentions(prompt, question.named),
                scene=scene,
            )
        )
    return turns


def _question_mentions(prompt: str, named: tuple[Pattern, ...]) -> tuple[TextMention, ...]:
    """A mention for each pattern, at the end of its noun; each is searched for after the one before."""
    mentions: list[TextMention] = []
    start = 0
    for pattern in named:
        noun = pattern.kind or "thing"
        start = prompt.index(noun, start) + len(noun)
        subject = mentions[0].pattern if mentions else None
        mentions.append(TextMention(end=start, pattern=pattern, subject=subject))
    return tuple(mentions)


def judge_turn(query: SceneQuery, candidate: Scene) -> TrainingTurn:
    """Whether the candidate (the second image) is relevant to the query, with a reason."""
    failed = next((c for c in query.conditions if not c.holds(candidate)), None)
    answer = f"No: {why_not(failed)}." if failed else "Yes: everything asked for is there."
    understood = steps_text(plain_steps(query.steps))
    prompt = fill_prompt("evaluate", instruction=query.text, understood=understood)
    return TrainingTurn(
        prompt=prompt,
        answer=answer,
        kind="judge",
        mentions=tuple(_step_mentions(query, candidate, prompt.index(understood))),
        scene=candidate,
    )


def _step_mentions(query: SceneQuery, candidate: Scene, start: int) -> Iterator[TextMention]:
    """The mentions in the lines of steps, which begin at `start` of the prompt."""
    for step in query.steps:
        condition, satisfied = step.condition, step.condition.holds(candidate)
        end = start + len(f"{step.type}: {condition.words()}")
        if isinstance(condition, Related):
            first = end - len(f" {condition.relation} {condition.second.words()}")
            yield TextMention(end=first, pattern=condition.first)
            yield TextMention(end=end, pattern=condition.second, subject=condition.first, satisfied=satisfied)
        elif isinstance(condition, Exists | Absent | Count):
            yield TextMention(end=end, pattern=condition.pattern, satisfied=satisfied)
        start = end + 1


def why_not(condition: Condition) -> str:
    """Why an image that fails the condition is not relevant."""
    if isinstance(condition, Absent):
        return f"there is {condition.words()}"
    if isinstance(condition, InSetting):
        return f"{condition.words().replace('scene', 'scene is not', 1)}"
    if isinstance(condition, Count):
        return f"there {'is' if condition.number == 1 else 'are'} not {condition.words()}"
    if isinstance(condition, Related):
        return f"no {condition.first.bare} is {condition.relation} {condition.second.words()}"
    return f"there is no {condition.words().split(' ', 1)[1]}"


def text_judge_turns(candidate: Scene, rng: Random) -> list[TrainingTurn]:
    """Two judgements of a candidate for text queries: one it answers, one that a near miss of it answers."""
    queries = []
    for scene in (candidate, near_miss_scene(candidate, rng)):
        attempts = (text_query(scene, rng.choice(TEXT_KINDS), rng) for _ in range(30))
        queries.append(next((query for query in attempts if query), None))
    return [judge_turn(query, candidate) for query in queries if query is not None]
