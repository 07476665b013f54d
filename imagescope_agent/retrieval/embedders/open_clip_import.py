"""Import open_clip without what a model does not need: transformers, timm, and torch._dynamo.

Transformers are for text towers of Hugging Face, timm for its image towers. open_clip imports both where they are
installed, which takes longer than all else, and does without where they are not. torch._dynamo is imported by timm, and
by torchvision for one function that embedding does not call; it is imported when anything of it is used.
"""

from __future__ import annotations

import importlib
import sys
import threading
from collections.abc import Iterator, Set
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from imagescope_agent.common.model_loading import LOADING

_DYNAMO, _UTILS, _WANTED = "torch._dynamo", "torch._dynamo.utils", "is_compile_supported"


def import_open_clip(*, transformers: bool, timm: bool) -> Any:
    """The module `open_clip`.

    Args:
        transformers: whether the model needs a text tower of Hugging Face.
        timm: whether it needs an image tower of timm.
    """
    hidden = {"transformers"} if not transformers else set[str]()
    hidden |= {"timm"} if not timm and not transformers else set()  # transformers look for timm
    with LOADING:
        _import_torchvision()
        with _hidden(hidden):
            open_clip = importlib.import_module("open_clip")
            if transformers and open_clip.hf_model.transformers is None:
                importlib.reload(open_clip.hf_model)
                open_clip.model.HFTextEncoder = open_clip.hf_model.HFTextEncoder
            if timm and open_clip.timm_model.timm is None:
                importlib.reload(open_clip.timm_model)
                open_clip.model.TimmModel = open_clip.timm_model.TimmModel
    return open_clip


class _Late(ModuleType):
    """A module that is imported when anything of it is used but the function that torchvision takes."""

    def __getattr__(self, name: str) -> Any:
        if name == _WANTED and self.__name__ == _UTILS:
            return _is_compile_supported
        if name == "__file__" or (name, self.__name__) == ("__path__", _UTILS):
            raise AttributeError(name)  # whoever looks through all modules for a file; and it is no package
        _forget_late()
        return getattr(importlib.import_module(self.__name__), name)


def _is_compile_supported(device: str) -> bool:
    return bool(getattr(importlib.import_module(_UTILS), _WANTED)(device))


def _forget_late() -> None:
    for name in (_DYNAMO, _UTILS):
        if isinstance(sys.modules.get(name), _Late):
            sys.modules.pop(name, None)


def _import_torchvision() -> None:
    """Import torchvision; torch._dynamo, where nothing has imported it, is imported when it is used."""
    importlib.import_module("torch")
    if "torchvision" not in sys.modules and _DYNAMO not in sys.modules:
        sys.modules |= {name: _Late(name) for name in (_DYNAMO, _UTILS)}
    try:
        importlib.import_module("torchvision")
    finally:
        _forget_late()


class _Hider:
    """A finder that does not find some packages, for one thread: others may be importing them."""

    def __init__(self, names: Set[str]) -> None:
        self._names, self._thread = names, threading.get_ident()

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name in self._names and threading.get_ident() == self._thread:
            raise ImportError(f"{name} is not needed here", name=name)
        return None


@contextmanager
def _hidden(names: Set[str]) -> Iterator[None]:
    hider: Any = _Hider(names)
    sys.meta_path.insert(0, hider)
    try:
        yield
    finally:
        sys.meta_path.remove(hider)
