"""Import open_clip without transformers, which only text towers of Hugging Face need.

It doubles the time of the import. open_clip imports transformers where they are installed, and does
without where they are not.
"""

from __future__ import annotations

import importlib
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from typing import Any

_LOCK = threading.Lock()
_NAME = "transformers"


def import_open_clip(*, transformers: bool) -> Any:
    """The module `open_clip`.

    Args:
        transformers: whether the model needs a text tower of Hugging Face.
    """
    with _LOCK:
        if transformers:
            open_clip = importlib.import_module("open_clip")
            _give_transformers(open_clip)
            return open_clip
        with _hidden():
            return importlib.import_module("open_clip")


def _give_transformers(open_clip: Any) -> None:
    """Let an open_clip that was imported without transformers have them."""
    if open_clip.hf_model.transformers is None:
        importlib.reload(open_clip.hf_model)
        open_clip.model.HFTextEncoder = open_clip.hf_model.HFTextEncoder


class _Hider:
    """A finder that finds no transformers, for one thread: others may be importing it."""

    def __init__(self) -> None:
        self._thread = threading.get_ident()

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name == _NAME and threading.get_ident() == self._thread:
            raise ImportError(f"{_NAME} is not needed here", name=name)
        return None


@contextmanager
def _hidden() -> Iterator[None]:
    hider: Any = _Hider()
    sys.meta_path.insert(0, hider)
    try:
        yield
    finally:
        sys.meta_path.remove(hider)
