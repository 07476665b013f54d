"""Triplets <reference, modification text, target> as training data: our own files and those of published data sets.

Read are, told apart by what is in them:

- JSON lines of `imagescope triplets`: {"reference", "text", "target", "distractors", ...};
- CIRR's cap.rc2.train.json: [{"reference", "caption", "target_hard", "img_set": {"members"}}];
- FashionIQ's cap.*.train.json: [{"candidate", "target", "captions": [two]}];
- LaSCo's JSON: [{"query-image": [id, path], "query-text", "target-image": [id, path]}].

Images are named by id of the collection, by path, or by file name without its ending.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from imagescope_agent.common.untrusted import parse_json, read_file
from imagescope_agent.common.visible_text import said
from imagescope_agent.errors import BadInput, shorten

LARGEST = 2**30  # bytes of a file of triplets
STRIPPED = ".?, "  # of FashionIQ's captions


@dataclass(frozen=True, kw_only=True)
class Triplet:
    """One triplet, by ids of a collection; `distractors` are images that are alike and not the target."""

    reference: str
    text: str
    target: str
    distractors: tuple[str, ...] = ()


def read_triplets(path: Path, ids: Sequence[str]) -> list[Triplet]:
    """The triplets of a file, in its order.

    Args:
        path: the file.
        ids: of the collection.

    Raises:
        BadInput: the file is missing, damaged, of no known form, empty, or names images that the collection lacks.
    """
    names = _Names(ids)
    found: list[Triplet] = []
    for place, record in records(path):
        given = _given(record, place)
        triplet = Triplet(
            reference=names.find(given.reference, place),
            text=given.text,
            target=names.find(given.target, place),
            distractors=tuple(each for each in map(names.known, given.distractors) if each),
        )
        if triplet.reference == triplet.target:
            raise BadInput(f"{place}: the target is the reference; remove the line")
        found.append(triplet)
    if not found:
        raise BadInput(f"{str(path)!r} holds no triplets; make some with `imagescope triplets`")
    return found


class _Names:
    """The ids of a collection by every name that a file may give them."""

    def __init__(self, ids: Sequence[str]) -> None:
        self._ids = frozenset(ids)
        self._short: dict[str, str | None] = {}  # None where two images share the name
        for each in ids:
            path = PurePosixPath(each)
            for name in {path.name, path.stem}:
                self._short[name] = None if name in self._short else each

    def known(self, name: str) -> str | None:
        """The id that a name stands for; None when there is none, or more than one."""
        path = PurePosixPath(name.removeprefix("./"))
        if str(path) in self._ids:
            return str(path)
        return self._short.get(path.name) or self._short.get(path.stem)

    def find(self, name: str, place: str) -> str:
        """As `known`.

        Raises:
            BadInput: there is no such image.
        """
        if (found := self.known(name)) is None:
            raise BadInput(
                f"{place}: the collection has no image {shorten(name, 80)!r}; name the collection that the triplets "
                "are about, or index it again"
            )
        return found


def records(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every record of a file of JSON or JSON lines with its place, for messages.

    Raises:
        BadInput: the file is missing or damaged.
    """
    try:
        text = read_file(path, LARGEST).decode("utf-8-sig")
    except FileNotFoundError:
        raise BadInput(f"there is no file {str(path)!r}; make triplets with `imagescope triplets`") from None
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{str(path)!r} is no file of triplets: {error}; name another") from error
    if text.lstrip().startswith("["):
        items = enumerate(_parsed(text, str(path)), start=1)
        named = ((f"{path}, record {number}", item) for number, item in items)
    else:
        lines = enumerate(text.split("\n"), start=1)
        named = (
            (f"{path}, line {n}", _parsed(line, f"{path}, line {n}")) for n, line in lines if line.strip()
        )
    for place, item in named:
        if not isinstance(item, dict):
            raise BadInput(f"{place}: no JSON object; remove it")
        yield place, item


def _parsed(text: str, place: str) -> Any:
    try:
        return parse_json(text)
    except ValueError as error:
        raise BadInput(f"{place}: no JSON ({error}); the file may be cut off: obtain it again") from error


def _given(record: Mapping[str, Any], place: str) -> Triplet:
    """A record with its names as they stand there.

    Raises:
        BadInput: it is of no known form.
    """
    group: Any = record.get("img_set")
    others: Any = record.get("distractors", group.get("members", []) if isinstance(group, dict) else [])
    texts: Any = record.get("captions")
    values: tuple[tuple[Any, Any, Any], ...] = (
        (record.get("reference"), record.get("text"), record.get("target")),
        (record.get("reference"), record.get("caption"), record.get("target_hard")),
        (record.get("candidate"), _joined(texts), record.get("target")),
        (_path(record, "query-image"), record.get("query-text"), _path(record, "target-image")),
    )
    for reference, text, target in values:
        if all(isinstance(each, str) and said(each) for each in (reference, text, target)):
            left_out = (reference, target)
            named = [each for each in others if isinstance(each, str)] if isinstance(others, list) else []
            return Triplet(
                reference=reference,
                text=said(text),
                target=target,
                distractors=tuple(each for each in named if each not in left_out),
            )
    raise BadInput(
        f"{place}: no triplet of a known form (ours, CIRR's, FashionIQ's or LaSCo's): reference, text and target "
        "are wanted"
    )


def _joined(texts: Any) -> str | None:
    """FashionIQ's two captions as one text."""
    if not isinstance(texts, list) or not all(isinstance(each, str) for each in texts):
        return None
    return " and ".join(filter(None, (each.strip(STRIPPED) for each in texts)))


def _path(record: Mapping[str, Any], key: str) -> Any:
    """The path of LaSCo's [id, path]."""
    value = record.get(key)
    return value[1] if isinstance(value, list) and len(value) == 2 else None
