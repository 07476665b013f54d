"""The one question that should narrow the search most: proposed, surveyed on the likely images, chosen, worded."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

from langgraph.runtime import Runtime
from langgraph.types import interrupt

from imagescope_agent.collection.index import Collection
from imagescope_agent.errors import shorten
from imagescope_agent.ledger import at_step, remaining, require_call, spent
from imagescope_agent.mllms.role import Role
from imagescope_agent.nodes.answer import Answer
from imagescope_agent.nodes.asking import ask_one, on_budget
from imagescope_agent.nodes.verify import Verify, affordable, not_verified
from imagescope_agent.parsing import ProposalAnswer, parse_proposal, parse_question
from imagescope_agent.prompting import load_prompt
from imagescope_agent.settings import Settings, current
from imagescope_agent.state import Predicate, Question, State, Turn, Verdicts

LIKELY = 20  # images that a question is chosen for: those that were verified, so that the answer sorts them at once
DESCRIBED = 8  # images whose captions the reasoner is shown
WORTH = 0.1  # bits below which an answer is not worth a question
DOUBT = 0.1  # a verdict is never believed more than 1 - DOUBT


class Propose:
    """Ask the reasoner what the likely images differ in, when no known question is worth asking."""

    step = "propose"

    def __init__(self, reasoner: Role, collection: Collection, *, prompt_set: str | None = None) -> None:
        self.reasoner, self.role, self.collection = reasoner, reasoner.name, collection
        self.prompt = load_prompt("propose", prompt_set=prompt_set)

    async def __call__(self, state: State, runtime: Runtime[Settings], again: str = "") -> dict[str, Any]:
        """Return `pool`, longer when it had to be.

        Raises:
            UnreadableReply: the reply is not the JSON object asked for.
            BudgetSpent: the reasoner may not be asked.
        """
        settings, best = current(runtime), state["ranking"][:DESCRIBED]
        captions = list(dict.fromkeys(filter(None, (self.collection.caption(name) for name in best))))
        if len(captions) < 2 or not needs_questions(state, settings):
            return {}
        require_call(state, settings)
        known = [*state["asked"], *(predicate["question"] for predicate in state["predicates"])]
        text = self.prompt.fill(
            request=state["request"],
            known="\n".join(dict.fromkeys(known)) or "none",
            captions="\n".join(shorten(caption, 400) for caption in captions),
        )
        reasoner = on_budget(self.reasoner, state, settings)
        found, reply = await ask_one(reasoner, text, parse_proposal, schema=ProposalAnswer, again=again)
        return {
            "pool": list(dict.fromkeys([*state["pool"], *found])),
            "notes": at_step(self.step, reply.notes),
            "usage": [spent(self.step, self.role, reply.usage)],
        }


class Survey(Verify):
    """Ask the verifier what the likely images answer to the proposed questions, where that is not known yet."""

    step = "survey"

    async def __call__(self, state: State, runtime: Runtime[Settings]) -> dict[str, Any]:
        """Return the new `verdicts`; nothing when a question worth asking is known."""
        settings = current(runtime)
        if not needs_questions(state, settings):
            return {}
        known = state.get("verdicts", {})
        wanted = {
            name: [question for question in unasked(state) if question not in known.get(name, {})]
            for name in state["ranking"][:LIKELY]
        }
        chosen, notes = affordable(wanted, remaining(state, settings))
        verifier = on_budget(self.verifier, state, settings)
        found = await self._ask({name: wanted[name] for name in chosen}, verifier)
        notes += not_verified(len(found.refused), len(chosen), self.step)
        return {"verdicts": found.verdicts, "notes": [*notes, *found.notes], "usage": found.usage}


class Choose:
    """Choose the question worth asking, in the words of its predicate; asks nobody."""

    async def __call__(self, state: State, runtime: Runtime[Settings]) -> dict[str, Any]:
        """Return `question`, None when none would help, and `asked` with it."""
        settings = current(runtime)
        chosen = None if settings.clarify == "never" else best_question(state, settings)
        asked = [*state["asked"], chosen["asks"]] if chosen else state["asked"]
        return {"question": chosen, "asked": asked}


class Word:
    """Have the reasoner word the chosen question for the user."""

    step = "ask"

    def __init__(self, reasoner: Role, *, prompt_set: str | None = None) -> None:
        self.reasoner, self.role = reasoner, reasoner.name
        self.prompt = load_prompt("ask", prompt_set=prompt_set)

    async def __call__(self, state: State, runtime: Runtime[Settings], again: str = "") -> dict[str, Any]:
        """Return `question` in other words, where there is one.

        Raises:
            UnreadableReply: the reply is no question.
            BudgetSpent: the reasoner may not be asked.
        """
        chosen = state["question"]
        if chosen is None:
            return {}
        require_call(state, settings := current(runtime))
        text = self.prompt.fill(request=state["request"], question=chosen["asks"])
        reasoner = on_budget(self.reasoner, state, settings)
        worded, reply = await ask_one(reasoner, text, parse_question, again=again)
        return {
            "question": {**chosen, "text": worded},
            "notes": at_step(self.step, reply.notes),
            "usage": [spent(self.step, self.role, reply.usage)],
        }


class AnswerTurn(Answer):
    """The turn's answer, added to the conversation."""

    async def __call__(self, state: State, runtime: Runtime[Settings]) -> dict[str, Any]:
        """Return `ranking`, `results` and `turns` with this one."""
        update = await super().__call__(state, runtime)
        turn: Turn = {
            "message": state["message"],
            "reference": state["anchor"],
            "request": state["request"],
            "results": update["results"],
            "question": state["question"],
            "notes": state["notes"],
            "usage": state["usage"],
        }
        return {**update, "turns": [*state["turns"], turn]}


