"""What an image that fulfils the standing facts shows, in words, where the talker's description cannot be trusted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from imagescope_agent.nodes.chat.language.grounding import Grounding
from imagescope_agent.nodes.chat.language.places import place_in
from imagescope_agent.prompting import NO_REFERENCE
from imagescope_agent.replies.parsing import FoldAnswer
from imagescope_agent.state import Fact, State


def describe_anew(
    update: FoldAnswer, state: State, facts: Sequence[Fact], told: Sequence[str], *, changed: bool
) -> None:
    """Describe the target anew from the facts where the talker's descriptions hold something ungrounded.

    Args:
        update: whose descriptions are replaced.
        state: before it.
        facts: that stand, to which its numbers refer.
        told: all that gives a ground.
        changed: whether something of the update was left out, repaired or told to the user.
    """
    kept = [fact["text"] for number, fact in enumerate(facts, 1) if number not in update.drop]
    caption = state["reference_caption"]
    known = [*told, *kept, *(step.text for step in update.steps), "" if caption == NO_REFERENCE else caption]
    if facts:
        known.append(state["intent"]["full"])
    grounding = Grounding(known)
    changed = changed or _tells_of_gone(update, facts)
    if not changed and not any(map(grounding.ungrounded, (update.core, update.enhanced, update.full))):
        return
    standing = [fact for number, fact in enumerate(facts, 1) if number not in update.drop]
    new = [{"type": step.type, "text": step.text} for step in update.steps]
    update.full = update.enhanced = described([*standing, *new])
    update.core = described(new) if any(step["type"] != "Removal" for step in new) else update.full


def _tells_of_gone(update: FoldAnswer, facts: Sequence[Fact]) -> bool:
    """Whether the talker's descriptions name what the message drops or excludes."""
    standing = [fact for number, fact in enumerate(facts, 1) if number not in update.drop]
    wanted = [fact["text"] for fact in standing if fact["type"] != "Removal"]
    new = Grounding([*wanted, *(step.text for step in update.steps if step.type != "Removal")])
    gone = [facts[number - 1]["text"] for number in update.drop]
    gone += [step.text for step in update.steps if step.type == "Removal"]
    words = {word for text in gone for word in new.ungrounded(text)}
    told = (Grounding([text]) for text in (update.core, update.enhanced, update.full))
    return any(not each.ungrounded(word) for each in told for word in words)


def described(steps: Iterable[Mapping[str, object]]) -> str:
    """What is visible in an image that fulfils the instructions."""
    texts = [str(step["text"]).rstrip(".") for step in steps if step["type"] != "Removal"]
    things = [text for text in dict.fromkeys(texts) if not place_in(text)]
    places = [place for place in map(place_in, texts) if place]
    listed = " and ".join(filter(None, [", ".join(things[:-1]), *things[-1:]]))
    return " ".join([listed or "a scene", *places[-1:]])
