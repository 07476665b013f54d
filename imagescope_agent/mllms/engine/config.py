"""How much a hosted model works on at once, and what it remembers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class EngineConfig:
    """Bounds of batches and caches.

    Attributes:
        batch_tokens: tokens of one forward, padding included.
        row_tokens: length up to which questions join one picture's row.
        rows: replies written at the same time.
        questions: questions scored before others get a turn.
        vision_cache: bytes of vision features held in memory.
        prefix_cache: bytes held in memory of what the language model made of pictures; 0 for none.
        shelf: folder of vision features on disk; empty for none.
        shelf_bytes: of all files in it.
        share: whether questions about one picture share its prefix.
        linger: seconds an idle worker waits for more requests of the same moment.
    """

    batch_tokens: int = 8192
    row_tokens: int = 1024
    rows: int = 64
    questions: int = 512
    vision_cache: int = 256 * 2**20
    prefix_cache: int = 0
    shelf: str = ""
    shelf_bytes: int = 4 * 2**30
    share: bool = True
    linger: float = 0.001
