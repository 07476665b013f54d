"""`imagescope eval chat`: several dialog systems ("players") on the same dialogs, compared round by round.

Protocol: VisDial's (Hits@10 cumulative: once hit stays hit; R@10 of each round alone; BRI), rounds 0..10.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from imagescope_agent.common.atomic_write import write_atomic
from imagescope_agent.common.plots import line_plot
from imagescope_agent.common.untrusted import parse_json, read_file
from imagescope_agent.errors import BadInput, suggest
from imagescope_agent.evaluation import datasets, metrics
from imagescope_agent.evaluation.chat.systems import (
    EVERYWHERE,
    PLAYERS,
    DialogSystem,
    DrawnDialog,
    read_dialogs,
    world_digest,
)
from imagescope_agent.evaluation.datasets.base import Benchmark
from imagescope_agent.evaluation.evaluate import evaluate
from imagescope_agent.evaluation.metrics import Floats
from imagescope_agent.evaluation.reporting.tables import markdown_table
from imagescope_agent.evaluation.run_store import LARGEST, PER_QUERY, read_records
from imagescope_agent.evaluation.significance import bootstrap_interval, holm, permutation_test
from imagescope_agent.runs.checkpoints import reading
from imagescope_agent.services import Services
from imagescope_agent.settings import Settings

CUTOFF = 10
CONCURRENT_DIALOGS = 64  # at a time: the model decodes the replies of all of them in one batch
#: (better, worse): the comparisons that the protocol makes.
CONTRASTS = (
    ("ours", "given"), ("ours", "random"), ("given", "imagescope"), ("ours", "imagescope"), ("given", "clip"),
    ("ours", "clip"),
)  # fmt: skip


def evaluate_chat(
    *, root: Path | str, out: Path | str, players: Sequence[str] = EVERYWHERE, profile: str = "mini",
    limit: int | None = None, seed: int = 0, progress: bool = True, services: Services | None = None,
    **settings: Any,
) -> dict[str, Any]:  # fmt: skip
    """Run every player on the dialogs of a drawn world and compare them; the same call resumes a stopped run.

    Args:
        root: a drawn world, drawn by `seed` where there is none.
        out: the run's folder: a folder for each player, chat.json, chat.md, chat.svg and ranks.json.
        players: names of `systems.PLAYERS`.
        profile: the models.
        limit: sample so many dialogs by `seed`; all when None. The gallery stays whole.
        seed: of the sample and of the runs.
        progress: show a bar.
        services: used instead of the profile's; for tests.
        settings: more fields of `Settings`.

    Returns:
        The content of chat.json (see `dialog_metrics`), with the number of rounds that failed by player.

    Raises:
        BadInput: a file is missing, a player is unknown, or `out` holds another run.
        BackendUnavailable: a model does not answer; finished rounds are stored.
    """
    root, out = Path(root), Path(out)
    benchmark, dialogs = _load_world(root, players, seed)
    opened = services or _open(root, profile)
    how: dict[str, Any] = {"seed": seed, "root": root, "limit": limit, "progress": progress}
    measured = {name: _evaluate(name, dialogs, opened, settings, out=out / name, **how) for name in players}
    ranks = {name: read_ranks(out / name, benchmark.size) for name in players}
    found = dialog_metrics(ranks, seed=seed) | {
        "images": benchmark.size,
        "worlds": [world_digest(root)],
        "profile": opened.profile,
        "usage": {name: _without_details(each["usage"]) for name, each in measured.items()},
        "failed": {name: each["failed"] for name, each in measured.items()},
    }
    _write(out, found, ranks)
    return found


def pool_runs(
    runs: Sequence[Path | str], out: Path | str, *, players: Sequence[str] = (), seed: int = 0
) -> dict[str, Any]:
    """Pool the dialogs of finished runs over several worlds and write what `evaluate_chat` writes.

    Args:
        runs: folders that hold the chat.json and ranks.json of `evaluate_chat`.
        out: where to write.
        players: only these; all of the first run by default, which the other runs must have too.
        seed: of the tests.

    Returns:
        As `evaluate_chat`, without usage.

    Raises:
        BadInput: a run is missing or unfinished, or was not played by all.
    """
    with reading(", ".join(map(str, runs))):
        pooled, ranks = _pooled(runs, players, seed)
    Path(out).mkdir(parents=True, exist_ok=True)
    _write(Path(out), pooled, ranks)
    return pooled


def _pooled(
    runs: Sequence[Path | str], players: Sequence[str], seed: int
) -> tuple[dict[str, Any], dict[str, Floats]]:
    found = [_read_run(Path(run)) for run in runs]
    players = list(players or found[0]["players"])
    for run, each in zip(runs, found, strict=True):
        if missing := [name for name in players if name not in each["players"]]:
            raise BadInput(f"{run} was not played by {', '.join(missing)}; choose from --players, or play it")
    ranks = {
        name: np.concatenate([np.array(each["ranks"][name], dtype=float) for each in found])
        for name in players
    }
    pooled = dialog_metrics(ranks, seed=seed) | {
        "images": found[0]["images"],
        "worlds": [world for each in found for world in each.get("worlds", ["an unknown world"])],
        "profile": found[0]["profile"],
        "failed": {name: sum(each["failed"][name] for each in found) for name in players},
    }
    return pooled, ranks


def _read_run(run: Path) -> dict[str, Any]:
    """The content of chat.json, and that of ranks.json under "ranks"."""
    try:
        found, ranks = (
            parse_json(read_file(run / name, LARGEST, follow=True)) for name in ("chat.json", "ranks.json")
        )
        return {**found, "failed": found["failed"], "ranks": ranks}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(
            f"{run} holds no finished chat run; `imagescope eval chat --out {run}` makes one"
        ) from error


def _without_details(usage: Mapping[str, Any]) -> dict[str, float]:
    """The totals of usage, without those of each role or step."""
    return {key: value for key, value in usage.items() if not isinstance(value, dict)}


def read_ranks(run: Path, worst: int) -> Floats:
    """1-based ranks of the targets, (n_dialogs, n_rounds); a failed round counts as the worst rank."""
    records = [record for _, record in read_records(run / PER_QUERY)]
    index: dict[str, int] = {}
    rows = [index.setdefault(record["group"], len(index)) for record in records]
    ranks = np.full((len(index), 1 + max(record["turn"] for record in records)), float(max(worst, 1)))
    for row, record in zip(rows, records, strict=True):
        rank = record["values"].get("final", {}).get("rank")
        if rank is not None:
            ranks[row, record["turn"]] = rank
    return ranks


def dialog_metrics(ranks: Mapping[str, Floats], *, seed: int = 0) -> dict[str, Any]:
    """Metrics of each player, and paired tests between players.

    Args:
        ranks: player -> (n_dialogs, n_rounds), 1-based, the same dialogs in the same order.
        seed: of the tests.

    Returns:
        {"dialogs", "players": {name: {"Hits@10": [per cent by round], "R@10": [...], "BRI"}},
        "comparisons": [{"better", "worse", "measure", "difference", "low", "high", "p", "p_holm"}]}: BRI
        differences are better - worse, so negative is good; Hits@10 is the mean over rounds 2 and later, in points.
    """
    players = {
        name: {
            f"Hits@{CUTOFF}": (100 * metrics.hits_cumulative(each, CUTOFF).mean(axis=0)).tolist(),
            f"R@{CUTOFF}": (100 * (each <= CUTOFF).mean(axis=0)).tolist(),
            "BRI": float(metrics.bri(each).mean()),
        }
        for name, each in ranks.items()
    }
    rows = [
        _contrast(better, worse, measure, value(ranks[better]) - value(ranks[worse]), seed)
        for better, worse in CONTRASTS
        if better in ranks and worse in ranks
        for measure, value in (("BRI", metrics.bri), (f"Hits@{CUTOFF}", _late_hits))
    ]
    adjusted = holm([row["p"] for row in rows])
    comparisons = [{**row, "p_holm": p} for row, p in zip(rows, adjusted, strict=True)]
    return {
        "dialogs": len(next(iter(ranks.values()))),
        "players": players,
        "comparisons": comparisons,
    }


def markdown(found: Mapping[str, Any]) -> str:
    """Two tables: Hits@10 by round with BRI, and the comparisons between players."""
    name, worlds = f"Hits@{CUTOFF}", ", ".join(dict.fromkeys(found.get("worlds", ["an unknown world"])))
    rows = [
        [player, *(f"{value:.1f}" for value in scores[name]), f"{scores['BRI']:.3f}"]
        for player, scores in found["players"].items()
    ]
    rounds = [f"round {number}" for number in range(len(rows[0]) - 2)]
    parts = [
        f"{found['dialogs']} dialogs of {worlds}. {name} is cumulative, in per cent; BRI is lower for better.\n",
        markdown_table([name, *rounds, "BRI"], rows),
    ]
    if lost := {player: number for player, number in found.get("failed", {}).items() if number}:
        counts = ", ".join(f"{number} of {player}" for player, number in lost.items())
        parts.append(f"Rounds that failed, counted as the last place: {counts}.\n")
    head = ["compared", "measure", "difference", "95 % interval", "p", "p (Holm)"]
    tests = [
        [
            f"{row['better']} - {row['worse']}", row["measure"], f"{row['difference']:.3f}",
            f"{row['low']:.3f} to {row['high']:.3f}", f"{row['p']:.4f}", f"{row['p_holm']:.4f}",
        ]
        for row in found["comparisons"]
    ]  # fmt: skip
    return "\n".join([*parts, markdown_table(head, tests, text_columns=2)])


def hits_plot(found: Mapping[str, Any]) -> str:
    """Hits@10 by round as SVG."""
    name = f"Hits@{CUTOFF}"
    series = {player: list(enumerate(scores[name])) for player, scores in found["players"].items()}
    return line_plot(
        {f"{found['dialogs']} dialogs": series}, x_label="round", y_label=f"{name} (cumulative), per cent"
    )


def _load_world(root: Path, players: Sequence[str], seed: int) -> tuple[Benchmark, dict[str, DrawnDialog]]:
    """The drawn world's dialogs, as a data set and with their scenes."""
    for name in players:
        if name not in PLAYERS:
            raise BadInput(f"there is no player {name!r}; {suggest(name, PLAYERS)}")
    datasets.find("scenes").prepare(root, seed=seed)
    return datasets.load("scenes", root, split="chat"), read_dialogs(root)


