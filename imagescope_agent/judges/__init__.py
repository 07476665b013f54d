"""Judge strategies: how the best candidates are compared. One file and one line here adds one."""

from __future__ import annotations

OWN_JUDGE = "pairwise"  # of a graph that names no other, as ImageScope's paper has it

JUDGES: dict[str, str] = {
    "pairwise": "imagescope_agent.judges.pairwise:judge",
    "pointwise": "imagescope_agent.judges.pointwise:pointwise",
    "grades": "imagescope_agent.judges.pointwise:grades",
    "prp-allpair": "imagescope_agent.judges.prp:allpair",
    "prp-heap": "imagescope_agent.judges.prp:heap",
    "prp-sliding": "imagescope_agent.judges.prp:sliding",
    "bradley-terry": "imagescope_agent.judges.prp:bradley_terry",
    "kemeny": "imagescope_agent.judges.prp:kemeny",
    "tsp": "imagescope_agent.judges.prp:tsp",
    "setwise-heap": "imagescope_agent.judges.setwise:heap",
    "setwise-bubble": "imagescope_agent.judges.setwise:bubble",
    "setwise-shuffled": "imagescope_agent.judges.setwise:heap_shuffled",
    "tournament": "imagescope_agent.judges.setwise:tournament",
    "listwise": "imagescope_agent.judges.listwise:listwise",
    "listwise-shuffled": "imagescope_agent.judges.listwise:listwise_shuffled",
    "grid": "imagescope_agent.judges.grid:judge",
    "first": "imagescope_agent.judges.listwise:first",
    "cotrr": "imagescope_agent.judges.cotrr:judge",
    "groupwise": "imagescope_agent.judges.groupwise:judge",
    "siftrank": "imagescope_agent.judges.siftrank:judge",
    "icr": "imagescope_agent.judges.icr:judge",
    "e2rank": "imagescope_agent.judges.e2rank:judge",
    "budgeted": "imagescope_agent.judges.budgeted:judge",
    "affordable": "imagescope_agent.judges.affordable:judge",
}
