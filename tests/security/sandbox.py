"""A small tree of files in which commands are run with whatever words and files chance gives them."""

from __future__ import annotations

import os
import shutil
import sys
from io import StringIO
from pathlib import Path
from random import Random
from typing import Any

import pytest
from PIL import Image

from imagescope_agent import cli
from tests.conftest import PALETTE, ColourEmbedder
from tests.scripted_profile import scripted_profile
from tests.security.strangers import snapshot

CODES = (0, 2, 3, 4, 130)
PROFILE = scripted_profile("colours", settings="top_k = 4")


def count(usual: int) -> int:
    """How many cases are tried: FUZZ, else the usual number."""
    return int(os.environ.get("FUZZ") or usual)


class Sandbox:
    """named/ is what commands are told of; outside/ is what nobody names; home/ is the user's own."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root, self.named, self.outside = root, root / "named", root / "outside"
        for folder in (self.named, self.outside, root / "home"):
            folder.mkdir(parents=True)
        monkeypatch.setenv("HOME", str(root / "home"))
        monkeypatch.setenv("XDG_STATE_HOME", str(root / "home" / "state"))
        monkeypatch.setattr("imagescope_agent.services.open_embedder", lambda spec: ColourEmbedder())
        self.profile = self.named / "mine.toml"
        self.profile.write_text(PROFILE)
        self.photos = self.named / "photos"
        self.photos.mkdir()
        for name in ("red", "green", "blue", "white"):
            Image.new("RGB", (8, 8), PALETTE[name]).save(self.photos / f"{name}.png")
        (self.outside / "precious.txt").write_text("never touched")
        Image.new("RGB", (8, 8), "red").save(self.outside / "private.png")
        self._before = snapshot(self.outside)
        monkeypatch.chdir(self.named)
        self.monkeypatch = monkeypatch

    def run(self, *words: object, said: str = "") -> tuple[int, str, str]:
        """The exit code of a command, and what it printed."""
        out, err = StringIO(), StringIO()
        with self.monkeypatch.context() as patch:
            patch.setattr(sys, "stdin", StringIO(said))
            patch.setattr(sys, "stdout", out)
            patch.setattr(sys, "stderr", err)
            try:
                code: Any = cli.main([str(word) for word in words])
            except SystemExit as stop:
                code = stop.code
        return code, out.getvalue(), err.getvalue()

    def check(self, told: object, code: int, out: str, err: str) -> None:
        """What must hold after any command."""
        complaint = [line for line in err.splitlines() if line.startswith("imagescope")]
        assert code in CODES, (told, code, err)
        assert "Traceback" not in err + out, (told, err)
        assert code == 0 or len(complaint) == 1 == len(err.splitlines()), (told, code, err)
        assert all(c.isprintable() or c in "\n\t" for c in out + err), (told, out, err)
        assert snapshot(self.outside) == self._before, told
        left = [path for path in self.root.rglob("*") if path.name.endswith((".tmp", ".part"))]
        assert left == [], (told, left)


def damage(data: bytes, random: Random) -> tuple[str, bytes]:
    """A file as a bad disk, or somebody who means harm, leaves it."""
    size = len(data)
    kind = random.choice(["flip", "flip", "many", "cut", "zeros", "noise", "insert", "empty", "twice"])
    changed = bytearray(data)
    if kind == "empty" or not size:
        return "empty", b""
    if kind in ("flip", "many"):
        for _ in range(1 if kind == "flip" else random.randint(2, 200)):
            changed[random.randrange(size)] ^= 1 << random.randrange(8)
    elif kind == "cut":
        del changed[random.randrange(size) :]
    elif kind in ("zeros", "noise"):
        start = random.randrange(size)
        end = min(size, start + random.randint(1, 4096))
        changed[start:end] = bytes(end - start) if kind == "zeros" else random.randbytes(end - start)
    elif kind == "insert":
        start = random.randrange(size)
        changed[start:start] = random.randbytes(random.randint(1, 300))
    else:
        changed *= 2
    return kind, bytes(changed)


def copied(source: Path, target: Path) -> None:
    """Put a folder back as it was; it may be where commands are run."""
    for path in target.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)  # SQLite takes its own away when a connection ends
    shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True)


OWN = ("--profile", "mine.toml")


def refused(sandbox: Sandbox, *words: str, said: str = "") -> str:
    """The one line of a command that is refused and leaves everything as it was."""
    before = snapshot(sandbox.named)
    told = sandbox.run(*words, said=said)
    sandbox.check(words, *told)
    assert told[0] == 2, (words, told)
    after = {name: what for name, what in snapshot(sandbox.named).items() if ".sqlite" not in name}
    assert after == {name: what for name, what in before.items() if ".sqlite" not in name}
    return told[2]