def _evaluate(
    name: str, dialogs: Mapping[str, DrawnDialog], services: Services, settings: Mapping[str, Any], *,
    seed: int, **how: Any,
) -> dict[str, Any]:  # fmt: skip
    """Evaluate one player; `how` are arguments of `evaluate`, whose result is returned."""
    build, more = PLAYERS[name]
    chosen = Settings.load(services.settings, **{"seed": seed, **settings, **more})
    identity = {"judge": chosen.judge, "settings": chosen.to_dict(), "weights": services.weights}
    system = DialogSystem(build(services, chosen), dialogs, identity=identity)
    return evaluate(
        "scenes",
        split="chat",
        graph=name,
        profile=services.profile,
        seed=seed,
        system=system,
        concurrency=CONCURRENT_DIALOGS,
        **how,
    )


def _write(out: Path, found: Mapping[str, Any], ranks: Mapping[str, Floats]) -> None:
    whole = {name: each.astype(int).tolist() for name, each in ranks.items()}
    write_atomic(out / "ranks.json", json.dumps(whole, separators=(",", ":")) + "\n")
    write_atomic(out / "chat.json", json.dumps(found, indent=2) + "\n")
    write_atomic(out / "chat.md", markdown(found))
    write_atomic(out / "chat.svg", hits_plot(found))


def _late_hits(ranks: Floats) -> Floats:
    """The mean over rounds 2 and later, in points: (n_dialogs,)."""
    late: Floats = 100 * metrics.hits_cumulative(ranks, CUTOFF)[:, 2:].mean(axis=1)
    return late


def _contrast(better: str, worse: str, measure: str, differences: Floats, seed: int) -> dict[str, Any]:
    low, high = bootstrap_interval(differences, seed=seed)
    return {
        "better": better, "worse": worse, "measure": measure, "difference": float(differences.mean()),
        "low": low, "high": high, "p": permutation_test(differences, seed=seed),
    }  # fmt: skip


def _open(root: Path, profile: str) -> Services:
    from imagescope_agent.api import index_folder
    from imagescope_agent.services import open_services

    index_folder(
        root,
        profile=profile,
        only=frozenset(f"images/{path.name}" for path in (root / "images").glob("*")),
        change_profile=True,  # a measurement names its models
    )
    return open_services(profile, root)
