"""Encoder outputs in memory and on disk: bounded, never damaged, never another checkpoint's."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from imagescope_agent.mllms.engine.cache.encoder_cache import EncoderCache, EncoderOutput
from imagescope_agent.mllms.engine.cache.encoder_disk_cache import EncoderDiskCache

CPU = torch.device("cpu")


def tensors(value: float, size: int = 100) -> dict[str, torch.Tensor]:
    return {"embeds": torch.full((size, 4), value, dtype=torch.bfloat16)}


def disk_cache(folder: Path, checkpoint: str = "w1", bound: int = 10**6) -> EncoderDiskCache:
    return EncoderDiskCache(folder, checkpoint, max_bytes=bound)


def test_gives_back_what_was_put_and_only_that(tmp_path: Path) -> None:
    disk_cache(tmp_path).put("a", tensors(1))
    found = disk_cache(tmp_path).get("a", CPU)
    assert found is not None and torch.equal(found["embeds"], tensors(1)["embeds"])
    assert disk_cache(tmp_path).get("b", CPU) is None
    assert disk_cache(tmp_path, checkpoint="w2").get("a", CPU) is None


def test_a_damaged_or_moved_file_is_never_returned(tmp_path: Path) -> None:
    kept = disk_cache(tmp_path)
    kept.put("a", tensors(1))
    (path,) = tmp_path.glob("*/*.safetensors")
    content = path.read_bytes()
    for damaged in (content[:-1], content[:-8] + b"\x11" * 8, b"", b"\0" * len(content)):
        path.write_bytes(damaged)
        assert kept.get("a", CPU) is None and not path.exists()
    kept.put("b", tensors(2))
    (other,) = tmp_path.glob("*/*.safetensors")
    path.parent.mkdir(exist_ok=True)
    other.rename(path)
    assert kept.get("a", CPU) is None


def test_the_bound_holds_and_the_oldest_go_first(tmp_path: Path) -> None:
    kept = disk_cache(tmp_path, bound=4000)
    for number in range(8):
        kept.put(str(number), tensors(number))
        time.sleep(0.01)
    assert sum(path.stat().st_size for path in tmp_path.glob("*/*")) <= 4000
    assert kept.get("7", CPU) is not None and kept.get("0", CPU) is None
    kept.put("large", tensors(1, size=10000))
    assert kept.get("large", CPU) is None


def test_a_read_only_folder_only_costs_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(30, "read-only")

    monkeypatch.setattr(os, "replace", refuse)
    kept = disk_cache(tmp_path)
    kept.put("a", tensors(1))
    assert kept.get("a", CPU) is None and not list(tmp_path.glob("*/*.tmp"))


@pytest.mark.slow
def test_a_kill_at_any_moment_leaves_whole_files_only(tmp_path: Path) -> None:
    script = (
        "import sys, torch\nfrom pathlib import Path\n"
        "from imagescope_agent.mllms.engine.cache.encoder_disk_cache import EncoderDiskCache\n"
        "kept = EncoderDiskCache(Path(sys.argv[1]), 'w1', max_bytes=10**7)\n"
        "for n in range(10**6):\n"
        "    kept.put(str(n % 50), {'embeds': torch.full((2000, 4), float(n % 50))})\n"
        "    n or print('go', flush=True)\n"
    )
    for _ in range(3):
        process = subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None and process.stdout.readline() == "go\n"
        time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        kept = disk_cache(tmp_path, bound=10**7)
        assert kept.get("0", CPU) is not None
        for number in range(50):
            found = kept.get(str(number), CPU)
            assert found is None or bool((found["embeds"] == number).all())


def test_memory_evicts_the_least_recently_used() -> None:
    cache = EncoderCache(2000)
    for number in range(4):
        if number == 3:
            assert cache.get("1", CPU) is not None
        cache.put(str(number), EncoderOutput(embeds=torch.zeros(100, 2)))
    assert cache.nbytes <= 2000
    assert [cache.get(str(number), CPU) is not None for number in range(4)] == [False, True, False, True]


def test_features_come_back_from_disk_as_they_were(tmp_path: Path) -> None:
    made = EncoderOutput(
        embeds=torch.rand(4, 3), deepstack=(torch.rand(4, 3), torch.rand(4, 3)), grid=(1, 4, 4)
    )
    EncoderCache(10**6, disk_cache(tmp_path)).put("a", made)
    found = EncoderCache(10**6, disk_cache(tmp_path)).get("a", CPU)
    assert found is not None and found.grid == made.grid
    assert all(torch.equal(one, other) for one, other in zip(found.deepstack, made.deepstack, strict=True))
    plain = EncoderOutput(embeds=torch.rand(4, 3))
    EncoderCache(10**6, disk_cache(tmp_path)).put("b", plain)
    again = EncoderCache(10**6, disk_cache(tmp_path)).get("b", CPU)
    assert again is not None and again.grid == () and again.deepstack == ()
