"""What a processor or a template makes of one request that it cannot take: the refusal of that request alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from imagescope_agent.errors import ImageScopeError, RequestRefused, shorten


@contextmanager
def refusing(what: str, *, mend: str) -> Iterator[None]:
    """Turn whatever a library raises about a request into its refusal; want of memory is no refusal.

    Args:
        what: what could not be done, the message's beginning.
        mend: what to do about it, the message's end.

    Raises:
        RequestRefused: the body raised something else than an error of ours.
    """
    try:
        yield
    except (ImageScopeError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        why = f"{type(error).__name__}: {shorten(str(error), 160)}"
        raise RequestRefused(f"{what} ({why}); {mend}") from error
