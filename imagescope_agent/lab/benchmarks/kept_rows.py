"""Rows of a long measurement, kept in a file as they are made: killed at any moment, the next call goes on."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from imagescope_agent.common.atomic_write import write_atomic
from imagescope_agent.common.untrusted import parse_json, read_file
from imagescope_agent.errors import BadInput

LARGEST = 2**24  # bytes

Row = dict[str, Any]


class KeptRows:
    """The rows that are measured already; of no file, none, and nothing is kept.

    Args:
        file: where they are; it need not exist.
        of: what is measured with what; rows of something else are refused.

    Raises:
        BadInput: the file is damaged, or of something else, or its folder cannot be made.
    """

    def __init__(self, file: Path | None, of: Mapping[str, Any]) -> None:
        self.file, self.of = file, json.loads(json.dumps(of))
        self.rows: dict[str, Row] = {}
        if file is None:
            return
        try:  # now, and not after the first measurement
            file.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BadInput(f"cannot keep rows in {str(file)!r}: {error}; name another file") from error
        if not file.exists():
            return
        try:
            found = parse_json(read_file(file, LARGEST))
            of_before = dict(found["of"])
            self.rows = {name: dict(row) for name, row in found["rows"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise BadInput(f"{str(file)!r} is damaged; remove it, and measure again") from error
        if other := [name for name in self.of if of_before.get(name) != self.of[name]]:
            raise BadInput(f"{str(file)!r} holds rows of another {' and '.join(other)}; name another file")

    def row(self, name: str, measure: Callable[[], Row]) -> Row:
        """The row of this name, measured where it is not kept."""
        if name not in self.rows:
            self.rows[name] = measure()
            if self.file is not None:
                write_atomic(self.file, json.dumps({"of": self.of, "rows": self.rows}, indent=1) + "\n")
        return self.rows[name]
