"""Read annotation files, reporting every error with file and line."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imagescope_agent.common.untrusted import parse_json, read_file
from imagescope_agent.errors import BadInput, shorten
from imagescope_agent.evaluation.encodings import decoded

LARGEST = 2**30  # bytes of an annotation file
LONGEST_ID = 200  # characters
_SURROGATE = re.compile(r"\\u[dD][89abAB]|\\u[dD][c-fC-F]")  # as JSON escapes it, paired or not


def read_text(path: Path) -> str:
    """The file's text.

    Raises:
        BadInput: it is missing, no regular file, unreadable, or neither UTF-8 nor UTF-16 with its mark.
    """
    try:
        return decoded(read_file(path, LARGEST, follow=True))
    except FileNotFoundError:
        raise BadInput(
            f"{path}: missing; `imagescope eval DATASET --root DIR --check` says where to obtain it"
        ) from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise BadInput(f"{path}, line {line}: not UTF-8 text; obtain the file again") from None
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror or error}") from None


def read_json(path: Path) -> Any:
    """One JSON document.

    Raises:
        BadInput: missing, or not JSON, naming the line.
    """
    text = read_text(path)
    try:
        return _parsed(text)
    except json.JSONDecodeError as error:
        raise BadInput(
            f"{path}, line {error.lineno}: not valid JSON ({error.msg}); the file may be cut off"
        ) from None
    except _NotStrict as error:
        line = _line_of_error(text, error)
        raise BadInput(f"{path}, line {line}: {error}; obtain the file again") from None
    except ValueError as error:
        raise BadInput(f"{path}, line 1: not valid JSON ({error}); obtain the file again") from None


def read_jsonl(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line number (from 1) and record of every line that is not empty.

    Raises:
        BadInput: a line is no JSON object; the file is missing.
    """
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        line = line.strip("\ufeff \t\r")  # files that were put together keep the marks of each
        if not line.strip():
            continue
        try:
            record = _parsed(line)
        except _NotStrict as error:
            raise BadInput(f"{path}, line {number}: {error}; mend that line") from None
        except ValueError:
            raise BadInput(f"{path}, line {number}: not valid JSON; the line may be cut off") from None
        if not isinstance(record, dict):
            raise BadInput(f"{path}, line {number}: expected a JSON object, not {type(record).__name__}")
        yield number, record


