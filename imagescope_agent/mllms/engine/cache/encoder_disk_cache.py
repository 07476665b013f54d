"""Vision features on disk: a file a picture and checkpoint, bounded, whole or absent after any kill."""

from __future__ import annotations

import hashlib
import os
import time
from contextlib import suppress
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from imagescope_agent.atomic_write import TEMPORARY_SUFFIX, write_atomic

_STALE = 3600.0  # seconds after which a file that was never finished is nobody's


class EncoderDiskCache:
    """Named tensors by key, least recently used ones removed beyond `bound` bytes.

    A file is written beside its place and moved there, so a reader sees all of it or nothing. Its key and a
    hash of its tensors are inside: what was damaged or moved by hand is removed, never returned.

    Args:
        folder: shared by checkpoints and processes.
        checkpoint: hash of the weights (and their dtype); part of every key.
        bound: bytes of all files in the folder together.
    """

    def __init__(self, folder: Path, checkpoint: str, *, bound: int) -> None:
        self.folder = folder.expanduser()
        self.bound = bound
        self._checkpoint = checkpoint
        self._size = self._tidy()

    def get(self, key: str, device: torch.device) -> dict[str, torch.Tensor] | None:
        """The tensors put under the key, on that device; None when they are not (or no longer) there."""
        path, name = self._place(key)
        try:
            with safe_open(path, framework="pt", device=str(device)) as file:
                said = file.metadata() or {}
                tensors = {each: file.get_tensor(each) for each in list(file.keys())}
            if said.get("key") == name and said.get("digest") == _digest(tensors):
                os.utime(path)
                return tensors
            path.unlink(missing_ok=True)
        except FileNotFoundError:
            pass
        except (SafetensorError, OSError, ValueError, KeyError):
            path.unlink(missing_ok=True)  # damaged: the features are made again
        return None

    def put(self, key: str, tensors: dict[str, torch.Tensor]) -> None:
        """Keep the tensors, unless the disk is full or read-only: a cache that cannot grow is only slower."""
        path, name = self._place(key)
        plain = {each: tensor.detach().cpu().contiguous() for each, tensor in tensors.items()}
        content = save(plain, metadata={"key": name, "digest": _digest(plain)})
        if len(content) > self.bound:
            return
        self._size += len(content)
        if self._size > self.bound:
            self._size = self._tidy(room=len(content)) + len(content)
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(path, content, durable=False, mode=0o600)

    def _place(self, key: str) -> tuple[Path, str]:
        name = f"{self._checkpoint}/{key}"
        digest = hashlib.sha256(name.encode()).hexdigest()
        return self.folder / digest[:2] / f"{digest}.safetensors", name

    def _tidy(self, room: int = 0) -> int:
        """Remove unfinished files and the least recently used ones beyond the bound; bytes that are left."""
        files: list[tuple[float, int, Path]] = []
        for path in self.folder.glob("*/*"):
            try:
                said = path.stat()
            except FileNotFoundError:  # another process tidies too
                continue
            if path.suffix == TEMPORARY_SUFFIX:
                if time.time() - said.st_mtime > _STALE:
                    path.unlink(missing_ok=True)
            else:
                files.append((said.st_mtime, said.st_size, path))
        total = sum(size for _, size, _ in files)
        for _, size, path in sorted(files):
            if total + room <= self.bound:
                break
            path.unlink(missing_ok=True)
            total -= size
        return total


def _digest(tensors: dict[str, torch.Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.view(torch.uint8).numpy().tobytes() if tensor.numel() else b"")
    return digest.hexdigest()
