"""Build a file of training triplets from an indexed collection; killed at any moment, the next call goes on.

See `training_data.journal` for what lies beside the file.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from imagescope_agent.common.process_lock import hold_file
from imagescope_agent.errors import BadInput
from imagescope_agent.nodes.triplets.pair import LEAST
from imagescope_agent.services import Services, weights_of
from imagescope_agent.settings import Settings
from imagescope_agent.training_data.journal import WINDOW, Journal, Progress, Report, fill

GRAPH = "imagescope_agent.graphs.triplets:build"
MOST_USED = 4  # times that an image may be a target
HOPELESS = 32  # pairs, none of whose proposals could be read, after which nothing better is expected
ROUNDS = 8  # times that every image may be a reference before too few triplets are given up
FORMAT = 2


async def build_triplets(
    services: Services,
    out: Path,
    count: int,
    *,
    settings: Settings | None = None,
    traces: Path | None = None,
    progress: Progress | None = None,
) -> Report:
    """Build triplets until there are `count`, or every image has been a reference `ROUNDS` times.

    Args:
        services: the collection and the models.
        out: file of the triplets, JSON lines.
        count: how many are wanted.
        settings: seed, attempts, and budgets of a pair.
        traces: SQLite file of the traces; None keeps none.
        progress: called after every window.

    Raises:
        BadInput: too few images for a band, an index of other weights, a file that belongs to other work, or one that
            another process writes.
        BackendUnavailable: a model does not answer; the same call goes on.
    """
    settings = settings or Settings.load(services.settings)
    collection = services.collection
    collection.require_weights(services.embedder.weights)
    if len(collection) < LEAST:
        raise BadInput(
            f"{str(collection.folder)!r} holds {len(collection)} images; a band of neighbours needs at least {LEAST}"
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    busy = f"another process builds triplets into {str(out)!r}; wait for it, or name another file with --out"
    with closing(hold_file(out.with_name(f"{out.name}.lock"), busy)):
        return await _build(services, out, count, settings, traces, progress)


async def _build(
    services: Services, out: Path, count: int, settings: Settings, traces: Path | None, progress: Progress | None,
) -> Report:  # fmt: skip
    """The loop that a killed run goes on with."""
    journal, most = Journal(out, head_of(services, settings)), ROUNDS * len(services.collection)

    def more() -> list[tuple[int, Mapping[str, Any]]]:
        first, done = len(journal.pairs), len(journal.triplets) >= count
        given = {"tired": tired(journal.triplets)}
        numbers = () if done or first >= most else range(first, first + WINDOW)
        return [(number, {"pair": number, **given}) for number in numbers]

    def after() -> None:
        _require_hope(journal, settings)
        if progress is not None:
            progress(journal.report())

    await fill(journal, GRAPH, services, settings, traces, more=more, count=count, after=after)
    return journal.report()


def tired(triplets: Sequence[Mapping[str, Any]]) -> list[str]:
    """Images that were a target often enough."""
    used = Counter(each["target"] for each in triplets)
    return sorted(name for name, times in used.items() if times >= MOST_USED)


def _require_hope(journal: Journal, settings: Settings) -> None:
    """Give up on an editor that does not propose anything.

    Raises:
        BadInput: it has not, so far.
    """
    hopeless = {pair["dropped"] for pair in journal.pairs} == {"unreadable"}
    if hopeless and len(journal.pairs) >= HOPELESS:
        budget = "" if settings.budget is None and settings.token_budget is None else " within its budget"
        raise BadInput(
            f"the editor proposed nothing that can be read{budget} for any of {len(journal.pairs)} pairs; name a model "
            "for the role 'editor' in a profile of your own (--profile) that sees several pictures"
        )


def head_of(services: Services, settings: Settings) -> dict[str, Any]:
    """What triplets are built with: the same head gives the same triplets."""
    collection = services.collection
    images = hashlib.sha256("\n".join(f"{name} {collection.key(name)}" for name in collection.ids).encode())
    editor = services.editor or services.judge
    return {
        "format": FORMAT,
        "collection": images.hexdigest(),
        "embedder": services.embedder.weights,
        "editor": weights_of(editor),
        "judge": weights_of(services.judge),
        "reasoner": weights_of(services.reasoner),
        "verifier": weights_of(services.verifier),
        "seed": settings.seed,
        "budgets": [settings.budget, settings.token_budget, settings.attempts],
    }
