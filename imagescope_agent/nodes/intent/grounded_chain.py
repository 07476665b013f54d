"""What a chain of thought concludes, without properties of things that nothing it was made of gives them.

The ground is the query, the chain's steps, and its own caption of the reference, of which a thing that a step changes
or removes lends nothing, and one that stays lends its properties once: of two boats, where the caption has one small
one, the second has no size. A single thing that is changed in place keeps the rest of what it has. What is said of a
thing that nothing else names is left alone: it may be the same in other words; so is what was said of another thing
that the conclusion names no more ("a woman with blond hair", "a blond woman").
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from imagescope_agent.nodes.chat.language.grounding import NUMBERS
from imagescope_agent.nodes.chat.language.places import PREPOSITION
from imagescope_agent.nodes.intent.drift import FUNCTION, content_words, is_english
from imagescope_agent.records import NoteDict, note
from imagescope_agent.replies.chains import Chain, steps_of
from imagescope_agent.state import Instruction

_WORD = re.compile(r"[^\W\d_]+(?:[-'\u2019][^\W\d_]+)*")
_FORM = frozenset([*NUMBERS, "exactly"])  # say how many there are, and not which
_KEEPS, _REMOVES, _ADDS = "Retention", "Removal", "Addition"
_CHANGES = frozenset(["Modification", "Comparison"])
#: Stems that say the same of a thing; each is read as the first of its line.
_ALIKE = {
    other: same
    for same, others in (
        ("smal", "tiny litt"), ("larg", "big bigg huge"), ("grey", "gray"),
        ("red", "crim scar"), ("blue", "navy azur"),
    )
    for other in others.split()
}  # fmt: skip


@dataclass(frozen=True)
class _Thing:
    """A run of words that name something, as "small red boat": where each is, and their stems; the last is its name."""

    spans: tuple[tuple[int, int], ...]
    stems: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.stems[-1]


def grounded(chain: Mapping[str, str], said: Sequence[str]) -> tuple[dict[str, str], list[NoteDict]]:
    """A chain whose conclusion claims no more than its ground, and a note on the words that were left out.

    Args:
        chain: its plain values as they were written; {} for none.
        said: the user's words; where they are in another language the chain stays as it is.
    """
    if not chain or not all(map(is_english, said)):
        return dict(chain), []
    whole = Chain(**chain)
    if not content_words(" ".join(said)) & content_words(f"{whole.reasoning} {whole.conclusion}"):
        return dict(chain), []  # "coche rojo" has no word that tells its language
    spans = _ungrounded(whole, said)
    if not spans:
        return dict(chain), []
    words = ", ".join(repr(whole.conclusion[start:end]) for start, end in spans)
    detail = f"{words}: neither query, steps nor reference say so; left out of what is looked for"
    shorter = replace(whole, conclusion=_without(whole.conclusion, spans))
    return shorter.to_dict(), [note("reason", "repaired", detail)]


def _ungrounded(chain: Chain, said: Sequence[str]) -> list[tuple[int, int]]:
    """Where in a chain's conclusion the properties stand that nothing gives their things."""
    steps, shown, wanted = steps_of(chain), [*_things(chain.caption)], [*_things(chain.conclusion)]
    told = [each for text in (*said, *(step["text"] for step in steps)) for each in _things(text)]
    lent = [each for each in shown if _stays(each, steps)]
    known = {each.name for each in (*told, *shown)}
    gone = {each.name for step in steps if step["type"] == _REMOVES for each in _things(step["text"])}
    unnamed = known.difference(gone, (each.name for each in wanted))
    moved = {stem for each in told if each.name in unnamed for stem in each.stems}
    left: list[tuple[int, int]] = []
    for thing in wanted:
        if thing.name not in known:
            continue
        ground = moved | {stem for each in told if _covers(thing, each) for stem in each.stems}
        owners = [each for each in lent if each.name == thing.name and _covers(thing, each)]
        if owners:
            owner = max(owners, key=lambda each: len(each.stems))
            lent.remove(owner)
            ground |= {*owner.stems}
        elif before := _changed_in_place(thing, wanted, shown, steps, told):
            ground |= {*before.stems}
        pairs = zip(thing.spans[:-1], thing.stems, strict=False)
        left += [span for span, stem in pairs if stem not in ground]
    return left


def _changed_in_place(
    thing: _Thing,
    wanted: Sequence[_Thing],
    shown: Sequence[_Thing],
    steps: Sequence[Instruction],
    told: Sequence[_Thing],
) -> _Thing | None:
    """The thing of the reference that a single one of its name was before; None where there are several, or others."""
    before = [each for each in shown if each.name == thing.name]
    if len(before) != 1 or sum(each.name == thing.name for each in wanted) != 1:
        return None
    both = {*before[0].stems, *thing.stems}
    if any(not both.issuperset(each.stems) for each in told if thing.name in each.stems):
        return None  # what is asked for is neither as it was nor as it is concluded
    kinds = {step["type"] for step in steps if any(each.name == thing.name for each in _things(step["text"]))}
    replaced = _ADDS in kinds or (_REMOVES in kinds and not kinds & _CHANGES)
    return None if replaced or {*before[0].stems} <= {*thing.stems} else before[0]


def _covers(thing: _Thing, other: _Thing) -> bool:
    """Whether all that is said of the other is said of the thing, too."""
    return {*other.stems} <= {*thing.stems}


def _stays(thing: _Thing, steps: Sequence[Instruction]) -> bool:
    """Whether a thing of the reference keeps what it has: a step says so, or none takes it away or changes it."""
    about = [
        (step["type"], each) for step in steps for each in _things(step["text"]) if each.name == thing.name
    ]
    if any(kind == _KEEPS and _covers(thing, each) for kind, each in about):
        return True
    removed = any(kind == _REMOVES and _covers(thing, each) for kind, each in about)
    # "a large purple boat" of "a small purple boat"
    changed = any(not _covers(thing, each) and len({*each.stems} & {*thing.stems}) > 1 for _, each in about)
    return not removed and not changed


def _things(text: str) -> Iterator[_Thing]:
    """The runs of words that name something, without numbers."""
    run: list[tuple[tuple[int, int], str]] = []
    end = 0
    for found in [*_WORD.finditer(text.lower()), None]:
        word = found[0] if found else ""
        inside = word and word not in FUNCTION | PREPOSITION | _FORM and _stem(word)
        if run and (not inside or found is None or text[end : found.start()].strip()):
            yield _Thing(tuple(span for span, _ in run), tuple(stem for _, stem in run))
            run = []
        if found and inside:
            run.append((found.span(), inside))
        end = found.end() if found else end


def _stem(word: str) -> str:
    """Of a word, or of the last part of one with hyphens ("t-shirt"); "" where it names nothing that is seen."""
    stems = [stem for part in re.split(r"[-'\u2019]", word) for stem in content_words(part)]
    return _ALIKE.get(stems[-1], stems[-1]) if stems else ""


def _without(text: str, spans: Sequence[tuple[int, int]]) -> str:
    """The text without some of its words, and with the articles that the others need."""
    for start, end in sorted(spans, reverse=True):
        rest = text[end:].lstrip()
        before = text[:start]
        if article := re.search(r"\b[Aa]n?\s+$", before):
            new = ("an" if rest[:1].lower() in "aeiou" else "a") + " "
            before = before[: article.start()] + (new.capitalize() if article[0][0] == "A" else new)
        text = before + rest
    return text
