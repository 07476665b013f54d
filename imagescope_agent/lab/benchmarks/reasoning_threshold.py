"""Where the roles should write a chain: the lead of the first image without one, below which `auto` asks them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from imagescope_agent.evaluation.reporting.tables import markdown_table
from imagescope_agent.lab.training.embedders.cir_cot_calibrate import least_lead
from imagescope_agent.profiles.profile import load_profile

FAST, FULL = "fast", "full by roles"
KINDS = {"cir": "roles_threshold", "tir": "roles_threshold_text"}  # and the setting of each
SHARES = (0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100)  # per cent of the queries


def roles_leads(composed: float | None, alone: float | None) -> dict[str, float]:
    """Below which leads the roles write a chain, by setting; where one is None, as the profile that ships has it."""
    shipped = load_profile("mini_cot").settings
    given = zip(KINDS.values(), (composed, alone), strict=True)
    return {name: float(shipped[name] if lead is None else lead) for name, lead in given}


def threshold_curve(rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, Any] | None:
    """What `auto` would find on the same queries if it wrote a chain for those of the least lead.

    Args:
        rows: of each way, a row a query in the same order: its `kind` (see `KINDS`), its `rank`, and its `lead`.

    Returns:
        {kind: {"setting", "threshold": the least that costs no more than half a point of that kind's R@1, "written":
        share of chains with it, "R@1": {share written in per cent: R@1}}}; None where a way was not asked.
    """
    if not rows.get(FAST) or not rows.get(FULL):
        return None
    pairs = list(zip(rows[FAST], rows[FULL], strict=True))
    of_kind = {kind: [pair for pair in pairs if pair[0]["kind"] == kind] for kind in KINDS}
    return {kind: {"setting": KINDS[kind], **_curve(some)} for kind, some in of_kind.items() if some}


def _curve(pairs: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> dict[str, Any]:
    fast, full = (np.array([pair[way]["rank"] for pair in pairs]) for way in (0, 1))
    lead = np.array([without["lead"] for without, _ in pairs])
    threshold = min(math.ceil(least_lead(lead, fast, full) * 1e4) / 1e4, 1.0)  # as the setting takes it
    written = np.argsort(np.argsort(lead, kind="stable"))[None] < _counts(lead.size)
    right = np.where(written, full == 0, fast == 0)
    return {
        "threshold": threshold,
        "written": round(float((lead < threshold).mean()), 4),
        "R@1": {share: round(100 * float(row.mean()), 1) for share, row in zip(SHARES, right, strict=True)},
    }


def _counts(queries: int) -> np.ndarray[Any, Any]:
    return np.array([[round(share * queries / 100)] for share in SHARES])


def describe_curve(found: Mapping[str, Any] | None) -> list[str]:
    """The curves as Markdown, and the lines of a profile."""
    if not found:
        return []
    rows = [[kind, *(f"{share:.1f}" for share in each["R@1"].values())] for kind, each in found.items()]
    table = markdown_table(["R@1 with chains by the roles for", *(f"{share} %" for share in SHARES)], rows)
    told = [
        f"{each['setting']} = {each['threshold']} is the least within half a point of {FULL} ({kind}): a chain for "
        f"{each['written']:.0%}."
        for kind, each in found.items()
    ]
    return [table, *told]
