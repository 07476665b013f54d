"""What the mini chat model is taught of conversations: folding a message in, proposing questions, wording one."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

from imagescope_agent.prompting import NO_REFERENCE, load_prompt
from imagescope_agent.scenes.conditions import (
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
from imagescope_agent.scenes.edits import Step
from imagescope_agent.scenes.language import caption, join
from imagescope_agent.scenes.messages import say, standing
from imagescope_agent.scenes.world import Scene, random_scene
from imagescope_agent.training.examples import PROMPT_SET, Branch, as_plain, compact

_QUESTIONS = 5
_PICTURES = 8


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
    prompt = load_prompt("fold", prompt_set=PROMPT_SET).fill(
        facts="\n".join(f"{n}. {step.type}: {step.condition.words()}" for n, step in enumerate(facts, 1)),
        wanted=told(facts),
        reference=NO_REFERENCE,
        question=ask_words(said.asked) if said.asked else "none",
        message=said.message,
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
    """From captions of likely pictures to questions that some of them answer with yes, in order of appearance."""
    first = random_scene(rng)
    facts = standing(first, rng)
    shown = [first, *(random_scene(rng) for _ in range(rng.randint(1, _PICTURES - 1)))]
    rng.shuffle(shown)
    known = [step.condition.question() for step in facts]
    asked = [_any_look(scene, rng) for scene in rng.sample(shown, rng.randint(0, min(2, len(shown))))]
    known += [condition.question() for condition in asked]
    looks = [Exists(Pattern(t.kind, t.colour)) for scene in shown for t in scene.things]
    open_questions = [look.question() for look in dict.fromkeys(looks) if look.question() not in known]
    prompt = load_prompt("propose", prompt_set=PROMPT_SET).fill(
        request=told(facts),
        known="\n".join(dict.fromkeys(known)) or "none",
        captions="\n".join(caption(scene) for scene in shown),
    )
    return Branch(prompt=prompt, answer=compact({"questions": open_questions[:_QUESTIONS]}), kind="talk")


def _any_look(scene: Scene, rng: Random) -> Condition:
    thing = rng.choice(scene.things)
    return Exists(Pattern(thing.kind, thing.colour))


def ask_branch(rng: Random) -> Branch:
    """From a predicate's question to the agent's."""
    scene = random_scene(rng)
    facts = standing(scene, rng)
    condition = rng.choice([*(step.condition for step in facts), _any_look(scene, rng)])
    prompt = load_prompt("ask", prompt_set=PROMPT_SET).fill(
        request=told(facts), question=condition.question()
    )
    return Branch(prompt=prompt, answer=ask_words(condition), kind="talk")


def ask_words(condition: Condition) -> str:
    """How the agent asks whether a condition holds of the picture that is wanted."""
    if isinstance(condition, Setting | Elsewhere):
        return f"Is the picture you are looking for {SETTING_PHRASE[condition.name]}?"
    return f"Does the picture you are looking for show {condition.words()}?"
