"""Command lines, TOML and JSON that chance wrote: the documented exit codes, one line, nothing half-written.

FUZZ=500 make test ARGS=tests/security/test_fuzz_commands.py     tries so many instead of a few
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.security.drawn import OTHER, WORDS, changed, value
from tests.security.sandbox import PROFILE, Sandbox, copied, count, damage
from tests.security.strangers import rewritten

TURN = "--profile --judge -k --budget --token-budget --seed"

FLAGS = {
    command: flags.split()
    for command, flags in {
        "search": f"--image --graph --json {TURN}",
        "index": "--profile --out",
        "chat": f"--thread --json --export --store --list --delete --prune {TURN}",
        "trace": "--last --html --compare --why --store --json",
        "eval": "--root --split --graph --profile --limit --seed --out --max-degraded --check --json",
        "score": "--root --split --run --json",
        "compare": "--measure --seed --json",
        "scenes": "--seed --out",
        "ui": "--port --host",
        **dict.fromkeys(("graphs", "judges", "profiles", "nonsense"), "--json"),
    }.items()
}


@pytest.fixture
def sandbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """With an indexed folder that was searched and talked about."""
    made = Sandbox(tmp_path / "sandbox", monkeypatch)
    monkeypatch.setattr(
        "imagescope_agent.lab.scenes.make.make_world", lambda out, seed, count: out.mkdir(parents=True)
    )
    monkeypatch.setattr("imagescope_agent.chat.web.server.serve", _not_served)
    assert made.run("index", "photos", "--profile", "mine.toml")[0] == 0
    assert made.run("search", "photos", "a red square", "--profile", "mine.toml")[0] == 0
    assert (
        made.run("chat", "photos", "--profile", "mine.toml", "--thread", "mine", said="a red square\n")[0]
        == 0
    )
    return made


def _drawn(out: Path, seed: int, count: int) -> None:
    out.mkdir(parents=True, exist_ok=True)


async def _not_served(*_: Any, **__: Any) -> None: ...


def line(random: Random) -> list[str]:
    """A command line that is often nearly right."""
    command = random.choice(list(FLAGS))
    words = [command]
    if random.random() < 0.6 and command in ("search", "index", "chat", "ui"):
        words += ["photos", *(["a red square"] if command == "search" else []), "--profile", "mine.toml"]
    elif random.random() < 0.5 and command == "eval":
        words += [
            random.choice(["scenes", "folder"]),
            "--root",
            random.choice(WORDS),
            "--out",
            random.choice(WORDS),
        ]
    for _ in range(random.randint(0, 4)):
        if FLAGS[command] and random.random() < 0.7:
            words.append(random.choice(FLAGS[command]))
        if random.random() < 0.8:
            words.append(random.choice(WORDS))
    if random.random() < 0.05:
        words[0] = words[0].upper()
    return [word for word in words if "demo" not in word]


def test_command_lines(sandbox: Sandbox) -> None:
    kept = sandbox.root / "kept"
    shutil.copytree(sandbox.named, kept)
    codes: dict[int, int] = {}
    for number in range(count(100)):
        random = Random(f"line {number}")
        words = line(random)
        said = "\n".join(
            random.choices([*WORDS, "/undo", "/like 1", "/branch 9", "/image x", "/export"], k=2)
        )
        code, out, err = sandbox.run(*words, said=said)
        codes[code] = codes.get(code, 0) + 1
        if code == 2 and words[0].lower() == "chat" and len(err.splitlines()) > 1:
            err = err.splitlines()[0]  # every line that was said may be refused by itself
        if code == 2 and words[0].lower() == "eval":
            err = err.removeprefix(
                next((each for each in err.splitlines(True) if "nothing is drawn" in each), "")
            )
        sandbox.check((number, words, said), code, out, err)
        copied(kept, sandbox.named)
    assert set(codes) >= {0, 2}, codes


def toml(text: str, random: Random) -> bytes:
    """A profile with other values, other lines, or other bytes."""
    lines = text.splitlines()
    for _ in range(random.randint(1, 3)):
        place = random.randrange(len(lines))
        name = lines[place].partition("=")[0].strip() or "x"
        other = f"{name} = {random.choice(OTHER)}"
        lines[place] = random.choice(
            [other, other, "", f"[{name}]", f"[[{name}]]", lines[place] * 2, f"x.{name} = 1"]
        )
    whole = "\n".join(lines).encode()
    return damage(whole, random)[1] if random.random() < 0.3 else whole


USES = (
    ["search", "photos", "a red square", "--graph", "retrieve"],
    ["index", "photos", "--out", "fresh"],
    ["chat", "photos", "--list"],
)


def test_profiles(sandbox: Sandbox) -> None:
    for number in range(count(100)):
        random = Random(f"toml {number}")
        (sandbox.named / "other.toml").write_bytes(toml(PROFILE, random))
        words = random.choice(USES)
        told = (number, (sandbox.named / "other.toml").read_bytes())
        sandbox.check(told, *sandbox.run(*words, "--profile", "other.toml"))
        shutil.rmtree(sandbox.named / "fresh", ignore_errors=True)


def test_json_files(sandbox: Sandbox) -> None:
    index, kept = sandbox.photos / ".imagescope", sandbox.root / "kept"
    manifest = json.loads((index / "imagescope.json").read_text())
    del manifest["checksum"]
    shutil.copytree(index, kept)
    for number in range(count(100)):
        random = Random(f"json {number}")
        if random.random() < 0.6:
            content = changed(manifest, random)
            if not isinstance(content, dict):
                continue
            rewritten(index, **content)
        else:
            text = json.dumps(changed(manifest, random))
            (index / "imagescope.json").write_bytes(damage(text.encode("utf-8", "replace"), random)[1])
        for words in (
            ["search", "photos", "a red square", "--graph", "retrieve"],
            ["chat", "photos", "--list"],
        ):
            own = ["--profile", "mine.toml"] if random.random() < 0.8 else []
            sandbox.check((number, words), *sandbox.run(*words, *own))
        copied(kept, index)


RUN: dict[str, Any] = {
    "run.json": {"dataset": "scenes", "graph": "g", "seed": 0, "queries": "1"},
    "metrics.json": {"metrics": {"final": {"all": {"R@1": 1.0}}}},
}

RECORD: dict[str, Any] = {
    **{
        "qid": "1",
        "text": "q",
        "failed": None,
        "degraded": False,
        "stages": {"final": ["a.png"]},
        "notes": [],
    },
    **{
        "values": {"final": {"rank": 1, "R@1": 1.0}},
        "usage": {"calls": {"judge": 1}},
        "subsets": [],
        "turn": 0,
    },
    "group": None,
}


def test_runs_of_others(sandbox: Sandbox) -> None:
    for number in range(count(30)):
        random = Random(f"run {number}")
        for name in ("one", "two"):
            folder = sandbox.named / name
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            for file, content in RUN.items():
                (folder / file).write_text(
                    json.dumps(changed(content, random) if random.random() < 0.3 else content)
                )
            record = changed(RECORD, random) if random.random() < 0.5 else RECORD
            (folder / "per_query.jsonl").write_text(json.dumps(record) + "\n")
            for file in ("chat.json", "ranks.json"):
                (folder / file).write_text(json.dumps(value(random)))
        for words in (["compare", "one", "two"], ["eval", "chat", "--pool", "one", "two", "--out", "pooled"]):
            sandbox.check((number, words), *sandbox.run(*words))
        shutil.rmtree(sandbox.named / "pooled", ignore_errors=True)
