"""What a conversation makes of messages: facts that nobody gave, wishes that were lost, questions answered by none."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

from langgraph.checkpoint.memory import InMemorySaver

from imagescope_agent.api import index_folder
from imagescope_agent.chat import Chats
from imagescope_agent.lab.scenes.dialog.conversations import conversation
from imagescope_agent.lab.scenes.make import make_world
from imagescope_agent.nodes.chat.act_remarks import NOT_UNDERSTOOD
from imagescope_agent.nodes.chat.language.grounding import Grounding
from imagescope_agent.services import Services, open_services
from imagescope_agent.settings import Settings
from imagescope_agent.usage import sum_by_name

State = Mapping[str, Any]


def run(
    *,
    profile: str = "mini",
    images: int = 100,
    data: Path | None = None,
    conversations: int = 40,
    rounds: int = 5,
    seed: int = 0,
) -> dict[str, Any]:
    """Hold conversations and count, by sort of message, what went wrong.

    Args:
        profile: whose models.
        images: how many are drawn.
        data: JSON lines as `lab.scenes.conversations.conversation` returns them; None makes some.
        conversations: how many are made.
        rounds: messages of each.
        seed: of images and of those that are made.

    Returns:
        {"turns", "invented", "wishes", "lost": of these, "told": of these, what the answer says was not understood,
        "ignored": pending questions passed over, "answered": of these, by nobody, "idle", "changed": of these,
        "sorts": the same by sort, "spent": calls and prompt tokens by step, "failures"}.
    """
    rng = Random(f"understanding {seed}")
    talks = (
        [conversation(rng, rounds) for _ in range(conversations)]
        if data is None
        else [json.loads(line) for line in data.read_text("utf-8").splitlines()]
    )
    with tempfile.TemporaryDirectory(prefix="imagescope-bench-") as folder:
        root = Path(folder) / "world"
        make_world(root, seed, images)
        index_folder(root, profile=profile)
        return asyncio.run(measure(open_services(profile, root), talks))


async def measure(services: Services, talks: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """As `run`, for these conversations."""
    chats = Chats(services, InMemorySaver(), Settings(k=10))
    counts: Counter[str] = Counter()
    sorts: dict[str, Counter[str]] = {}
    spent: list[Mapping[str, Any]] = []
    failures: list[dict[str, Any]] = []
    for talk in talks:
        session = await chats.create()
        for turn in talk["turns"]:
            before = await session.state()
            told = await session.say(turn["say"])
            spent += told["usage"]
            after = await session.state()
            found = judge(turn, before, after, services)
            found["told"] = int(bool(found["lost"]) and _is_told_of(told.get("remarks", [])))
            counts.update(found)
            sorts.setdefault(turn["sort"], Counter()).update(found)
            if any(found[name] for name in ("invented", "lost", "answered", "changed")):
                failures.append({**turn, "found": dict(found), **_shown(before, after, told)})
        await chats.delete(session.thread)
    return {
        **{name: counts[name] for name in COUNTED},
        "sorts": {name: dict(found) for name, found in sorts.items()},
        "spent": {
            kind: sum_by_name((entry["step"], entry[kind]) for entry in spent if entry["calls"])
            for kind in ("calls", "prompt_tokens")
        },
        "failures": failures,
    }


COUNTED = ("turns", "invented", "wishes", "lost", "told", "ignored", "answered", "idle", "changed")


def judge(turn: Mapping[str, Any], before: State, after: State, services: Services) -> Counter[str]:
    """What one message did, against what it means."""
    known = {(fact["type"], fact["text"]) for fact in before.get("facts", [])}
    new = [fact for fact in after["facts"] if (fact["type"], fact["text"]) not in known]
    question = before.get("question")
    found: Counter[str] = Counter(turns=1)
    if turn.get("reply"):
        if question is None or question.get("also"):
            return found
        expected = {"question": question["asks"], "expected": turn["reply"]}
        found.update(wishes=1, lost=not any(expected in fact["predicates"] for fact in after["facts"]))
        found["invented"] = len(new) > 1
        return found
    told = [*turn.get("add", []), *turn.get("not", [])]
    foreign = [fact for fact in new if not _is_told(fact, told, turn["say"], services)]
    found["invented"] = bool(foreign)
    if question is not None:
        asks = {question["asks"], *question.get("also", [])}
        answered = any(each["question"] in asks for fact in foreign for each in fact["predicates"])
        found.update(ignored=1, answered=int(answered))
    if turn.get("idle"):
        found.update(idle=1, changed=int(_standing(before) != _standing(after)))
        return found
    wanted = [fact["text"] for fact in after["facts"] if fact["type"] != "Removal"]
    excluded = [fact["text"] for fact in after["facts"] if fact["type"] == "Removal"]
    lost = [each for each in turn.get("add", []) if not _held(each, wanted, services)]
    lost += [each for each in turn.get("not", []) if not _held(each, excluded, services)]
    lost += [each for each in turn.get("gone", []) if _held(each, wanted, services)]
    lost += [fact for fact in _kept(turn, before) if not _held(fact, wanted, services)]
    found.update(wishes=1, lost=int(bool(lost)))
    return found


def _is_told_of(remarks: Sequence[str]) -> bool:
    """Whether an answer says that a part of the message was not understood."""
    return any(remark.startswith(NOT_UNDERSTOOD) for remark in remarks)


def _kept(turn: Mapping[str, Any], before: State) -> list[str]:
    """The facts before a message that it neither takes back nor excludes; none where it begins a new search."""
    gone = [*turn.get("gone", []), *turn.get("not", [])]
    if turn["sort"] == "restart" or len(gone) > 1:
        return []
    wanted = [fact["text"] for fact in before.get("facts", []) if fact["type"] != "Removal"]
    return [text for text in wanted if not any(not Grounding([text]).ungrounded(each) for each in gone)]


def describe(measurement: Mapping[str, Any]) -> str:
    """The counts as lines, one for each sort of message, then in all."""
    rows = [*sorted(measurement["sorts"].items()), ("all", measurement)]
    head = f"{'sort of message':28}" + "".join(f"{name:>10}" for name in COUNTED)
    lines = [f"{name[:28]:28}" + "".join(f"{row.get(each, 0):>10}" for each in COUNTED) for name, row in rows]
    turns = max(1, measurement["turns"])
    cost = [
        f"{step} {calls / turns:.2f} calls, {measurement['spent']['prompt_tokens'][step] / turns:.0f} tokens"
        for step, calls in measurement["spent"]["calls"].items()
    ]
    return "\n".join([head, *lines, f"a turn: {'; '.join(cost)}"])


def _standing(state: State) -> tuple[Any, ...]:
    return [(fact["type"], fact["text"]) for fact in state.get("facts", [])], state.get("request", "")


def _is_told(fact: Mapping[str, Any], told: Sequence[str], said: str, services: Services) -> bool:
    """Whether a new fact says what one of the meanings says, or what the user said word for word."""
    if fact["text"].lower() in said.lower():
        return True
    return any(_grounds(each, fact["text"], services) for each in told)


def _held(words: str, facts: Sequence[str], services: Services) -> bool:
    return any(_grounds(fact, words, services) for fact in facts)


def _grounds(ground: str, text: str, services: Services) -> bool:
    grounding = Grounding([ground], services.embedder)
    missing = grounding.ungrounded(text)
    return not missing or grounding.says_the_same(text, missing)


def _shown(before: State, after: State, told: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "acts": [f"{part['act']}: {part['text']}" for part in after.get("acts", [])],
        "before": [f"{f['type']}: {f['text']}" for f in before.get("facts", [])],
        "after": [f"{f['type']}: {f['text']}" for f in after["facts"]],
        "asked": (before.get("question") or {}).get("text"),
        "notes": [each["detail"] for each in told["notes"]],
        "remarks": told.get("remarks"),
    }
