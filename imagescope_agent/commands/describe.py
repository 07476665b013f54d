"""Text output that several commands share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from imagescope_agent.commands import plain


def describe_ranking(hits: Sequence[Mapping[str, Any]], notes: Sequence[Mapping[str, str]]) -> list[str]:
    """A ranking and its notes in lines.

    Args:
        hits: "rank", "id", "scores" and "reasons" of each image, best first.
        notes: "step" and "detail" of each.
    """
    width = max((len(plain(hit["id"])) for hit in hits), default=0)
    lines = []
    for hit in hits:
        scores = [f"{stage} {value:.3f}" for stage, value in hit["scores"].items() if value is not None]
        lines.append(f"{hit['rank']:>4}  {plain(hit['id']):<{width}}  {'  '.join(scores)}".rstrip())
        lines += [f"        {plain(reason)}" for reason in hit["reasons"]]
    return lines + [f"note: {plain(note['step'])}: {plain(note['detail'])}" for note in notes]


def describe_chain(record: Mapping[str, Any]) -> list[str]:
    """The chain of thought of a search's result or a turn, a line each part; [] where none was written."""
    from imagescope_agent.replies.chains import chain_lines

    parts = chain_lines(record.get("chain") or {})
    return [f"{name.lower()}: {plain('; '.join(lines))}" for name, lines in parts]


def describe_cost(usage: Mapping[str, Any]) -> str:
    """Model calls by role, tokens, image prefills and seconds (see `results.total`), in one line."""
    calls = ", ".join(f"{count} {role}" for role, count in usage["calls"].items()) or "none"
    return (
        f"model calls: {calls}; {usage['prompt_tokens']} + {usage['completion_tokens']} tokens, "
        f"{usage['image_prefills']} image prefills, {sum(usage['seconds'].values()):.1f} s"
    )
