"""Messages that correct, refine or take back what was said before, with the update of the dialogue state they mean."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from imagescope_agent.lab.scenes.conditions import (
    NUMBERS,
    Absent,
    Count,
    Exists,
    InSetting,
    Pattern,
)
from imagescope_agent.lab.scenes.dialog import changing_phrases, phrases
from imagescope_agent.lab.scenes.dialog.messages import UserMessage
from imagescope_agent.lab.scenes.dialog.noun_phrases import slots
from imagescope_agent.lab.scenes.language import SETTING_WORDS, reworded, with_article
from imagescope_agent.lab.scenes.queries import QueryStep
from imagescope_agent.lab.scenes.text_queries import TEXT_KINDS, text_query
from imagescope_agent.lab.scenes.world import COLOURS, SETTINGS, Scene, random_scene


def wanted_after_all(scene: Scene, facts: Sequence[QueryStep], rng: Random) -> UserMessage | None:
    """What was excluded is wanted after all."""
    excluded = [(n, f.condition.pattern) for n, f in enumerate(facts, 1) if isinstance(f.condition, Absent)]
    if not excluded:
        return None
    number, pattern = rng.choice(excluded)
    forms = changing_phrases.AFTER_ALL if rng.random() < 0.6 else phrases.EXISTS
    message = rng.choice(forms).format(**slots(pattern, rng))
    return UserMessage(message=message, steps=(QueryStep("Addition", Exists(pattern)),), drop=(number,))


def place(scene: Scene, facts: Sequence[QueryStep], rng: Random) -> UserMessage | None:
    """Another setting than the known one, or the scene's."""
    known = [(n, f.condition.name) for n, f in enumerate(facts, 1) if isinstance(f.condition, InSetting)]
    name = scene.setting if not known else rng.choice([s for s in SETTINGS if s not in {k for _, k in known}])
    forms = changing_phrases.PLACE_CORRECTIONS if known else phrases.PLACES
    kinds = [pattern.kind for _, pattern in _existing(facts)] or [scene.things[0].kind]
    message = rng.choice(forms).format(
        place=rng.choice(SETTING_WORDS[name]),
        old=rng.choice(SETTING_WORDS[known[0][1]]) if known else "",
        kind=rng.choice(kinds) or "thing",
    )
    step = QueryStep("Addition", InSetting(name))
    return UserMessage(message=message, steps=(step,), drop=tuple(number for number, _ in known))


def colour_correction(scene: Scene, facts: Sequence[QueryStep], rng: Random) -> UserMessage | None:
    """Another colour of a known thing, or of the last one."""
    known = [(number, pattern) for number, pattern in _existing(facts) if pattern.colour and pattern.kind]
    if not known:
        return None
    last = rng.random() < 0.2
    number, old = known[-1] if last else rng.choice(known)
    if sum(pattern.kind == old.kind for _, pattern in known) > 1:
        return None
    colour = rng.choice([each for each in COLOURS if each != old.colour])
    forms = changing_phrases.LAST_CORRECTIONS if last else changing_phrases.COLOUR_CORRECTIONS
    message = rng.choice(forms).format(**_colour_slots(old, colour, rng))
    step = QueryStep("Addition", Exists(Pattern(old.kind, colour, old.size)))
    return UserMessage(message=message, steps=(step,), drop=(number,))


def refinement(scene: Scene, facts: Sequence[QueryStep], rng: Random) -> UserMessage | None:
    """The colour of a known thing that had none."""
    existing = _existing(facts)
    bare = [p for _, p in existing if p == Pattern(p.kind) and p.kind]
    if not bare:
        return None
    old, colour = rng.choice(bare), rng.choice(COLOURS)
    if sum(pattern.kind == old.kind for _, pattern in existing) > 1:
        return None
    message = rng.choice(changing_phrases.REFINEMENTS).format(**_colour_slots(old, colour, rng))
    return UserMessage(message=message, steps=(QueryStep("Addition", Exists(Pattern(old.kind, colour))),))


def count_correction(scene: Scene, facts: Sequence[QueryStep], rng: Random) -> UserMessage | None:
    """Another number of counted things."""
    counted = [
        (number, fact.condition)
        for number, fact in enumerate(facts, 1)
        if isinstance(fact.condition, Count) and fact.condition.number
    ]
    if len(counted) != 1:
        return None
    number, old = counted[0]
    new = rng.choice([each for each in range(2, len(NUMBERS)) if each != old.number])
    message = rng.choice(changing_phrases.COUNT_CORRECTIONS).format(
        n=old.pattern.words(new),
        old=old.pattern.words(old.number),
        number=NUMBERS[new],
        old_number=NUMBERS[old.number],
    )
    step = QueryStep("Addition", Count(old.pattern, new))
    return UserMessage(message=message, steps=(step,), drop=(number,))


def withdrawal(scene: Scene, facts: Sequence[QueryStep], rng: Random) -> UserMessage | None:
    """A fact is taken back."""
    things = [
        (n, f.condition.pattern) for n, f in enumerate(facts, 1) if isinstance(f.condition, Exists | Absent)
    ]
    once = [(n, p) for n, p in things if p.kind and sum(p.kind == other.kind for _, other in things) == 1]
    places = [(n, f.condition.name) for n, f in enumerate(facts, 1) if isinstance(f.condition, InSetting)]
    if places and rng.random() < 0.2:
        number, name = rng.choice(places)[0], rng.choice(("place", "setting", "background", "surroundings"))
    elif once:
        number, pattern = rng.choice(once)
        name = reworded(Pattern(pattern.kind, pattern.colour if rng.random() < 0.3 else None), rng)
    else:
        return None
    return UserMessage(message=rng.choice(changing_phrases.WITHDRAWALS).format(name=name), drop=(number,))


def new_topic(scene: Scene, facts: Sequence[QueryStep], rng: Random) -> UserMessage | None:
    """A new search."""
    query = text_query(random_scene(rng), rng.choice(TEXT_KINDS), rng)
    if query is None or rng.random() < 0.5:
        return None
    if rng.random() < 0.3:
        before, _, after = rng.choice(changing_phrases.RESTART_FRAMES).partition("{q}")
    else:
        opener = f"{rng.choice(changing_phrases.RESTART_OPENERS)}, " if rng.random() < 0.4 else ""
        mark = rng.choice((", ", ": ", ". ", "; ", " - ", "! "))
        before, after = f"{opener}{rng.choice(changing_phrases.RESTARTS)}{mark}", ""
    wish = (len(before), len(before) + len(query.text))
    return UserMessage(message=before + query.text + after, steps=query.steps, new=True, wish=wish)


def _existing(facts: Sequence[QueryStep]) -> list[tuple[int, Pattern]]:
    return [(n, f.condition.pattern) for n, f in enumerate(facts, 1) if isinstance(f.condition, Exists)]


def _colour_slots(old: Pattern, colour: str, rng: Random) -> dict[str, str]:
    before = old.colour or colour
    return {
        "kind": reworded(Pattern(old.kind), rng),
        "colour": colour,
        "a_colour": with_article(colour),
        "old": before,
        "an_old": with_article(before),
    }
