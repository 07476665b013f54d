"""`imagescope train composer` and `train cir-cot`: models of composed queries, from triplets."""

from __future__ import annotations

import argparse
from dataclasses import replace

from imagescope_agent.commands import fraction, given, natural, path, plain, plain_lines, positive, rate

RANK = 16  # of the changes to a text tower


def composer_arguments(composer: argparse.ArgumentParser) -> None:
    """Declare the arguments of `train composer`."""
    composer.add_argument("collection", type=path, metavar="COLLECTION", help="an indexed folder")
    composer.add_argument(
        "--triplets",
        type=path,
        nargs="+",
        required=True,
        metavar="FILE",
        help="of `imagescope triplets`, CIRR, FashionIQ or LaSCo, about images of the collection",
    )
    composer.add_argument(
        "--out",
        type=path,
        required=True,
        metavar="DIR",
        help='the composer; a profile then says embedder = "composer:DIR"',
    )
    composer.add_argument("--profile", help="whose embedder (default: the one that made the index)")
    composer.add_argument(
        "--tokens",
        action="store_true",
        help="read words and the reference's patches one by one: needs many triplets",
    )
    composer.add_argument(
        "--tune-text",
        action="store_const",
        const=RANK,
        dest="rank",
        help="also tune how the words of composed queries are read (LoRA, open_clip embedders; extra: train)",
    )
    composer.add_argument("--steps", type=positive, help="training steps at most")
    composer.add_argument("--batch", type=positive, help="triplets a step")
    composer.add_argument("--seed", type=natural, help="of weights, batches and dropout (default: 0)")


def cir_cot_arguments(model: argparse.ArgumentParser) -> None:
    """Declare the arguments of `train cir-cot`."""
    model.add_argument(
        "--start", required=True, metavar="CHECKPOINT", help="a chat model that sees: a folder, or a hub id"
    )
    model.add_argument(
        "--triplets", type=path, nargs="+", required=True, metavar="FILE", help="as for `train composer`"
    )
    model.add_argument("--chains", type=path, required=True, metavar="FILE", help="of `imagescope annotate`")
    model.add_argument(
        "--images", type=path, metavar="DIR", help="where the images lie (default: beside the first triplets)"
    )
    model.add_argument(
        "--out", type=path, required=True, metavar="DIR", help='a profile then says embedder = "cir_cot:DIR"'
    )
    model.add_argument(
        "--prompt-set", metavar="NAME", help="whose words it is asked in (default: the general ones)"
    )
    model.add_argument("--save-every", type=positive, help="steps between checkpoints (default: 20)")
    model.add_argument("--align-steps", type=positive, help="steps with captions (default: 100)")
    model.add_argument(
        "--align-txt",
        type=fraction,
        metavar="WEIGHT",
        help="of the chain's loss in these (default: 1; the paper: 0)",
    )
    model.add_argument(
        "--lambda-txt", type=positive, metavar="WEIGHT", help="of the chain's loss after them (default: 1)"
    )
    model.add_argument("--steps", type=positive, help="steps in all (default: 400)")
    model.add_argument("--groups", type=positive, help="references of a step (default: 8)")
    model.add_argument("--texts", type=natural, help="queries of words alone of a step (default: 12)")
    model.add_argument(
        "--lora", type=positive, metavar="RANK", help="train adapters of this rank, not the weights"
    )
    model.add_argument("--part", type=positive, metavar="ROWS", help="that pass at once (gradient caching)")
    model.add_argument("--rate", type=rate, dest="peak_lr", help="peak of the learning rate")
    model.add_argument("--seed", type=natural, help="of weights and batches (default: 0)")
    model.add_argument("--minutes", type=positive, help="stop then; run again to go on")


def train_composer_command(args: argparse.Namespace) -> int:
    """Train a composer and print its card."""
    from imagescope_agent.lab.training.embedders.composer import (
        describe,
        plan_for,
        train_composer,
    )
    from imagescope_agent.profiles.profile import load_profile
    from imagescope_agent.retrieval.collection import FolderCollection
    from imagescope_agent.retrieval.embedders.composer import behind
    from imagescope_agent.services import open_embedder_of, profile_of
    from imagescope_agent.training_data.triplet_files import read_triplets

    profile = load_profile(args.profile or profile_of(args.collection))
    collection = FolderCollection.open(args.collection, store=profile.store)
    triplets = [each for file in args.triplets for each in read_triplets(file, collection.ids)]
    embedder, spec = behind(open_embedder_of(profile).opened(), profile.embedder)
    card = train_composer(
        collection,
        embedder,
        spec,
        triplets,
        args.out,
        plan=replace(
            plan_for(embedder, tokens=args.tokens, rank=args.rank),
            **given(args, "rank", "steps", "batch", "seed"),
        ),
        source=[file.name for file in args.triplets],
    )
    print(plain_lines(describe(card)))
    return 0


def train_cir_cot_command(args: argparse.Namespace) -> int:
    """Train, and print what was measured."""
    from imagescope_agent.lab.training.embedders.cir_cot import describe, train_cir_cot
    from imagescope_agent.lab.training.embedders.cir_cot_data import image_ids, read_examples
    from imagescope_agent.lab.training.embedders.cir_cot_trainer import CotPlan
    from imagescope_agent.training_data.triplet_files import read_triplets

    folder = args.images or args.triplets[0].parent
    ids = image_ids(folder)
    triplets = [each for file in args.triplets for each in read_triplets(file, ids)]
    card, done = train_cir_cot(
        args.start,
        folder,
        read_examples(triplets, args.chains, ids),
        args.out,
        plan=CotPlan(
            **given(
                args,
                *("align_steps", "align_txt", "lambda_txt", "steps", "groups", "texts", "peak_lr"),
                *("save_every", "seed", "lora", "part"),
            )
        ),
        prompt_set=args.prompt_set,
        time_limit=args.minutes * 60 if args.minutes else None,
    )
    print(plain_lines(describe(card)))
    print(plain(f"{'finished' if done else 'stopped early; run again to go on'}: {args.out}"))
    return 0
