"""Low-rank adapters (LoRA, arXiv 2106.09685) for checkpoints that are too large to be trained whole."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from imagescope_agent.errors import BackendUnavailable
from imagescope_agent.mllms.engine.checkpoint import Checkpoint

#: The projections of every decoder layer; none of the vision tower.
TARGETS = r"^(?!.*(?:visual|vision)).*\.(?:q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)$"


def add_adapters(checkpoint: Checkpoint, rank: int, tokens: Sequence[int]) -> Any:
    """Freeze the checkpoint in place and add adapters, and rows of the embedding that are trained.

    Args:
        checkpoint: its layers are replaced.
        rank: of the adapters.
        tokens: ids whose embeddings are trained.

    Returns:
        What merges them: `merge_and_unload()` restores the layers in place.

    Raises:
        BackendUnavailable: `peft` is not installed, or finds no layer that it knows.
    """
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError:
        raise BackendUnavailable(
            "adapters need peft; install it with: pip install 'imagescope-agent[train]'"
        ) from None
    config = LoraConfig(
        r=rank, lora_alpha=2 * rank, target_modules=TARGETS, trainable_token_indices=list(tokens)
    )
    try:
        with warnings.catch_warnings():  # peft asks by names that transformers will give up
            warnings.simplefilter("ignore", FutureWarning)
            return get_peft_model(checkpoint.model, config)
    except ValueError as error:
        why = (str(error).splitlines() or ["no reason given"])[0]
        raise BackendUnavailable(
            f"no adapters fit the model type {checkpoint.model_type!r} ({why}); train it whole, without --lora"
        ) from error
