"""`imagescope demo --photos`: a page of the reader's own pictures that loads nothing from anywhere."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from imagescope_agent import cli
from imagescope_agent.errors import BadInput
from imagescope_agent.lab.demo.photos import ASKED, EVERYDAY, standing_out


class Peaks:
    """Texts and pictures of one-hot vectors: every third everyday thing is in one picture each."""

    ids = tuple(f"{number}.jpg" for number in range(len(EVERYDAY)))

    def image_vector(self, name: str) -> np.ndarray:
        vector: np.ndarray = np.eye(len(EVERYDAY), dtype=np.float32)[int(name.partition(".")[0])]
        return vector

    def texts(self, texts: Any) -> np.ndarray:
        strength = np.where(np.arange(len(texts)) % 3 == 0, 1.0, 0.0) * (1 + np.arange(len(texts)))
        noise = np.random.default_rng(0).normal(0, 0.3, (len(texts), len(texts)))
        return np.diag(strength).astype(np.float32) + noise.astype(np.float32)


def test_what_stands_out_in_the_folder_is_asked() -> None:
    asked = standing_out(Peaks(), Peaks())  # type: ignore[arg-type]
    assert len(set(asked)) == ASKED and all(EVERYDAY.index(text) % 3 == 0 for text in asked)
    one = SimpleNamespace(ids=("0.jpg",), image_vector=Peaks().image_vector)
    assert len(standing_out(Peaks(), one)) == ASKED  # type: ignore[arg-type]


def test_queries_need_a_folder(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["demo", "--query", "a dog"]) == BadInput.exit_code
    assert "--query needs --photos" in capsys.readouterr().err


@pytest.mark.slow
def test_the_page_shows_the_readers_pictures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng, folder = np.random.default_rng(0), tmp_path / "my <b>pictures"
    (folder / "2026").mkdir(parents=True)
    for name, colour in {"sky": (90, 150, 235), "meadow": (60, 150, 50), "desert": (215, 180, 120)}.items():
        shade = np.linspace(0.8, 1.2, 240)[:, None, None] * np.array(colour)
        pixels = np.clip(shade + rng.normal(0, 9, (240, 320, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / "2026" / f"{name}.jpg")
    before = {path: path.read_bytes() for path in folder.rglob("*.jpg")}
    command = ["demo", "--photos", str(folder), "--out", str(tmp_path / "new" / "page")]
    assert cli.main([*command, "--query", "a clear blue sky", "--query", "a <i>meadow</i>"]) == 0
    page = (tmp_path / "new" / "page" / "index.html").read_text(encoding="utf-8")
    assert page.count("data:image/webp;base64,") == 6 and "my &lt;b&gt;pictures" in page
    assert "a &lt;i&gt;meadow&lt;/i&gt;" in page and not re.findall(r'(?:src|href)="(?!data:|#)', page)
    assert re.search(r"a clear blue sky\n  1  .*sky\.jpg", capsys.readouterr().out)
    assert {path: path.read_bytes() for path in folder.rglob("*.jpg")} == before
    assert cli.main(command) == 0
    assert (tmp_path / "new" / "page" / "index.html").read_text(encoding="utf-8").count("<article>") == ASKED
