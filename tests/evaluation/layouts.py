"""Small data sets in the official layouts and under the official names, with generated pictures."""

from __future__ import annotations

import csv
import json
import random
from typing import Any

from PIL import Image

GALLERY = 60
COLOURS = 6  # different pictures: what has the same content is captioned and embedded once
CATEGORIES = ("dress", "shirt", "toptee")


def write_lines(path: Any, records: Any) -> None:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")


def draw(path: Any, seed: Any = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = random.Random(seed % COLOURS)
    Image.new("RGB", (32, 32), tuple(rng.randrange(256) for _ in range(3))).save(path)


def write_json(path: Any, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=1), encoding="utf-8")


def make_cirr(root: Any) -> None:
    for split, prefix, queries in (("val", "dev", 8), ("test1", "test1", 4)):
        names = [f"{prefix}-{number}-0-img0" for number in range(GALLERY)]
        for number, name in enumerate(names):
            draw(root / prefix / f"{name}.png", number)
        write_json(root / f"image_splits/split.rc2.{split}.json", {n: f"./{prefix}/{n}.png" for n in names})
        records = []
        for number in range(queries):
            group = names[number : number + 6]
            hard = {"target_hard": group[1], "target_soft": {group[1]: 1.0}} if split == "val" else {}
            records.append({
                "pairid": 27095 + number, "reference": group[0], **hard,
                "caption": "" if split == "test1" and number == 3 else f"make it warmer, variant {number}",
                "img_set": {"id": number, "members": group, "reference_rank": 0},
            })  # fmt: skip
        write_json(root / f"captions/cap.rc2.{split}.json", records)


def make_circo(root: Any) -> None:
    for number in range(1, GALLERY + 1):
        draw(root / f"COCO2017_unlabeled/unlabeled2017/{number:012d}.jpg", number)
    for split, queries in (("val", 6), ("test", 3)):
        records = []
        for number in range(queries):
            truth = [20 + number, 30 + number, 40 + number][: 1 + number % 3]
            aspects = ["addition", "negation"][: 1 + number % 2]
            known = {"target_img_id": truth[0], "gt_img_ids": truth, "semantic_aspects": aspects}
            records.append({
                "id": number, "reference_img_id": 1 + number, "shared_concept": "a picture",
                "relative_caption": f"has more light, variant {number}", **(known if split == "val" else {}),
            })  # fmt: skip
        write_json(root / f"annotations/{split}.json", records)


def make_fashioniq(root: Any) -> None:
    for shift, category in enumerate(CATEGORIES):
        names = [f"B{shift}{number:08d}" for number in range(GALLERY)]
        for number, name in enumerate(names):
            draw(root / f"images/{name}.png", 100 * shift + number)
        write_json(root / f"image_splits/split.{category}.val.json", names)
        records = [
            {
                "target": names[number + 1],
                "candidate": names[number],
                "captions": ["is brighter.", f" has {number} dots? "],
            }
            for number in range(4 + 2 * shift)
        ]
        write_json(root / f"captions/cap.{category}.val.json", records)


def make_flickr30k(root: Any) -> None:
    _captioned(
        root, "test_1k_flickr.csv", [f"{number}0012345.jpg" for number in range(1, 13)], json.dumps, extra=0
    )


def make_mscoco(root: Any) -> None:
    names = [f"COCO_val2014_{number:012d}.jpg" for number in range(1, 13)]
    _captioned(root, "test_5k_mscoco_2014.csv", names, repr, extra=1)


def _captioned(root: Any, table: Any, names: Any, listed: Any, extra: Any) -> None:
    with (root / table).open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["raw", "sentids", "split", "filename", "imgid"])
        writer.writeheader()
        for number, name in enumerate([*names, "of_another_split.jpg"]):
            texts = [
                f"a picture, of colour {number}\nseen {view} times"
                for view in range(5 + extra * (number == 0))
            ]
            split = "test" if name in names else "train"
            writer.writerow(
                {"raw": listed(texts), "sentids": "[]", "split": split, "filename": name, "imgid": number}
            )
            if name in names:
                draw(root / "images" / name, number)


def make_visdial(root: Any) -> None:
    names = [f"unlabeled2017/{number:012d}.jpg" for number in range(1, GALLERY + 1)]
    for number, name in enumerate(names):
        draw(root / name, number)
    write_json(root / "Search_Space_val_50k.json", names)
    dialogs = [
        {
            "img": names[number],
            "dialog": [f"a picture {number}", *(f"is it {turn}? no" for turn in range(10))],
        }
        for number in range(3)
    ]
    write_json(root / "VisDial_v1.0_queries_val.json", dialogs)


def make_pinpoint(root: Any) -> None:
    """As published, in pairs of wordings; two references at every other, one of them no image of the gallery."""
    import pyarrow
    from pyarrow import parquet

    names = [f"{number:032x}" for number in range(1, GALLERY + 1)]
    (root / "images").mkdir(parents=True)
    for number, name in enumerate([*names, "f" * 32]):
        draw(root / f"images/{name}.jpg", number)
    (root / "index_signatures.txt").write_text("\n".join(names) + "\n")
    rows = [
        {
            "query_id": f"query_{number}",
            "query_image_signature": names[number // 2] if number < 4 else "f" * 32,
            "query_image_signature2": names[10 + number // 2] if number // 2 % 2 else None,
            "instruction": f"with more light, wording {number}",
            "positive_candidates": names[20 + number // 2 : 23 + number],
            "negative_candidates": names[40 : 40 + 5 * (number // 2)],
        }
        for number in range(8)
    ]
    parquet.write_table(pyarrow.Table.from_pylist(rows), root / "pinpoint_licensed.parquet")


MAKERS = {
    "cirr": make_cirr,
    "circo": make_circo,
    "fashioniq": make_fashioniq,
    "flickr30k": make_flickr30k,
    "mscoco": make_mscoco,
    "visdial": make_visdial,
    "pinpoint": make_pinpoint,
}
