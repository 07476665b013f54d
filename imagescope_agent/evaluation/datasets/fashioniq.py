"""FashionIQ (Wu et al., CVPR 2021, arXiv 1905.12794): composed queries on product photographs in three
categories.

Expected below the root::

    captions/cap.{dress,shirt,toptee}.val.json
    image_splits/split.{dress,shirt,toptee}.val.json
    images/*.png (or .jpg)

Annotations: https://github.com/XiaoxiaoGuo/fashion-iq. Images: the links there, or a mirror such as
https://huggingface.co/datasets/Plachta/FashionIQ.

Two galleries are in use, and figures on them must never be mixed: split "val-original" searches the whole
image split of a category (3,817 / 6,346 / 5,373 images), split "val-VAL" only the union of the queries'
references and targets (2,628 / 3,089 / 2,902), which gives much higher figures. "val" is "val-original".

Protocol: text "c1 and c2" after stripping ".?, " (one order; SEARLE averages the embeddings of both); the
reference stays in the gallery; R@10 and R@50 by category, and "all" is their unweighted mean. Labels of the
test split are not used.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from imagescope_agent.errors import BadInput
from imagescope_agent.evaluation.datasets.annotations import (
    read_json_records,
    read_names,
    require_field,
    require_strings,
)
from imagescope_agent.evaluation.datasets.base import (
    Benchmark,
    BenchmarkQuery,
    Gallery,
    RequiredFile,
    choose_split,
)

SPLITS = ("val", "val-original", "val-VAL")
CATEGORIES = ("dress", "shirt", "toptee")
STRIPPED = ".?, "


def required_files(root: Path, *, split: str | None = None) -> list[RequiredFile]:
    """The files this data set reads."""
    choose_split("fashioniq", split, SPLITS)
    repository = "https://github.com/XiaoxiaoGuo/fashion-iq"
    mirror = "links in that repository, or https://huggingface.co/datasets/Plachta/FashionIQ"
    paths = [
        path for category in CATEGORIES for path in (_captions(root, category), _split_file(root, category))
    ]
    files = [RequiredFile(path=path, source=repository) for path in paths]
    return [*files, RequiredFile(path=root / "images", source=mirror, images=True)]


def load(root: Path, *, split: str | None = None) -> Benchmark:
    """Read the val queries of all three categories, with one of the two galleries.

    Raises:
        BadInput: a file is missing or malformed, or names an image that its category does not have.
    """
    split = choose_split("fashioniq", split, SPLITS)
    variant = "VAL" if split == "val-VAL" else "original"
    images = {category: read_names(_split_file(root, category)) for category in CATEGORIES}
    queries = tuple(query for c in CATEGORIES for query in _queries(_captions(root, c), c, images[c]))
    if variant == "VAL":
        images = {category: _union(queries, category) for category in CATEGORIES}
    sizes = " / ".join(str(len(images[category])) for category in CATEGORIES)
    return Benchmark(
        name="fashioniq",
        split=f"val-{variant}",
        key=f"fashioniq/val/{variant}/one-order",
        protocol=f'FashionIQ val, gallery {variant!r}; "c1 and c2", one order; reference kept; macro mean',
        gallery=f"{variant}: {sizes} images ({', '.join(CATEGORIES)})",
        queries=queries,
        measures=("R@10", "R@50"),
        open_galleries=lambda: _galleries(root, variant, images),
        macro=CATEGORIES,
        size=max(len(listed) for listed in images.values()),
        known={category: frozenset(listed) for category, listed in images.items()},
    )


def _captions(root: Path, category: str) -> Path:
    return root / "captions" / f"cap.{category}.val.json"


def _split_file(root: Path, category: str) -> Path:
    return root / "image_splits" / f"split.{category}.val.json"


def _queries(path: Path, category: str, images: Sequence[str]) -> Iterator[BenchmarkQuery]:
    known = frozenset(images)
    for number, (place, record) in enumerate(read_json_records(path)):
        reference = require_field(record, "candidate", str, place)
        target = require_field(record, "target", str, place)
        for image in (reference, target):
            if image not in known:
                raise BadInput(f"{place}: the image {image!r} is not in the category's split")
        first, second = (
            text.strip(STRIPPED) for text in require_strings(record, "captions", place, length=2)
        )
        yield BenchmarkQuery(
            qid=f"{category}-{number}",
            text=f"{first} and {second}",
            reference=reference,
            relevant=(target,),
            target=target,
            subsets=(category,),
            gallery=category,
        )


def _union(queries: Sequence[BenchmarkQuery], category: str) -> list[str]:
    chosen = [query for query in queries if query.gallery == category]
    return sorted({image for query in chosen for image in (query.reference, query.target) if image})


def _galleries(root: Path, variant: str, images: Mapping[str, Sequence[str]]) -> dict[str, Gallery]:
    folder = root / "images"
    there = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    return {
        category: Gallery(
            name=f"{category}-{variant}",
            folder=folder,
            files={name: f"{name}.jpg" if f"{name}.jpg" in there else f"{name}.png" for name in listed},
        )
        for category, listed in images.items()
    }
