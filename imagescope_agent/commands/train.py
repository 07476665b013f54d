"""`imagescope train`: the models that ship with the package, a collection's composer, and what the models can do."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from imagescope_agent.commands import natural, path, plain, positive, print_json, rate
from imagescope_agent.commands.train_composed import (
    cir_cot_arguments,
    composer_arguments,
    train_cir_cot_command,
    train_composer_command,
)
from imagescope_agent.commands.train_photos import (
    WORK,
    lines,
    photos_arguments,
    photos_chat_arguments,
    train_photos_chat_command,
    train_photos_command,
)

SHIPPED = Path(__file__).parents[1] / "mini" / "mllm"


def add_arguments(parser: argparse.ArgumentParser) -> None:  # a declaration a line
    """Declare the arguments."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="WHAT")
    for name, summary in (
        ("mini-mllm", "the chat model"),
        ("mini-talk", "the chat model that talks: mini-mllm taught further"),
        ("mini-acts", "the classifier of what messages do, from nothing"),
        ("mini-limits", "the classifier of what messages say of values of fields: mini-acts taught further"),
        ("mini-clip", "the open_clip model"),
        ("mini-edit", "the chat model that proposes edits for triplets: mini-mllm taught further"),
        ("mini-reader", "the chat model that reads queries: mini-mllm taught further"),
    ):
        model = actions.add_parser(name, help=summary)
        model.add_argument("--out", type=path, required=True, help="folder of the finished checkpoint")
        model.add_argument(
            "--work", type=path, default=WORK, help=f"what is kept in between (default: {WORK})"
        )
        model.add_argument(
            "--steps", type=positive, help="training steps (default: as for the shipped model)"
        )
    for name in ("mini-mllm", "mini-talk", "mini-acts", "mini-limits", "mini-edit", "mini-reader"):
        _limits(actions.choices[name])
        _start(actions.choices[name])
    for name in ("mini-talk", "mini-edit", "mini-reader"):
        actions.choices[name].add_argument(
            "--mean",
            type=path,
            metavar="CHECKPOINT",
            help="start from the mean of this one's weights and those of --start",
        )
    _mllm_arguments(actions.choices["mini-mllm"])
    composer_arguments(
        actions.add_parser(
            "composer", help="composed search for a collection, from triplets; no chat model is asked"
        )
    )
    cir_cot_arguments(
        actions.add_parser("cir-cot", help="a chat model that reasons, then embeds, from triplets and chains")
    )
    photos_arguments(
        actions.add_parser("photos", help="the head of the photo embedder, from captioned photos")
    )
    photos_chat_arguments(
        actions.add_parser(
            "photos-chat", help="the adapter of the chat model for photos, from captioned photos"
        )
    )
    _domain_arguments(
        actions.add_parser("domain", help="what a profile's embedder was trained on, as a statistic")
    )
    act_head = actions.add_parser(
        "mini-act-head", help="what reads messages over a sentence encoder, beside mini-acts"
    )
    act_head.add_argument("--out", type=path, required=True, help="file of the finished head")
    heads = actions.add_parser(
        "heads", help="how well each attention head of a profile's judge finds pictures"
    )
    heads.add_argument("--profile", default="mini", help="whose judge (default: mini)")
    heads.add_argument("--out", type=path, required=True, metavar="DIR", help="the judge's checkpoint")
    heads.add_argument("--seed", type=natural, default=100, help="of the training scenes (default: 100)")
    heads.add_argument("--queries", type=positive, default=100, help="(default: 100)")
    curves = actions.add_parser("curves", help="draw the curves of the trainings so far")
    curves.add_argument("--work", type=path, default=WORK)
    curves.add_argument("--out", type=path, default=Path("curves.svg"))
    card = actions.add_parser("card", help="accuracy per skill on scenes never trained on")
    card.add_argument("--profile", default="mini")
    card.add_argument("--seed", type=natural, default=1)
    card.add_argument("--scenes", type=positive, default=1000, help="scenes for verdicts (default: 1000)")
    card.add_argument("--queries", type=positive, default=300, help="queries, captions, pairs (default: 300)")
    card.add_argument("--json", action="store_true")


def _limits(model: argparse.ArgumentParser) -> None:
    model.add_argument("--minutes", type=positive, help="stop then; run again to go on")
    model.add_argument("--rate", type=rate, help="peak of the learning rate")


def _start(model: argparse.ArgumentParser) -> None:
    model.add_argument(
        "--start",
        type=path,
        metavar="CHECKPOINT",
        help="go on from a finished checkpoint (default: none for mini-mllm and mini-acts, mini-acts for mini-limits, "
        "mini-mllm for others)",
    )


def _mllm_arguments(model: argparse.ArgumentParser) -> None:
    model.add_argument(
        "--times", type=positive, default=1, help="so many times as many rows a step, for a GPU (default: 1)"
    )
    model.add_argument(
        "--counting", action="store_true", help="teach a finished model to count better, and keep the rest"
    )


