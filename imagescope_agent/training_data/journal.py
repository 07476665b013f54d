"""A file that a graph writes record by record, run by run; killed at any moment, the next call goes on.

Beside FILE lies FILE.journal: what is built with what (its first line), then one line per run, kept or dropped and
why, in order of the runs' numbers. It is written a window of runs at a time; FILE holds the records among them. A
window that was cut off is run again, and the graph's checkpoints (FILE.runs) spare its model calls.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from langchain_core.runnables import RunnableConfig

from imagescope_agent.common.atomic_write import write_atomic
from imagescope_agent.common.untrusted import parse_json, read_file
from imagescope_agent.errors import BadInput
from imagescope_agent.mllms.batch import together
from imagescope_agent.registry import load_graph
from imagescope_agent.runs.checkpoints import open_checkpoints
from imagescope_agent.services import Services
from imagescope_agent.settings import Settings
from imagescope_agent.traces.instrument import recording

WINDOW = 8  # runs that go on together, so that models answer in batches
LARGEST = 2**30  # bytes of a journal


@dataclass(kw_only=True)
class Report:
    """What was built so far.

    Args:
        kept: records.
        pairs: runs.
        dropped: runs by the reason for which they gave none.
        calls, tokens: of models, for all runs.
        notes: by kind.
        names: what a record and the runs are called.
    """

    kept: int = 0
    pairs: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    calls: int = 0
    tokens: int = 0
    notes: Counter[str] = field(default_factory=Counter)
    names: tuple[str, str] = ("triplet", "pairs")

    def __str__(self) -> str:
        share = f"{self.kept / self.pairs:.0%}" if self.pairs else "none"
        why = ", ".join(f"{count} {reason}" for reason, count in self.dropped.most_common()) or "none"
        cost = self.calls / max(1, self.kept), self.tokens / max(1, self.kept)
        each = f"{cost[0]:.1f} calls, {cost[1]:.0f} tokens a {self.names[0]}"
        return (
            f"{self.kept} {self.names[0]}s of {self.pairs} {self.names[1]} ({share}); dropped: {why}; {each}"
        )


Progress = Callable[[Report], None]


class Journal:
    """The runs that are done, in order of their numbers.

    Args:
        file: the file of records; the journal lies beside it.
        head: what they are built with.
        names: what a record and the runs are called.
        whole_windows: whether a run depends on those of the windows before, so that only whole ones count.

    Raises:
        BadInput: the file belongs to other work.
    """

    def __init__(
        self,
        file: Path,
        head: Mapping[str, Any],
        names: tuple[str, str] = ("triplet", "pairs"),
        *,
        whole_windows: bool = True,
    ) -> None:
        self.names = names
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
        done = max(0, len(lines) - 1)
        whole = done // WINDOW * WINDOW if whole_windows else done
        self.pairs = lines[1 : 1 + whole]
        self._write([self.head, *self.pairs])

    @property
    def triplets(self) -> list[dict[str, Any]]:
        """What was kept."""
        return [pair["triplet"] for pair in self.pairs if pair["triplet"]]

    def add(self, window: Sequence[Mapping[str, Any]], count: int | None = None) -> None:
        """Write down a window of runs, and its records as far as no more than `count` are wanted."""
        with self.path.open("a", encoding="utf-8") as out:
            out.write(lines_of(window))
            out.flush()
            os.fsync(out.fileno())
        before = len(self.triplets)
        self.pairs += [dict(each) for each in window]
        with self.file.open("a", encoding="utf-8") as out:
            out.write(lines_of(self.triplets[before:count]))

    def publish(self, count: int | None = None) -> None:
        """Write the file of records: the first `count`, or all."""
        write_atomic(self.file, lines_of(self.triplets[:count]))

    def report(self) -> Report:
        """What was built so far."""
        report = Report(kept=len(self.triplets), pairs=len(self.pairs), names=self.names)
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
        write_atomic(self.path, lines_of(lines))


async def fill(  # half of it tells its arguments
    journal: Journal,
    graph: str,
    services: Services,
    settings: Settings,
    traces: Path | None,
    *,
    more: Callable[[], Sequence[tuple[int, Mapping[str, Any]]]],
    count: int | None = None,
    after: Callable[[], None],
) -> None:
    """Run a graph window by window and write down what comes of it.

    Args:
        journal: what is done so far.
        graph: "module:attribute" of what builds it.
        services: what it is built with.
        settings: of every run.
        traces: SQLite file of the traces; None keeps none.
        more: the next window's runs, number and input; none at the end.
        count: most records that the file may hold.
        after: called after every window.

    Raises:
        BackendUnavailable: a model does not answer; the same call goes on.
    """
    journal.publish(count)  # what a killed process left of it may be cut off
    built = load_graph(graph)(services)
    runs = journal.file.with_name(f"{journal.file.name}.runs")
    async with recording(traces, services, settings) as recorders, open_checkpoints(runs) as saver:
        compiled = built.copy({"checkpointer": saver})
        while window := more():
            done = await together(  # where one fails, none goes on writing behind the closed store
                _run(compiled, saver, settings, journal.head, number, given, recorders)
                for number, given in window
            )
            journal.add(done, count)
            after()
            for number, _ in window:
                await saver.adelete_thread(_thread(journal.head, number))
    journal.publish(count)
    for path in (runs, *(runs.with_name(f"{runs.name}{end}") for end in ("-wal", "-shm"))):
        with suppress(OSError):
            path.unlink(missing_ok=True)


async def _run(
    graph: Any,
    saver: Any,
    settings: Settings,
    head: Mapping[str, Any],
    number: int,
    given: Mapping[str, Any],
    recorders: Sequence[Any],
) -> dict[str, Any]:
    """Run the graph for one number, or finish a run that was cut off; its line of the journal."""
    config: RunnableConfig = {
        "configurable": {"thread_id": _thread(head, number)},
        "callbacks": [*recorders],
    }
    begun = await saver.aget_tuple(config) is not None
    state = await graph.ainvoke(None if begun else dict(given), config, context=settings, durability="sync")
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
            "steps": _by_step(usage),
        },
    }


def _by_step(usage: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, int]]:
    """Calls and tokens of each step."""
    found: dict[str, dict[str, int]] = {}
    for each in usage:
        step = found.setdefault(each["step"], {"calls": 0, "tokens": 0})
        step["calls"] += each["calls"]
        step["tokens"] += each["prompt_tokens"] + each["completion_tokens"]
    return found


def _thread(head: Mapping[str, Any], number: int) -> str:
    about = json.dumps([head, number], sort_keys=True)
    return hashlib.sha256(about.encode()).hexdigest()[:32]


def lines_of(records: Sequence[Mapping[str, Any]]) -> str:
    """Records as JSON lines."""
    return "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in records)
