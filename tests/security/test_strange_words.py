"""Command lines that nobody means: addresses for files, empty values, huge numbers, names with line breaks, loops."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from imagescope_agent import cli
from imagescope_agent.errors import BadInput
from imagescope_agent.runs.checkpoints import open_store
from imagescope_agent.settings import Settings
from imagescope_agent.traces.store import TraceStore
from tests.security.sandbox import Sandbox
from tests.security.strangers import snapshot

OWN = ("--profile", "mine.toml")


@pytest.fixture
def sandbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """With an indexed folder that was searched."""
    made = Sandbox(tmp_path / "sandbox", monkeypatch)
    monkeypatch.setattr(
        "imagescope_agent.lab.scenes.make.make_world", lambda out, seed, count: out.mkdir(parents=True)
    )
    assert made.run("index", "photos", *OWN)[0] == 0
    assert made.run("search", "photos", "a red square", "--graph", "retrieve", *OWN)[0] == 0
    return made


def refused(sandbox: Sandbox, *words: str, said: str = "") -> str:
    """The one line of a command that is refused and leaves everything as it was."""
    before = snapshot(sandbox.named)
    told = sandbox.run(*words, said=said)
    sandbox.check(words, *told)
    assert told[0] == 2, (words, told)
    after = {name: what for name, what in snapshot(sandbox.named).items() if ".sqlite" not in name}
    assert after == {name: what for name, what in before.items() if ".sqlite" not in name}
    return told[2]


ADDRESSES = ("mysql://user:hunter22@host/x", "mysql:/user:hunter22@host/x", "s3://user:hunter22@bucket/x",
             "sqlite:///x", "file:///tmp/x", "postgresql+psycopg://user:hunter22@host/x")  # fmt: skip


@pytest.mark.parametrize("address", ADDRESSES)
def test_an_address_is_no_file(sandbox: Sandbox, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for words in (
        ["chat", "photos", *OWN, "--store", address],
        ["trace", "--store", address],
        ["index", "photos", *OWN, "--out", address],
        ["index", address, *OWN],
        ["search", address, "red", *OWN],
        ["eval", "folder", "--root", address, "--out", "run"],
        ["eval", "folder", "--root", "photos", "--out", address],
        ["score", "folder", "--root", "photos", "--run", address],
        ["compare", address, address],
        ["scenes", "make", "--out", address],
        ["trace", "--last", "--store", "photos", "--html", address],
        ["graphs", "--draw", address],
    ):
        assert "hunter22" not in refused(sandbox, *words), words
    for variable in ("IMAGESCOPE_CHATS", "IMAGESCOPE_RUNS", "IMAGESCOPE_TRACES"):
        with monkeypatch.context() as patch:
            patch.setenv(variable, address)
            code, out, err = sandbox.run(*(["chat", "photos", *OWN] if "CHATS" in variable else
                                           ["search", "photos", "red", "--graph", "retrieve", *OWN]))  # fmt: skip
            assert "hunter22" not in out + err and "Traceback" not in err
            assert code == 2 or "TRACES" in variable
    assert not [path for path in sandbox.named.rglob("*") if "hunter22" in str(path) or ":" in path.name]


def test_a_store_in_python_is_no_other_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    async def opened(address: Path | str) -> None:
        async with open_store(address):
            pass

    for address in ("mysql://u:hunter22@h/x", Path("redis://u:hunter22@h/x")):
        with pytest.raises(BadInput, match="is an address") as caught:
            asyncio.run(opened(address))
        assert "hunter22" not in str(caught.value) and not list(tmp_path.iterdir())


def options() -> list[list[str]]:
    """Every option of every command that takes a value."""
    found: list[list[str]] = []

    def look(parser: Any, words: list[str]) -> None:
        for action in parser._actions:
            if isinstance(getattr(action, "choices", None), dict):
                for name, inner in action.choices.items():
                    look(inner, [*words, name])
            elif action.option_strings and action.nargs != 0:
                found.append([*words, action.option_strings[-1]])

    look(cli.build_parser(), [])
    return found


def needed(words: list[str]) -> list[str]:
    """The positional and required arguments of a command."""
    given = {
        **{"search": ["photos", "red"], "index": ["photos"], "chat": ["photos"], "ui": ["photos"]},
        **{"eval": ["folder"], "score": ["folder", "--root", "photos", "--run", "x"], "compare": ["a", "b"]},
    }
    more = {
        "make": ["--out", "x"],
        "mini-mllm": ["--out", "x"],
        "mini-talk": ["--out", "x"],
        "mini-clip": ["--out", "x"],
    }
    return [*words[:-1], *given.get(words[0], more.get(words[-2], []))]


@pytest.mark.parametrize("words", options(), ids=" ".join)
def test_no_option_takes_an_empty_value(sandbox: Sandbox, words: list[str]) -> None:
    if words == ["index", "--exclude"]:
        assert sandbox.run("index", "photos", *OWN, "--exclude", "")[0] == 0  # forgets the patterns
        return
    for empty in ("", " "):
        values = [empty, "x"] if words[-1] == "--why" else [empty]
        refused(sandbox, *needed(words), words[-1], *values)


@pytest.mark.parametrize(
    "words", [["index", ""], ["search", "", "red"], ["chat", " "], ["score", "", "--root", "x", "--run", "x"],
              ["compare", "", "x"], ["eval", "", "--root", "x", "--out", "x"], ["trace", ""]]
)  # fmt: skip
def test_no_place_takes_an_empty_value(sandbox: Sandbox, words: list[str]) -> None:
    refused(sandbox, *words)


HUGE = ("9" * 30, "9" * 5000, str(2**64))


@pytest.mark.parametrize("huge", HUGE)
def test_numbers_that_nothing_takes(sandbox: Sandbox, huge: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for words in (
        *(["search", "photos", "red", flag, huge] for flag in ("-k", "--budget", "--token-budget", "--seed")),
        *(["chat", "photos", flag, huge] for flag in ("--prune", "-k", "--budget", "--seed")),
        *(["ui", "photos", "--port", port] for port in (huge, "65536", "99999", "-1", "1.5")),
        *(["eval", "folder", "--root", "x", "--out", "y", flag, huge] for flag in ("--limit", "--seed")),
        ["compare", "a", "b", "--seed", huge],
        *(["scenes", "make", "--out", "x", flag, huge] for flag in ("--seed", "--count")),
        *(["train", "mini-talk", "--out", "x", flag, huge] for flag in ("--steps", "--minutes", "--rate")),
        *(["train", "mini-talk", "--out", "x", "--rate", odd] for odd in ("nan", "inf", "0", "-1")),
        ["bench", "verify", "--candidates", huge],
        ["eval", "folder", "--root", "x", "--out", "y", "--max-degraded", "nan"],
    ):
        refused(sandbox, *words)
    refused(sandbox, "chat", "photos", *OWN, said=f"/branch {huge}\n")
    for odd in ("inf", "nan", "1e400", "-1", "0", huge, "1e300"):
        monkeypatch.setenv("IMAGESCOPE_RUNS_MB", odd)
        refused(sandbox, "search", "photos", "red", "--graph", "retrieve", *OWN)
    monkeypatch.delenv("IMAGESCOPE_RUNS_MB")
    for name in ("K", "TOP_K", "SEED", "ATTEMPTS", "BUDGET", "TAU"):
        monkeypatch.setenv(f"IMAGESCOPE_{name}", huge)
        refused(sandbox, "search", "photos", "red", "--graph", "retrieve", *OWN)
        monkeypatch.delenv(f"IMAGESCOPE_{name}")
    with pytest.raises(BadInput):
        Settings(k=10**30)


def test_as_many_as_there_are(sandbox: Sandbox) -> None:
    code, out, _ = sandbox.run(
        "search", "photos", "red", "--graph", "retrieve", *OWN, "--json", "-k", "4000000000"
    )
    assert code == 0 and len(json.loads(out)["results"]) == 4
    assert sandbox.run("chat", "photos", *OWN, "--prune", "36525")[0] == 0


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


def foreign(path: Path, *tables: str) -> bytes:
    with closing(sqlite3.connect(path)) as base, base:
        for table in tables:
            base.execute(table)
    return path.read_bytes()


@pytest.mark.parametrize(
    "tables",
    [
        ("create table precious (thing text)",),
        ("create table runs (run_uuid text, name text)", "create table metrics (key text)"),
        ("create table events (id integer, what text)",),
        ("create table runs (id text)", "create table events (id integer)"),
        ("create table checkpoints (epoch integer, weights blob)",),
        (),
    ],
)
def test_a_database_of_something_else_is_not_written_to(
    sandbox: Sandbox, tables: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = sandbox.named / "theirs.db"
    before = foreign(path, *tables)
    for words in (["trace", "--store", "theirs.db"], ["trace", "--last", "--store", "theirs.db"]):
        refused(sandbox, *words)
        assert path.read_bytes() == before and not list(sandbox.named.glob("theirs.db?*"))
    if not tables:
        return  # an empty file may become a store
    refused(sandbox, "chat", "photos", *OWN, "--store", "theirs.db", "--list")
    for variable in ("IMAGESCOPE_RUNS", "IMAGESCOPE_TRACES", "IMAGESCOPE_CHATS"):
        monkeypatch.setenv(variable, "theirs.db")
        told = sandbox.run("search", "photos", "red", "--graph", "retrieve", *OWN)
        assert told[0] == (2 if variable == "IMAGESCOPE_RUNS" else 0)
        sandbox.run("chat", "photos", *OWN, "--list")
        monkeypatch.delenv(variable)
    (sandbox.named / "kept").mkdir()
    path.rename(sandbox.named / "kept" / "journal.sqlite")
    refused(sandbox, "index", "photos", *OWN, "--out", "kept")
    assert (sandbox.named / "kept" / "journal.sqlite").read_bytes() == before


def test_searches_and_traces_may_share_a_file(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("IMAGESCOPE_RUNS", "IMAGESCOPE_TRACES", "IMAGESCOPE_CHATS"):
        monkeypatch.setenv(variable, "all.sqlite")
    for _ in range(2):
        code, out, _ = sandbox.run("search", "photos", "red", "--graph", "retrieve", *OWN, "--json")
        assert code == 0 and json.loads(out)["notes"] == []
    assert sandbox.run("chat", "photos", *OWN, "--list")[0] == 0
    assert len(sandbox.run("trace", "--store", "all.sqlite")[1].splitlines()) == 3


def test_crafted_traces_make_no_traceback(sandbox: Sandbox) -> None:
    path = sandbox.named / "t"
    odd: list[Any] = [None, 3, "x", [], {}, [1], {"a": 1}, [[]], [{}], 1e308]
    keys = ("ranking", "candidates", "verdicts", "matches", "judgement", "intent", "predicates", "notes")
    for number, (key, value) in enumerate((key, value) for key in keys for value in odd):
        with closing(TraceStore(path)) as store:
            run = store.start(f"r{number}", graph="g", query="q", about={key: value, "settings": value})
            span = store.append(run, "node", {"node": "retrieve", "step": 1, "attempt": 1, "parent": 0})
            update = {"ranking": ["a", "b"], "candidates": [{"id": "a", "retrieve": 1.0}], key: value}
            store.append(run, "node_end", {"span": span, "update": update})
            store.append(run, "end", {"status": "done", "keys": value})
        for more in (
            ["--html", "page.html"],
            ["--json"],
            ["--why", "a", "b"],
            ["--compare", "r0.1", "--html", "c.html"],
        ):
            told = sandbox.run("trace", f"r{number}.1", "--store", "t", *more)
            sandbox.check((key, value, more), *told)


@pytest.mark.parametrize(
    ("old", "new", "nearest"),
    [
        ("reply = 'No'", "reply = 'No'\nrepli = 'No'", "reply"),
        ("mllm = \"scripted\"\nreply = 'No'", 'mllm = "endpoint"\nmax_token = 5', "max_tokens"),
        ("mllm = \"scripted\"\nreply = 'No'", 'mllm = "endpoint"\nbase_url = "http://127.0.0.1:9"', "url"),
        ("mllm = \"scripted\"\nreply = 'No'", 'mllm = "transformers"\nchekpoint = "x"', "checkpoint"),
        ("[settings]", "[settings]\ntop = 4", "top_k"),
        ('judge = "fake"', 'judge = "fake"\nverifer = "fake"', "verifier"),
    ],
)
def test_a_misspelt_option_of_a_profile_is_named(sandbox: Sandbox, old: str, new: str, nearest: str) -> None:
    text = sandbox.profile.read_text()
    assert old in text
    (sandbox.named / "other.toml").write_text(text.replace(old, new))
    indexing = ["index", "photos", "--change-profile"]
    for words in (["search", "photos", "red"], indexing, ["chat", "photos", "--list"]):
        assert nearest in refused(sandbox, *words, "--profile", "other.toml")
