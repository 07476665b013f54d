"""Which files may lie in the folder of an index; one with other things is not written to."""

from __future__ import annotations

import os
import re
from pathlib import Path

from imagescope_agent.errors import BadInput
from imagescope_agent.retrieval.index.manifest import MANIFEST, SPACE_NAME

#: Files that may lie in the folder of an index: its own, and those of searches and conversations.
_OURS = re.compile(
    rf"(?:journal|runs|traces|chats|captions)\.sqlite.*|uploads|profile|milvus\.db|store\.id.*|{re.escape(MANIFEST)}.*"
    r"|(?:fields|entries)\.[0-9a-f]{16}\.safetensors.*"
    rf"|{SPACE_NAME.pattern}\.[0-9a-f]{{16}}\.faiss.*"
)


def require_ours(out: Path, journal: str) -> None:
    """Refuse to index into a folder with other content.

    Raises:
        BadInput: it holds other things and no index.
    """
    if any((out / name).is_file() for name in (MANIFEST, journal)):
        return
    if other := next((name for name in sorted(os.listdir(out)) if not _OURS.fullmatch(name)), None):
        raise BadInput(
            f"{str(out)!r} is no index and holds {other!r}; choose an empty or a new folder with --out"
        )
