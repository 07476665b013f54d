"""Command lines that nobody means: addresses for files, empty values, huge numbers, names with line breaks, loops."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from imagescope_agent import cli
from imagescope_agent.errors import BadInput
from imagescope_agent.runs.checkpoints import open_store
from imagescope_agent.settings import Settings
from tests.security.sandbox import OWN, Sandbox, refused

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
        "mini-reader": ["--out", "x"],
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
