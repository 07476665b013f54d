"""Files of a checkpoint: a local folder or a snapshot from the hub, and their hash."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

from imagescope_agent.errors import BackendUnavailable, Misconfigured, UnusableModel, shorten
from imagescope_agent.mllms.engine.config import ModelConfig

_FILES = ("*.safetensors", "*.json", "*.jinja", "*.txt", "*.model")
_CODE = ("*.py",)


def locate(config: ModelConfig) -> Path:
    """The folder that holds the checkpoint, downloading it from the hub when it is not a folder.

    Raises:
        UnusableModel: neither a folder with a config.json nor a hub id.
        Misconfigured: the hub refuses it, or cannot be reached.
        BackendUnavailable: the hub is busy, or the download failed.
    """
    folder = Path(config.checkpoint).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise UnusableModel(
                f"{config.checkpoint!r} holds no config.json; name a Hugging Face model folder"
            )
        return folder
    if folder.is_absolute() or config.checkpoint.startswith((".", "~")) or config.checkpoint.count("/") != 1:
        raise UnusableModel(f"there is no model folder {config.checkpoint!r}; name a folder or a hub id")
    try:
        patterns = [*_FILES, *(_CODE if config.trust_remote_code else ())]
        return Path(snapshot_download(config.checkpoint, revision=config.revision, allow_patterns=patterns))
    except LocalEntryNotFoundError as error:
        raise Misconfigured(
            f"the model {config.checkpoint!r} is not on this machine and the hub cannot be reached; "
            "download it first, or choose another profile"
        ) from error
    except HFValidationError as error:
        raise UnusableModel(f"{config.checkpoint!r} is no hub id; name a folder or a hub id") from error
    except HfHubHTTPError as error:
        transient = error.response.status_code in (408, 429) or error.response.status_code >= 500
        raise (BackendUnavailable if transient else Misconfigured)(
            f"the hub does not give the model {config.checkpoint!r}: {shorten(str(error), 120)}; "
            "check its id and revision, and for a gated one accept its terms and set HF_TOKEN"
        ) from error
    except (OSError, ValueError) as error:
        raise BackendUnavailable(
            f"cannot fetch the model {config.checkpoint!r}: {shorten(str(error), 160)}; "
            "check its id and revision, and that this machine has room for it"
        ) from error


@cache
def hash_of(config: ModelConfig) -> str:
    """`hash_folder` of a checkpoint, computed once in a process.

    Raises:
        UnusableModel, Misconfigured, BackendUnavailable: as `locate`.
    """
    return hash_folder(locate(config))


def hash_folder(folder: Path) -> str:
    """SHA-256 over the names and contents of a checkpoint's files, 16 hexadecimal digits."""
    digest = hashlib.sha256()
    for path in sorted({path for pattern in _FILES for path in folder.glob(pattern)}):
        digest.update(path.name.encode())
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:16]
