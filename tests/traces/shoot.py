"""Take the README's pictures of a trace: `python tests/traces/shoot.py PAGE.html docs/trace`.

Writes docs/trace.png (desktop) and docs/trace-phone.png, small enough to be committed.
"""

from __future__ import annotations

import io
import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

SIZES = {"": (1200, 2700), "-phone": (390, 2700)}


def shoot(page: Path, out: str) -> list[Path]:
    """One picture a size, of the page's beginning."""
    files = []
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for suffix, (width, height) in SIZES.items():
            opened = browser.new_page(viewport={"width": width, "height": 900}, color_scheme="light")
            opened.goto(page.resolve().as_uri())
            taken = opened.screenshot(full_page=True)
            files.append(Path(f"{out}{suffix}.png"))
            whole = Image.open(io.BytesIO(taken)).convert("RGB")
            kept = whole.crop((0, 0, width, min(height, whole.height)))
            kept.save(files[-1], optimize=True)
        browser.close()
    return files


if __name__ == "__main__":
    print(*shoot(Path(sys.argv[1]), sys.argv[2]), sep="\n")
