"""TREC run files: "QID Q0 IMAGE RANK SCORE TAG", one line a result.

White space and "%" in ids are percent-encoded, so that a file name with a space stays one field. A ranking is
read as trec_eval reads it, by falling score, except that equal scores keep the order of the rank column.
Scores that we write fall strictly.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from operator import gt
from pathlib import Path
from urllib.parse import unquote

from imagescope_agent.errors import BadInput
from imagescope_agent.evaluation.ledger import write_atomic

FORM = "QID Q0 IMAGE RANK SCORE TAG"
_ENCODED = {ord(c): f"%{ord(c):02X}" for c in "% \t\r\n\v\f\x1c\x1d\x1e\x1f"}


def write_run(path: Path, rankings: Mapping[str, Iterable[str]], tag: str) -> None:
    """Write rankings `{qid: image ids, best first}` under the system's name; the score is 1 / rank."""
    lines = (
        f"{encode(qid)} Q0 {encode(image)} {rank} {1 / rank:.9f} {encode(tag) or 'run'}\n"
        for qid, ranking in rankings.items()
        for rank, image in enumerate(ranking, start=1)
    )
    write_atomic(path, lines)


def read_run(path: Path) -> dict[str, list[str]]:
    """Read a run file into `{qid: image ids, best first}`.

    Raises:
        BadInput: a missing or empty file, a line that is cut off or malformed, an image that occurs twice for
            a query.
    """
    blocks: dict[str, tuple[list[str], list[float], list[int]]] = {}
    names: dict[str, str] = {}  # one object an image: the same ids come back in every query
    last, number = None, 0
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):  # noqa: B007 -- the messages below need it
                qid, _, image, rank, score, _ = line.split()
                if qid != last:
                    images, scores, ranks = blocks.setdefault(qid, ([], [], []))
                    last = qid
                images.append(names.setdefault(image, image))
                scores.append(float(score))
                ranks.append(int(rank))
    except UnicodeDecodeError:
        raise BadInput(f"{path}, after line {number}: not UTF-8 text") from None
    except ValueError:
        raise BadInput(
            f"{path}, line {number}: expected {FORM!r}, found {line.strip()[:80]!r}; the line may be cut off"
        ) from None
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror or error}") from None
    if not blocks:
        raise BadInput(f"{path}, line 1: the run is empty; expected lines {FORM!r}")
    decode = {name: unquote(name) for name in names}
    return {unquote(qid): _ordered(path, qid, *block, decode) for qid, block in blocks.items()}


def encode(name: str) -> str:
    """An id or tag as one field."""
    return name.translate(_ENCODED)


def line_of(path: Path, qid: str, image: str | None = None, *, occurrence: int = 1) -> int:
    """The line (from 1) on which a query, or an image of it, stands for the `occurrence`-th time."""
    wanted = [encode(qid), "Q0", encode(image)] if image is not None else [encode(qid)]
    found = 0
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            parts = line.split()
            found += parts[:1] == wanted[:1] and (image is None or parts[2] == wanted[2])
            if found == occurrence:
                return number
    return 0


def _ordered(
    path: Path, qid: str, images: list[str], scores: list[float], ranks: list[int], decode: Mapping[str, str]
) -> list[str]:
    if len(set(images)) < len(images):
        image = next(image for place, image in enumerate(images) if image in images[:place])
        number = line_of(path, unquote(qid), unquote(image), occurrence=2)
        raise BadInput(
            f"{path}, line {number}: image {unquote(image)!r} occurs twice for query {unquote(qid)!r}"
        )
    if not math.isfinite(sum(scores)):
        place = next(place for place, score in enumerate(scores) if not math.isfinite(score))
        number = line_of(path, unquote(qid), unquote(images[place]))
        raise BadInput(f"{path}, line {number}: the score is not a finite number")
    if not all(map(gt, scores, scores[1:])):
        order = sorted(range(len(images)), key=lambda place: (-scores[place], ranks[place]))
        images = [images[place] for place in order]
    return [decode[image] for image in images]
