"""Screenshots for the documentation: `python -m imagescope_agent.lab.screenshots --out docs` (`make pictures`).

Runs `imagescope demo`, `trace` and `ui` with the shipped models and photographs what they show in Chromium. Needs
playwright and Chromium. Every PNG in the folder, the plots of benchmarks too, is compressed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image

from imagescope_agent.errors import BackendUnavailable, BadInput, MissingExtra

QUERY = "a yellow house in winter with no flower"
NOTHING = "two purple umbrellas and a black cat in the desert"  # nothing in the demonstration fits
HEAD = "#results ol.strip"  # what was asked and what comes first, on the page of a trace
MESSAGES = ("a house in the snow", "no flowers")
LIKED = 1  # rank of the image that is liked after the messages
DESKTOP, PHONE = {"width": 1360, "height": 900}, {"width": 390, "height": 844}
LARGE = 350_000  # bytes; a lossless PNG above it gets a palette
TIMEOUT = 300  # seconds that a page may take to start, or a turn to end
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update")
COMMAND = (sys.executable, "-m", "imagescope_agent.cli")
TRIED = 8  # searches with several references, of which one that succeeds is shown
TURN_DONE = (
    "n => document.querySelectorAll('#talk .is-said').length == n"
    " && !document.querySelector('.is-dots') && !document.querySelector('.is-now')"
)


def make_screenshots(out: Path, work: Path) -> list[Path]:
    """Run the demonstration in `work`, take all pictures of it, and compress every PNG of `out`.

    Returns:
        The pictures: demo.png, trace.png, trace-phone.png, several.png, nothing-fits.png, ui.png.

    Raises:
        BadInput: Chromium is missing.
        MissingExtra: playwright is missing.
        BackendUnavailable: a command failed.
    """
    out.mkdir(parents=True, exist_ok=True)
    with open_browser() as browser:  # what is missing is told before the demonstration runs
        run_command("demo", "--out", str(work))
        shutil.copy(work / "demo.png", out / "demo.png")
        page = write_trace(work / "collection", QUERY, work / "trace.html")
        pictures = [
            out / "demo.png",
            shoot_trace(browser, page, out / "trace.png", DESKTOP, last="#ranking"),
            shoot_trace(browser, page, out / "trace-phone.png", PHONE),
            *shoot_searches(browser, work / "collection", out, work),
            shoot_conversation(browser, work / "collection", out / "ui.png", MESSAGES, LIKED),
        ]
    for file in out.glob("*.png"):
        compress(file)
    return pictures


@contextmanager
def open_browser() -> Iterator[Any]:
    """Headless Chromium, as playwright drives it.

    Raises:
        BadInput: Chromium is missing.
        MissingExtra: playwright is missing.
    """
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        raise MissingExtra("screenshots need playwright: pip install 'imagescope-agent[dev]'") from error
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        raise BadInput("Chromium is not installed; on Debian: apt-get install chromium")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()


def run_command(*words: str) -> str:
    """What `imagescope WORDS` prints.

    Raises:
        BackendUnavailable: it failed.
    """
    done = subprocess.run([*COMMAND, *words], capture_output=True, text=True, check=False, env=_environment())
    if done.returncode:
        raise BackendUnavailable(f"`imagescope {' '.join(words)}` failed: {done.stderr.strip()[-500:]}")
    return done.stdout


def shoot_searches(browser: Any, collection: Path, out: Path, work: Path) -> list[Path]:
    """Photograph a search with several references, and one that nothing fits: what was asked, and the first places."""
    several = work / "several.html"
    draw_trace(collection, search_of_several(collection), several)
    nothing = write_trace(collection, NOTHING, work / "nothing-fits.html")
    return [
        shoot_trace(browser, page, out / f"{page.stem}.png", DESKTOP, last=HEAD)
        for page in (several, nothing)
    ]


def search_of_several(collection: Path) -> str:
    """The run of a search with two references that finds what was asked for, of the first drawn ones; else the last."""
    run = ""
    for query in drawn_queries(collection)[:TRIED]:
        shown = [word for each in query["references"] for word in ("--image", each)]
        found = json.loads(run_command("search", str(collection), query["text"], *shown, "--json"))
        run = found["run"]
        if found["results"][0]["id"] in query["targets"]:
            break
    return run


def drawn_queries(collection: Path) -> list[dict[str, Any]]:
    """The drawn queries that take a thing of each of two references."""
    lines = (collection / "multi.jsonl").read_text(encoding="utf-8").splitlines()
    return [each for each in map(json.loads, lines) if each["kind"] == "things"]


def write_trace(collection: Path, query: str, page: Path, *more: str) -> Path:
    """Search the collection in a process of its own, with nothing cached, and write the page of that run."""
    found = json.loads(run_command("search", str(collection), query, *more, "--json"))
    draw_trace(collection, found["run"], page)
    return page


def draw_trace(collection: Path, run: str, page: Path) -> None:
    """Write the page of a run."""
    run_command("trace", run, "--store", str(collection), "--html", str(page))


def shoot_trace(
    browser: Any, page: Path, picture: Path, viewport: dict[str, int], *, last: str | None = None
) -> Path:
    """Photograph the page of a trace.

    Args:
        browser: from `open_browser`.
        page: the HTML file.
        picture: the file to write.
        viewport: width and height in pixels.
        last: CSS selector of the section that the picture ends with; one screen when None.
    """
    tab = browser.new_page(viewport=viewport, color_scheme="light")
    tab.goto(page.resolve().as_uri())
    if last is None:
        tab.screenshot(path=picture)
    else:
        tab.click("#results details:not([open]) summary >> nth=1")  # why the second image is second
        tab.evaluate("window.scrollTo(0, 0)")
        box = tab.locator(last).bounding_box()
        size = {"width": viewport["width"], "height": round(box["y"] + box["height"]) + 16}
        tab.screenshot(path=picture, full_page=True, clip={"x": 0, "y": 0, **size})
    tab.close()
    return picture


def shoot_conversation(
    browser: Any, collection: Path, picture: Path, messages: tuple[str, ...], liked: int
) -> Path:
    """Photograph the page of `imagescope ui` after some messages and one liked image.

    Args:
        browser: from `open_browser`.
        collection: an indexed folder.
        picture: the file to write.
        messages: said one after another.
        liked: rank of the image that is liked at the end.
    """
    with serve_page(collection) as address:
        tab = browser.new_page(viewport=DESKTOP, color_scheme="light")
        tab.set_default_timeout(TIMEOUT * 1000)
        tab.goto(address)
        tab.wait_for_selector("#talk .is-empty")
        for turn, message in enumerate(messages, 1):
            tab.fill("#message textarea", message)
            tab.press("#message textarea", "Enter")
            tab.wait_for_function(TURN_DONE, arg=turn)
        tab.click(f".is-card[data-rank='{liked}'] button >> text=Like")
        tab.wait_for_function(TURN_DONE, arg=len(messages) + 1)
        tab.mouse.move(0, 0)
        tab.screenshot(path=picture)
        tab.close()
    return picture


@contextmanager
def serve_page(collection: Path) -> Iterator[str]:
    """The address of `imagescope ui` on a collection, its conversations in a new file beside the folder.

    Raises:
        BackendUnavailable: it does not start.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    store = collection.parent / f"screenshots-{port}.sqlite"
    command = [*COMMAND, "ui", str(collection), "--port", str(port), "--store", str(store)]
    with subprocess.Popen(command, env=_environment(), stdout=subprocess.DEVNULL) as server:
        try:
            _wait_for(port, server)
            yield f"http://127.0.0.1:{port}/"
        finally:
            server.terminate()


