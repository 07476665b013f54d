"""`imagescope train photos` and `photos-chat`: what is learned from captioned photos."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from imagescope_agent.commands import natural, path, plain, positive
from imagescope_agent.errors import BadInput, shorten

if TYPE_CHECKING:
    from imagescope_agent.lab.training.photos.pipeline import Captioned

WORK = Path(".training")


def photos_arguments(model: argparse.ArgumentParser) -> None:
    """Declare the arguments of `photos`."""
    _shared(
        model,
        out="head",
        steps="training steps of each head that is merged (default: as for the shipped one)",
    )
    model.add_argument(
        "--dev", type=path, metavar="DIR", help="such a folder to measure on and not to learn from"
    )
    model.add_argument(
        "--captions",
        type=path,
        action="append",
        default=[],
        metavar="FILE",
        help="captions of other photos, a line each, which hold back photos that are near to any; repeatable",
    )


def photos_chat_arguments(model: argparse.ArgumentParser) -> None:
    """Declare the arguments of `photos-chat`."""
    _shared(model, out="adapter", steps="steps with the language model (default: 4000)")
    model.add_argument("--start", type=path, metavar="DIR", help="an adapter to go on from (default: none)")
    model.add_argument("--minutes", type=positive, help="stop then; run again to go on")


def _shared(model: argparse.ArgumentParser, *, out: str, steps: str) -> None:
    model.add_argument(
        "--data",
        type=path,
        action="append",
        required=True,
        metavar="DIR",
        help="photos with captions in metadata.jsonl, as `imagescope eval folder` reads them; repeatable",
    )
    model.add_argument("--out", type=path, required=True, help=f"folder of the finished {out}")
    model.add_argument(
        "--work", type=path, default=WORK, help=f"features, checkpoint, curve (default: {WORK})"
    )
    model.add_argument("--steps", type=positive, help=steps)
    model.add_argument("--seed", type=natural, default=0, help="of everything that is drawn (default: 0)")


def train_photos_command(args: argparse.Namespace) -> None:
    """Train the head, and print its recall where there are photos to measure on."""
    from imagescope_agent.lab.training.photos.head import HeadPlan
    from imagescope_agent.lab.training.photos.pipeline import train_photos

    given = {"seed": args.seed} | ({"steps": args.steps} if args.steps else {})
    data = [each for folder in args.data for each in captioned(folder)]
    dev = captioned(args.dev) if args.dev else []
    further = [line for file in args.captions for line in lines(file)]
    found = train_photos(data, args.out, work=args.work, dev=dev, plan=HeadPlan(**given), further=further)
    figures = ", ".join(f"{name} {value:.1%}" for name, value in found.items())
    print(f"finished: {args.out}" + (f"; on {args.dev}: {figures}" if figures else ""))


def train_photos_chat_command(args: argparse.Namespace) -> None:
    """Train the adapter, and print what it answers about the photos that were held out."""
    from imagescope_agent.lab.training.photo_chat.pipeline import train_photo_chat
    from imagescope_agent.lab.training.photo_chat.trainer import ChatPlan

    given = {"seed": args.seed} | ({"steps": args.steps} if args.steps else {})
    data = [each for folder in args.data for each in captioned(folder)]
    time_limit = args.minutes * 60 if args.minutes else None
    found = train_photo_chat(
        data, args.out, work=args.work, start=args.start, plan=ChatPlan(**given), time_limit=time_limit
    )
    figures = ", ".join(f"{name} {value:.3f}" for name, value in found.items())
    if not figures:
        print(plain("stopped early; run again to go on"))
    else:
        print(plain(f"finished: {args.out}; on photos that were held out: {figures}"))


def lines(file: Path) -> list[str]:
    """The lines of a text file that say something.

    Raises:
        BadInput: it cannot be read.
    """
    try:
        return [line for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"cannot read {str(file)!r}: {shorten(str(error))}") from error


def captioned(folder: Path) -> list[Captioned]:
    """The pictures of a folder with their captions."""
    from imagescope_agent.evaluation.datasets import load
    from imagescope_agent.lab.training.photos.pipeline import Captioned

    captions: dict[str, list[str]] = {}
    for query in load("folder", folder).queries:
        if query.reference is None and "#" in query.qid:  # a caption, and no query of another kind
            captions.setdefault(query.relevant[0], []).append(query.text)
    return [Captioned(path=folder / name, captions=tuple(told)) for name, told in captions.items()]
