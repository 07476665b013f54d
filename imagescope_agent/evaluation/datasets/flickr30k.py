"""Flickr30K (Young et al., TACL 2014), Karpathy's test split: 1,000 images, five captions each.

Expected below the root, one of::

    test_1k_flickr.csv        with images/*.jpg:
    huggingface.co/datasets/nlphuji/flickr_1k_test_image_text_retrieval dataset_flickr30k.json    with
    flickr30k-images/*.jpg: Karpathy's caption_datasets.zip flickr30k_1k_test.jsonl   with images/*.jpg: lines
    {"image", "captions"}

Images: on request at https://shannon.cs.illinois.edu/DenotationGraph/.

Protocol: each caption is one query (5,000); R@k = share of captions whose image is among the first k.
"""

from __future__ import annotations

from pathlib import Path

from imagescope_agent.evaluation.datasets import captions
from imagescope_agent.evaluation.datasets.base import (
    Benchmark,
    Gallery,
    RequiredFile,
    choose_split,
    first_existing,
)

SPLITS = ("test",)
#: Annotation file -> its reader.
READERS = {
    "test_1k_flickr.csv": captions.from_csv,
    "dataset_flickr30k.json": captions.from_karpathy,
    "flickr30k_1k_test.jsonl": captions.from_jsonl,
}


def required_files(root: Path, *, split: str | None = None) -> list[RequiredFile]:
    """The files this data set reads."""
    choose_split("flickr30k", split, SPLITS)
    return [
        RequiredFile(
            path=first_existing(root, *READERS),
            source="https://huggingface.co/datasets/nlphuji/flickr_1k_test_image_text_retrieval",
        ),
        RequiredFile(
            path=_folder(root),
            source="on request at https://shannon.cs.illinois.edu/DenotationGraph/",
            images=True,
        ),
    ]


def load(root: Path, *, split: str | None = None) -> Benchmark:
    """Read the 1K test split.

    Raises:
        BadInput: the annotation file is missing or malformed.
    """
    choose_split("flickr30k", split, SPLITS)
    path = first_existing(root, *READERS)
    captioned = list(READERS[path.name](path))
    images = [name for _, name, _ in captioned]
    gallery = Gallery(name="flickr30k-test", folder=_folder(root), files={name: name for name in images})
    return Benchmark(
        name="flickr30k",
        split="test",
        key="flickr30k/test/1k",
        protocol="Flickr30K, Karpathy test; every caption is a query; R@k of its image",
        gallery=f"{len(images)} test images",
        queries=tuple(captions.queries(captioned)),
        measures=captions.MEASURES,
        open_galleries=lambda: {"images": gallery},
        size=len(images),
        known={"images": frozenset(images)},
    )


def _folder(root: Path) -> Path:
    return first_existing(root, "images", "flickr30k-images")
