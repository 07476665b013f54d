"""Outputs that cannot be written, links, and names that break lines or are no text."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from imagescope_agent import cli
from tests.security.sandbox import OWN, Sandbox, refused
from tests.security.strangers import snapshot

OUTPUTS = (
    ["trace", "--last", "--store", "photos", "--html"],
    ["index", "photos", *OWN, "--out"],
    ["scenes", "make", "--out"],
    ["graphs", "--draw"],
    ["bench", "judges", "--simulated", "--trials", "1", "--out"],
    ["chat", "photos", *OWN, "--store"],
    ["eval", "folder", "--root", "photos", "--graph", "retrieve", *OWN, "--out"],
    ["train", "curves", "--out"],
    ["demo", "--out"],
)


@pytest.mark.parametrize("words", OUTPUTS, ids=lambda words: " ".join(words[:2]))
def test_places_where_nothing_can_be_written(sandbox: Sandbox, words: list[str]) -> None:
    (sandbox.photos / "metadata.jsonl").write_text('{"query": "red", "relevant": ["red.png"]}\n')
    (sandbox.named / "file").write_text("a file")
    (sandbox.named / "loop").symlink_to("loop")
    (sandbox.named / "round").symlink_to("trip")
    (sandbox.named / "trip").symlink_to("round")
    places = ["loop", "loop/x", "round/x/y", "file/x", "x" * 300, "/".join(["x" * 200] * 30), "/proc/x/y"]
    places += ["photos"] if words[-1] in ("--html", "--store") else ["file"]
    places += ["new\nline/x/" + "y" * 300]
    for place in places:
        told = sandbox.run(*words, place)
        assert told[0] == 2, (place, told)
        if words[:2] == ["eval", "folder"] or words[0] == "demo":
            told = (told[0], told[1], told[2].splitlines()[-1])
        sandbox.check((words, place), *told)
    assert (sandbox.named / "file").read_text() == "a file"


def test_a_page_that_cannot_be_written_leaves_the_one_before(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("trace", "--last", "--store", "photos", "--html", "page.html")
    assert sandbox.run(*words)[0] == 0
    before = (sandbox.named / "page.html").read_bytes()

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("imagescope_agent.common.atomic_write.os.fsync", full)
    assert "full" in refused(sandbox, *words)
    assert (sandbox.named / "page.html").read_bytes() == before


@pytest.mark.parametrize("code", sorted(errno.errorcode))
def test_every_error_of_a_path_is_one_line(
    code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(args: object) -> int:
        raise OSError(code, os.strerror(code), "a\nb")

    if isinstance(OSError(code, "x"), BrokenPipeError):
        return  # who reads has seen enough
    monkeypatch.setattr("imagescope_agent.commands.lists.run", fail)
    assert cli.main(["judges"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


LOOPS = (".imagescope", ".imagescope/imagescope.json", ".imagescope/traces.sqlite", ".imagescope/runs.sqlite",
         ".imagescope/chats.sqlite", ".imagescope/chats.sqlite.locks", ".imagescope/chats.sqlite.locks/mine.lock",
         ".imagescope/journal.sqlite", ".imagescope/uploads", "red.png", ".imagescope/profile")  # fmt: skip


@pytest.mark.parametrize("name", LOOPS)
@pytest.mark.parametrize("target", ["itself", "nowhere", "elsewhere"])
def test_links_in_a_collection(sandbox: Sandbox, name: str, target: str) -> None:
    place, elsewhere = sandbox.photos / name, sandbox.outside / "empty"
    elsewhere.mkdir()
    kept = snapshot(sandbox.outside)
    if place.is_dir():
        place.rename(sandbox.root / "away")
    place.unlink(missing_ok=True)
    place.parent.mkdir(exist_ok=True)
    place.symlink_to({"itself": place.name, "nowhere": "nowhere", "elsewhere": str(elsewhere)}[target])
    sandbox._before = kept
    for words, said in (
        (["search", "photos", "red", "--graph", "retrieve", *OWN], ""),
        (["index", "photos", *OWN], ""),
        (["chat", "photos", *OWN, "--thread", "mine"], "red\n"),
        (["chat", "photos", *OWN, "--list"], ""),
        (["trace", "--store", "photos"], ""),
    ):
        code, out, err = sandbox.run(*words, said=said)
        sandbox.check((name, target, words), code, out, err)


def test_names_with_line_breaks_stay_on_their_line(sandbox: Sandbox) -> None:
    odd = sandbox.named / "two\nlines \x1b[2J\u2028of"
    (sandbox.photos / "red.png").rename(sandbox.photos / "re\nd.png")
    sandbox.photos.rename(odd)
    assert sandbox.run("index", odd, *OWN)[0] == 0
    (odd / "bro\nken.png").write_bytes(b"none")
    code, out, err = sandbox.run("index", odd, *OWN)
    assert code == 0 and out.count("\n") == 2, out
    assert sandbox.run("search", odd, "red", "--graph", "retrieve", *OWN)[0] == 0
    for words in (["trace"], ["trace", "--last"]):
        code, out, err = sandbox.run(*words)
        sandbox.check(words, code, out, err)
        assert code == 0 and "re\\nd.png" in out if "--last" in words else "two\\nlines" in out
    assert all(line.startswith(("traces in ", "  ")) for line in sandbox.run("trace")[1].splitlines())
    for words in (["scenes", "make", "--out", "a\nb"], ["graphs", "--draw", "c\nd"]):
        code, out, err = sandbox.run(*words)
        assert code == 0 and "\nb" not in out and "\nd" not in out


def test_names_that_are_no_text(sandbox: Sandbox) -> None:
    odd = os.fsdecode(os.fsencode(sandbox.named) + b"/caf\xe9")
    sandbox.photos.rename(odd)
    for words in (
        ["index", odd, *OWN],
        ["search", odd, "red", *OWN],
        ["chat", odd, *OWN],
        ["trace", "--store", odd],
        ["eval", "folder", "--root", odd, "--out", "run"],
        ["eval", "folder", "--root", ".", "--out", odd],
        ["compare", odd, odd],
        ["trace", "--last", "--html", odd],
    ):
        assert "UTF-8" in refused(sandbox, *words)


def test_where_one_is_has_a_name_that_is_no_text(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = Path(os.fsdecode(os.fsencode(sandbox.named) + b"/caf\xe9"))
    odd.mkdir()
    sandbox.photos.rename(odd / "photos")
    sandbox.profile.rename(odd / "mine.toml")
    monkeypatch.chdir(odd)
    for words in (
        ["index", "photos", *OWN],
        ["index", "photos", *OWN, "--out", "elsewhere"],
        ["search", "photos", "red", *OWN],
        ["search", "elsewhere", "red", *OWN],
        ["search", "photos", "red", *OWN, "--json"],
        ["chat", "photos", *OWN, "--thread", "mine"],
        ["trace", "--last", "--html", "page.html"],
        ["trace"],
    ):
        sandbox.check(words, *sandbox.run(*words, said="red\n"))
