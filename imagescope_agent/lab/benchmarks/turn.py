"""`imagescope bench turn`: cost of later turns against the first, and whether reused verdicts change rankings."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Overwrite

from imagescope_agent.api import index_folder
from imagescope_agent.chat import Chats, Session
from imagescope_agent.chat.turn_runner import run_config
from imagescope_agent.evaluation.chat.simulated_user import SimulatedUser
from imagescope_agent.evaluation.chat.systems import DrawnDialog, read_dialogs
from imagescope_agent.lab.benchmarks.machine import machine, peak_memory
from imagescope_agent.lab.scenes.make import make_world
from imagescope_agent.services import Services, open_services
from imagescope_agent.settings import Settings
from imagescope_agent.state import overwrite
from imagescope_agent.usage import total_usage

BEFORE_VERIFY = ("describe", "understand", "fold", "retrieve", "predicates")  # steps that need no verdict
COUNTED = ("calls", "prompt_tokens", "completion_tokens", "image_prefills", "seconds")


def run(
    *,
    profile: str = "mini",
    images: int = 100,
    dialogs: int = 10,
    turns: int = 4,
    seed: int = 0,
    services: Services | None = None,
    drawn: Sequence[DrawnDialog] = (),
) -> dict[str, Any]:
    """Run dialogs about drawn images; verify every later turn a second time without any known verdict.

    A simulated user answers the questions; where none is asked the dialog's next round is sent.

    Args:
        profile: which models.
        images: how many are drawn.
        dialogs: how many dialogs are run, one after the other.
        turns: of each dialog, the first one included.
        seed: of images and dialogs.
        services: used instead of the profile's, with `drawn` as the dialogs.
        drawn: see `services`.

    Returns:
        {"bench", "machine", "variants": {"first", "follow_up", "afresh": means of calls, tokens, seconds},
        "ratios": {"follow_up/first": of prompt tokens, "follow_up/afresh", "same_ranking": share of later turns}}.

    Raises:
        BackendUnavailable: a model does not answer.
    """
    if services is not None:
        return asyncio.run(_measure(services, list(drawn)[:dialogs], turns, seed))
    with tempfile.TemporaryDirectory(prefix="imagescope-bench-") as folder:
        root = Path(folder) / "world"
        make_world(root, seed, images)
        index_folder(root, profile=profile)
        chosen = list(read_dialogs(root).values())[:dialogs]
        return asyncio.run(_measure(open_services(profile, root), chosen, turns, seed))


async def _measure(
    services: Services, dialogs: Sequence[DrawnDialog], turns: int, seed: int
) -> dict[str, Any]:
    settings = Settings.load(services.settings, seed=seed)
    chats = Chats(services, InMemorySaver(), settings)
    costs: dict[str, list[dict[str, float]]] = {"first": [], "follow_up": [], "afresh": []}
    same: list[bool] = []
    for dialog in dialogs:
        await _run_dialog(chats, dialog, turns, costs, same)
    rows = {
        name: {key: round(mean(each[key] for each in several), 3) for key in COUNTED}
        for name, several in costs.items()
        if several
    }
    tokens = {name: row["prompt_tokens"] for name, row in rows.items()}
    return {
        "bench": "turn",
        "machine": {**machine(), **peak_memory()},
        "weights": services.weights,
        "dialogs": len(dialogs),
        "follow_ups": len(same),
        "variants": rows,
        "ratios": {
            "follow_up/first": round(tokens["follow_up"] / tokens["first"], 3),
            "follow_up/afresh": round(tokens["follow_up"] / tokens["afresh"], 3),
            "same_ranking": round(mean(same), 4),
        },
    }


async def _run_dialog(
    chats: Chats, dialog: DrawnDialog, turns: int, costs: dict[str, list[dict[str, float]]], same: list[bool]
) -> None:
    session, user = await chats.create(), SimulatedUser(dialog.scene)
    turn = await session.say(dialog.rounds[0])
    costs["first"].append(_cost(turn["usage"]))
    rounds = iter(dialog.rounds[1:])
    for _ in range(turns - 1):
        question = turn["question"]
        message = user.answer(question["text"]) if question is not None else next(rounds)
        turn = await session.say(message)
        repeated = await _verify_without_verdicts(chats, session)
        costs["follow_up"].append(_cost(turn["usage"]))
        costs["afresh"].append(_cost(repeated["usage"]))
        same.append(session.last["ranking"] == repeated["ranking"])
    await chats.delete(session.thread)


async def _verify_without_verdicts(chats: Chats, session: Session) -> dict[str, Any]:
    """The state after the last turn's candidates are verified once more without any known verdict."""
    state, turns, config = session.last, await session.turns(), run_config(chats.store, "afresh")
    before = [entry for entry in state["usage"] if entry["step"] in BEFORE_VERIFY]
    cleared = {
        **overwrite(state),
        "verdicts": Overwrite({}),
        "matches": {},
        "reflections": 0,
        "ranking_verify": [],
        "ranking": [],
        "notes": Overwrite([]),
        "usage": Overwrite(before),
        "turns": len(turns) - 1,
        "turn": turns[-2],
        "question": turns[-2]["question"],
        "asked": [each for each in state["asked"] if not _asks(state, each)],
    }
    await chats.store.graph.aupdate_state(config, cleared, as_node="predicates")
    repeated: dict[str, Any] = await chats.store.graph.ainvoke(None, config, context=chats.store.settings)
    await chats.store.saver.adelete_thread(chats.store.key("afresh"))
    return repeated


def _asks(state: Any, predicate: str) -> bool:
    """Whether the turn's own question asks for this predicate."""
    return state["question"] is not None and state["question"]["text"] == state["wordings"].get(
        predicate, predicate
    )


def _cost(usage: Sequence[Any]) -> dict[str, float]:
    return {key: float(total) for key, total in total_usage(usage).items()}


def describe(made: Mapping[str, Any]) -> str:
    """The measurement as text."""
    lines = [f"{made['dialogs']} dialogs, {made['follow_ups']} later turns"]
    for name, row in made["variants"].items():
        lines.append(
            f"{name:<10} {row['prompt_tokens']:>10.0f} prompt tokens {row['calls']:>7.1f} calls "
            f"{row['seconds']:>8.2f} s"
        )
    ratios = made["ratios"]
    lines.append(
        f"a later turn reads {ratios['follow_up/first']:.0%} of a first turn's prompt tokens and "
        f"{ratios['follow_up/afresh']:.0%} of its own without reuse; "
        f"{ratios['same_ranking']:.1%} of the rankings are the same"
    )
    return "\n".join(lines)
