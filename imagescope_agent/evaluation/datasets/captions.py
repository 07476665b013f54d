"""Text-to-image retrieval from image captions: every caption is one query, its image the one right answer.

Shared by Flickr30K and MSCOCO, which differ in files and sources only.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from imagescope_agent.common.visible_text import said
from imagescope_agent.errors import BadInput
from imagescope_agent.evaluation.datasets.annotations import (
    read_csv,
    read_json_records,
    read_jsonl,
    require_field,
    require_strings,
    require_unique,
)
from imagescope_agent.evaluation.datasets.base import BenchmarkQuery

#: Location for messages, image file name, captions.
CaptionedImage = tuple[object, str, list[str]]
MEASURES = ("R@1", "R@5", "R@10")


def from_csv(path: Path) -> Iterator[CaptionedImage]:
    """Rows of the test split of a Karpathy table: columns filename, split and raw (a list of captions)."""
    for number, row in read_csv(path):
        place = f"{path}, line {number}"
        if require_field(row, "split", str, place) == "test":
            yield (
                place,
                require_field(row, "filename", str, place),
                _listed(require_field(row, "raw", str, place), place),
            )


def from_karpathy(path: Path) -> Iterator[CaptionedImage]:
    """The test split of Karpathy's dataset_*.json."""
    for place, image in read_json_records(path, "images"):
        if require_field(image, "split", str, place) == "test":
            sentences = require_field(image, "sentences", list, place)
            if not all(isinstance(sentence, dict) for sentence in sentences):
                raise BadInput(f"{place}: the field 'sentences' should hold objects only")
            texts = [require_field(sentence, "raw", str, place) for sentence in sentences]
            yield place, require_field(image, "filename", str, place), texts


def from_jsonl(path: Path) -> Iterator[CaptionedImage]:
    """Lines {"image", "captions"}."""
    for number, record in read_jsonl(path):
        place = f"{path}, line {number}"
        yield place, require_field(record, "image", str, place), require_strings(record, "captions", place)


def queries(captioned: Sequence[CaptionedImage], *, most: int | None = None) -> Iterator[BenchmarkQuery]:
    """One query a caption, "IMAGE#N"; at most `most` captions an image.

    Raises:
        BadInput: an image comes twice, or has no caption.
    """
    require_unique((place, name) for place, name, _ in captioned)
    for place, name, texts in captioned:
        if not texts or not all(said(text) for text in texts):
            raise BadInput(f"{place}: image {name!r} has no caption, or an empty one")
        for number, text in enumerate(texts[:most]):
            yield BenchmarkQuery(qid=f"{name}#{number}", text=text, relevant=(name,), target=name)


def _listed(text: str, place: str) -> list[str]:
    """A list of captions as the tables hold it, in JSON or in Python's notation."""
    try:
        texts = json.loads(text)
    except ValueError:
        try:
            texts = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            texts = None
    if not isinstance(texts, list) or not all(isinstance(caption, str) for caption in texts):
        raise BadInput(f"{place}: the column 'raw' should hold a list of captions")
    return texts
