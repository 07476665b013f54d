"""Whether a ranking follows a chain of thought that is edited by hand: another colour, and the picture that has it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from random import Random

import numpy as np

from imagescope_agent.errors import UnreadableReply
from imagescope_agent.lab.benchmarks.judge_case import picture
from imagescope_agent.lab.scenes.composed_queries import COMPOSED_KINDS, composed_group
from imagescope_agent.lab.scenes.draw import draw
from imagescope_agent.lab.scenes.language import caption
from imagescope_agent.lab.scenes.queries import SceneQuery
from imagescope_agent.lab.scenes.world import COLOURS, Scene
from imagescope_agent.mllms.role import Request, Role
from imagescope_agent.prompting import load_prompt, steps_text
from imagescope_agent.replies.chains import Chain
from imagescope_agent.replies.parsing import IntentAnswer, parse_intent
from imagescope_agent.retrieval.reasoning import ReasoningEmbedder

ROUNDS = (
    4  # times as many queries as tries are drawn at most: not every chain names a colour that can be changed
)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A drawn query: what it begins with, its words, what it wants, and all scenes that were drawn with it."""

    reference: Scene
    query: SceneQuery
    target: Scene
    drawn: tuple[Scene, ...]


@dataclass(frozen=True, kw_only=True)
class Edit:
    """A chain, the words of its conclusion that are changed and what they become, and the scene so changed."""

    asked: Asked
    chain: Chain
    before: str
    after: str
    wanted: Scene

    def edited(self, *, steps: bool) -> Chain:
        """The chain with the other colour in its conclusion, and in its steps too."""
        changed = self.chain.reasoning.replace(self.before, self.after)
        return replace(
            self.chain,
            reasoning=changed if steps else self.chain.reasoning,
            conclusion=self.chain.conclusion.replace(self.before, self.after),
        )


Writer = Callable[[Sequence[Asked]], Sequence[Chain | None]]


def counterfactual(
    model: ReasoningEmbedder, tries: int, roles: Mapping[str, Role] | None = None, seed: int = 0
) -> dict[str, float]:
    """Change a colour in chains by hand, and look for the picture that is so changed among many.

    Args:
        model: embeds.
        tries: chains that are changed.
        roles: whose captioner and reasoner write chains that are changed as well, whether these are right or not.
        seed: of the scenes.

    Returns:
        The share of chains whose changed picture comes first: where the conclusion alone is changed, and where the
        steps that name the thing are too; of true chains, and of those of the roles.
    """
    writers: dict[str, Writer] = {"": lambda asked: [true_chain(each) for each in asked]}
    if roles is not None:
        writers[" of the roles' chains"] = lambda asked: asyncio.run(written(asked, roles))
    found = {}
    for told, writer in writers.items():
        made, scenes = _edits(writer, tries, Random(f"counterfactual {seed}"))
        gallery = model.images([draw(scene) for scene in scenes])
        for name in ("the conclusion", "steps and conclusion"):
            chains = [str(each.edited(steps=name != "the conclusion")) for each in made]
            shown = [draw(each.asked.reference) for each in made]
            places = model.reasoned(shown, [each.asked.query.text for each in made], chains)
            best = np.argmax(places @ gallery.T, axis=1)
            right = [_same(scenes[int(row)], each.wanted) for row, each in zip(best, made, strict=True)]
            found[f"{name}{told}"] = round(float(np.mean(right)), 4) if right else 0.0
    return found


def _edits(writer: Writer, tries: int, rng: Random) -> tuple[list[Edit], list[Scene]]:
    """As many edited chains as are tried, or fewer where most name no colour that can be changed; and all scenes."""
    made: list[Edit] = []
    scenes: dict[Scene, None] = {}
    drawn = _queries(rng)
    for _ in range(ROUNDS):
        asked = list(islice(drawn, tries - len(made)))
        scenes |= dict.fromkeys(scene for each in asked for scene in each.drawn)
        chains = writer(asked)
        edits = [_edit(each, chain, rng) for each, chain in zip(asked, chains, strict=True) if chain]
        made += [each for each in edits if each is not None]
    return made, [*scenes, *(each.wanted for each in made)]


def _queries(rng: Random) -> Iterator[Asked]:
    while True:
        group = composed_group(rng, rng.sample(COMPOSED_KINDS, 3))
        if group is not None:
            shown, queries = group
            for number, query in enumerate(queries):
                target = shown[1 + 2 * number]
                yield Asked(reference=shown[0], query=query, target=target, drawn=tuple(shown))


def _edit(asked: Asked, chain: Chain, rng: Random) -> Edit | None:
    """The chain with another colour of a thing that its conclusion names once; None where it names none."""
    kinds = Counter((thing.colour, thing.kind) for thing in asked.target.things)
    usable = [
        number
        for number, thing in enumerate(asked.target.things)
        if kinds[thing.colour, thing.kind] == 1
        and chain.conclusion.count(f"{thing.colour} {thing.kind}") == 1
    ]
    if not usable:
        return None
    number = rng.choice(usable)
    thing = asked.target.things[number]
    other = rng.choice([colour for colour in COLOURS if (colour, thing.kind) not in kinds])
    things = [*asked.target.things]
    things[number] = replace(thing, colour=other)
    return Edit(
        asked=asked,
        chain=chain,
        before=f"{thing.colour} {thing.kind}",
        after=f"{other} {thing.kind}",
        wanted=replace(asked.target, things=tuple(things)),
    )


def true_chain(asked: Asked) -> Chain:
    """The chain that a drawn query has."""
    said = steps_text([{"type": step.type, "text": step.condition.words()} for step in asked.query.steps])
    return Chain(caption=caption(asked.reference), reasoning=said, conclusion=asked.query.full)


async def written(asked: Sequence[Asked], roles: Mapping[str, Role]) -> list[Chain | None]:
    """The chains that captioner and reasoner write; None where a reply cannot be read."""
    captioner, reasoner = roles["captioner"], roles["reasoner"]
    text = load_prompt("caption", prompt_set=captioner.prompt_set).fill()
    references = {each.reference: picture(f"reference {n}", each.reference) for n, each in enumerate(asked)}
    shown = [Request(text=text, images=(each,)) for each in references.values()]
    captions = dict(zip(references, await captioner.ask_some(shown, ()), strict=True))
    prompt = load_prompt("understand", prompt_set=reasoner.prompt_set)
    told = [captions[each.reference].text.strip() for each in asked]
    questions = [
        Request(text=prompt.fill(instruction=each.query.text, reference=known))
        for each, known in zip(asked, told, strict=True)
    ]
    replies = await reasoner.ask_some(questions, (), schema=IntentAnswer)
    return [_chain(known, reply.text) for known, reply in zip(told, replies, strict=True)]


def _chain(known: str, reply: str) -> Chain | None:
    try:
        intent = parse_intent(reply)
    except UnreadableReply:
        return None
    steps = steps_text(intent["steps"])
    return Chain(caption=known, reasoning=steps, conclusion=intent["full"]) if known and steps else None


def _same(scene: Scene, other: Scene) -> bool:
    """Whether two scenes show the same kinds in the same colours and setting."""

    def things(each: Scene) -> Counter[tuple[str, str]]:
        return Counter((thing.kind, thing.colour) for thing in each.things)

    return things(scene) == things(other) and scene.setting == other.setting
