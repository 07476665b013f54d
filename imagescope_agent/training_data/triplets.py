"""Build a file of training triplets from an indexed collection; killed at any moment, the next call goes on.

Beside FILE lies FILE.journal: what is built with what (its first line), then one line per pair, kept or dropped and
why, in order of the pairs' numbers. It is written a window of pairs at a time; FILE holds the triplets among them. A
window that was cut off is run again, and the graph's checkpoints (FILE.runs) spare its model calls.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from langchain_core.runnables import RunnableConfig

from imagescope_agent.common.atomic_write import write_atomic
from imagescope_agent.common.process_lock import hold_file
from imagescope_agent.common.untrusted import parse_json, read_file
from imagescope_agent.errors import BadInput
from imagescope_agent.mllms.batch import together
from imagescope_agent.nodes.triplets.pair import LEAST
from imagescope_agent.registry import load_graph
from imagescope_agent.runs.checkpoints import open_checkpoints
from imagescope_agent.services import Services, weights_of
from imagescope_agent.settings import Settings
from imagescope_agent.traces.instrument import recording

GRAPH = "imagescope_agent.graphs.triplets:build"
WINDOW = 8  # pairs that are looked at together, so that models answer in batches
MOST_USED = 4  # times that an image may be a target
HOPELESS = 32  # pairs, none of whose proposals could be read, after which nothing better is expected
ROUNDS = 8  # times that every image may be a reference before too few triplets are given up
LARGEST = 2**30  # bytes of a journal
FORMAT = 1


@dataclass(kw_only=True)
class TripletReport:
    """What was built so far.

    Args:
        kept: triplets.
        pairs: looked at.
        dropped: pairs by the reason for which they gave none.
        calls, tokens: of models, for all pairs.
        notes: by kind.
    """

    kept: int = 0
    pairs: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    calls: int = 0
    tokens: int = 0
    notes: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        share = f"{self.kept / self.pairs:.0%}" if self.pairs else "none"
        why = ", ".join(f"{count} {reason}" for reason, count in self.dropped.most_common()) or "none"
        each = f"{self.calls / max(1, self.kept):.1f} calls, {self.tokens / max(1, self.kept):.0f} tokens a triplet"
        return f"{self.kept} triplets of {self.pairs} pairs ({share}); dropped: {why}; {each}"


Progress = Callable[[TripletReport], None]


class Journal:
    """The pairs that are done, in order of their numbers.

    Args:
        file: the file of triplets; the journal lies beside it.
        head: what the triplets are built with.

    Raises:
        BadInput: the file belongs to other work.
    """

    def __init__(self, file: Path, head: Mapping[str, Any]) -> None:
        self.file, self.path, self.head = file, file.with_name(f"{file.name}.journal"), dict(head)
        self.pairs: list[dict[str, Any]] = []
        lines = self._lines()
        if not lines and file.exists():
            raise BadInput(f"{str(file)!r} exists and has no journal beside it; name another file with --out")
        if lines and lines[0] != self.head:
            changed = [name for name in self.head if lines[0].get(name) != self.head[name]]
            raise BadInput(
                f"{str(file)!r} was begun with another {' and '.join(changed) or 'version'}; name another file with "
                "--out, or give what it was begun with"
            )
        whole = (len(lines) - 1) // WINDOW * WINDOW if lines else 0
        self.pairs = lines[1 : 1 + whole]
        self._write([self.head, *self.pairs])

    @property
    def triplets(self) -> list[dict[str, Any]]:
        """What was kept."""
        return [pair["triplet"] for pair in self.pairs if pair["triplet"]]

    @property
    def tired(self) -> list[str]:
        """Images that were a target often enough."""
        used = Counter(each["target"] for each in self.triplets)
        return sorted(name for name, times in used.items() if times >= MOST_USED)

    def add(self, window: Sequence[Mapping[str, Any]], count: int) -> None:
        """Write down a window of pairs, and its triplets as far as no more than `count` are wanted."""
        with self.path.open("a", encoding="utf-8") as out:
            out.write(_lines(window))
            out.flush()
            os.fsync(out.fileno())
        before = len(self.triplets)
        self.pairs += [dict(each) for each in window]
        with self.file.open("a", encoding="utf-8") as out:
            out.write(_lines(self.triplets[before:count]))

    def publish(self, count: int) -> None:
        """Write the file of triplets: the first `count`."""
        write_atomic(self.file, _lines(self.triplets[:count]))

    def report(self) -> TripletReport:
        """What was built so far."""
        report = TripletReport(kept=len(self.triplets), pairs=len(self.pairs))
        for pair in self.pairs:
            report.dropped.update([pair["dropped"]] if pair["dropped"] else [])
            report.notes.update(pair["notes"])
            report.calls += pair["cost"]["calls"]
            report.tokens += pair["cost"]["tokens"]
        return report

    def _lines(self) -> list[dict[str, Any]]:
        """Every whole line; a killed process may leave a part of the last one."""
        try:
            text = read_file(self.path, LARGEST).decode("utf-8", "replace")
        except FileNotFoundError:
            return []
        except OSError as error:
            raise BadInput(
                f"cannot read {str(self.path)!r}: {error}; name another file with --out"
            ) from error
        found = []
        for number, line in enumerate(text.split("\n")[:-1], start=1):
            try:
                found.append(parse_json(line))
            except ValueError as error:
                raise BadInput(
                    f"{self.path}, line {number}: damaged ({error}); remove that line and those after it"
                ) from error
        return [each if isinstance(each, dict) else {} for each in found]

    def _write(self, lines: Sequence[Mapping[str, Any]]) -> None:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(self.path, _lines(lines))


async def build_triplets(
    services: Services,
    out: Path,
    count: int,
    *,
    settings: Settings | None = None,
    traces: Path | None = None,
    progress: Progress | None = None,
) -> TripletReport:
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
) -> TripletReport:  # fmt: skip
    """The loop that a killed run goes on with."""
    collection = services.collection
    journal = Journal(out, head_of(services, settings))
    journal.publish(count)  # what a killed process left of it may be cut off
    graph = load_graph(GRAPH)(services)
    runs = out.with_name(f"{out.name}.runs")
    with recording(traces, services, settings) as recorders:
        async with open_checkpoints(runs) as saver:
            compiled = graph.copy({"checkpointer": saver})
            while len(journal.triplets) < count and len(journal.pairs) < ROUNDS * len(collection):
                first, tired = len(journal.pairs), journal.tired
                done = await together(  # where one fails, none goes on writing behind the closed store
                    _pair(compiled, saver, settings, journal.head, number, tired, recorders)
                    for number in range(first, first + WINDOW)
                )
                journal.add(done, count)
                _require_hope(journal, settings)
                for number in range(first, first + WINDOW):
                    await saver.adelete_thread(_thread(journal.head, number))
                if progress is not None:
                    progress(journal.report())
    journal.publish(count)
    for path in (runs, *(runs.with_name(f"{runs.name}{end}") for end in ("-wal", "-shm"))):
        with suppress(OSError):
            path.unlink(missing_ok=True)
    return journal.report()


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
        "seed": settings.seed,
        "budgets": [settings.budget, settings.token_budget, settings.attempts],
    }


async def _pair(
    graph: Any,
    saver: Any,
    settings: Settings,
    head: Mapping[str, Any],
    number: int,
    tired: Sequence[str],
    recorders: Sequence[Any],
) -> dict[str, Any]:
    """Run the graph for one pair, or finish a run that was cut off; its line of the journal."""
    config: RunnableConfig = {
        "configurable": {"thread_id": _thread(head, number)},
        "callbacks": [*recorders],
    }
    begun = await saver.aget_tuple(config) is not None
    given = None if begun else {"pair": number, "tired": list(tired)}
    state = await graph.ainvoke(given, config, context=settings, durability="sync")
    usage = state["usage"]
    return {
        "pair": number,
        "reference": state["reference"],
        "proposal": state["proposal"],
        "evidence": state["evidence"],
        "dropped": state["dropped"],
        "triplet": state["triplet"],
        "notes": [each["kind"] for each in state["notes"]],
        "cost": {
            "calls": sum(each["calls"] for each in usage),
            "tokens": sum(each["prompt_tokens"] + each["completion_tokens"] for each in usage),
        },
    }


def _thread(head: Mapping[str, Any], number: int) -> str:
    about = json.dumps([head, number], sort_keys=True)
    return hashlib.sha256(about.encode()).hexdigest()[:32]


def _lines(records: Sequence[Mapping[str, Any]]) -> str:
    return "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in records)
