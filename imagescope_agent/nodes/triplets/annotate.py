"""Annotate: the chain of thought of a triplet, written by a model that sees its target, and why one is dropped."""

from __future__ import annotations

from typing import Any

from langgraph.runtime import Runtime

from imagescope_agent.mllms.role import Role
from imagescope_agent.nodes.image_refs import candidate_refs
from imagescope_agent.nodes.intent.drift import content_words
from imagescope_agent.nodes.model_calls import ask_one, on_budget
from imagescope_agent.nodes.triplets.inputs import TripletInput
from imagescope_agent.prompting import load_prompt, steps_text
from imagescope_agent.records import at_step
from imagescope_agent.replies.chains import Chain
from imagescope_agent.replies.parsing import IntentAnswer, parse_intent
from imagescope_agent.retrieval.protocols import Collection
from imagescope_agent.run_budget import require_call
from imagescope_agent.settings import Settings, current
from imagescope_agent.state import State, new_turn, overwrite
from imagescope_agent.usage import spent, sum_usage

LABELS = ("Reference:", "Target:")


class TakeUp:
    """Begins with a triplet; what is verified of it are its target and its distractors."""

    async def __call__(self, state: TripletInput) -> dict[str, Any]:
        """Return the keys of a turn, empty, and `ranking_retrieve`: the target, then the distractors."""
        target = state["proposal"]["target"]
        return {
            **overwrite(new_turn()),
            "ranking_retrieve": [target, *(name for name in state["others"] if name != target)],
            "evidence": {},
            "dropped": "",
            "triplet": None,
        }


class WriteChain:
    """One call of a model that sees reference, words and target.

    What it says is held against `intent`, which was understood without the target: a thing that neither the reference,
    nor the words, nor that understanding names, is known from the target alone.
    """

    step = "annotate"

    def __init__(self, writer: Role, collection: Collection) -> None:
        self.writer, self.role, self.collection = writer, writer.name, collection
        self.prompt = load_prompt("annotate", prompt_set=writer.prompt_set)

    async def __call__(self, state: State, runtime: Runtime[Settings], again: str = "") -> dict[str, Any]:
        """Return `intent`, and `dropped` where an image is gone or the chain leaks.

        Raises:
            UnreadableReply: the reply is not the JSON object asked for.
            BudgetSpent: the model may not be asked.
        """
        require_call(state, settings := current(runtime))
        reference, proposal = state["reference"], state["proposal"]
        assert reference is not None and proposal is not None
        names = [reference, proposal["target"]]
        refs, notes = await candidate_refs(names, self.collection, step=self.step)
        if len(refs) < len(names):
            return {"dropped": "gone", "notes": notes}
        caption = state["reference_caption"]
        intent, reply = await ask_one(
            on_budget(self.writer, state, settings),
            self.prompt.fill(instruction=state["query"], reference=caption),
            parse_intent,
            images=tuple(refs[name] for name in names),
            labels=LABELS,
            schema=IntentAnswer,
            again=again,
        )
        told = " ".join(
            [caption, state["query"], *(str(state["intent"][name]) for name in ("core", "enhanced", "full"))]
        )
        leaked = sorted(content_words(f"{intent['enhanced']} {intent['full']}") - content_words(told))
        return {
            "intent": intent,
            "dropped": "leaks" if leaked else "",
            "evidence": {"leaked": leaked},
            "notes": [*notes, *at_step(self.step, reply.notes)],
            "usage": [spent(self.step, self.role, reply.usage)],
        }


def no_chain_written(state: State) -> dict[str, Any]:
    """Fallback: the triplet has no chain."""
    return {"dropped": "unreadable"}


class KeepChain:
    """Builds the record of a chain, or says why the verifier speaks against it; makes no model call."""

    async def __call__(self, state: State) -> dict[str, Any]:
        """Return `triplet`, plain values; or `dropped`."""
        proposal, intent, matches = state["proposal"], state["intent"], state["matches"]
        assert proposal is not None
        wanted, target = len(state["predicates"]), proposal["target"]
        evidence = {**state["evidence"], "checks": wanted, "target": matches.get(target)}
        if not wanted or target not in matches:
            return {"dropped": "unverified", "evidence": evidence}
        if matches[target] < wanted:
            return {"dropped": "denied on the target", "evidence": evidence}
        fitting = [name for name, count in matches.items() if name != target and count == wanted]
        if fitting:
            return {"dropped": "fits another image", "evidence": {**evidence, "fitting": fitting}}
        chain = Chain(
            caption=state["reference_caption"],
            reasoning=steps_text(intent["steps"]),
            conclusion=intent["full"],
        )
        cost = sum_usage(state["usage"])
        record = {
            "reference": state["reference"],
            "text": state["query"],
            "target": target,
            "distractors": state["others"],
            **chain.to_dict(),
            "evidence": evidence,
            "cost": {"calls": cost.calls, "tokens": cost.tokens},
        }
        return {"triplet": record, "evidence": evidence}
