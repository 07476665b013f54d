"""Queries about several reference scenes, with what each takes from which of them: material to learn reading from.

A query is a row of clauses; each is one wording of what is taken from a reference, or of what no reference shows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from random import Random

from imagescope_agent.lab.scenes.conditions import Absent, Condition, Exists, InSetting, Pattern
from imagescope_agent.lab.scenes.language import join, reworded, with_article
from imagescope_agent.lab.scenes.references.wording import PlainReferences
from imagescope_agent.lab.scenes.world import COLOURS, KINDS, SETTINGS, Scene, Thing, random_scene


@dataclass(frozen=True, kw_only=True)
class Take:
    """One atomic instruction: its type and condition, the number of its reference (0 for none), and of what it is said.

    `source` is the reference (from 0) and the index of the thing that decides about it; None where no thing does.
    """

    type: str
    condition: Condition
    image: int = 0
    source: tuple[int, int] | None = None


@dataclass(frozen=True, kw_only=True)
class SeveralQuery:
    """A query about several references.

    Attributes:
        text: names references by number or as the first, second, ...
        references: scenes in the order of their numbers.
        takes: atomic instructions, in the order of the words; one kept whole is read from left to right.
        phrases: for a thing (reference, index) the words of the text that are about it.
        shown: the patterns of things that the wanted image shows, each once.
        setting: of the wanted image, if the query says one.
    """

    text: str
    references: tuple[Scene, ...]
    takes: tuple[Take, ...]
    phrases: dict[tuple[int, int], str]
    shown: tuple[Pattern, ...]
    setting: str | None


@dataclass(kw_only=True)
class _Draft:
    """A query while its clauses are drawn; `name` words a reference by its index."""

    references: tuple[Scene, ...]
    names: tuple[str, ...]
    rng: Random
    words: PlainReferences
    clauses: list[str] = field(default_factory=list)
    tail: list[str] = field(default_factory=list)
    takes: list[Take] = field(default_factory=list)
    phrases: dict[tuple[int, int], str] = field(default_factory=dict)
    shown: list[Pattern] = field(default_factory=list)
    setting: str | None = None

    def say(self, clause: str, *things: tuple[int, int], tail: bool = False) -> None:
        (self.tail if tail else self.clauses).append(clause)
        self.phrases |= dict.fromkeys(things, clause)

    def single(self, reference: int) -> int | None:
        """Index of a thing, that nothing was said of, of a kind that the reference has once."""
        kinds = [thing.kind for thing in self.references[reference].things]
        fit = [
            i for i, kind in enumerate(kinds) if kinds.count(kind) == 1 and (reference, i) not in self.phrases
        ]
        return self.rng.choice(fit) if fit else None

    def noun(self, reference: int, index: int) -> str:
        thing = self.references[reference].things[index]
        named = Pattern(thing.kind, thing.colour if self.rng.random() < 0.12 else None)
        return self.words.noun(reworded(named, self.rng))

    def of(self, nouns: str, reference: int) -> str:
        """The nouns with the name of their reference."""
        return self.words.of(nouns, self.names[reference])


def several_query(
    rng: Random, wording: Callable[[Random], PlainReferences] = PlainReferences
) -> SeveralQuery:
    """A random query about several references, in the words of `wording`."""
    while True:
        words = wording(rng)
        count = rng.choices(words.counts[0], weights=words.counts[1])[0]
        references = tuple(random_scene(rng, count=rng.choice((1, 2, 2, 3, 3, 4, 5))) for _ in range(count))
        draft = _Draft(references=references, names=words.names(references), rng=rng, words=words)
        order = rng.sample(range(count), count) if rng.random() < 0.35 else list(range(count))
        if rng.random() < 0.04:
            order.pop()  # a reference that the text never names
        made = _whole(draft, order) if rng.random() < 0.15 else _parts(draft, order)
        if made and _consistent(draft):
            return _query(draft)


def _parts(draft: _Draft, order: Sequence[int]) -> bool:
    """Things, colours, sizes and at most one setting of the references; whether there was something for each."""
    rng, left = draft.rng, list(order)
    while left:
        choice, more = rng.random(), len(left) > 1
        if len(left) == 1 and draft.setting is None and choice < 0.3 and draft.clauses:
            made = _place(draft, left.pop(0))
        elif more and choice < 0.45:
            made = _changed(draft, left.pop(0), left.pop(0))
        elif choice < 0.5:
            made = _changed(draft, None, left.pop(0))
        elif more and choice < 0.6 and draft.words.pairs:
            made = _pair(draft, left.pop(0), left.pop(0))
        elif more and choice < 0.72 and draft.words.pairs and draft.setting is None:
            made = _placed(draft, left.pop(0), left.pop(0))
        else:
            made = _things(draft, left.pop(0))
        if not made:
            return False
    _said(draft)
    return True


def _things(draft: _Draft, reference: int) -> bool:
    rng, chosen = draft.rng, list[int]()
    for _ in range(2 if rng.random() < 0.15 else 1):
        index = draft.single(reference)
        if index is not None and index not in chosen:
            chosen.append(index)
    if not chosen:
        return False
    nouns = join([draft.noun(reference, index) for index in chosen])
    clause = draft.words.things(nouns, draft.names[reference], len(draft.clauses))
    for index in chosen:
        thing = draft.references[reference].things[index]
        _keep(draft, Pattern(thing.kind, thing.colour), reference, index)
    draft.say(clause, *((reference, index) for index in chosen))
    return True


def _pair(draft: _Draft, one: int, other: int) -> bool:
    """A thing of each of two references, said in one sentence about both."""
    found = draft.single(one), draft.single(other)
    if found[0] is None or found[1] is None:
        return False
    both = ((one, found[0]), (other, found[1]))
    for reference, index in both:
        thing = draft.references[reference].things[index]
        _keep(draft, Pattern(thing.kind, thing.colour), reference, index)
    (a, b), (c, d) = ((draft.noun(*each), draft.names[each[0]]) for each in both)
    draft.say(draft.words.pair(a, b, c, d), *both)
    return True


def _placed(draft: _Draft, of: int, where: int) -> bool:
    """A thing of one reference in the place of another, said in one sentence about both."""
    if (index := draft.single(of)) is None:
        return False
    thing, draft.setting = draft.references[of].things[index], draft.references[where].setting
    _keep(draft, Pattern(thing.kind, thing.colour), of, index)
    draft.takes.append(Take(type="Retention", condition=InSetting(draft.setting), image=where + 1))
    said = draft.words.placed(draft.noun(of, index), draft.names[of], draft.names[where])
    draft.say(said, (of, index))
    return True


def _keep(draft: _Draft, pattern: Pattern, reference: int, index: int) -> None:
    take = Take(type="Retention", condition=Exists(pattern), image=reference + 1, source=(reference, index))
    draft.takes.append(take)
    draft.shown.append(pattern)


def _place(draft: _Draft, reference: int) -> bool:
    draft.setting = draft.references[reference].setting
    draft.takes.append(Take(type="Retention", condition=InSetting(draft.setting), image=reference + 1))
    draft.say(draft.words.place(draft.names[reference]), tail=True)
    return True


def _changed(draft: _Draft, reference: int | None, model: int) -> bool:
    """A thing, of a reference or of none, in the colour or size of a thing of another reference."""
    rng = draft.rng
    of, like = None if reference is None else draft.single(reference), draft.single(model)
    if like is None or (reference is not None and of is None):
        return False
    other, sized = draft.references[model].things[like], rng.random() < 0.1
    if reference is None or of is None:
        thing = Thing(kind=rng.choice(KINDS), colour=rng.choice(COLOURS), size="small")
        noun, what = with_article(thing.kind), Pattern(thing.kind)
        sized = False
    else:
        thing = draft.references[reference].things[of]
        noun, what = draft.of(draft.noun(reference, of), reference), Pattern(thing.kind)
    if thing.kind == other.kind and rng.random() < 0.8:
        return False
    target = Pattern(thing.kind, thing.colour, other.size) if sized else Pattern(thing.kind, other.colour)
    if reference is not None and of is not None:
        kept = replace(what, colour=thing.colour) if sized else what
        draft.takes.append(
            Take(type="Retention", condition=Exists(kept), image=reference + 1, source=(reference, of))
        )
    kind = "Modification" if reference is not None else "Addition"
    draft.takes.append(Take(type=kind, condition=Exists(target), image=model + 1, source=(model, like)))
    draft.shown.append(target)
    form = draft.words.sized() if sized else draft.words.painted()
    clause = form.format(noun, draft.of(draft.noun(model, like), model))
    if of is not None and reference is not None and not sized:
        nouns = draft.noun(reference, of), draft.names[reference], draft.noun(model, like), draft.names[model]
        clause = draft.words.recoloured(*nouns) or clause
    draft.say(clause, (model, like), *([(reference, of)] if reference is not None and of is not None else []))
    return True


def _said(draft: _Draft) -> None:
    """What no reference shows: a setting, a further thing, something that must not be there."""
    rng = draft.rng
    if draft.setting is None and rng.random() < 0.35:
        draft.setting = rng.choice(SETTINGS)
        draft.takes.append(Take(type="Addition", condition=InSetting(draft.setting)))
        draft.say(draft.words.setting(draft.setting), tail=True)
    if rng.random() < 0.15:
        colour, size = rng.choice(COLOURS), rng.choice((None, None, "small", "large"))
        pattern = Pattern(rng.choice(KINDS), colour, size)
        draft.takes.append(Take(type="Addition", condition=Exists(pattern)))
        draft.shown.append(pattern)
        phrase = with_article(reworded(pattern, rng))
        draft.say(draft.words.besides(phrase), tail=True)
    if rng.random() < 0.12:
        kind = rng.choice([kind for kind in KINDS if all(kind != each.kind for each in draft.shown)])
        pattern = Pattern(kind, rng.choice((None, rng.choice(COLOURS))))
        draft.takes.append(Take(type="Removal", condition=Absent(pattern)))
        draft.say(draft.words.without(reworded(pattern, rng)), tail=True)


def _whole(draft: _Draft, order: Sequence[int]) -> bool:
    """One reference as it is, perhaps without a thing or in another place, with something of each of the others."""
    rng, (base, *others) = draft.rng, order
    scene = draft.references[base]
    if not others or len({(t.kind, t.colour) for t in scene.things}) < len(scene.things):
        return False
    gone = draft.single(base) if len(scene.things) > 1 and rng.random() < 0.4 else None
    for index, thing in enumerate(scene.things):
        if index != gone:
            _keep(draft, Pattern(thing.kind, thing.colour), base, index)
            continue
        removed = Absent(Pattern(thing.kind, thing.colour))
        draft.takes.append(Take(type="Removal", condition=removed, image=base + 1, source=(base, index)))
    moved = others.pop() if rng.random() < 0.3 else None
    clause = draft.words.whole(draft.names[base])
    if gone is not None:
        bare = draft.noun(base, gone)
        clause += draft.words.gone(bare)
    draft.say(clause)
    draft.phrases |= {(base, index): clause for index in range(len(scene.things))}
    if moved is None:
        draft.setting = scene.setting
        draft.takes.append(Take(type="Retention", condition=InSetting(scene.setting), image=base + 1))
    for other in others:
        if not _things(draft, other):
            return False
        added = draft.words.besides(draft.clauses.pop(), whole=True)
        draft.say(added, *(place for place in draft.phrases if place[0] == other), tail=True)
    return _place(draft, moved) if moved is not None else True


def _consistent(draft: _Draft) -> bool:
    """Whether nothing is wanted twice, or both wanted and excluded."""
    excluded = [each.condition.pattern for each in draft.takes if isinstance(each.condition, Absent)]
    things = [Thing(kind=p.kind or "", colour=p.colour or "", size=p.size or "") for p in draft.shown]
    return len(set(draft.shown)) == len(things) and not any(
        pattern.matches(thing) for pattern in excluded for thing in things
    )


def _query(draft: _Draft) -> SeveralQuery:
    text = draft.words.sentence(draft.words.joined(draft.clauses), draft.clauses)
    for clause in draft.tail:
        text = draft.words.added(text, clause)
    text = draft.words.finished(text)
    return SeveralQuery(
        text=text,
        references=draft.references,
        takes=tuple(draft.takes),
        phrases={place: _as_said(clause, text) for place, clause in draft.phrases.items()},
        shown=tuple(draft.shown),
        setting=draft.setting,
    )


def _as_said(clause: str, text: str) -> str:
    """The clause as the finished text has it: perhaps with a capital, or without its last mark."""
    clause = clause.rstrip(".?!")
    start = text.lower().index(clause.lower())
    return text[start : start + len(clause)]
