"""Resumable store of a run: its identity (run.json) and every answer as it arrives (per_query.jsonl).

Each line is written by one append, so a killed run leaves whole lines and at most one partial line, which the next run
cuts off: no answer is lost and no query is sent twice.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import NoneType
from typing import Any

from imagescope_agent.common.atomic_write import TEMPORARY_PATTERN, write_atomic
from imagescope_agent.common.process_lock import hold_file
from imagescope_agent.common.redact import redact_values
from imagescope_agent.common.untrusted import open_file, parse_json, read_file
from imagescope_agent.errors import BadInput

RUN = "run.json"
PER_QUERY = "per_query.jsonl"
METRICS = "metrics.json"
SAID = ("failed", "notes")  # of a record: what models and servers said
LARGEST = 2**24  # bytes of run.json
LONGEST = 2**26  # bytes of a line of per_query.jsonl
HUGE = 1e15  # no figure of a query is as large
_KINDS: dict[str, type | tuple[type, ...]] = {
    **{"text": str, "reference": (str, NoneType), "group": (str, NoneType), "failed": (str, NoneType)},
    **{"turn": int, "degraded": bool, "subsets": list, "stages": dict, "values": dict, "usage": dict},
    "notes": list,
    **{"fulfilment": (int, float), "accepted": bool},
}
_UNFINISHED = re.compile(r"[\w.-]+" + TEMPORARY_PATTERN)


class RunStore:
    """The answers of one run, written to disk as they arrive.

    Args:
        out: the run's folder; made when missing.
        identity: data set, graph, settings, ...: what must agree for a run to be resumed; JSON-able.

    Raises:
        BadInput: the folder holds another run, or its files are damaged.
    """

    def __init__(self, out: Path, identity: Mapping[str, Any]) -> None:
        if out.exists() and not out.is_dir():
            raise BadInput(f"{str(out)!r} is a file: name a folder with --out")
        out.mkdir(parents=True, exist_ok=True)
        self.path = out / PER_QUERY
        self.records: dict[str, dict[str, Any]] = {}
        self._lock = hold_file(
            out / ".lock", f"another evaluation is writing to {str(out)!r}: wait for it, or choose --out"
        )
        try:
            self._resume(out, json.loads(json.dumps(identity)))
        except BaseException:
            self.close()
            raise

    def append(self, record: dict[str, Any]) -> None:
        """Add one answer: one line, one write; without secrets in what models and servers said."""
        record = {**record, **{name: redact_values(record[name]) for name in SAID if name in record}}
        line = json.dumps(record, ensure_ascii=False) + "\n"
        with open(self.path, "ab", buffering=0, opener=_no_link) as file:
            file.write(line.encode("utf-8"))
        self.records[record["qid"]] = record

    def close(self) -> None:
        """Release the folder's lock."""
        self._lock.close()

    def finish(self, order: Iterable[str]) -> list[dict[str, Any]]:
        """Rewrite the lines in the order of these qids and return them."""
        records = [self.records[qid] for qid in order]
        write_atomic(self.path, (json.dumps(record, ensure_ascii=False) + "\n" for record in records))
        return records

    def _resume(self, out: Path, identity: dict[str, Any]) -> None:
        for unfinished in out.iterdir():
            if _UNFINISHED.fullmatch(unfinished.name) and not unfinished.is_dir():
                unfinished.unlink()
        self._check_identity(out / RUN, identity)
        self._cut_partial_line()
        for number, record in read_records(self.path):
            if record["qid"] in self.records:
                raise _damaged(self.path, number, f"query {record['qid']!r} occurs twice")
            self.records[record["qid"]] = record

    @staticmethod
    def _check_identity(path: Path, identity: dict[str, Any]) -> None:
        if not path.exists():
            if (path.parent / PER_QUERY).exists():
                raise BadInput(f"{path}: missing beside {PER_QUERY}; start again in an empty folder")
            write_atomic(path, json.dumps(identity, indent=2, ensure_ascii=False) + "\n")
            return
        kept = read_identity(path)
        for key in (*identity, *kept):
            if kept.get(key) != identity.get(key):
                raise BadInput(
                    f"{str(path.parent)!r} holds a run with {key} {kept.get(key)!r}, "
                    f"not {identity.get(key)!r}: name another folder with --out"
                )

    def _cut_partial_line(self) -> None:
        if not os.path.lexists(self.path):
            return
        with open(self.path, "r+b", opener=_no_link) as file:  # never the file that a link leads to
            data = file.read()
            whole = data.rfind(b"\n") + 1
            if whole < len(data):
                file.truncate(whole)


