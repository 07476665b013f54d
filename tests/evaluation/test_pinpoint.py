"""PinPoint's published layout and protocol, against a slow reading of the protocol in plain loops."""

from __future__ import annotations

import json
import random
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pyarrow", reason="pip install 'imagescope-agent[parquet]'")

from imagescope_agent.errors import BadInput, MissingExtra
from imagescope_agent.evaluation import datasets
from imagescope_agent.evaluation.check import check_data_set
from imagescope_agent.evaluation.evaluate import evaluate
from imagescope_agent.evaluation.score_run import score_run


@pytest.fixture
def root(layout: Any, tmp_path: Path) -> Path:
    return Path(shutil.copytree(layout("pinpoint"), tmp_path / "pinpoint"))


def test_the_table_becomes_wishes_in_several_wordings(root: Path) -> None:
    queries = datasets.load("pinpoint", root).queries
    assert [query.qid for query in queries] == [f"{number:05}" for number in range(8)]
    assert [query.wording for query in queries] == [1, 2] * 4 and len({q.wish for q in queries}) == 4
    assert [len(query.shown) for query in queries] == [1, 1, 2, 2, 1, 1, 2, 2]
    assert [query.subsets for query in queries[1:3]] == [("one reference",), ("two references",)]
    assert [len(query.negatives) for query in queries] == [0, 0, 5, 5, 10, 10, 15, 15]
    assert len(queries[5].relevant) == 6
    assert datasets.load("pinpoint", root).open_galleries()["images"].outside == {"f" * 32: "f" * 32 + ".jpg"}


def _slow(queries: Any, rankings: Any) -> dict[str, float]:
    """The measures in per cent, one query and one rank at a time."""
    sums: dict[str, float] = {}
    wishes: dict[Any, list[float]] = {}
    for query in queries:
        ranking = rankings[query.qid]
        without = [image for image in ranking if image not in query.negatives]
        for k in (1, 10, 50):
            hits = len([image for image in ranking[:k] if image in query.relevant])
            values = {"P": hits / k, "recall": hits / len(query.relevant), "NegRecall": 0.0}
            if query.negatives:
                wrong = len([image for image in ranking[:k] if image in query.negatives])
                values["NegRecall"] = wrong / min(k, len(query.negatives))
            for name, found in (("mAP", ranking), ("mAP_noNeg", without)):
                seen, total = 0, 0.0
                for place, image in enumerate(found[:k], 1):
                    if image in query.relevant:
                        seen += 1
                        total += seen / place
                values[name] = total / min(k, len(query.relevant))
            for name, value in values.items():
                sums[f"{name}@{k}"] = sums.get(f"{name}@{k}", 0.0) + 100 * value / len(queries)
        wishes.setdefault(query.shown, []).append(
            10 * len([image for image in ranking[:10] if image in query.relevant])
        )
    sums["range"] = sum(max(each) - min(each) for each in wishes.values()) / len(wishes)
    return sums


def test_figures_are_those_of_the_protocol(root: Path, tmp_path: Path) -> None:
    benchmark = datasets.load("pinpoint", root)
    names = sorted(benchmark.open_galleries()["images"].files)
    for seed in range(10):
        rng = random.Random(seed)
        rankings = {query.qid: rng.sample(names, 50) for query in benchmark.queries}
        document = {qid: {"retrieved_items": found} for qid, found in rankings.items()}
        (tmp_path / "results.json").write_text(json.dumps(document))
        scored = score_run("pinpoint", root=root, run_file=tmp_path / "results.json")["metrics"]["final"]
        slow = _slow(benchmark.queries, rankings)
        assert scored["all"] == pytest.approx({name: slow[name] for name in benchmark.measures})
        assert set(scored) == {"all", "one reference", "two references"}


class Fixed:
    """Ranks what it was told to."""

    identity: dict[str, Any] = {}  # noqa: RUF012 -- as a system has it

    def __init__(self, rankings: Any) -> None:
        self.rankings = rankings

    async def answer(self, query: Any) -> Any:
        from imagescope_agent.evaluation.runner import SystemAnswer

        return SystemAnswer(stages={"final": self.rankings[query.qid]})


def test_a_run_tells_how_far_the_wording_decides_and_writes_the_official_results(
    root: Path, tmp_path: Path
) -> None:
    benchmark = datasets.load("pinpoint", root)
    names, rng = sorted(benchmark.open_galleries()["images"].files), random.Random(7)
    rankings = {query.qid: rng.sample(names, 50) for query in benchmark.queries}
    found = evaluate("pinpoint", root=root, out=tmp_path / "run", system=Fixed(rankings), progress=False)
    slow = _slow(benchmark.queries, rankings)
    assert found["wordings"]["measure"] == "P@10"
    assert found["wordings"]["range"] == pytest.approx(slow["range"], abs=0.01)
    table = (tmp_path / "run/table.md").read_text()
    assert "P@10 by wording" in table and "mAP_noNeg@10" in table
    written = json.loads((tmp_path / "run/results.json").read_text())
    assert written == {qid: {"retrieved_items": ranking} for qid, ranking in rankings.items()}
    again = score_run("pinpoint", root=root, run_file=tmp_path / "run/results.json")
    assert again["metrics"]["final"]["all"] == pytest.approx(found["metrics"]["final"]["all"])


@pytest.mark.parametrize(
    "change, told",
    [
        ({"query_image_signature": "../../etc/passwd"}, "row 1: a reference is no signature"),
        ({"query_image_signature2": "a/b"}, "row 1: a reference is no signature"),
        ({"positive_candidates": None}, "row 1: the field 'positive_candidates' is NoneType"),
        ({"query_id": "1"}, "row 2: the id '00001' occurs twice"),
    ],
)
def test_damaged_rows_are_told(root: Path, change: dict[str, Any], told: str) -> None:
    import pyarrow
    from pyarrow import parquet

    place = root / "pinpoint_licensed.parquet"
    first, *rest = parquet.read_table(place).to_pylist()
    parquet.write_table(pyarrow.Table.from_pylist([{**first, **change}, *rest]), place)
    with pytest.raises(BadInput, match=told):
        datasets.load("pinpoint", root)


def test_what_is_missing_is_told(root: Path, tmp_path: Path, monkeypatch: Any) -> None:
    (root / f"images/{'f' * 32}.jpg").unlink()
    checked = check_data_set("pinpoint", root)
    assert not checked.complete and any("60 of 61 images" in line for line in checked.lines)
    (root / "pinpoint_licensed.parquet").write_bytes(b"PAR1 nothing")
    with pytest.raises(BadInput, match="no Parquet file that can be read"):
        datasets.load("pinpoint", root)
    (root / "pinpoint_licensed.parquet").unlink()
    with pytest.raises(BadInput, match=r"obtain it from https://github\.com/pinterest"):
        datasets.load("pinpoint", root)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtra, match="parquet"):
        datasets.load("pinpoint", root)


@pytest.mark.parametrize(
    "document, told",
    [
        ([], "expected an object of query id"),
        ({"00001": ["a"]}, "query '00001': expected retrieved_items"),
        ({"00001": {"retrieved_items": ["a", "b", "a"]}}, "query '00001': image 'a' occurs twice"),
    ],
)
def test_results_in_another_form_are_told(root: Path, tmp_path: Path, document: Any, told: str) -> None:
    (tmp_path / "results.json").write_text(json.dumps(document))
    with pytest.raises(BadInput, match=told):
        score_run("pinpoint", root=root, run_file=tmp_path / "results.json")
