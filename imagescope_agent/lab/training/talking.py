"""What the mini chat model is taught of conversations: folding a message in, proposing questions, wording one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from random import Random

from imagescope_agent.lab.scenes.conditions import (
    SETTING_PHRASE,
    Absent,
    Condition,
    Count,
    Elsewhere,
    Exists,
    Pattern,
    Related,
    Setting,
)
from imagescope_agent.lab.scenes.edits import Step
from imagescope_agent.lab.scenes.language import caption, join
from imagescope_agent.lab.scenes.messages import say, standing
from imagescope_agent.lab.scenes.world import COLOURS, SIZES, Scene, random_scene
from imagescope_agent.lab.training.examples import PROMPT_SET, Branch, as_plain, compact
from imagescope_agent.prompting import NO_REFERENCE, load_prompt

_QUESTIONS = 8
_OPEN = re.compile(r"((?:what colours? .*|where is it|how many .*|is the .* large or small)\?) (.*)")
_PICTURES = 8
_ASKED = (0, 0, 1, 2, 3, 4, 6, 8, 12)  # questions: an open one settles several


def talk_branches(rng: Random) -> list[Branch]:
    """One turn of each sort: a message folded in, questions proposed, a question worded."""
    return [fold_branch(rng), propose_branch(rng), ask_branch(rng)]


def fold_branch(rng: Random) -> Branch:
    """From the standing facts and a message to the facts that go, the steps that come, and the target anew."""
    scene = random_scene(rng)
    facts = standing(scene, rng)
    said = say(scene, facts, rng)
    kept = [] if said.new else [step for number, step in enumerate(facts, 1) if number not in said.drop]
    after = [*kept, *said.steps]
    reply = {
        "topic": "new" if said.new else "same",
        "answer": said.answer,
        "drop": list(said.drop),
        "steps": as_plain(said.steps),
        "core": told(said.steps) if any(map(_shows, said.steps)) else told(after),
        "enhanced": told([step for step in after if not isinstance(step.condition, Setting)]),
        "full": told(after),
    }
    asked, message = ask_words(said.asked) if said.asked else "none", said.message
    if (openly := _OPEN.fullmatch(message)) and rng.random() < 0.5:
        asked, message = openly[1].capitalize(), openly[2]
    prompt = load_prompt("fold", prompt_set=PROMPT_SET).fill(
        facts="\n".join(f"{n}. {step.type}: {step.condition.words()}" for n, step in enumerate(facts, 1)),
        wanted=told(facts),
        reference=NO_REFERENCE,
        question=asked,
        message=message,
    )
    return Branch(prompt=prompt, answer=compact(reply), kind="talk")


def told(steps: Iterable[Step]) -> str:
    """What a picture that fulfils the steps shows: every thing once, as closely as it is known, then the setting."""
    shown = shown_conditions(steps)
    things = [condition.words() for condition in shown if not isinstance(condition, Setting)]
    places = [SETTING_PHRASE[c.name] for c in shown if isinstance(c, Setting)]
    return " ".join([join(things) or "a scene", *places[-1:]])


def shown_conditions(steps: Iterable[Step]) -> list[Condition]:
    """The conditions that say what is to be seen, each once, without those that another says more closely."""
    shown = [step.condition for step in steps if _shows(step)]
    looks = [c.pattern for c in shown if isinstance(c, Exists)]
    within = [p for c in shown if isinstance(c, Related) for p in (c.first, c.second)]
    within += [c.pattern for c in shown if isinstance(c, Count)]
    things = [
        condition
        for condition in shown
        if not isinstance(condition, Setting)
        and not (isinstance(condition, Exists) and _said(condition.pattern, looks, within))
    ]
    return [*dict.fromkeys(things), *(c for c in shown if isinstance(c, Setting))]


def _shows(step: Step) -> bool:
    return not isinstance(step.condition, Absent | Elsewhere)


def _said(pattern: Pattern, looks: Iterable[Pattern], within: Iterable[Pattern]) -> bool:
    """Whether a thing is named more closely, or just so inside a relation or a number."""
    return pattern in within or any(look != pattern and _fits(look, pattern) for look in (*looks, *within))


def _fits(look: Pattern, other: Pattern) -> bool:
    pairs = zip((look.kind, look.colour, look.size), (other.kind, other.colour, other.size), strict=True)
    return all(b in (None, a) for a, b in pairs)


def propose_branch(rng: Random) -> Branch:
    """From captions of likely pictures to questions that some of them answer with yes, see `proposals`."""
    return propose_example(rng)[0]


def propose_example(rng: Random) -> tuple[Branch, frozenset[str]]:
    """Questions to be proposed, and all that may be: any that a picture shown answers with yes and nobody asked."""
    first = random_scene(rng)
    facts = standing(first, rng)
    shown = [first, *(random_scene(rng) for _ in range(rng.randint(1, _PICTURES - 1)))]
    rng.shuffle(shown)
    known = [step.condition.question() for step in facts]
    asked = [_any_question(scene, facts, rng) for scene in rng.choices(shown, k=rng.choice(_ASKED))]
    known += [condition.question() for condition in asked]
    prompt = load_prompt("propose", prompt_set=PROMPT_SET).fill(
        request=told(facts),
        known="\n".join(dict.fromkeys(known)) or "none",
        captions="\n".join(caption(scene) for scene in shown),
    )
    answer = compact({"questions": proposals(facts, shown, known)})
    fair = frozenset(question for scene in shown for question in _true_of(scene)) - set(known)
    return Branch(prompt=prompt, answer=answer, kind="talk"), fair


def _true_of(scene: Scene) -> list[str]:
    """Every question about a look, the setting or the number of things that the scene answers with yes."""
    conditions: list[Condition] = [
        Exists(Pattern(thing.kind, colour, size))
        for thing in scene.things
        for colour in (None, thing.colour)
        for size in (None, thing.size)
    ]
    conditions += [Setting(scene.setting), Count(Pattern(), len(scene.things))]
    return [each.question() for each in conditions]


def proposals(facts: Sequence[Step], shown: Sequence[Scene], known: Sequence[str]) -> list[str]:
    """What may be asked of pictures that are shown, what tells most first, each in order of appearance.

    Two values of what is open about a wanted thing's colour, the setting and the number of things, unless any is known
    already; how large a wanted thing is; two kinds that nothing known names; then things with their colours.
    """
    things = [thing for scene in shown for thing in scene.things]
    wanted = [
        s.condition.pattern for s in facts if isinstance(s.condition, Exists) and s.condition.pattern.kind
    ]
    words = {word for question in known for word in question.rstrip("?").split()}
    plain = [look.kind for look in wanted if look == Pattern(look.kind) and not _coloured(look.kind, known)]
    sizes = [
        Exists(Pattern(look.kind, look.colour, thing.size))
        for thing in things
        for look in wanted
        if look.size is None and look.matches(thing) and not _sized(look, known)
    ]
    sorts: tuple[tuple[Iterable[Condition], int], ...] = (
        ([Exists(Pattern(thing.kind, thing.colour)) for thing in things if thing.kind in plain], 2),
        ([Setting(scene.setting) for scene in shown if "scene" not in words], 2),
        ([Count(Pattern(), len(scene.things)) for scene in shown if not words & {"thing", "things"}], 2),
        (sizes, 1),
        ([Exists(Pattern(thing.kind)) for thing in things if thing.kind not in words], 2),
        ([Exists(Pattern(thing.kind, thing.colour)) for thing in things], _QUESTIONS),
    )
    chosen: list[str] = []
    for conditions, most in sorts:
        questions = dict.fromkeys(condition.question() for condition in conditions)
        chosen += [question for question in questions if question not in (*known, *chosen)][:most]
    return chosen[:_QUESTIONS]


def _coloured(kind: str | None, known: Sequence[str]) -> bool:
    return any(Exists(Pattern(kind, colour)).question() in known for colour in COLOURS)


def _sized(look: Pattern, known: Sequence[str]) -> bool:
    return any(Exists(Pattern(look.kind, look.colour, size)).question() in known for size in SIZES)


def _any_question(scene: Scene, facts: Sequence[Step], rng: Random) -> Condition:
    """A condition of any of the sorts that are proposed, half of the looks about a wanted thing."""
    wanted = [
        s.condition.pattern for s in facts if isinstance(s.condition, Exists) and s.condition.pattern.kind
    ]
    thing = rng.choice(scene.things)
    look = (
        rng.choice(wanted)
        if wanted and rng.random() < 0.5
        else Pattern(thing.kind, rng.choice((None, thing.colour)))
    )
    return rng.choice(
        (
            Exists(Pattern(thing.kind)),
            Exists(Pattern(look.kind, look.colour, thing.size)),
            Setting(scene.setting),
            Count(Pattern(), len(scene.things)),
            Exists(Pattern(look.kind, thing.colour)),
            Exists(Pattern(thing.kind, thing.colour)),
        )
    )


def ask_branch(rng: Random) -> Branch:
    """From a predicate's question to the agent's."""
    scene = random_scene(rng)
    facts = standing(scene, rng)
    condition = rng.choice(
        [*(s.condition for s in facts), *(_any_question(scene, facts, rng) for _ in range(4))]
    )
    prompt = load_prompt("ask", prompt_set=PROMPT_SET).fill(
        request=told(facts), question=condition.question()
    )
    return Branch(prompt=prompt, answer=open_words(condition, facts), kind="talk")


def open_words(condition: Condition, facts: Sequence[Step]) -> str:
    """How the agent asks for what a condition tells: openly where that says more than yes or no would."""
    if isinstance(condition, Setting):
        return "Where is it?"
    if isinstance(condition, Count) and condition.pattern == Pattern(condition.pattern.kind):
        return f"How many {condition.pattern.words(2).split()[-1]} are there?"
    if isinstance(condition, Exists) and condition.pattern.kind:
        look, wanted = (
            condition.pattern,
            [s.condition.pattern for s in facts if isinstance(s.condition, Exists)],
        )
        if look.size and (whole := Pattern(look.kind, look.colour)) in wanted:
            return f"Is the {whole.bare} large or small?"
        if look == Pattern(look.kind, look.colour) and look.colour and Pattern(look.kind) in wanted:
            return f"What colour is the {look.kind}?"
    return ask_words(condition)


def ask_words(condition: Condition) -> str:
    """How the agent asks whether a condition holds of the picture that is wanted."""
    if isinstance(condition, Setting | Elsewhere):
        return f"Is the picture you are looking for {SETTING_PHRASE[condition.name]}?"
    return f"Does the picture you are looking for show {condition.words()}?"