def read_csv(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number (from 1, of the record's last line) and record of every row of a CSV file with a header."""
    reader = csv.DictReader(read_text(path).splitlines(keepends=True), strict=True)
    try:
        for row in reader:
            if None in row or None in row.values():
                raise BadInput(
                    f"{path}, line {reader.line_num}: wrong number of columns; the line may be cut off"
                )
            yield reader.line_num, row
    except csv.Error as error:
        raise BadInput(f"{path}, line {reader.line_num}: not valid CSV ({error})") from None


def read_json_records(path: Path, key: str = "") -> Iterator[tuple[RecordLocation, dict[str, Any]]]:
    """Location and record of a JSON file that holds a list of objects, as a whole or under a key.

    Raises:
        BadInput: the file holds something else.
    """
    data = read_json(path)
    if key:
        if not isinstance(data, dict):
            raise BadInput(f"{path}, line 1: expected an object with {key!r}")
        data = require_field(data, key, list, f"{path}, line 1")
    if not isinstance(data, list):
        raise BadInput(f"{path}, line 1: expected a list of records, not {type(data).__name__}")
    for index, record in enumerate(data):
        place = RecordLocation(path=path, index=index, key=key)
        if not isinstance(record, dict):
            raise BadInput(f"{place}: expected an object, not {type(record).__name__}")
        yield place, record


def read_names(path: Path) -> list[str]:
    """A JSON file that holds a list of different image names.

    Raises:
        BadInput: the file holds something else, or a name twice.
    """
    listed = read_json(path)
    if not isinstance(listed, list) or not all(isinstance(name, str) for name in listed):
        raise BadInput(f"{path}, line 1: expected a list of image names")
    require_unique((RecordLocation(path=path, index=index), name) for index, name in enumerate(listed))
    return listed


@dataclass(frozen=True, kw_only=True)
class RecordLocation:
    """Location of an element of a JSON list; the line is looked up only when a message needs it.

    `key` names the list where it is not the whole document.
    """

    path: Path
    index: int
    key: str = ""

    def __str__(self) -> str:
        line = element_line(read_text(self.path), self.index, key=self.key)
        return f"{self.path}, line {line}, record {self.index + 1}"


def element_line(text: str, index: int, *, key: str = "") -> int:
    """The line (from 1) on which element `index` of the JSON list `text`, or of its list `key`, begins."""
    start = _key(key).search(text) if key else None
    position = text.index("[", start.end() if start else 0) + 1
    decoder = json.JSONDecoder()
    for remaining in range(index, -1, -1):
        while text[position] in " \t\r\n,":
            position += 1
        if remaining == 0:
            break
        position = decoder.raw_decode(text, position)[1]
    return _line(text, position)


def key_line(text: str, key: str) -> int:
    """The line (from 1) of the last occurrence of a key of a JSON object; 1 when it is not found."""
    found = [match.start() for match in _key(key).finditer(text)]
    return _line(text, found[-1]) if found else 1


def require_field(record: dict[str, Any], key: str, kind: type | tuple[type, ...], place: object) -> Any:
    """`record[key]`, checked.

    Raises:
        BadInput: the field is missing or of another type.
    """
    if key not in record:
        raise BadInput(f"{place}: the field {key!r} is missing")
    value = record[key]
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is int):
        raise BadInput(
            f"{place}: the field {key!r} is {type(value).__name__}, which is not what the format says"
        )
    return value


def read_id(record: dict[str, Any], key: str, place: object) -> str:
    """`record[key]` as an id: a text or a whole number.

    Raises:
        BadInput: the field is missing, empty, too long, or of another type.
    """
    found = str(require_field(record, key, (str, int), place)) if record.get(key) is not True else ""
    if isinstance(record[key], bool) or not found.strip() or len(found) > LONGEST_ID:
        raise BadInput(
            f"{place}: the field {key!r} is {shorten(repr(record[key]), 40)}; "
            f"give a text of at most {LONGEST_ID} characters, or a whole number"
        )
    return found


def require_strings(
    record: dict[str, Any], key: str, place: object, *, length: int | None = None
) -> list[str]:
    """`record[key]` as a list of texts, of `length` when given.

    Raises:
        BadInput: it is something else.
    """
    value = require_field(record, key, list, place)
    if not all(isinstance(item, str) for item in value):
        raise BadInput(f"{place}: the field {key!r} should hold texts only")
    if length is not None and len(value) != length:
        raise BadInput(f"{place}: the field {key!r} holds {len(value)} texts, not {length}")
    return list(value)


def require_unique(ids: Iterable[tuple[object, str]]) -> None:
    """Check that no id of `(place, id)` pairs comes twice.

    Raises:
        BadInput: one does.
    """
    seen: set[str] = set()
    for place, name in ids:
        if name in seen:
            raise BadInput(f"{place}: the id {name!r} occurs twice")
        seen.add(name)


def _parsed(text: str) -> Any:
    """What JSON says, where every reader would understand the same.

    Raises:
        _NotStrict: it has a key twice, a number that is none, or half of a character.
        ValueError: it is no JSON, or too deep.
    """
    value = parse_json(text, **_STRICT)
    if _SURROGATE.search(text):
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            half = f"\\u{ord(error.object[error.start]):04x}"
            raise _NotStrict(
                f"{half} is half of a character", re.compile(re.escape(half), re.IGNORECASE)
            ) from None
    return value


class _NotStrict(ValueError):
    """Something that Python's JSON parser would accept; `pattern` finds it in the text."""

    def __init__(self, message: str, pattern: re.Pattern[str]) -> None:
        super().__init__(message)
        self.pattern = pattern


def _reject_duplicate_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        keys = [key for key, _ in pairs]
        duplicate = max(keys, key=keys.count)
        raise _NotStrict(f"the key {duplicate!r} occurs twice", _key(duplicate))
    return made


def _reject_constant(name: str) -> None:
    raise _NotStrict(f"{name} is not allowed", re.compile(re.escape(name)))


_STRICT: dict[str, Any] = {"parse_constant": _reject_constant, "object_pairs_hook": _reject_duplicate_keys}


def _line_of_error(text: str, error: _NotStrict) -> int:
    """The line of the error: in a list of records that of the record, else that of its last occurrence."""
    position, decoder = len(text) - len(text.lstrip()) + 1, json.JSONDecoder(**_STRICT)
    listed = text.startswith("[", position - 1)
    while listed:
        position = re.compile(r"[\s,]*").match(text, position).end()  # type: ignore[union-attr]
        try:
            position = decoder.raw_decode(text, position)[1]
        except _NotStrict:
            break
    else:
        position = [match.start() for match in error.pattern.finditer(text)][-1]
    return _line(text, position)


def _key(key: str) -> re.Pattern[str]:
    return re.compile(re.escape(json.dumps(key, ensure_ascii=False)) + r"\s*:")


def _line(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1
