"""`imagescope bench chat-store`: what keeping a conversation costs, however long it is.

The models are scripted and answer at once: only the package's own work is measured. Traces are off.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import numpy as np
from PIL import Image

from imagescope_agent.chat import Chats, Session, open_chats
from imagescope_agent.dialogue_acts import ACTS
from imagescope_agent.lab.benchmarks.machine import describe_machine, machine
from imagescope_agent.mllms.role import Role
from imagescope_agent.mllms.scripted import Asked, Scripted, ScriptedScorer
from imagescope_agent.retrieval.collection import FolderCollection, build
from imagescope_agent.services import Services

COLOURS = ("red", "green", "blue", "yellow", "white", "black", "purple", "orange")
MARKS = (1, 10, 100, 500)  # turns at which bytes and seconds are told
WINDOW = 10  # turns that a figure is the mean (bytes) or median (seconds) of: those up to the mark
REPEATS = 5  # of opening and listing; the median counts
DIMENSION = 64


def run(
    *, turns: int = 500, threads: int = 1000, images: int = 60, store: str | None = None
) -> dict[str, Any]:
    """Hold one long conversation, branch many from its beginning, and list and open them.

    Args:
        turns: of the long conversation.
        threads: that are listed.
        images: in the collection.
        store: a postgresql:// URL of an empty database, measured after SQLite.

    Returns:
        {"bench", "machine", "variants": {"sqlite" and "postgresql": {"at": {turn: {"bytes", "seconds",
        "cpu_seconds", "to_early"}} of one turn there, "disk_bytes": of a turn on the mean, with pages and indexes,
        "open_seconds", "list_seconds" and both as "..._cpu_seconds"}}, "ratios": {"VARIANT bytes": largest over
        smallest of the marks, "VARIANT seconds": largest "to_early": of processor time to that of a new
        conversation's turn at the same moment}}.

    Raises:
        BadInput: the store cannot be used.
        BackendUnavailable: the database does not answer.
    """
    with (
        TemporaryDirectory(prefix="imagescope-bench-") as folder,
        patch.dict(os.environ, IMAGESCOPE_TRACES="off"),
    ):
        services = _services(Path(folder) / "images", images)
        stores = {"sqlite": str(Path(folder) / "chats.sqlite"), **({"postgresql": store} if store else {})}
        variants = {
            name: asyncio.run(_measure(services, place, turns, threads)) for name, place in stores.items()
        }
    ratios: dict[str, float] = {}
    for name, made in variants.items():
        at = list(made["at"].values())
        ratios[f"{name} bytes"] = round(max(e["bytes"] for e in at) / min(e["bytes"] for e in at), 2)
        ratios[f"{name} seconds"] = max(each["to_early"] for each in at)
    return {"bench": "chat-store", "machine": machine(), "variants": variants, "ratios": ratios}


async def _measure(services: Services, place: str, turns: int, threads: int) -> dict[str, Any]:
    async with open_chats(services, store=place) as chats:
        database = chats.store.turns.database
        empty = await database.size()
        at = await _talk(chats, turns)
        grown = await database.size() - empty
        await _fill(chats, threads - len(await chats.list()))
    async with open_chats(services, store=place) as chats:

        async def open_long() -> int:
            return len((await (await chats.open("long")).state())["turns"])

        async def list_all() -> int:
            return len(await chats.list())

        return {
            "at": at,
            "turns": turns,
            "threads": threads,
            "disk_bytes": round(grown / turns),  # the few turns beside the long conversation make it larger
            **{f"open_{key}": value for key, value in (await _timed(open_long, turns)).items()},
            **{f"list_{key}": value for key, value in (await _timed(list_all, threads)).items()},
        }


async def _talk(chats: Chats, turns: int) -> dict[str, dict[str, float]]:
    """The long conversation; what a turn costs around each mark, and in a new conversation at the same time."""
    session, marks = await chats.create("long"), [mark for mark in MARKS if mark <= turns]
    await _say(await chats.create("warm"), 1)
    spent: list[dict[str, float]] = []
    early: dict[int, list[dict[str, float]]] = {mark: [] for mark in marks}
    for number in range(1, turns + 1):
        spent.append(await _say(session, number))
        for mark in marks:
            if _first(mark) < number <= mark:
                beside = await chats.get(f"beside-{mark}")
                early[mark].append(await _say(beside, number - _first(mark)))
    found = {}
    for mark in marks:
        rows = await chats.store.turns.database.fetch(
            "select length(turn) + length(kept) + length(verdicts) from imagescope_turns "
            "where thread = ? and number > ? and number <= ?", chats.store.key("long"), _first(mark), mark
        )  # fmt: skip
        late, first = _median(spent[_first(mark) : mark]), _median(early[mark])
        found[str(mark)] = {
            "bytes": round(sum(size for (size,) in rows) / len(rows)),
            **late,
            "to_early": round(late["cpu_seconds"] / first["cpu_seconds"], 2) if mark > 1 else 1.0,
        }
    return found


def _first(mark: int) -> int:
    """How many turns precede those that the figures at a mark are about."""
    return mark - min(mark, WINDOW)


async def _say(session: Session, number: int) -> dict[str, float]:
    wall, processor = time.perf_counter(), time.process_time()
    await session.say(_message(number))
    return {"seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - processor}


def _median(spent: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {key: round(median(each[key] for each in spent), 4) for key in ("seconds", "cpu_seconds")}


async def _fill(chats: Chats, count: int) -> None:
    session = await chats.open("long")
    for number in range(count):
        await session.branch(1, thread=f"t{number}")


async def _timed(work: Callable[[], Awaitable[int]], expected: int) -> dict[str, float]:
    spent = []
    for _ in range(REPEATS):
        wall, processor = time.perf_counter(), time.process_time()
        found = await work()
        spent.append({"seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - processor})
        if found != expected:
            raise AssertionError(f"{found} instead of {expected}")
    return _median(spent)


def _message(number: int) -> str:
    """A conversation as it goes: a topic, what narrows it, an answer, a like, and after ten turns another topic."""
    colour, other = COLOURS[number * 7 % len(COLOURS)], COLOURS[number * 3 % len(COLOURS)]
    step = number % 10
    if step == 1:
        return f"start over with a {colour} thing number {number}" if number > 1 else f"a {colour} thing"
    return {0: "skip", 4: "like 2", 6: "reject 3", 8: "no"}.get(step, f"it is {other} with mark {number}")


def _services(folder: Path, images: int) -> Services:
    folder.mkdir()
    for number in range(images):
        value = hashlib.sha256(str(number).encode()).digest()[:3]
        Image.new("RGB", (16, 16), tuple(value)).save(folder / f"{number:06}.png")
    captioner = Role("captioner", Scripted(lambda asked: f"a {_pick(asked.images[-1], COLOURS)} thing"))
    embedder = WordEmbedder()
    asyncio.run(build(folder, None, embedder, captioner, "describe", captioner_weights="scripted"))
    talker = Role("talker", Scripted(_reply))
    return Services(
        embedder=embedder,
        collection=FolderCollection.open(folder),
        captioner=captioner,
        reasoner=talker,
        talker=talker,
        classifier=Role("classifier", ScriptedScorer(_act)),
        verifier=Role("verifier", ScriptedScorer(_look)),
        judge=Role("judge", Scripted("No: others are as good")),
    )


class WordEmbedder:
    """Texts by their words, images by their mean colour; each word and colour has a vector of its own."""

    weights, dimension = "words-1", DIMENSION

    def images(self, images: Sequence[Image.Image]) -> np.ndarray:
        """(n, dimension), unit length."""
        return np.stack([_unit([str(image.convert("RGB").getpixel((0, 0)))]) for image in images])

    def texts(self, texts: Sequence[str]) -> np.ndarray:
        """(n, dimension), unit length."""
        return np.stack([_unit(re.findall(r"\w+", text.lower()) or [""]) for text in texts])


def _unit(words: Sequence[str]) -> np.ndarray:
    seeds = [int.from_bytes(hashlib.sha256(word.encode()).digest()[:4], "big") for word in words]
    total = np.sum([np.random.default_rng(seed).standard_normal(DIMENSION) for seed in seeds], axis=0)
    unit: np.ndarray = (total / np.linalg.norm(total)).astype(np.float32)
    return unit


def _reply(asked: Asked) -> str:
    """The reply to every step of a conversation."""
    kind = (asked.options or {}).get("response_format")
    said = re.findall(r"<(?:message|instruction)>(.*?)</", asked.text, flags=re.S)
    words = said[-1].strip() if said else "a thing"
    steps = [{"type": "Addition", "text": words}]
    described = dict.fromkeys(("core", "enhanced", "full"), words)
    if kind == "PredicatesAnswer":
        new = re.findall(r"^\w+: (.*)$", asked.text, flags=re.M)
        return json.dumps(
            {"predicates": [{"question": f"Is it so: {each}?", "expected": "Yes"} for each in new]}
        )
    if kind == "ProposalAnswer":
        mark = hashlib.sha256(asked.text.encode()).hexdigest()[:6]
        return json.dumps({"questions": [f"Is there a {colour} mark {mark}?" for colour in COLOURS[:4]]})
    if kind == "FoldAnswer":
        return json.dumps({"topic": "same", "answer": "None", "drop": [], "steps": steps, **described})
    return (
        json.dumps({"steps": steps, **described}) if kind else f"Has it a mark {_pick(asked.text, COLOURS)}?"
    )


def _act(asked: Asked) -> list[float]:
    """What a part of a message does: it begins a new search, skips the question, or says something new."""
    part = re.findall(r"<part>(.*?)</part>", asked.text, flags=re.S)[-1]
    act = "restart" if part == "start over" else "skip" if part == "skip" else "wish"
    return [float(each == act) for each in ACTS]


def _look(asked: Asked) -> list[float]:
    """A verdict of its own for each image and question, with all digits that a model's would have."""
    seed = hashlib.sha256(f"{asked.images[-1:]} {asked.text}".encode()).digest()
    yes = int.from_bytes(seed[:7], "big") / 2**56
    return [yes, 1.0 - yes]


def _pick(text: str, choices: Sequence[str]) -> str:
    return choices[hashlib.sha256(text.encode()).digest()[0] % len(choices)]


def describe(made: Mapping[str, Any]) -> str:
    """The measurement as text."""
    lines = ["scripted models, no traces: the package's own work"]
    for name, row in made["variants"].items():
        for turn, figures in row["at"].items():
            lines.append(
                f"{name:<12} turn {turn:>5} {figures['bytes']:>10.0f} bytes {figures['seconds'] * 1e3:>8.1f} ms "
                f"({figures['cpu_seconds'] * 1e3:.1f} of processor, {figures['to_early']:.2f} x a new conversation's)"
            )
        lines.append(
            f"{name:<12} opens {row['turns']} turns in {row['open_seconds']:.3f} s ({row['open_cpu_seconds']:.3f} of "
            f"processor), lists {row['threads']} conversations in {row['list_seconds']:.3f} s "
            f"({row['list_cpu_seconds']:.3f}), {row['disk_bytes']} bytes a turn on the disk"
        )
    lines += [
        f"{name}: largest is {value:.2f} x what it is at the beginning"
        for name, value in made["ratios"].items()
    ]
    return "\n".join([*lines, describe_machine(made["machine"])])
