"""Write chains of thought for a file of triplets; killed at any moment, the next call goes on.

See `training_data.journal` for what lies beside the file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

from imagescope_agent.common.process_lock import hold_file
from imagescope_agent.services import Services, weights_of
from imagescope_agent.settings import Settings
from imagescope_agent.training_data.journal import WINDOW, Journal, Progress, Report, fill
from imagescope_agent.training_data.triplet_files import Triplet

GRAPH = "imagescope_agent.graphs.annotate:build"
NAMES = ("chain", "triplets")
FORMAT = 1


async def annotate(
    services: Services,
    triplets: Sequence[Triplet],
    out: Path,
    *,
    settings: Settings | None = None,
    traces: Path | None = None,
    progress: Progress | None = None,
) -> Report:
    """Write a chain for every triplet that has one; arguments and errors as of `triplets.build_triplets`.

    Args:
        services: the collection and the models.
        triplets: about images of the collection.
        out: file of the chains, JSON lines: what a triplet says, with "caption", "reasoning" and "conclusion".
        settings: attempts, and budgets of a triplet.
        traces: SQLite file of the traces; None keeps none.
        progress: called after every window.

    Raises:
        BadInput: a file that belongs to other work, or one that another process writes.
        BackendUnavailable: a model does not answer; the same call goes on.
    """
    settings = settings or Settings.load(services.settings)
    out.parent.mkdir(parents=True, exist_ok=True)
    busy = f"another process writes chains into {str(out)!r}; wait for it, or name another file with --out"
    with closing(hold_file(out.with_name(f"{out.name}.lock"), busy)):
        journal = Journal(out, head_of(services, triplets, settings), NAMES, whole_windows=False)

        def more() -> list[tuple[int, Mapping[str, Any]]]:
            first = len(journal.pairs)
            window = triplets[first : first + WINDOW]
            return [(number, given(each)) for number, each in enumerate(window, start=first)]

        def after() -> None:
            if progress is not None:
                progress(journal.report())

        await fill(journal, GRAPH, services, settings, traces, more=more, after=after)
        return journal.report()


def given(triplet: Triplet) -> dict[str, Any]:
    """What the graph is given of a triplet."""
    return {
        "query": triplet.text,
        "reference": triplet.reference,
        "proposal": {"target": triplet.target, "type": "", "text": triplet.text},
        "others": list(triplet.distractors),
    }


def head_of(services: Services, triplets: Sequence[Triplet], settings: Settings) -> dict[str, Any]:
    """What chains are written with: the same head gives the same chains."""
    keys = services.collection.key
    about = [[asdict(each), keys(each.reference), keys(each.target)] for each in triplets]
    roles = ("captioner", "reasoner", "verifier", "judge")
    return {
        "format": FORMAT,
        "triplets": hashlib.sha256(json.dumps(about).encode()).hexdigest(),
        **{role: weights_of(getattr(services, role)) for role in roles},
        "writer": weights_of(services.editor or services.judge),
        "budgets": [settings.budget, settings.token_budget, settings.attempts, settings.top_k],
    }
