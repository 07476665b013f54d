"""Explain the order of two images: the last stage that distinguished them, in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from imagescope_agent.errors import BadInput, suggest
from imagescope_agent.records import SAYS_ALL
from imagescope_agent.state import matches_expected
from imagescope_agent.traces.pairwise import comparisons
from imagescope_agent.traces.trace import Trace

BY_CAPTIONS = "verify_shown"  # the step that goes by captions


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """Why `above` ranks above `below`.

    Attributes:
        stage: the stage that decided: "judge", "verify", "retrieve", "tie" (equal throughout, ordered by id), or the
            name of another node that ranks.
        sentences: the reasons, the deciding one first.
    """

    above: str
    below: str
    stage: str
    sentences: tuple[str, ...]

    @property
    def text(self) -> str:
        """The sentences as one text."""
        return " ".join(self.sentences)


def explain(trace: Trace, above: str, below: str) -> Explanation:
    """Find the stage that decided the order of two images, from the last to the first; else it is retrieval.

    Raises:
        BadInput: an image is not in the ranking, or both are the same.
    """
    for name in (above, below):
        if name not in trace.ranking:
            raise BadInput(f"run {trace.id!r} did not rank {name!r}; {suggest(name, trace.ranking)}")
    if above == below:
        raise BadInput(f"{above!r} is compared with itself; name two images")
    first: list[str] = []
    if trace.ranking.index(above) > trace.ranking.index(below):
        first = [f"It is the other way round: {below} stands above {above}."]
        above, below = below, above
    stage, reasons = _decided(trace, above, below)
    return Explanation(above=above, below=below, stage=stage, sentences=(*first, *reasons))


def sentence(text: str) -> str:
    """The text with one full stop; what a model wrote may end with one."""
    return text if text.endswith((".", "!", "?", "…")) else f"{text}."


def _decided(trace: Trace, above: str, below: str) -> tuple[str, list[str]]:
    stages = [(node, ranking) for node, ranking in trace.stages if above in ranking and below in ranking]
    for (_, earlier), (node, later) in zip(reversed(stages[:-1]), reversed(stages[1:]), strict=True):
        if earlier.index(above) > earlier.index(below) and later.index(above) < later.index(below):
            if node != "verify" or _verified(trace, above, below) is None:
                return node, [_moved(trace, node, above, below, earlier, later)]
            break
    if (reasons := _verified(trace, above, below)) is not None:
        return "verify", [reasons, *_agreed(trace, above)]
    kept = _tie_kept(trace, above, below)
    mine, other = trace.scores.get(above), trace.scores.get(below)
    if mine is None or other is None:
        return (stages[0][0] if stages else "tie"), [*kept, "The order was never changed."]
    if mine == other:
        return "tie", [
            *kept,
            f"Their retrieval scores are equal ({mine:.4f}), so the order of their ids stands.",
        ]
    reason = f"{above} is nearer to the query in retrieval: {mine:.4f} against {other:.4f}."
    return "retrieve", [*kept, reason, *_agreed(trace, above)]


def _moved(trace: Trace, node: str, above: str, below: str, earlier: list[str], later: list[str]) -> str:
    start = (
        f"The step {node} moved {above} from rank {earlier.index(above) + 1} to {later.index(above) + 1}, "
        f"past {below}"
    )
    won = [
        each.probability if each.first == above else 1 - each.probability
        for each in comparisons(trace)
        if {each.first, each.second} == {above, below}
    ]
    if won:
        probabilities = ", ".join(f"{p:.2f}" for p in won)
        return f"{start}: it won their comparison (P({above} is better) = {probabilities})."
    if node == BY_CAPTIONS and _told(trace, above):
        return sentence(f"{start}: {SAYS_ALL}")
    reasons = trace.judgement["reasons"].get(above)
    return sentence(f"{start}: {'; '.join(reasons)}" if reasons else start)


def _told(trace: Trace, name: str) -> bool:
    """Whether the results say that an image's caption counted."""
    shown: list[dict[str, Any]] = next(
        (step.update["results"] for step in reversed(trace.steps) if step.update.get("results")), []
    )
    return any(hit["id"] == name and SAYS_ALL in hit["reasons"] for hit in shown)


def _verified(trace: Trace, above: str, below: str) -> str | None:
    """How the predicates decide, None where they do not distinguish the two."""
    mine, other, total = trace.matches.get(above), trace.matches.get(below), len(trace.predicates)
    if mine is None or (other is not None and mine <= other):
        return None
    if other is None:
        return (
            f"{above} was verified ({mine} of {total} predicates hold), {below} was not: it ranked too low."
        )
    failed = [
        f"“{each['question']}” (expected {each['expected']}, P(Yes) = {trace.verdicts[below][each['question']]:.2f})"
        for each in trace.predicates
        if _holds(trace, above, each) and not _holds(trace, below, each) and _known(trace, below, each)
    ]
    counts = f"{above} satisfies {mine} of {total} predicates, {below} {other}."
    return f"{counts} {below} fails {', '.join(failed)}." if failed else counts


def _known(trace: Trace, name: str, predicate: dict[str, str]) -> bool:
    return predicate["question"] in trace.verdicts.get(name, {})


def _holds(trace: Trace, name: str, predicate: dict[str, str]) -> bool:
    if not _known(trace, name, predicate):
        return False
    return matches_expected(trace.verdicts[name][predicate["question"]], predicate["expected"])


def _tie_kept(trace: Trace, above: str, below: str) -> list[str]:
    mine, other = trace.matches.get(above), trace.matches.get(below)
    if mine is not None and mine == other:
        return [f"Both satisfy {mine} of {len(trace.predicates)} predicates: a tie, which keeps the order."]
    if not trace.matches or (mine is None and other is None):
        return ["Neither was verified." if trace.matches else "No predicate was checked."]
    return []


def _agreed(trace: Trace, above: str) -> list[str]:
    reasons = trace.judgement["reasons"].get(above)
    return [sentence(f"The judge on {above}: {'; '.join(reasons)}")] if reasons else []
