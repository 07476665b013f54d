"""What a query names of a reference and its caption leaves out, or calls something else: looked up in the picture."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from langgraph.runtime import Runtime

from imagescope_agent.mllms.role import ImageRef, Request, Role
from imagescope_agent.nodes.chat.language.coverage import Phrase, in_order, phrases
from imagescope_agent.nodes.chat.language.grounding import NUMBERS
from imagescope_agent.nodes.chat.language.places import PREPOSITION
from imagescope_agent.nodes.chat.language.vocabulary import CAPTIONS, Vocabulary, vocabulary_of
from imagescope_agent.nodes.image_refs import reference_ref
from imagescope_agent.nodes.intent.drift import FUNCTION, content_words, is_english
from imagescope_agent.nodes.intent.said_references import said_references
from imagescope_agent.nodes.intent.understand import Describe, numbered, unknown_reference
from imagescope_agent.nodes.model_calls import on_budget
from imagescope_agent.nodes.verify import CHOICES
from imagescope_agent.prompting import load_prompt
from imagescope_agent.records import NoteDict, NoteKind, at_step, note
from imagescope_agent.retrieval.images import ImageProblem
from imagescope_agent.retrieval.protocols import Collection
from imagescope_agent.settings import Settings, current
from imagescope_agent.state import State, references_of
from imagescope_agent.usage import StepUsage, spent

PROPERTIES = 16  # words that may be said of a thing, the most frequent of the captions
SEEN = 0.1  # probability of Yes that is enough, since the words say that the thing is there
ABSENT = 0.005  # below it nothing more is asked: a thing that was hard to see had twice as much
UNREAD = 0.5  # what a reply that nobody can read counts as
MOST = 4  # things that are looked up for a query


class LookCloser(Describe):
    """Captions the references, and asks what their pictures show of things that the query names and no caption does.

    A caption of a crowded picture may pass a thing over, or take a tree for a heart; then "the tree of image 2" tells
    the reader nothing, and it takes another thing in its place. So the verifier is asked whether the thing is there,
    and if it may be, once for each word that stands before it in captions of the collection: "Is there a blue tree?".
    What it sees is added to the caption. Of one reference only what the words treat as known ("the tree") is looked up,
    since "a tree" is to be added. Words come from captions, so a collection without any has nothing looked up.

    Args:
        captioner: captions what the collection has no caption of.
        collection: holds the references and the captions.
        verifier: is asked what the pictures show.
    """

    unknown = staticmethod(unknown_reference)  # the fallback

    def __init__(self, captioner: Role, collection: Collection, verifier: Role) -> None:
        super().__init__(captioner, collection)
        self.verifier = verifier
        self.question = load_prompt("verify", prompt_set=verifier.prompt_set)

    async def __call__(self, state: State, runtime: Runtime[Settings], again: str = "") -> dict[str, Any]:
        """As `Describe`, with a note on each thing that was looked up: as what it is seen, or that it is not.

        Raises:
            UnreadableReply, BudgetSpent: as `Describe`.
        """
        update = await super().__call__(state, runtime, again)
        if not (references := references_of(state)):
            return update
        captions = list(update.get("reference_captions") or [update["reference_caption"]])
        words = vocabulary_of(self.collection)
        notes, usage = list(update.get("notes", [])), list(update.get("usage", []))
        wanted = [*unseen_things(state["query"], captions, words)]
        known: dict[tuple[str, str], str] = {}
        for thing, number in wanted[:MOST]:
            so_far: State = {**state, "usage": [*state.get("usage", []), *usage]}
            verifier = on_budget(self.verifier, so_far, current(runtime))
            looked_at = thing, references[number - 1]
            if looked_at not in known:
                answers, told, cost = await self._look(*looked_at, verifier)
                seen = known[looked_at] = as_seen(thing, answers, words)
                notes += [*told, *([_looked_up(self.step, thing, number, seen)] if answers else [])]
                usage += cost
            if known[looked_at]:
                captions[number - 1] = (
                    f"{captions[number - 1].rstrip('. ')}. There is also {known[looked_at]}."
                )
        if left := ", ".join(repr(thing) for thing, _ in wanted[MOST:]):
            notes.append(
                note(self.step, "skipped", f"{left}: not looked up, since {MOST} things were before")
            )
        every = captions if len(captions) > 1 else []
        return {
            **update,
            **({"reference_captions": every} if every else {}),
            "reference_caption": numbered(every, "; ") if every else captions[0],
            "notes": notes,
            "usage": usage,
        }

    async def _look(
        self, thing: str, reference: str, verifier: Role
    ) -> tuple[dict[str, float], list[NoteDict], list[StepUsage]]:
        """P(Yes) of the thing, as "", and with each word that may be said of it; notes; the cost."""
        try:
            picture = await reference_ref(reference, self.collection)
        except ImageProblem as problem:
            return {}, [note(self.step, "skipped", str(problem))], []
        answers, notes, cost = await self._ask([""], thing, picture, verifier)
        if answers.get("", 0.0) < ABSENT:
            return answers, notes, cost
        images = self.collection
        said = words_before(thing, [images.caption(name) for name in images.ids[:CAPTIONS]])
        more, told, further = await self._ask(said, thing, picture, verifier)
        return {**answers, **more}, [*notes, *(each for each in told if each not in notes)], [*cost, *further]

    async def _ask(
        self, said: Sequence[str], thing: str, picture: ImageRef, verifier: Role
    ) -> tuple[dict[str, float], list[NoteDict], list[StepUsage]]:
        """P(Yes) of the thing with each of these words before it, none where not all are answered; notes; the cost."""
        there = "Are there" if thing.endswith("s") and not thing.endswith("ss") else "Is there"
        named = [Phrase(properties=[each] if each else [], head=thing).text for each in said]
        asked = [
            Request(text=self.question.fill(question=f"{there} {each}?"), images=(picture,)) for each in named
        ]
        choice = await verifier.choose_some(asked, CHOICES, [len(asked)])
        rows = choice.probabilities
        answers = {
            word: float(row[0])
            for place, (word, row) in enumerate(zip(said, rows, strict=False))
            if place not in choice.refused and float(row[0]) != UNREAD
        }
        notes, cost = at_step(self.step, choice.notes), [spent(self.step, verifier.name, choice.usage)]
        if len(answers) == len(said):
            return answers, notes, cost
        kind: NoteKind = "refused" if choice.refused else "budget" if len(rows) < len(said) else "unreadable"
        why = next(iter(choice.refused.values()), "not every question was answered")
        told = note(self.step, kind, f"{thing!r} was not looked up in its reference: {why}")
        return {}, [*notes, told], cost


def unseen_things(query: str, captions: Sequence[str], words: Vocabulary) -> Iterator[tuple[str, int]]:
    """The things that an English query names of references and their captions do not, each with a reference's number.

    A thing whose reference the words do not tell is looked for in all, where no caption has it.
    """
    known = [content_words(each) for each in captions]
    named = [
        each for each in phrases(query, words) if each.head and not each.place and words.is_head(each.head)
    ]
    things = list(dict.fromkeys(each.head for each in named if each.definite or len(captions) > 1))
    said = said_references(query, things, len(captions))
    for thing in things if is_english(query) else ():
        stem = content_words(thing)
        if thing not in said and any(stem <= each for each in known):
            continue
        numbers = [said[thing]] if thing in said else range(1, len(captions) + 1)
        yield from ((thing, number) for number in numbers if not stem <= known[number - 1])


def words_before(thing: str, captions: Sequence[str]) -> list[str]:
    """The words that stand before a thing in captions, the most frequent first, at most `PROPERTIES`."""
    counts, stem = Counter[str](), content_words(thing)
    for caption in captions:
        for line in re.split(r"[.,;:!?()\n]", caption.lower()):
            run: list[str] = []
            for word in re.findall(r"[\w'-]+", line):
                if content_words(word) == stem:
                    counts.update(run)
                    run.clear()
                elif word in FUNCTION or word in PREPOSITION or word in NUMBERS:
                    run.clear()
                else:
                    run.append(word)
    return [word for word, _ in counts.most_common(PROPERTIES)]


def as_seen(thing: str, answers: Mapping[str, float], words: Vocabulary) -> str:
    """A thing with the words that are true of it: "a small blue tree"; "" where it is not seen.

    Of words that exclude each other, as no caption has both of one thing, the most probable is true.

    Args:
        thing: that the words say is there.
        answers: P(Yes) of the thing, as "", and with each word before it.
        words: of the collection.
    """
    if max(answers.values(), default=0.0) < SEEN:
        return ""
    true = list[str]()
    for word in sorted(filter(None, answers), key=lambda each: -answers[each]):
        if answers[word] >= SEEN and all(words.go_together(word, other) for other in true):
            true.append(word)
    return Phrase(properties=in_order(true, words), head=thing).text


def _looked_up(step: str, thing: str, number: int, seen: str) -> NoteDict:
    if seen:
        return note(
            step, "repaired", f"{thing!r} is not in the caption of reference {number}; {seen} is seen there"
        )
    return note(
        step, "unchecked", f"{thing!r} is neither in the caption of reference {number} nor seen there"
    )
