"""The loaders against the official annotation files, which lie outside the repository."""

from __future__ import annotations

import json
import math
from collections import Counter
from typing import Any

import pytest

from imagescope_agent.evaluation import aggregate, datasets
from imagescope_agent.evaluation.score_run import score_run


def test_cirr(shared: Any) -> None:
    val = datasets.load("cirr", shared / "CIRR", split="val")
    test = datasets.load("cirr", shared / "CIRR", split="test1")
    assert (len(val.queries), len(test.queries)) == (4181, 4148)
    assert (val.size, test.size) == (2297, 2315)
    for query in val.queries + test.queries:
        assert len(query.members) == 5 and query.reference not in query.members
    assert all(query.target in query.members for query in val.queries)
    raw = json.loads((shared / "CIRR/captions/cap.rc2.test1.json").read_text())
    assert [record["pairid"] for record in raw if not record["caption"].strip()] == [27098]
    assert [query.qid for query in test.queries if query.text == "the same image"] == ["27098"]
    assert not test.measures and not any(query.relevant for query in test.queries)
    assert val.open_galleries()["images"].files["dev-244-0-img0"] == "dev/dev-244-0-img0.png"


def test_circo(shared: Any) -> None:
    val = datasets.load("circo", shared / "CIRCO", split="val")
    test = datasets.load("circo", shared / "CIRCO", split="test")
    assert (len(val.queries), len(test.queries)) == (220, 800)
    truths = [len(query.relevant) for query in val.queries]
    assert max(truths) == 14 and round(sum(truths) / 220, 2) == 4.16
    for query in val.queries:
        assert query.relevant[0] == query.target and query.reference not in query.relevant
    assert len({subset for query in val.queries for subset in query.subsets}) == 9
    assert val.size == test.size == 123_403


def test_fashioniq_has_two_galleries(shared: Any) -> None:
    original = datasets.load("fashioniq", shared / "FashionIQ")
    small = datasets.load("fashioniq", shared / "FashionIQ", split="val-VAL")
    assert original.known is not None and small.known is not None
    assert Counter(query.gallery for query in original.queries) == {
        "dress": 2017,
        "shirt": 2038,
        "toptee": 1961,
    }
    assert {name: len(ids) for name, ids in original.known.items()} == {
        "dress": 3817,
        "shirt": 6346,
        "toptee": 5373,
    }
    assert {name: len(ids) for name, ids in small.known.items()} == {
        "dress": 2628,
        "shirt": 3089,
        "toptee": 2902,
    }
    assert all(small.known[name] <= original.known[name] for name in original.known)
    assert (original.key, small.key) == ("fashioniq/val/original/one-order", "fashioniq/val/VAL/one-order")
    assert original.gallery.startswith("original: 3817") and small.gallery.startswith("VAL: 2628")
    assert original.queries[0].text == "is shiny and silver with shorter sleeves and fit and flare"


def test_visdial(shared: Any) -> None:
    benchmark = datasets.load("visdial", shared / "VisDial")
    assert len(benchmark.queries) == 2064 * 11 and benchmark.size == 50_000
    assert len({query.group for query in benchmark.queries}) == 2064
    dialog = json.loads((shared / "VisDial/VisDial_v1.0_queries_val.json").read_text())[0]["dialog"]
    first = benchmark.queries[:11]
    assert [query.turn for query in first] == list(range(11))
    assert first[0].text == dialog[0] and first[10].text == ", ".join(dialog)


def test_flickr30k(shared: Any) -> None:
    benchmark = datasets.load("flickr30k", shared / "Flickr30K")
    assert len(benchmark.queries) == 5000 and benchmark.size == 1000


def test_mscoco_says_which_images_and_captions(shared: Any) -> None:
    every = datasets.load("mscoco", shared / "MSCOCO")
    five = datasets.load("mscoco", shared / "MSCOCO", split="val2017-5")
    assert (len(every.queries), len(five.queries), every.size) == (25_014, 25_000, 5000)
    assert "not Karpathy" in every.protocol and every.key != "mscoco/test/karpathy-5k/all-captions"


@pytest.mark.parametrize(
    ("name", "folder", "split"),
    [
        ("cirr", "CIRR", "val"),
        ("circo", "CIRCO", "val"),
        ("fashioniq", "FashionIQ", "val-original"),
        ("fashioniq", "FashionIQ", "val-VAL"),
        ("flickr30k", "Flickr30K", None),
        ("mscoco", "MSCOCO", None),
        ("visdial", "VisDial", None),
    ],
)
def test_right_and_wrong_answers_to_the_official_queries(
    shared: Any, name: Any, folder: Any, split: Any
) -> None:
    benchmark = datasets.load(name, shared / folder, split=split)
    for share, rankings in (
        (100.0, [[*query.relevant] for query in benchmark.queries]),
        (0.0, [[query.reference or "another"] for query in benchmark.queries]),
    ):
        values = aggregate.score_rankings(benchmark, benchmark.queries, rankings)
        table = aggregate.tabulate(
            benchmark.queries, values, macro=benchmark.macro, worst_rank=benchmark.size
        )
        for row in aggregate.means(table).values():
            bri = row.pop("BRI", None)
            assert bri is None or bri == pytest.approx(0.0 if share else math.log(50_000))
            assert row and all(value == pytest.approx(share) for value in row.values())


def test_photos_are_a_folder_data_set(shared: Any) -> None:
    benchmark = datasets.load("folder", shared / "photos")
    assert benchmark.size == 159 and len(benchmark.queries) >= 159 * 5


def test_the_official_example_submission_of_circo_is_scored(shared: Any) -> None:
    """Against the official script's rule, written out slowly."""
    run_file = shared / "CIRCO/submission_examples/submission_val.json"
    got = score_run("circo", root=shared / "CIRCO", split="val", run_file=run_file)["metrics"]["final"]["all"]
    lists = json.loads(run_file.read_text())
    truth = json.loads((shared / "CIRCO/annotations/val.json").read_text())
    for k in (5, 10, 25, 50):
        total = recall = 0.0
        for record in truth:
            ranking, hits, summed = lists[str(record["id"])], 0, 0.0
            for rank, image in enumerate(ranking[:k], start=1):
                if image in record["gt_img_ids"]:
                    hits += 1
                    summed += hits / rank
            total += summed / min(len(record["gt_img_ids"]), k)
            recall += record["target_img_id"] in ranking[:k]
        assert got[f"mAP@{k}"] == pytest.approx(100 * total / len(truth))
        assert got[f"R@{k}"] == pytest.approx(100 * recall / len(truth))


@pytest.mark.parametrize("metric", ["recall", "recall_subset"])
def test_the_official_example_submissions_of_cirr_are_well_formed(shared: Any, metric: Any) -> None:
    benchmark = datasets.load("cirr", shared / "CIRR", split="test1")
    path = shared / f"CIRR/demo_files/test1_pred_ranks_{metric}.json"
    assert benchmark.parse is not None and benchmark.submit is not None
    lists, _ = benchmark.parse(json.loads(path.read_text()), path)
    assert len(lists) == 4148
    assert all(query.reference not in lists[query.qid] for query in benchmark.queries)
    if metric == "recall":  # the subset lists need full rankings
        full = {query.qid: [*lists[query.qid], *query.members] for query in benchmark.queries}
        unique = {qid: list(dict.fromkeys(ranking)) for qid, ranking in full.items()}
        assert set(benchmark.submit(unique)) == {"submission_recall.json", "submission_recall_subset.json"}
