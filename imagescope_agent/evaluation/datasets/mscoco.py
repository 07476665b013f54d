"""MSCOCO text-to-image retrieval (Lin et al., ECCV 2014; Karpathy and Fei-Fei, CVPR 2015): 5,000 images.

Expected below the root, one of::

    test_5k_mscoco_2014.csv  images/*.jpg       split test: Karpathy's 5K of val2014
        https://huggingface.co/datasets/nlphuji/mscoco_2014_5k_test_image_text_retrieval
    dataset_coco.json  val2014/*.jpg            split test, from Karpathy's caption_datasets.zip
    coco_captions.json  Search_Space_coco.json  val2017/*.jpg      split val2017: 5,000 other images

Images: http://images.cocodataset.org/zips/val2014.zip, http://images.cocodataset.org/zips/val2017.zip.

Protocol: each caption is one query; R@k = share of captions whose image is among the first k. Some images
have six or seven captions: "test" and "val2017" use all of them, as ImageScope does; "test-5" and "val2017-5"
the first five of each image (25,000 queries), as CLIP_benchmark does. val2017 is not Karpathy's test set and
must not be compared with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from imagescope_agent.errors import BadInput
from imagescope_agent.evaluation.datasets import captions
from imagescope_agent.evaluation.datasets.annotations import (
    read_json_records,
    read_names,
    require_field,
    require_strings,
)
from imagescope_agent.evaluation.datasets.base import (
    Benchmark,
    Gallery,
    RequiredFile,
    choose_split,
    first_existing,
)
from imagescope_agent.evaluation.datasets.captions import CaptionedImage

SPLITS = ("test", "test-5", "val2017", "val2017-5")
READERS = {"test_5k_mscoco_2014.csv": captions.from_csv, "dataset_coco.json": captions.from_karpathy}
PAIRED, SPACE = "coco_captions.json", "Search_Space_coco.json"


def required_files(root: Path, *, split: str | None = None) -> list[RequiredFile]:
    """The files this data set reads."""
    split = _split(root, split)
    if split.startswith("val2017"):
        source, images = "row-aligned captions and names of COCO val2017", "val2017"
        files = [RequiredFile(path=root / name, source=source) for name in (PAIRED, SPACE)]
    else:
        source, images = (
            "https://huggingface.co/datasets/nlphuji/mscoco_2014_5k_test_image_text_retrieval",
            "val2014",
        )
        files = [RequiredFile(path=first_existing(root, *READERS), source=source)]
    zipped = f"http://images.cocodataset.org/zips/{images}.zip"
    return [*files, RequiredFile(path=_folder(root, split), source=zipped, images=True)]


def load(root: Path, *, split: str | None = None) -> Benchmark:
    """Read a split.

    Raises:
        BadInput: an annotation file is missing or malformed.
    """
    split = _split(root, split)
    most = 5 if split.endswith("-5") else None
    other = split.startswith("val2017")
    path = first_existing(root, *READERS)
    captioned = list(_val2017(root)) if other else list(READERS[path.name](path))
    images = [name for _, name, _ in captioned]
    part = "COCO val2017, not Karpathy's test set" if other else "MSCOCO, Karpathy's 5K test of val2014"
    used = f"the first {most} captions of an image" if most else "every caption"
    files = {name: name.removeprefix("val2017/") for name in images}
    gallery = Gallery(name=f"mscoco-{split.removesuffix('-5')}", folder=_folder(root, split), files=files)
    return Benchmark(
        name="mscoco",
        split=split,
        key=f"mscoco/{'val2017' if other else 'test/karpathy-5k'}/{'5-captions' if most else 'all-captions'}",
        protocol=f"{part}; {used} is a query; R@k of its image",
        gallery=f"{len(images)} images",
        queries=tuple(captions.queries(captioned, most=most)),
        measures=captions.MEASURES,
        open_galleries=lambda: {"images": gallery},
        size=len(images),
        known={"images": frozenset(images)},
    )


def _split(root: Path, split: str | None) -> str:
    if split is None and (root / PAIRED).exists() and not any((root / name).exists() for name in READERS):
        return "val2017"
    return choose_split("mscoco", split, SPLITS)


def _folder(root: Path, split: str) -> Path:
    return root / "val2017" if split.startswith("val2017") else first_existing(root, "images", "val2014")


def _val2017(root: Path) -> Iterator[CaptionedImage]:
    space, rows = read_names(root / SPACE), list(read_json_records(root / PAIRED))
    if len(rows) != len(space):
        raise BadInput(f"{root / PAIRED}, line 1: {len(rows)} records for the {len(space)} images of {SPACE}")
    for name, (place, record) in zip(space, rows, strict=True):
        require_field(record, "caption", list, place)
        yield place, name, require_strings(record, "caption", place)
