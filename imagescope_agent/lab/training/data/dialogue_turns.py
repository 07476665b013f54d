"""Training turns of conversations: dialogue state update, proposing clarifying questions, wording one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from random import Random

from imagescope_agent.lab.scenes.conditions import (
    SETTING_PHRASE,
    Absent,
    Condition,
    Count,
    Exists,
    InSetting,
    NotInSetting,
    Pattern,
    Related,
)
from imagescope_agent.lab.scenes.dialog.messages import UserMessage, accumulated_steps, random_message
from imagescope_agent.lab.scenes.language import caption, join
from imagescope_agent.lab.scenes.queries import QueryStep
from imagescope_agent.lab.scenes.world import COLOURS, SIZES, Scene, random_scene
from imagescope_agent.lab.training.data.turn import TrainingTurn, compact_json, fill_prompt, plain_steps
from imagescope_agent.prompting import NO_REFERENCE

_MAX_QUESTIONS = 8
_OPEN_QUESTION = re.compile(r"((?:what colours? .*|where is it|how many .*|is the .* large or small)\?) (.*)")
_MAX_IMAGES = 8
_KNOWN_COUNTS = (0, 0, 1, 2, 3, 4, 6, 8, 12)  # of questions asked before; an open one settles several


def dialogue_turns(rng: Random) -> list[TrainingTurn]:
    """One turn of each type."""
    return [state_update_turn(rng), question_proposal_turn(rng), question_wording_turn(rng)]


def state_update_turn(rng: Random) -> TrainingTurn:
    """From the known facts and a user message to the dropped facts, the new steps and the new target descriptions."""
    scene = random_scene(rng)
    facts = accumulated_steps(scene, rng)
    update = random_message(scene, facts, rng)
    asked, message = yes_no_question(update.asked) if update.asked else "none", update.message
    if (open_question := _OPEN_QUESTION.fullmatch(message)) and rng.random() < 0.5:
        asked, message = open_question[1].capitalize(), open_question[2]
    return update_turn(facts, update, asked, message)


def update_turn(facts: Sequence[QueryStep], update: UserMessage, asked: str, message: str) -> TrainingTurn:
    """The turn of a message, while `asked` is pending, or "none" is, and of what it means."""
    kept = [] if update.new else [step for number, step in enumerate(facts, 1) if number not in update.drop]
    after = [*kept, *update.steps]
    reply = {
        "topic": "new" if update.new else "same",
        "answer": update.answer,
        "drop": list(update.drop),
        "steps": plain_steps(update.steps),
        "core": describe_steps(update.steps)
        if any(map(_is_visible, update.steps))
        else describe_steps(after),
        "enhanced": describe_steps([step for step in after if not isinstance(step.condition, InSetting)]),
        "full": describe_steps(after),
    }
    prompt = fill_prompt(
        "fold",
        facts="\n".join(f"{n}. {step.type}: {step.condition.words()}" for n, step in enumerate(facts, 1)),
        wanted=describe_steps(facts),
        reference=NO_REFERENCE,
        question=asked,
        message=message,
    )
    return TrainingTurn(prompt=prompt, answer=compact_json(reply), kind="talk")


def describe_steps(steps: Iterable[QueryStep]) -> str:
    """A description of an image that satisfies the steps: every thing once, most specific, then the setting."""
    visible = visible_conditions(steps)
    things = [condition.words() for condition in visible if not isinstance(condition, InSetting)]
    settings = [SETTING_PHRASE[c.name] for c in visible if isinstance(c, InSetting)]
    return " ".join([join(things) or "a scene", *settings[-1:]])


def visible_conditions(steps: Iterable[QueryStep]) -> list[Condition]:
    """The conditions on what is visible, each once, without those that a more specific one implies."""
    visible = [step.condition for step in steps if _is_visible(step)]
    existing = [c.pattern for c in visible if isinstance(c, Exists)]
    within = [p for c in visible if isinstance(c, Related) for p in (c.first, c.second)]
    within += [c.pattern for c in visible if isinstance(c, Count)]
    things = [
        condition
        for condition in visible
        if not isinstance(condition, InSetting)
        and not (isinstance(condition, Exists) and _is_implied(condition.pattern, existing, within))
    ]
    return [*dict.fromkeys(things), *(c for c in visible if isinstance(c, InSetting))]


def _is_visible(step: QueryStep) -> bool:
    return step.type != "Removal" and not isinstance(step.condition, Absent | NotInSetting)


def _is_implied(pattern: Pattern, existing: Iterable[Pattern], within: Iterable[Pattern]) -> bool:
    """Whether a more specific pattern, or the same one inside a relation or a count, implies the pattern."""
    return pattern in within or any(
        other != pattern and _refines(other, pattern) for other in (*existing, *within)
    )


def _refines(specific: Pattern, general: Pattern) -> bool:
    pairs = zip(
        (specific.kind, specific.colour, specific.size),
        (general.kind, general.colour, general.size),
        strict=True,
    )
    return all(b in (None, a) for a, b in pairs)


def question_proposal_turn(rng: Random) -> TrainingTurn:
    """From captions of likely images to questions that some of them answer with yes, see `proposed_questions`."""
    return question_proposal_example(rng)[0]


def question_proposal_example(rng: Random) -> tuple[TrainingTurn, frozenset[str]]:
    """The turn, and every acceptable question: not asked before, and true of at least one of the images."""
    target = random_scene(rng)
    facts = accumulated_steps(target, rng)
    scenes = [target, *(random_scene(rng) for _ in range(rng.randint(1, _MAX_IMAGES - 1)))]
    rng.shuffle(scenes)
    known = [step.condition.question() for step in facts]
    asked = [
        random_condition(scene, facts, rng) for scene in rng.choices(scenes, k=rng.choice(_KNOWN_COUNTS))
    ]
    known += [condition.question() for condition in asked]
    prompt = fill_prompt(
        "propose",
        request=describe_steps(facts),
        known="\n".join(dict.fromkeys(known)) or "none",
        captions="\n".join(caption(scene) for scene in scenes),
    )
    answer = compact_json({"questions": proposed_questions(facts, scenes, known)})
    acceptable = frozenset(question for scene in scenes for question in _true_questions(scene)) - set(known)
    return TrainingTurn(prompt=prompt, answer=answer, kind="talk"), acceptable


def _true_questions(scene: Scene) -> list[str]:
    """Every question about a thing, the setting or the number of things that the scene answers with yes."""
    conditions: list[Condition] = [
        Exists(Pattern(thing.kind, colour, size))
        for thing in scene.things
        for colour in (None, thing.colour)
        for size in (None, thing.size)
    ]
    conditions += [InSetting(scene.setting), Count(Pattern(), len(scene.things))]
    return [each.question() for each in conditions]


def proposed_questions(
    facts: Sequence[QueryStep], scenes: Sequence[Scene], known: Sequence[str]
) -> list[str]:
    """Questions to tell the scenes apart, most informative type first, within a type in order of appearance.

    At most two values each of an open colour of a wanted thing, the setting, and the number of things, unless any
    value is known; one size of a wanted thing; two kinds that no known question names; then things with colours.
    """
    chosen: list[str] = []
    for conditions, limit in _question_types(facts, scenes, known):
        questions = dict.fromkeys(condition.question() for condition in conditions)
        chosen += [question for question in questions if question not in (*known, *chosen)][:limit]
    return chosen[:_MAX_QUESTIONS]


def _question_types(
    facts: Sequence[QueryStep], scenes: Sequence[Scene], known: Sequence[str]
) -> Iterator[tuple[Sequence[Condition], int]]:
    """For each type of question the conditions that may be asked about, and how many of them at most."""
    things = [thing for scene in scenes for thing in scene.things]
    words = {word for question in known for word in question.rstrip("?").split()}
    wanted = _wanted_patterns(facts)
    colourless = [p.kind for p in wanted if p == Pattern(p.kind) and not _colour_known(p.kind, known)]
    yield [Exists(Pattern(thing.kind, thing.colour)) for thing in things if thing.kind in colourless], 2
    yield [InSetting(scene.setting) for scene in scenes if "scene" not in words], 2
    yield [Count(Pattern(), len(scene.things)) for scene in scenes if not words & {"thing", "things"}], 2
    yield (
        [
            Exists(Pattern(pattern.kind, pattern.colour, thing.size))
            for thing in things
            for pattern in wanted
            if pattern.size is None and pattern.matches(thing) and not _size_known(pattern, known)
        ],
        1,
    )
    yield [Exists(Pattern(thing.kind)) for thing in things if thing.kind not in words], 2
    yield [Exists(Pattern(thing.kind, thing.colour)) for thing in things], _MAX_QUESTIONS


def _wanted_patterns(facts: Sequence[QueryStep]) -> list[Pattern]:
    """The patterns with a kind that the facts say exist."""
    return [
        s.condition.pattern for s in facts if isinstance(s.condition, Exists) and s.condition.pattern.kind
    ]


def _colour_known(kind: str | None, known: Sequence[str]) -> bool:
    return any(Exists(Pattern(kind, colour)).question() in known for colour in COLOURS)


def _size_known(pattern: Pattern, known: Sequence[str]) -> bool:
    return any(Exists(Pattern(pattern.kind, pattern.colour, size)).question() in known for size in SIZES)


def random_condition(scene: Scene, facts: Sequence[QueryStep], rng: Random) -> Condition:
    """A condition of one of the types that are proposed, half of the patterns those of a wanted thing."""
    wanted = _wanted_patterns(facts)
    thing = rng.choice(scene.things)
    pattern = (
        rng.choice(wanted)
        if wanted and rng.random() < 0.5
        else Pattern(thing.kind, rng.choice((None, thing.colour)))
    )
    return rng.choice(
        (
            Exists(Pattern(thing.kind)),
            Exists(Pattern(pattern.kind, pattern.colour, thing.size)),
            InSetting(scene.setting),
            Count(Pattern(), len(scene.things)),
            Exists(Pattern(pattern.kind, thing.colour)),
            Exists(Pattern(thing.kind, thing.colour)),
        )
    )


def question_wording_turn(rng: Random) -> TrainingTurn:
    """From a predicate's question to the question that the agent asks the user."""
    scene = random_scene(rng)
    facts = accumulated_steps(scene, rng)
    condition = rng.choice(
        [*(s.condition for s in facts), *(random_condition(scene, facts, rng) for _ in range(4))]
    )
    prompt = fill_prompt("ask", request=describe_steps(facts), question=condition.question())
    return TrainingTurn(prompt=prompt, answer=user_question(condition, facts), kind="talk")


def user_question(condition: Condition, facts: Sequence[QueryStep]) -> str:
    """The agent's question about a condition: an open one where that is more informative than yes or no."""
    if isinstance(condition, InSetting):
        return "Where is it?"
    if isinstance(condition, Count) and condition.pattern == Pattern(condition.pattern.kind):
        return f"How many {condition.pattern.words(2).split()[-1]} are there?"
    if isinstance(condition, Exists) and condition.pattern.kind:
        pattern = condition.pattern
        wanted = [s.condition.pattern for s in facts if isinstance(s.condition, Exists)]
        if pattern.size and (without_size := Pattern(pattern.kind, pattern.colour)) in wanted:
            return f"Is the {without_size.bare} large or small?"
        if not pattern.size and pattern.colour and Pattern(pattern.kind) in wanted:
            return f"What colour is the {pattern.kind}?"
    return yes_no_question(condition)


def yes_no_question(condition: Condition) -> str:
    """The agent's question whether a condition holds for the target."""
    if isinstance(condition, InSetting | NotInSetting):
        return f"Is the picture you are looking for {SETTING_PHRASE[condition.name]}?"
    return f"Does the picture you are looking for show {condition.words()}?"
