from __future__ import annotations

from tests.mllms.conftest import qwen3_vl

__all__ = ["qwen3_vl"]
