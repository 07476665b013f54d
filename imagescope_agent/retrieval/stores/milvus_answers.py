"""What Milvus says, told in a line, and how it is asked (extra `milvus`)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from imagescope_agent.common.redact import redact
from imagescope_agent.errors import BackendUnavailable, BadInput

TOKEN = "IMAGESCOPE_MILVUS_TOKEN"


def consistency(uri: str) -> dict[str, str]:
    """A server is asked for all that was written before; a file has no other state."""
    return {"consistency_level": "Strong"} if "://" in uri else {}


@contextmanager
def answering(uri: str) -> Iterator[None]:
    """Tell in a line what Milvus says.

    Raises:
        BadInput: the file is another process's, the token is wrong, or what was asked does not suit Milvus.
        BackendUnavailable: the server does not answer.
    """
    try:
        yield
    except (BadInput, BackendUnavailable, OSError):
        raise
    except Exception as error:  # pymilvus, gRPC and milvus-lite each raise their own
        told, place = redact(" ".join(str(error).split()))[:200], redact(uri)
        if "://" not in uri and ("lock" in told.lower() or "opened by another" in told.lower()):
            raise BadInput(
                f"{uri!r} is open in another process; wait for it, or use a Milvus server"
            ) from error
        if _is_refusal(error):
            raise BadInput(
                f"Milvus at {place!r} refuses the token; set {TOKEN}, as USER:PASSWORD or a key"
            ) from error
        raise BackendUnavailable(
            f"Milvus at {place!r} does not answer: {told}; check that it runs"
        ) from error


def _is_refusal(error: BaseException | None) -> bool:
    """Whether gRPC says that a token is wrong or may do too little; pymilvus says of it that nothing answers."""
    seen: list[BaseException] = []
    while error is not None and error not in seen:  # pymilvus raises errors from themselves
        code = getattr(error, "code", None)
        if callable(code) and getattr(code(), "name", "") in ("UNAUTHENTICATED", "PERMISSION_DENIED"):
            return True
        seen.append(error)
        error = error.__cause__
    return False