def compress(file: Path) -> None:
    """Rewrite a PNG as small as it gets without loss; one that is still large with a palette of 256 colours."""
    with Image.open(file) as image:
        if image.mode == "P":
            return
        opaque = Image.new("RGBA", image.size, "white")
        opaque.alpha_composite(image.convert("RGBA"))
    picture = opaque.convert("RGB")
    picture.save(file, optimize=True)
    if file.stat().st_size > LARGE:
        # k-means keeps rare colours (a yellow house in a snowy picture), which median cut alone does not
        picture.quantize(256, kmeans=8, dither=Image.Dither.NONE).save(file, optimize=True)


def _wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    """Wait until something listens on the port."""
    for _ in range(TIMEOUT * 4):
        if server.poll() is not None:
            break
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.25)
    raise BackendUnavailable(f"`imagescope ui` did not start on port {port}; start it by hand to see why")


def _environment() -> dict[str, str]:
    """The process's environment without this user's settings."""
    return {name: value for name, value in os.environ.items() if not name.startswith("IMAGESCOPE_")}


def main() -> None:
    """Make the pictures and print their names."""
    parser = argparse.ArgumentParser(description="take the screenshots of the documentation")
    parser.add_argument("--out", type=Path, default=Path("docs"), help="folder of pictures (default: docs)")
    parser.add_argument(
        "--work", type=Path, default=Path("runs/pictures"), help="folder of the demonstration"
    )
    args = parser.parse_args()
    print(*make_screenshots(args.out, args.work), sep="\n")


if __name__ == "__main__":
    main()
