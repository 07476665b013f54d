"""Disk cache of encoder outputs: one safetensors file an entry, LRU eviction, atomic writes."""

from __future__ import annotations

import hashlib
import os
import time
from contextlib import suppress
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from imagescope_agent.common.atomic_write import TEMPORARY_SUFFIX, write_atomic

_STALE = 3600.0  # seconds after which an unfinished file is removed


class EncoderDiskCache:
    """Named tensors by key; the least recently used ones are evicted beyond `max_bytes`.

    A file is written under a temporary name and renamed, so readers see all of it or nothing. It contains its key and
    a hash of its tensors: a damaged or misplaced file is removed, never returned.

    Args:
        folder: shared by checkpoints and processes.
        checkpoint: hash of the weights (and their dtype); part of every key.
        max_bytes: of all files in the folder together.
    """

    def __init__(self, folder: Path, checkpoint: str, *, max_bytes: int) -> None:
        self.folder = folder.expanduser()
        self.max_bytes = max_bytes
        self._checkpoint = checkpoint
        self._size = self._evict()

    def get(self, key: str, device: torch.device) -> dict[str, torch.Tensor] | None:
        """The tensors of the key, on that device; None when they are not cached."""
        path, name = self._locate(key)
        try:
            with safe_open(path, framework="pt", device=str(device)) as file:
                metadata = file.metadata() or {}
                tensors = {each: file.get_tensor(each) for each in list(file.keys())}
            if metadata.get("key") == name and metadata.get("digest") == _digest(tensors):
                os.utime(path)
                return tensors
            path.unlink(missing_ok=True)
        except FileNotFoundError:
            pass
        except (SafetensorError, OSError, ValueError, KeyError):
            path.unlink(missing_ok=True)  # damaged: encoded again
        return None

    def put(self, key: str, tensors: dict[str, torch.Tensor]) -> None:
        """Write the tensors; a full or read-only disk is ignored."""
        path, name = self._locate(key)
        contiguous = {each: tensor.detach().cpu().contiguous() for each, tensor in tensors.items()}
        content = save(contiguous, metadata={"key": name, "digest": _digest(contiguous)})
        if len(content) > self.max_bytes:
            return
        self._size += len(content)
        if self._size > self.max_bytes:
            self._size = self._evict(reserve=len(content)) + len(content)
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(path, content, durable=False, mode=0o600)

    def _locate(self, key: str) -> tuple[Path, str]:
        name = f"{self._checkpoint}/{key}"
        digest = hashlib.sha256(name.encode()).hexdigest()
        return self.folder / digest[:2] / f"{digest}.safetensors", name

    def _evict(self, reserve: int = 0) -> int:
        """Remove stale unfinished files and the least recently used ones; returns the bytes left."""
        files: list[tuple[float, int, Path]] = []
        for path in self.folder.glob("*/*"):
            try:
                status = path.stat()
            except FileNotFoundError:  # another process evicts too
                continue
            if path.suffix == TEMPORARY_SUFFIX:
                if time.time() - status.st_mtime > _STALE:
                    path.unlink(missing_ok=True)
            else:
                files.append((status.st_mtime, status.st_size, path))
        total = sum(size for _, size, _ in files)
        for _, size, path in sorted(files):
            if total + reserve <= self.max_bytes:
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
