"""Verify an edit: what its words ask for holds of the target as a whole, and not of the reference as it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from langgraph.runtime import Runtime

from imagescope_agent.errors import RequestRefused
from imagescope_agent.nodes.verify import Verify, satisfies
from imagescope_agent.records import NoteDict, note
from imagescope_agent.settings import Settings
from imagescope_agent.state import State, Verdicts

EVEN = 0.5


class VerifyEdit(Verify):
    """The questions that the words lead to, about the target, then the reference, then the other neighbours.

    The first image whose answers speak against the edit ends it, so that most wrong edits cost the questions about one;
    so does one about which a question is not answered. An even answer speaks against the edit, about any image.
    A neighbour that satisfies every question as well is no distractor: it is left out of `shown` and `others`.
    """

    def depth(self, state: State, settings: Settings) -> int:
        """Every image that is given."""
        return len(state["ranking_retrieve"])

    def require_answers(
        self, unverified: Mapping[str, str], asked: Iterable[str], failed: frozenset[str]
    ) -> None:
        """Refused neighbours end nothing; what may be answered at another time is asked again."""
        if failed:
            super().require_answers(unverified, asked, failed)

    async def __call__(self, state: State, runtime: Runtime[Settings]) -> dict[str, Any]:
        """Return `evidence`, the distractors that remain, and `dropped` where the answers speak against the edit."""
        proposal, reference, wanted = state["proposal"], state["reference"], len(state["predicates"])
        assert proposal is not None and reference is not None
        target = proposal["target"]
        rest = [name for name in (*state["shown"], *state["others"]) if name != target]
        told: dict[str, Any] = {"verdicts": {}, "notes": [], "usage": []}
        if not wanted:
            return {**told, "dropped": "unverified"}
        matches = await self._matches([target], state, runtime, told)
        if matches.get(target) == wanted:
            matches |= await self._matches([reference], state, runtime, told, even=True)
        evidence = {"checks": wanted, "target": matches.get(target), "reference": matches.get(reference)}
        if dropped := _against(matches, target, reference, wanted):
            return {**told, "evidence": evidence, "dropped": dropped}
        fits = await self._matches(rest, state, runtime, told, even=True)
        fitting = [name for name in rest if fits.get(name) == wanted]
        return {
            **told,
            "evidence": {**evidence, "fitting": fitting},
            "shown": [name for name in state["shown"] if name not in fitting],
            "others": [name for name in state["others"] if name not in fitting],
        }

    async def _matches(
        self,
        names: list[str],
        state: State,
        runtime: Runtime[Settings],
        told: dict[str, Any],
        *,
        even: bool = False,
    ) -> dict[str, int]:
        """How many questions each image satisfies, of those with all answers; what it cost is added to what is told.

        Args:
            names: the images.
            state: has the questions.
            runtime: of the graph.
            told: the update.
            even: whether an even answer satisfies.
        """
        so_far: State = {
            **state,
            "ranking_retrieve": names,
            "usage": [*state.get("usage", []), *told["usage"]],
            "unverified": {},
        }
        try:
            found = await super().__call__(so_far, runtime)
        except RequestRefused as error:
            told["notes"].append(note(self.step, "refused", str(error)))
            return {}
        verdicts: Verdicts = found["verdicts"]
        notes = [each for each in found["notes"] if not even or each["kind"] != "tie"]
        told["notes"] += [*notes, *(_even(verdicts) if even else [])]
        told["usage"] += found["usage"]
        told["verdicts"] |= verdicts
        asked = state["predicates"]
        return {
            name: sum(satisfies(each, one) or (even and each[one["question"]] == EVEN) for one in asked)
            for name, each in verdicts.items()
            if all(one["question"] in each for one in asked)
        }


def _even(verdicts: Verdicts) -> list[NoteDict]:
    """A note where answers are exactly even; none where they are not."""
    count = sum(yes == EVEN for answers in verdicts.values() for yes in answers.values())
    detail = f"{count} verdicts about other images are exactly even and count as matching"
    return [note(VerifyEdit.step, "tie", detail)] if count else []


def _against(matches: dict[str, int], target: str, reference: str, wanted: int) -> str:
    """Why the triplet is dropped; "" where nothing speaks against it."""
    if target not in matches:
        return "unverified"
    if matches[target] < wanted:
        return "denied on the target"
    if reference not in matches:
        return "unverified"
    return "describes the reference" if matches[reference] == wanted else ""
