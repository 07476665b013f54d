"""`imagescope eval DATASET --check`: what is missing and where it is obtained; no model is loaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from imagescope_agent.collection.formats import described
from imagescope_agent.errors import BadInput
from imagescope_agent.evaluation import datasets


@dataclass(frozen=True, kw_only=True)
class Checked:
    """What was found: one line for people on each thing, and whether nothing is missing."""

    lines: tuple[str, ...]
    complete: bool


def check(dataset: str, root: Path | str, *, split: str | None = None) -> Checked:
    """Look at the files a data set needs and, when its annotations are there, at every picture of its
    galleries.

    Raises:
        BadInput: unknown data set or split.
    """
    root = Path(root)
    needed = datasets.find(dataset).needed(root, split=split)
    lines = [
        f"{'there' if each.path.exists() else 'MISSING'}: {each.path}"
        + ("" if each.path.exists() else f"; obtain it from {each.source}")
        for each in needed
    ]
    complete = all(each.path.exists() for each in needed)
    if not all(each.path.exists() for each in needed if not each.images):
        return Checked(lines=tuple(lines), complete=False)
    sources = [each.source for each in needed if each.images]
    try:
        benchmark = datasets.load(dataset, root, split=split)
        lines.append(f"{benchmark.split}: {len(benchmark.queries)} queries; {benchmark.protocol}")
        for name, gallery in benchmark.open_galleries().items():
            missing, unusable = gallery.missing(), gallery.unusable()
            there = len(gallery.files) - len(missing) - len(unusable)
            lines.append(f"gallery {name!r}: {there} of {len(gallery.files)} images in {gallery.folder}")
            if unusable:
                complete = False
                why = described(gallery.folder / unusable[0])
                lines.append(
                    f"PROBLEM: {len(unusable)} files are no pictures, such as {unusable[0]} ({why}); "
                    f"obtain them again from {sources[0]}"
                )
            if missing or not gallery.files:
                complete = False
                example = f" {missing[0]}" if missing else ""
                lines.append(
                    f"MISSING: {len(missing)} images, such as{example}; obtain them from {sources[0]}"
                )
    except BadInput as error:
        return Checked(lines=(*lines, f"PROBLEM: {error}"), complete=False)
    return Checked(lines=tuple(lines), complete=complete)
