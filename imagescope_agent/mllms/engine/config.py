"""Configuration of the engine: which checkpoint, and the limits of its batches and caches."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class ModelConfig(BaseModel):
    """Which checkpoint is loaded, and how.

    Attributes:
        checkpoint: a folder, or a hub id.
        revision: of the hub id.
        device: "auto" is CUDA where there is one, else CPU.
        dtype: "auto" is bfloat16 on CUDA, float32 on CPU.
        attention: the attention kernel by its transformers name; one that ignores custom masks shares no prefixes.
        device_map: spreads the layers of a model that is too large for one device over those there are ("auto",
            "balanced", "balanced_low_0", "sequential"; extra `spread`); empty for one device.
        tp_plan: "auto" shares every layer among the processes of torchrun (tensor parallelism of transformers), each of
            which is asked the same; empty for none.
        trust_remote_code: run code that comes with the checkpoint.
    """

    model_config = ConfigDict(frozen=True)

    checkpoint: str
    revision: str | None = None
    device: str = "auto"
    dtype: str = "auto"
    attention: str = "sdpa"
    device_map: str = ""
    tp_plan: str = ""
    trust_remote_code: bool = False


class EngineConfig(BaseModel):
    """Limits of batches and caches.

    Attributes:
        family: which adapter prepares prompts and images: a model type of `families.FAMILIES`, or
            "module:attribute"; empty for the checkpoint's own model type.
        batch_tokens: tokens of one forward, padding included.
        row_tokens: length up to which questions about one image are packed into one row.
        rows: replies decoded at the same time.
        draft_tokens: tokens of one forward of all running replies, up to which next tokens are guessed and verified in
            it (see `speculation`); replies are the same for any value, 0 for none.
        vision_cache: bytes of encoder outputs held in memory.
        prefix_cache: bytes of the keys and values of image prefixes held in memory, so that a later question prefills
            only its suffix: 0.2 MB an image for the mini model, 150 MB for one of 8B parameters; 0 for none.
        feature_folder: folder of the disk cache of encoder outputs; empty for none.
        feature_bytes: of all files in that folder.
        share_prefix: whether questions about one image share its prefix.
    """

    model_config = ConfigDict(frozen=True)

    family: str = ""
    batch_tokens: int = 8192
    row_tokens: int = 1024
    rows: int = 64
    draft_tokens: int = 64
    vision_cache: int = 256 * 2**20
    prefix_cache: int = 0
    feature_folder: str = ""
    feature_bytes: int = 4 * 2**30
    share_prefix: bool = True
