"""Embedders: images and texts as unit vectors in one space. One file and one line here adds one.

An entry is an opener, `(place: str, *, device: str | None) -> Embedder`; a stranger's is named "module:attribute".
"""

from __future__ import annotations

from pathlib import Path

from imagescope_agent.errors import BadInput
from imagescope_agent.registry import resolve, resolve_opener
from imagescope_agent.retrieval.protocols import Embedder

EMBEDDERS: dict[str, str] = {
    "open_clip": "imagescope_agent.retrieval.embedders.open_clip:open_model",
    "hf-hub": "imagescope_agent.retrieval.embedders.open_clip:open_from_hub",
    "assembled": "imagescope_agent.retrieval.embedders.assembled:open_model",
    "multimodal": "imagescope_agent.retrieval.embedders.multimodal:open_model",
    "composer": "imagescope_agent.retrieval.embedders.composer:open_model",
    "cir_cot": "imagescope_agent.retrieval.embedders.cir_cot:open_model",
}


#: What says an embedder's `weights` and `dimension` without opening it, `(place) -> (weights, dimension) or None`.
IDENTITIES: dict[str, str] = {
    "open_clip": "imagescope_agent.retrieval.embedders.open_clip_folder:identify",
    "cir_cot": "imagescope_agent.retrieval.embedders.cir_cot:identify",
    "composer": "imagescope_agent.retrieval.embedders.composer_card:identify",
}


def identify(spec: str | Path) -> tuple[str, int] | None:
    """`weights` and `dimension` of an embedder (see `open_embedder`), None where it must be opened to know them.

    Raises:
        BadInput: the embedder is damaged.
    """
    kind, place = _split(spec)
    return resolve(IDENTITIES[kind], {}, kind="embedder")(place) if kind in IDENTITIES else None


def open_embedder(spec: str | Path, *, device: str | None = None) -> Embedder:
    """Load an embedder.

    Args:
        spec: KIND:PLACE with a kind of `EMBEDDERS`: `multimodal:FOLDER`, `hf-hub:OWNER/REPO[@REVISION]`,
            `assembled:FOLDER` (a head on packaged backbones), `composer:FOLDER` (a trained composer; over an embedder
            of another package `composer:FOLDER over module:attribute[:PLACE]`), `cir_cot:FOLDER` (a chat model that
            reasons, then embeds); only a place is an open_clip model: a local folder, or open_clip's
            `NAME/PRETRAINED`; from another package `module:attribute[:PLACE]`, an opener as those of the table.
        device: "cuda" or "cpu"; CUDA where there is one when None.

    Raises:
        BadInput: there is no such folder, model or opener, or it is damaged.
        BackendUnavailable: the weights are on a hub that cannot be reached, or are of another kind.
    """
    text = ":".join(_split(spec))
    opener, place = resolve_opener(text, EMBEDDERS, kind="embedder")
    embedder = opener(place, device=device)
    if not isinstance(embedder, Embedder):
        raise BadInput(
            f"{text!r} opens a {type(embedder).__name__}, which is no Embedder; see retrieval.protocols"
        )
    return embedder


def _split(spec: str | Path) -> tuple[str, str]:
    """The kind and the place."""
    text = str(spec)
    kind, _, place = text.partition(":")
    return ("open_clip", text) if not place or Path(text).is_dir() else (kind, place)
