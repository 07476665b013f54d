"""Why one image stands above another: the last stage that told them apart, in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from imagescope_agent.errors import BadInput, suggest
from imagescope_agent.state import matches_expected

if TYPE_CHECKING:
    from imagescope_agent.traces.trace import Trace


@dataclass(frozen=True, kw_only=True)
class Why:
    """Why `above` stands above `below`.

    Attributes:
        stage: what decided: "judge", "verify", "retrieve", "tie" (equal throughout, kept in order of id), or the
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


def explain(trace: Trace, above: str, below: str) -> Why:
    """Walk the stages from the last to the first; what none of them changed, retrieval decided.

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
    return Why(above=above, below=below, stage=stage, sentences=(*first, *reasons))


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
    told = f"{above} is nearer to the query in retrieval: {mine:.4f} against {other:.4f}."
    return "retrieve", [*kept, told, *_agreed(trace, above)]


def _moved(trace: Trace, node: str, above: str, below: str, earlier: list[str], later: list[str]) -> str:
    start = (
        f"The step {node} moved {above} from rank {earlier.index(above) + 1} to {later.index(above) + 1}, "
        f"past {below}"
    )
    lost = [
        duel.probability if duel.first == above else 1 - duel.probability
        for duel in trace.duels
        if {duel.first, duel.second} == {above, below}
    ]
    if lost:
        chances = ", ".join(f"{chance:.2f}" for chance in lost)
        return f"{start}: it won their duel (P({above} is better) = {chances})."
    reasons = trace.judgement["reasons"].get(above)
    return f"{start}: {'; '.join(reasons)}." if reasons else f"{start}."


def _verified(trace: Trace, above: str, below: str) -> str | None:
    """What the predicates say, None where they do not tell the two apart."""
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
    told = f"{above} satisfies {mine} of {total} predicates, {below} {other}."
    return f"{told} {below} fails {', '.join(failed)}." if failed else told


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
    return [f"The judge on {above}: {'; '.join(reasons)}."] if reasons else []
