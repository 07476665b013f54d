"""Judge strategies: how the best candidates are compared. One file and one line here adds one."""

from __future__ import annotations

JUDGES: dict[str, str] = {
    "pairwise": "imagescope_agent.judges.pairwise:judge",
}
