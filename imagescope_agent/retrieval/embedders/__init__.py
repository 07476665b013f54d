"""Embedders: images and texts as unit vectors in one space. One file and one line here adds one.

An entry is an opener, `(place: str, *, device: str | None) -> Embedder`; a stranger's is named "module:attribute".
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from imagescope_agent.errors import BadInput, suggest
from imagescope_agent.registry import resolve
from imagescope_agent.retrieval.protocols import Embedder

EMBEDDERS: dict[str, str] = {
    "open_clip": "imagescope_agent.retrieval.embedders.open_clip:open_model",
    "hf-hub": "imagescope_agent.retrieval.embedders.open_clip:open_from_hub",
    "multimodal": "imagescope_agent.retrieval.embedders.multimodal:open_model",
}


def open_embedder(spec: str | Path, *, device: str | None = None) -> Embedder:
    """Load an embedder.

    Args:
        spec: KIND:PLACE with a kind of `EMBEDDERS`: `multimodal:FOLDER`, `hf-hub:OWNER/REPO[@REVISION]`; only a place
            is an open_clip model: a local folder, or open_clip's `NAME/PRETRAINED`; from another package
            `module:attribute[:PLACE]`, an opener as those of the table.
        device: "cuda" or "cpu"; CUDA where there is one when None.

    Raises:
        BadInput: there is no such folder, model or opener, or it is damaged.
        BackendUnavailable: the weights are on a hub that cannot be reached, or are of another kind.
    """
    text = str(spec)
    kind, colon, place = text.partition(":")
    if not colon or Path(text).is_dir():
        kind, place = "open_clip", text
    elif kind not in EMBEDDERS:
        if not _is_module(kind):
            raise BadInput(f"there is no kind of embedder {kind!r} in {text!r}; {suggest(kind, EMBEDDERS)}")
        attribute, _, place = place.partition(":")
        kind = f"{kind}:{attribute}"
    embedder = resolve(kind, EMBEDDERS, kind="embedder")(place, device=device)
    if not isinstance(embedder, Embedder):
        raise BadInput(
            f"{kind!r} opens a {type(embedder).__name__}, which is no Embedder; see retrieval.protocols"
        )
    return embedder


def _is_module(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except (ImportError, ValueError):
        return False
