"""CIRCO (Baldrati et al., ICCV 2023, arXiv 2303.15247): composed queries with several ground truths on COCO.

Expected below the root, as the data set's repository lays it out (ImageScope's captions/ and unlabeled2017/
also do)::

    annotations/{val,test}.json
    COCO2017_unlabeled/annotations/image_info_unlabeled2017.json
    COCO2017_unlabeled/unlabeled2017/*.jpg

Annotations: https://github.com/miccunifi/CIRCO. Images: http://images.cocodataset.org/zips/unlabeled2017.zip
and http://images.cocodataset.org/annotations/image_info_unlabeled2017.zip.

Protocol: the gallery is all of unlabeled2017 (123,403 images) and the reference stays in it; AP@k divides by
min(number of ground truths, k); R@k asks for the single target only. mAP@10 is also given by semantic aspect.
The ground truth of test is held by https://circo.micc.unifi.it/.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from imagescope_agent.errors import BadInput
from imagescope_agent.evaluation.datasets.annotations import (
    RecordLocation,
    read_json_records,
    require_field,
    require_strings,
    require_unique,
)
from imagescope_agent.evaluation.datasets.base import (
    Benchmark,
    BenchmarkQuery,
    Gallery,
    RequiredFile,
    choose_split,
    first_existing,
)
from imagescope_agent.evaluation.reporting.submissions import check_rankings, read_lists

SPLITS = ("val", "test")
IMAGES = 123_403
LENGTH = 50
MEASURES = tuple(f"{name}@{k}" for name in ("mAP", "R") for k in (5, 10, 25, 50))


def required_files(root: Path, *, split: str | None = None) -> list[RequiredFile]:
    """The files this data set reads."""
    split = choose_split("circo", split, SPLITS)
    return [
        RequiredFile(path=_annotations(root, split), source="https://github.com/miccunifi/CIRCO"),
        RequiredFile(
            path=_folder(root),
            source="http://images.cocodataset.org/zips/unlabeled2017.zip (123,403 images)",
            images=True,
        ),
    ]


def load(root: Path, *, split: str | None = None) -> Benchmark:
    """Read the queries of a split.

    Raises:
        BadInput: a file is missing or malformed.
    """
    split = choose_split("circo", split, SPLITS)
    queries = tuple(_queries(_annotations(root, split), hidden=split == "test"))
    files = _gallery(root)
    gallery = Gallery(name="images", folder=_folder(root), files=files)
    return Benchmark(
        name="circo",
        split=split,
        key=f"circo/{split}",
        protocol="CIRCO; AP@k divided by min(ground truths, k); reference kept; R@k of the single target",
        gallery=f"COCO unlabeled2017, {len(files) or IMAGES} images, with the query's reference",
        queries=queries,
        measures=() if split == "test" else MEASURES,
        open_galleries=lambda: {"images": _checked(gallery, queries, _annotations(root, split))},
        size=len(files) or IMAGES,
        known={"images": frozenset(files)} if files else None,
        submit=lambda rankings: _submit(queries, rankings),
        parse=lambda document, path: (read_lists(document, path, kind=int, length=LENGTH), MEASURES),
    )


def _annotations(root: Path, split: str) -> Path:
    return first_existing(root, f"annotations/{split}.json", f"captions/{split}.json")


def _folder(root: Path) -> Path:
    return first_existing(root, "COCO2017_unlabeled/unlabeled2017", "unlabeled2017")


def _gallery(root: Path) -> dict[str, str]:
    """Image id -> file name; from the image list where it is there, else from the folder; empty without
    either.
    """
    listed = first_existing(
        root,
        "COCO2017_unlabeled/annotations/image_info_unlabeled2017.json",
        "annotations/image_info_unlabeled2017.json",
    )
    if listed.exists():
        return dict(_listed(listed))
    names = sorted(path.name for path in _folder(root).glob("*.jpg"))
    if bad := next((name for name in names if not name.removesuffix(".jpg").isdigit()), None):
        raise BadInput(f"{_folder(root) / bad}: not named like a COCO image; only COCO's images belong here")
    return {str(int(name.removesuffix(".jpg"))): name for name in names}


def _listed(path: Path) -> Iterator[tuple[str, str]]:
    """Id and file name of every image of COCO's image_info file."""
    for place, image in read_json_records(path, "images"):
        yield str(require_field(image, "id", int, place)), require_field(image, "file_name", str, place)


def _checked(gallery: Gallery, queries: Sequence[BenchmarkQuery], annotations: Path) -> Gallery:
    for number, query in enumerate(queries):
        for image in (query.reference, *query.relevant):
            if image not in gallery.files:
                place = RecordLocation(path=annotations, index=number)
                raise BadInput(
                    f"{place}: image {image!r} is missing in {gallery.folder}; obtain the images again"
                )
    return gallery


def _queries(path: Path, *, hidden: bool) -> Iterator[BenchmarkQuery]:
    seen: list[tuple[object, str]] = []
    for place, record in read_json_records(path):
        name = str(require_field(record, "id", int, place))
        reference = str(require_field(record, "reference_img_id", int, place))
        seen.append((place, name))
        yield BenchmarkQuery(
            qid=name,
            text=require_field(record, "relative_caption", str, place),
            reference=reference,
            **({} if hidden else _truth(record, reference, place)),
        )
    require_unique(seen)


def _truth(record: dict[str, Any], reference: str, place: object) -> dict[str, Any]:
    target = str(require_field(record, "target_img_id", int, place))
    relevant = tuple(str(image) for image in require_field(record, "gt_img_ids", list, place))
    if not relevant or relevant[0] != target or reference in relevant or len(set(relevant)) < len(relevant):
        raise BadInput(
            f"{place}: ground truths should be different, begin with the target and lack the reference"
        )
    return {
        "target": target,
        "relevant": relevant,
        "subsets": tuple(require_strings(record, "semantic_aspects", place)),
    }


def _submit(queries: Sequence[BenchmarkQuery], rankings: Mapping[str, list[str]]) -> dict[str, object]:
    lists = {query.qid: rankings[query.qid][:LENGTH] for query in queries}
    check_rankings(queries, lists, None, length=LENGTH, without_reference=False)
    return {"submission.json": {qid: [int(image) for image in ranking] for qid, ranking in lists.items()}}
