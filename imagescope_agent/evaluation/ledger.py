"""A run's folder: which run it is (run.json) and every answer as it arrives (per_query.jsonl).

A line is written by one append, so a run that is killed leaves whole lines and at most one torn end, which
the next run cuts off and asks again: nothing is lost, nothing is asked twice.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import secrets
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, Any

from imagescope_agent.errors import BadInput
from imagescope_agent.redact import redact_values
from imagescope_agent.untrusted import create_file, parse_json

RUN = "run.json"
PER_QUERY = "per_query.jsonl"
METRICS = "metrics.json"
SAID = ("failed", "notes")  # of a record: what models and servers said
_TORN = re.compile(r"\.[\w.-]+\.[0-9a-f]{16}\.part")


def write_atomic(path: Path, parts: Iterable[str]) -> None:
    """Write a whole file or nothing: a reader, and a kill at any moment, sees the old one or the new one."""
    partial = path.with_name(f".{path.name}.{secrets.token_hex(8)}.part")
    try:
        with os.fdopen(create_file(partial), "w", encoding="utf-8") as file:
            file.writelines(parts)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


class Ledger:
    """The answers of one run, kept on disk as they come.

    Args:
        out: the run's folder; made when missing.
        identity: what makes this run this run (data set, graph, settings, ...), JSON-able.

    Raises:
        BadInput: the folder holds another run, or its files are damaged.
    """

    def __init__(self, out: Path, identity: Mapping[str, Any]) -> None:
        if out.exists() and not out.is_dir():
            raise BadInput(f"{str(out)!r} is a file: name a folder with --out")
        out.mkdir(parents=True, exist_ok=True)
        self.path = out / PER_QUERY
        self.records: dict[str, dict[str, Any]] = {}
        self._lock = _alone(out)
        try:
            self._resume(out, json.loads(json.dumps(identity)))
        except BadInput:
            self.close()
            raise

    def append(self, record: dict[str, Any]) -> None:
        """Keep one answer: one line, one write; without secrets in what models and servers said."""
        record = {**record, **{name: redact_values(record[name]) for name in SAID if name in record}}
        line = json.dumps(record, ensure_ascii=False) + "\n"
        with open(self.path, "ab", buffering=0, opener=_no_link) as file:
            file.write(line.encode("utf-8"))
        self.records[record["qid"]] = record

    def close(self) -> None:
        """Let others write to the folder."""
        self._lock.close()

    def finish(self, order: Iterable[str]) -> list[dict[str, Any]]:
        """Put the lines into the data set's order, whatever order the answers came in, and return them."""
        records = [self.records[qid] for qid in order]
        write_atomic(self.path, (json.dumps(record, ensure_ascii=False) + "\n" for record in records))
        return records

    def _resume(self, out: Path, identity: dict[str, Any]) -> None:
        for torn in out.iterdir():
            if _TORN.fullmatch(torn.name) and not torn.is_dir():
                torn.unlink()
        self._claim(out / RUN, identity)
        self._cut_torn_end()
        for number, record in read_records(self.path):
            if record["qid"] in self.records:
                raise _damaged(self.path, number, f"query {record['qid']!r} occurs twice")
            self.records[record["qid"]] = record

    @staticmethod
    def _claim(path: Path, identity: dict[str, Any]) -> None:
        if not path.exists():
            if (path.parent / PER_QUERY).exists():
                raise BadInput(f"{path}: missing beside {PER_QUERY}; start again in an empty folder")
            write_atomic(path, [json.dumps(identity, indent=2, ensure_ascii=False), "\n"])
            return
        kept = read_identity(path)
        for key in (*identity, *kept):
            if kept.get(key) != identity.get(key):
                raise BadInput(
                    f"{str(path.parent)!r} holds a run with {key} {kept.get(key)!r}, "
                    f"not {identity.get(key)!r}: name another folder with --out"
                )

    def _cut_torn_end(self) -> None:
        if not self.path.exists():
            return
        data = self.path.read_bytes()
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            os.truncate(self.path, whole)


def _alone(out: Path) -> IO[str]:
    """A lock that the system lets go when this process ends, however it ends."""
    file = os.fdopen(_no_link(str(out / ".lock"), os.O_WRONLY | os.O_CREAT), "w", encoding="utf-8")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise BadInput(
            f"another evaluation is writing to {str(out)!r}: wait for it, or choose --out"
        ) from None
    return file


def _no_link(path: str, flags: int) -> int:
    """Open a file of a run's folder, which somebody else may have made: never what a link or a pipe leads to.

    Raises:
        BadInput: it is one.
    """
    if os.path.lexists(path) and not stat.S_ISREG(os.lstat(path).st_mode):
        raise BadInput(f"{path!r} is no regular file; choose another folder with --out")
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)


def read_identity(path: Path) -> dict[str, Any]:
    """What run a folder holds.

    Raises:
        BadInput: missing or damaged.
    """
    try:
        identity = parse_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BadInput(f"{path}: missing; name a folder that `imagescope eval` wrote") from None
    except ValueError:
        raise BadInput(f"{path}: damaged; start again in an empty folder") from None
    if not isinstance(identity, dict):
        raise BadInput(f"{path}: damaged; start again in an empty folder")
    return identity


def read_records(path: Path) -> Iterable[tuple[int, dict[str, Any]]]:
    """Line number and record of every line of a per_query.jsonl.

    Raises:
        BadInput: a line is damaged.
    """
    if not path.exists():
        return
    names: dict[str, str] = {}  # one object an image: a large run repeats few names ten million times
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            try:
                record = parse_json(line)
                for ranking in record["stages"].values():
                    ranking[:] = [names.setdefault(image, image) for image in ranking]
                record["qid"]
            except (ValueError, KeyError, TypeError, AttributeError):
                raise _damaged(path, number, "not a record of a query") from None
            yield number, record


def _damaged(path: Path, line: int, why: str) -> BadInput:
    return BadInput(f"{path}, line {line}: {why}; the file is damaged, start again in an empty folder")
