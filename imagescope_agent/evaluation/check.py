"""`imagescope eval DATASET --check`: which files are missing and where to obtain them; no model is loaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from imagescope_agent.errors import BadInput
from imagescope_agent.evaluation import datasets
from imagescope_agent.retrieval.imaging.formats import described


@dataclass(frozen=True, kw_only=True)
class DataSetCheck:
    """The findings, one line each, and whether nothing is missing."""

    lines: tuple[str, ...]
    complete: bool


def check_data_set(  # a line for each finding
    dataset: str, root: Path | str, *, split: str | None = None
) -> DataSetCheck:
    """Look for the files of a data set and, when its annotations are there, for every image of its galleries.

    Raises:
        BadInput: unknown data set or split.
    """
    root = Path(root)
    needed = datasets.find(dataset).required_files(root, split=split)
    lines = [
        f"{'there' if each.path.exists() else 'MISSING'}: {each.path}"
        + ("" if each.path.exists() else f"; obtain it from {each.source}")
        for each in needed
    ]
    complete = all(each.path.exists() for each in needed)
    if not all(each.path.exists() for each in needed if not each.images):
        return DataSetCheck(lines=tuple(lines), complete=False)
    sources = [each.source for each in needed if each.images]
    try:
        benchmark = datasets.load(dataset, root, split=split)
        lines.append(f"{benchmark.split}: {len(benchmark.queries)} queries; {benchmark.protocol}")
        for name, gallery in benchmark.open_galleries().items():
            missing, unusable = gallery.missing(), gallery.unusable()
            whole = len(gallery.files) + len(gallery.outside)
            there = whole - len(missing) - len(unusable)
            lines.append(f"gallery {name!r}: {there} of {whole} images in {gallery.folder}")
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
        return DataSetCheck(lines=(*lines, f"PROBLEM: {error}"), complete=False)
    return DataSetCheck(lines=tuple(lines), complete=complete)
