"""The data sets, one file each. To add one: a file with `load` and `required_files`, and a line in DATASETS."""

from __future__ import annotations

import difflib
import importlib
from pathlib import Path
from types import ModuleType

from imagescope_agent.errors import BadInput
from imagescope_agent.evaluation.datasets.base import Benchmark, BenchmarkQuery, Gallery, RequiredFile

__all__ = ["DATASETS", "Benchmark", "BenchmarkQuery", "Gallery", "RequiredFile", "find", "load"]

#: Name on the command line -> module with `load(root, *, split) -> Benchmark` and `required_files(root, *, split) ->
#: list[RequiredFile]`.
DATASETS = {
    "scenes": "imagescope_agent.evaluation.datasets.scenes",
    "cirr": "imagescope_agent.evaluation.datasets.cirr",
    "circo": "imagescope_agent.evaluation.datasets.circo",
    "fashioniq": "imagescope_agent.evaluation.datasets.fashioniq",
    "flickr30k": "imagescope_agent.evaluation.datasets.flickr30k",
    "mscoco": "imagescope_agent.evaluation.datasets.mscoco",
    "visdial": "imagescope_agent.evaluation.datasets.visdial",
    "pinpoint": "imagescope_agent.evaluation.datasets.pinpoint",
    "folder": "imagescope_agent.evaluation.datasets.folder",
}


def find(name: str) -> ModuleType:
    """The module of a data set.

    Raises:
        BadInput: there is none of that name.
    """
    if name not in DATASETS:
        close = difflib.get_close_matches(name, DATASETS, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"choose one of {', '.join(DATASETS)}"
        raise BadInput(f"unknown data set {name!r}: {hint}")
    return importlib.import_module(DATASETS[name])


def load(name: str, root: Path, *, split: str | None = None) -> Benchmark:
    """Read a data set's queries and rules; its images are not touched.

    Raises:
        BadInput: unknown name or split, a missing or malformed annotation file.
    """
    benchmark: Benchmark = find(name).load(Path(root), split=split)
    return benchmark