async def ask(state: State) -> dict[str, Any]:
    """Wait for the user; the next message, an answer or not, begins the next turn."""
    message = interrupt({"question": state["question"]})
    if isinstance(message, str):
        message = {"query": message}
    return {"query": message.get("query", ""), "reference": message.get("reference")}


def unasked(state: State) -> list[str]:
    """The proposed questions that were neither asked nor settled by what is wanted."""
    settled = {*state["asked"], *(predicate["question"] for predicate in state["predicates"])}
    return [question for question in state["pool"] if question not in settled]


def needs_questions(state: State, settings: Settings) -> bool:
    """Whether more questions should be looked for: none that is known is worth asking, and one could be.

    No answer can tell more than what is unknown, the entropy of the belief.
    """
    if settings.clarify == "never" or best_question(state, settings) is not None:
        return False
    belief = beliefs(state["ranking"][:LIKELY], state["predicates"], state.get("verdicts", {}))
    unknown = -sum(part * math.log2(part) for part in belief.values() if part > 0.0)
    return settings.clarify == "random" or unknown >= WORTH


def best_question(state: State, settings: Settings) -> Question | None:
    """The question worth asking: the most informative one, or any surveyed one at random.

    None when no surveyed question is worth it. Equal ones: the one proposed first.
    """
    likely, verdicts = state["ranking"][:LIKELY], state.get("verdicts", {})
    belief = beliefs(likely, state["predicates"], verdicts)
    gains = {question: information(question, belief, verdicts) for question in unasked(state)}
    if settings.clarify == "random":
        surveyed = [
            question for question in gains if any(question in verdicts.get(name, {}) for name in likely)
        ]
        if not surveyed:
            return None
        chosen = Random(f"{settings.seed} {len(state['turns'])}").choice(surveyed)
    else:
        chosen = max(gains, key=lambda question: gains[question], default="")
        if not chosen or gains[chosen] < WORTH:
            return None
    return {"text": chosen, "asks": chosen, "information": gains[chosen]}


def beliefs(ids: Sequence[str], predicates: Sequence[Predicate], verdicts: Verdicts) -> dict[str, float]:
    """How likely each image is the wanted one: by what its verdicts say, then by its rank; they sum to 1."""
    weights = {}
    for rank, name in enumerate(ids, start=1):
        weight = 1.0 / rank
        for predicate in predicates:
            yes = believed(verdicts.get(name, {}).get(predicate["question"], 0.5))
            weight *= yes if predicate["expected"] == "Yes" else 1.0 - yes
        weights[name] = weight
    total = sum(weights.values())
    return {name: weight / total for name, weight in weights.items()}


def information(question: str, belief: Mapping[str, float], verdicts: Verdicts) -> float:
    """Bits that a yes or no to `question` should tell about which image is wanted.

    I(image; answer) = H(sum_i b_i v_i) - sum_i b_i H(v_i), with belief b and P(Yes) v; an image that was not
    asked counts as even, so it tells nothing.
    """
    yes = {name: believed(verdicts.get(name, {}).get(question, 0.5)) for name in belief}
    mean = sum(belief[name] * yes[name] for name in belief)
    return entropy(mean) - sum(belief[name] * entropy(yes[name]) for name in belief)


def entropy(probability: float) -> float:
    """Bits in one answer that is Yes with `probability`."""
    parts = (probability, 1.0 - probability)
    return -sum(part * math.log2(part) for part in parts if part > 0.0)


def believed(probability: float) -> float:
    """A verdict kept away from certainty, so that one wrong one cannot rule an image out."""
    return min(max(probability, DOUBT), 1.0 - DOUBT)
