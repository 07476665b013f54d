"""`imagescope train`: the models that ship with the package, from nothing, and what they can do."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from imagescope_agent.commands import natural, positive, print_json

WORK = Path(".training")
SHIPPED = Path(__file__).parents[1] / "mini" / "mllm"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="WHAT")
    for name, summary in (
        ("mini-mllm", "the chat model"),
        ("mini-talk", "the chat model that talks: mini-mllm taught further"),
        ("mini-acts", "the classifier of what messages do, from nothing"),
        ("mini-clip", "the open_clip model"),
    ):
        model = actions.add_parser(name, help=summary)
        model.add_argument("--out", type=Path, required=True, help="folder of the finished checkpoint")
        model.add_argument(
            "--work", type=Path, default=WORK, help=f"what is kept in between (default: {WORK})"
        )
        model.add_argument(
            "--steps", type=positive, help="training steps (default: as for the shipped model)"
        )
    for name in ("mini-mllm", "mini-talk", "mini-acts"):
        _limits(actions.choices[name])
    for name in ("mini-mllm", "mini-talk"):
        _start(actions.choices[name])
    _mllm_arguments(actions.choices["mini-mllm"])
    curves = actions.add_parser("curves", help="draw the curves of the trainings so far")
    curves.add_argument("--work", type=Path, default=WORK)
    curves.add_argument("--out", type=Path, default=Path("curves.svg"))
    card = actions.add_parser("card", help="accuracy per skill on scenes never trained on")
    card.add_argument("--profile", default="mini")
    card.add_argument("--seed", type=natural, default=1)
    card.add_argument("--scenes", type=positive, default=1000, help="scenes for verdicts (default: 1000)")
    card.add_argument("--queries", type=positive, default=300, help="queries, captions, pairs (default: 300)")
    card.add_argument("--json", action="store_true")


def _limits(model: argparse.ArgumentParser) -> None:
    model.add_argument("--minutes", type=positive, help="stop then; run again to go on")
    model.add_argument("--rate", type=float, help="peak of the learning rate")


def _start(model: argparse.ArgumentParser) -> None:
    model.add_argument(
        "--start",
        type=Path,
        metavar="CHECKPOINT",
        help="go on from a finished checkpoint (default: mini-mllm from nothing, mini-talk from the one that ships)",
    )


def _mllm_arguments(model: argparse.ArgumentParser) -> None:
    model.add_argument(
        "--times", type=positive, default=1, help="so many times as many rows a step, for a GPU (default: 1)"
    )


def run(args: argparse.Namespace) -> int:
    """Train, draw curves, or measure."""
    from imagescope_agent.lab.training import pipelines
    from imagescope_agent.lab.training.curves import plot_curves
    from imagescope_agent.lab.training.skill_eval import measure as skill_eval

    if args.action == "curves":
        plot_curves(args.work, args.out)
        print(f"drew {args.out}")
    elif args.action == "card":
        figures = asyncio.run(skill_eval.measure(args.profile, args.seed, args.scenes, args.queries))
        print_json(figures) if args.json else print(skill_eval.as_table(figures))
    elif args.action == "mini-clip":
        pipelines.train_mini_clip(args.work, args.out, steps=args.steps or pipelines.CLIP_STEPS)
    else:
        done = _train_chat(args)
        print(f"{'finished' if done else 'stopped early; run again to go on'}: {args.out}")
    return 0


def _train_chat(args: argparse.Namespace) -> bool:
    from imagescope_agent.lab.training import mini_acts, mini_talk, pipelines

    time_limit = args.minutes * 60 if args.minutes else None
    if args.action == "mini-acts":
        steps, peak_lr = args.steps or mini_acts.STEPS, args.rate or mini_acts.PEAK_LR
        return mini_acts.train_mini_acts(
            args.work, args.out, steps=steps, time_limit=time_limit, peak_lr=peak_lr
        )
    if args.action == "mini-talk":
        start, steps = args.start or SHIPPED, args.steps or mini_talk.STEPS
        peak_lr = args.rate or mini_talk.PEAK_LR
        return mini_talk.train_mini_talk(
            args.work, args.out, start=start, steps=steps, time_limit=time_limit, peak_lr=peak_lr
        )
    return pipelines.train_mini_mllm(
        args.work,
        args.out,
        steps=args.steps or pipelines.CHAT_STEPS,
        time_limit=time_limit,
        start=args.start,
        batch_scale=args.times,
        peak_lr=args.rate,
    )
