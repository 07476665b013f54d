"""Propose: the model picks the neighbour that few changes lead to, and writes those changes as a user would."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

from langgraph.runtime import Runtime

from imagescope_agent.judges.position_debiasing import LABELS, labelled
from imagescope_agent.mllms.role import ImageRef, Role
from imagescope_agent.nodes.image_refs import candidate_refs
from imagescope_agent.nodes.model_calls import ask_one, on_budget
from imagescope_agent.nodes.triplets.wording import names_several
from imagescope_agent.prompting import load_prompt
from imagescope_agent.records import NoteDict, at_step
from imagescope_agent.replies.parsing import EditAnswer, parse_edit
from imagescope_agent.retrieval.protocols import Collection
from imagescope_agent.run_budget import require_call
from imagescope_agent.settings import Settings, current
from imagescope_agent.state import State
from imagescope_agent.usage import spent

ANY_OPENING = "any words"
#: How the words may begin; drawn by seed, so that a model that decodes greedily varies them all the same.
OPENINGS = (
    ANY_OPENING,
    "please",
    "now",
    "the same,",
    "the same scene,",
    "the same but",
    "like this,",
    "like this but",
    "keep",
    "just",
    "another picture of",
)


class Propose:
    """One call of the editor: the reference and its neighbours under labels, as pictures.

    A prompt with `$described` is given the index's captions instead, for a model that writes better about words.
    """

    step = "propose"

    def __init__(self, editor: Role, collection: Collection) -> None:
        self.editor, self.role, self.collection = editor, editor.name, collection
        self.prompt = load_prompt("edit", prompt_set=editor.prompt_set)
        self.in_words = self.prompt.uses("described")

    async def __call__(self, state: State, runtime: Runtime[Settings], again: str = "") -> dict[str, Any]:
        """Return `proposal` and, as query and ranking, its words and target; `dropped` where no clear edit is told.

        Raises:
            UnreadableReply: the reply is not the JSON object asked for.
            BudgetSpent: the editor may not be asked.
        """
        require_call(state, settings := current(runtime))
        names = [name for name in (state["reference"], *state["shown"]) if name is not None]
        in_words = self.in_words
        images, notes = ({}, []) if in_words else await candidate_refs(names, self.collection, step=self.step)
        shown = [name for name in names[1:] if in_words or name in images]
        if not shown or not (in_words or names[0] in images):
            return {"dropped": "gone", "notes": notes}
        labels = LABELS[: len(shown)]
        opening = Random(f"opening {settings.seed}-{state['pair']}").choice(OPENINGS)
        captions = {label: self._caption(name) for label, name in zip(labels, shown, strict=True)}
        values = {"described": described(self._caption(names[0]), captions)}
        text = self.prompt.fill(labels=", ".join(labels), opening=opening, **values)
        pictures = () if in_words else tuple(images[name] for name in (names[0], *shown))
        return await self._ask(state, settings, text, pictures, shown, notes, again)

    async def _ask(
        self,
        state: State,
        settings: Settings,
        text: str,
        pictures: tuple[ImageRef, ...],
        shown: Sequence[str],
        notes: list[NoteDict],
        again: str,
    ) -> dict[str, Any]:
        labels = LABELS[: len(shown)]
        answer, reply = await ask_one(
            on_budget(self.editor, state, settings),
            text,
            lambda reply: parse_edit(reply, labels),
            images=pictures,
            labels=labelled(labels) if pictures else (),
            schema=EditAnswer,
            again=again,
        )
        update = {
            "notes": [*notes, *at_step(self.step, reply.notes)],
            "usage": [spent(self.step, self.role, reply.usage)],
        }
        if answer is None:
            return {"dropped": "unreachable", **update}
        target = shown[labels.index(answer.target)]
        proposal = {"target": target, "type": answer.type, "text": answer.text}
        unclear = names_several(answer.text or "", state["reference_caption"])
        dropped = "names several" if unclear else ""
        return {
            "proposal": proposal,
            "query": answer.text,
            "ranking_retrieve": [target],
            "dropped": dropped,
            **update,
        }

    def _caption(self, name: str) -> str:
        return self.collection.caption(name) or "an image"


def described(reference: str, captions: Mapping[str, str]) -> str:
    """The captions of the reference and of the neighbours by label, one a line."""
    return "\n".join([f"Reference: {reference}", *(f"{label}: {text}" for label, text in captions.items())])


def no_proposal(state: State) -> dict[str, Any]:
    """Fallback: the pair is dropped."""
    return {"dropped": "unreadable"}