def _no_link(path: str, flags: int) -> int:
    """Open a file of a run's folder, which somebody else may have made: never what a link or a pipe leads to.

    Raises:
        BadInput: it is one.
    """
    if os.path.lexists(path) and not stat.S_ISREG(os.lstat(path).st_mode):
        raise BadInput(f"{path!r} is no regular file; choose another folder with --out")
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)


def read_identity(path: Path) -> dict[str, Any]:
    """The identity of the run in a folder.

    Raises:
        BadInput: missing or damaged.
    """
    try:
        identity = parse_json(read_file(path, LARGEST, follow=True))
    except FileNotFoundError:
        raise BadInput(f"{path}: missing; name a folder that `imagescope eval` wrote") from None
    except ValueError:
        raise BadInput(f"{path}: damaged; start again in an empty folder") from None
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror or error}; name another folder") from None
    if not isinstance(identity, dict):
        raise BadInput(f"{path}: damaged; start again in an empty folder")
    return identity


def read_records(path: Path) -> Iterable[tuple[int, dict[str, Any]]]:
    """Line number and record of every line of a per_query.jsonl.

    Raises:
        BadInput: a line is damaged.
    """
    names: dict[str, str] = {}  # interned: a large run repeats few names ten million times
    try:
        with open_file(path, follow=True) as file:
            for number, line in enumerate(iter(lambda: file.readline(LONGEST), b""), start=1):
                try:
                    record = _checked(parse_json(line))
                except (ValueError, KeyError, TypeError, AttributeError):
                    raise _damaged(path, number, "not a record of a query") from None
                for ranking in record["stages"].values():
                    ranking[:] = [names.setdefault(image, image) for image in ranking]
                yield number, record
    except FileNotFoundError:
        return
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror or error}; name another folder") from None


def _checked(record: dict[str, Any]) -> dict[str, Any]:
    """A record whose fields, as far as they are there, hold what `runner.answer_record` puts into them.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: one does not.
    """
    held = {name: kinds for name, kinds in _KINDS.items() if name in record}
    right = isinstance(record["qid"], str) and all(isinstance(record[n], kinds) for n, kinds in held.items())
    texts = [*record["stages"].values(), record.get("subsets") or []]
    right = right and all(isinstance(t, list) and all(isinstance(x, str) for x in t) for t in texts)
    scores = [score for values in record.get("values", {}).values() for score in values.values()]
    counts = [part for count in record.get("usage", {}).values() for part in _inner(count)]
    right = right and all(score is None or _is_number(score) for score in scores)
    right = right and all(map(_is_number, counts))
    notes = [text for item in record.get("notes", []) for text in (item["kind"], *item.values())]
    if not right or not all(isinstance(text, str) for text in notes):
        raise ValueError("a value of another kind")
    return record


def _inner(count: Any) -> list[Any]:
    """The figures of a field of usage; a field that is a text is none."""
    if isinstance(count, dict):
        return list(count.values())
    return [] if count is None or isinstance(count, str | bool) else [count]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < HUGE


def _damaged(path: Path, line: int, why: str) -> BadInput:
    return BadInput(f"{path}, line {line}: {why}; the file is damaged, start again in an empty folder")