def _domain_arguments(model: argparse.ArgumentParser) -> None:
    model.add_argument("--profile", required=True, help="whose embedder")
    model.add_argument(
        "--data", type=path, required=True, metavar="DIR", help="pictures like the training pictures"
    )
    model.add_argument(
        "--texts", type=path, nargs="+", required=True, metavar="FILE", help="texts like the training texts"
    )
    model.add_argument("--subject", required=True, help="what the pictures are, as in 'drawn scenes'")
    model.add_argument(
        "--other",
        nargs=2,
        required=True,
        metavar=("SUBJECT", "PROFILE"),
        help="which profile knows what looks otherwise",
    )
    model.add_argument(
        "--unlike", type=path, metavar="DIR", help="pictures that look otherwise, as a contrast"
    )
    model.add_argument(
        "--blind",
        nargs="*",
        default=[],
        choices=("exclusions", "counts", "relations", "sides"),
        help="what the embedder does not heed, told beside each result",
    )
    model.add_argument("--out", type=path, required=True, help="folder of the statistic")


def run(args: argparse.Namespace) -> int:
    """Train, draw curves, or measure."""
    if args.action in ("composer", "cir-cot"):
        return train_composer_command(args) if args.action == "composer" else train_cir_cot_command(args)
    from imagescope_agent.lab.training import pipelines
    from imagescope_agent.lab.training.curves import plot_curves
    from imagescope_agent.lab.training.skill_eval import measure as skill_eval

    if args.action == "curves":
        plot_curves(args.work, args.out)
        print(plain(f"drew {args.out}"))
    elif args.action == "card":
        figures = asyncio.run(skill_eval.measure(args.profile, args.seed, args.scenes, args.queries))
        print_json(figures) if args.json else print(skill_eval.as_table(figures))
    elif args.action == "heads":
        from imagescope_agent.lab.benchmarks.attention_heads import choose_heads

        print_json(choose_heads(args.profile, args.out, queries=args.queries, seed=args.seed))
    elif args.action == "domain":
        _fit_domain(args)
    elif args.action == "photos":
        train_photos_command(args)
    elif args.action == "photos-chat":
        train_photos_chat_command(args)
    elif args.action == "mini-act-head":
        from imagescope_agent.lab.training.act_head import train_act_head

        print_json(train_act_head(args.out))
    elif args.action == "mini-clip":
        pipelines.train_mini_clip(args.work, args.out, steps=args.steps or pipelines.CLIP_STEPS)
    else:
        done = _train_chat(args)
        print(plain(f"{'finished' if done else 'stopped early; run again to go on'}: {args.out}"))
    return 0


def _fit_domain(args: argparse.Namespace) -> None:
    from imagescope_agent.lab.training.domain import fit_domain

    texts = [line for file in args.texts for line in lines(file)]
    subject, other = args.subject, tuple(args.other)
    found = fit_domain(
        *(args.data, texts, args.out),
        subject=subject,
        profile=args.profile,
        other=other,
        unlike=args.unlike,
        blind=args.blind,
    )
    print(f"{len(found.words)} words, limit {found.limit:.2f}: {args.out}")


def _train_chat(args: argparse.Namespace) -> bool:
    from imagescope_agent.lab.training import mini_acts, pipelines
    from imagescope_agent.lab.training.further import teach
    from imagescope_agent.lab.training.mini_edit import EDIT
    from imagescope_agent.lab.training.mini_reader import READER
    from imagescope_agent.lab.training.mini_talk import TALK

    time_limit = args.minutes * 60 if args.minutes else None
    if args.action in ("mini-acts", "mini-limits"):
        lesson = args.action.removeprefix("mini-")
        start = args.start or (SHIPPED.parent / "acts" if lesson == "limits" else None)
        steps, peak_lr = args.steps or mini_acts.STEPS, args.rate or mini_acts.PEAK_LR
        return mini_acts.train_mini_acts(
            args.work,
            args.out,
            start=start,
            steps=steps,
            time_limit=time_limit,
            peak_lr=peak_lr,
            lesson=lesson,
        )
    if taught := {"mini-talk": TALK, "mini-edit": EDIT, "mini-reader": READER}.get(args.action):
        start, limits = args.start or SHIPPED, {"steps": args.steps, "peak_lr": args.rate}
        limits["mean"] = args.mean
        return teach(taught, args.work, args.out, start=start, time_limit=time_limit, **limits)
    return pipelines.train_mini_mllm(
        args.work,
        args.out,
        steps=args.steps,
        time_limit=time_limit,
        start=args.start or (SHIPPED if args.counting else None),
        batch_scale=args.times,
        peak_lr=args.rate,
        counting=args.counting,
    )
