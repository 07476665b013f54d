from __future__ import annotations

import json
import re
from types import SimpleNamespace
from typing import Any

import pytest

from imagescope_agent.errors import BackendUnavailable, BadInput, UnreadableReply
from imagescope_agent.evaluation import datasets
from imagescope_agent.evaluation.evaluate import evaluate
from imagescope_agent.evaluation.score_run import score_run

KEYS = {
    *("dataset", "split", "protocol", "graph", "judge", "profile", "weights", "settings", "seed"),
    *("queries", "failed", "degraded", "metrics", "usage"),
}


def run(drawn: Any, out: Any, system: Any, **given: Any) -> Any:
    return evaluate("scenes", root=drawn, out=out, system=system, progress=False, **given)


def lines(out: Any) -> Any:
    return [json.loads(line) for line in (out / "per_query.jsonl").read_text().splitlines()]


def test_a_run_writes_everything_and_a_perfect_one_scores_100(
    drawn: Any, images: Any, fast_system: Any, tmp_path: Any
) -> None:
    out = tmp_path / "run"
    metrics = run(drawn, out, fast_system(images))
    assert metrics.keys() >= KEYS
    assert json.loads((out / "metrics.json").read_text()) == metrics
    final = metrics["metrics"]["final"]
    assert final["all"] == {
        name: 100.0 for name in ("R@1", "R@5", "R@10", "mAP@5", "mAP@10", "MRR", "nDCG@10")
    }
    assert set(final) == {"all", "tir", "cir", "core", "negated", "addition", "removal"}
    assert set(metrics["metrics"]) == {"retrieve", "final"}
    assert metrics["queries"] == 30 and metrics["failed"] == 0 and metrics["degraded"] == 0
    assert metrics["usage"]["calls"] == {"verifier": 3.0} and metrics["usage"]["seconds"] == {"retrieve": 0.5}
    page = (out / "report.html").read_text()
    assert "data:image/webp" in page and not re.search(r"(src|href)=[\"']?(https?:)?//", page)
    assert score_run("scenes", root=drawn, run_file=out / "run.trec")["metrics"]["final"] == final


def test_the_reference_is_taken_out_of_a_composed_ranking(
    drawn: Any, images: Any, fast_system: Any, tmp_path: Any
) -> None:
    inner = fast_system(images)

    async def reference_first(query: Any) -> Any:
        answer = await inner.answer(query)
        for stage, ranking in answer.stages.items():
            answer.stages[stage] = [query.reference] + [
                image for image in ranking if image != query.reference
            ]
        return answer

    metrics = run(drawn, tmp_path / "run", SimpleNamespace(answer=reference_first), split="cir")
    assert metrics["metrics"]["final"]["all"]["R@1"] == 100.0
    assert all(record["reference"] not in record["stages"]["final"] for record in lines(tmp_path / "run"))


def test_failures_are_counted_and_never_scored(
    drawn: Any, images: Any, fast_system: Any, tmp_path: Any
) -> None:
    def fails(query: Any) -> Any:
        return {"tir-3": UnreadableReply("no"), "cir-2": RuntimeError("bug")}.get(query.qid)

    def notes(query: Any) -> Any:
        kind = {"tir-1": "fallback", "tir-2": "tie"}.get(query.qid)
        return [{"step": "judge", "kind": kind, "detail": ""}] if kind else []

    metrics = run(drawn, tmp_path / "run", fast_system(images, fails=fails, notes=notes))
    assert (metrics["queries"], metrics["failed"], metrics["degraded"]) == (30, 2, 1)
    assert metrics["notes"] == {"fallback": 1, "tie": 1}
    assert metrics["metrics"]["final"]["all"]["R@1"] == 100.0  # the other 28
    failed = {record["qid"]: record["failed"] for record in lines(tmp_path / "run") if record["failed"]}
    assert set(failed) == {"tir-3", "cir-2"} and "RuntimeError: bug" in failed["cir-2"]
    assert "tir-3 " not in (tmp_path / "run" / "run.trec").read_text()


def test_a_silent_backend_stops_the_run_and_the_next_call_goes_on(
    drawn: Any, images: Any, fast_system: Any, tmp_path: Any
) -> None:
    out = tmp_path / "run"
    broken = fast_system(
        images, fails=lambda query: BackendUnavailable("down") if query.qid == "tir-9" else None
    )
    with pytest.raises(BackendUnavailable):
        run(drawn, out, broken, concurrency=1)
    kept = {record["qid"] for record in lines(out)}
    assert kept == {f"tir-{n}" for n in range(9)}
    healthy = fast_system(images)
    metrics = run(drawn, out, healthy)
    assert not kept & set(healthy.asked) and len(healthy.asked) == 21
    assert metrics == run(drawn, tmp_path / "undisturbed", fast_system(images))
    for name in ("per_query.jsonl", "run.trec", "metrics.json", "report.html"):
        assert (out / name).read_bytes() == (tmp_path / "undisturbed" / name).read_bytes()


def test_a_torn_last_line_is_asked_again(drawn: Any, images: Any, fast_system: Any, tmp_path: Any) -> None:
    out = tmp_path / "run"
    run(drawn, out, fast_system(images))
    whole = (out / "per_query.jsonl").read_bytes()
    for cut in range(1, 200, 13):
        (out / "per_query.jsonl").write_bytes(whole[:-cut])
        system = fast_system(images)
        run(drawn, out, system)
        assert system.asked == ["cir-9"]
        assert (out / "per_query.jsonl").read_bytes() == whole


def test_a_damaged_line_in_the_middle_is_told(
    drawn: Any, images: Any, fast_system: Any, tmp_path: Any
) -> None:
    out = tmp_path / "run"
    run(drawn, out, fast_system(images))
    damaged = (out / "per_query.jsonl").read_text().splitlines(keepends=True)
    (out / "per_query.jsonl").write_text("".join([*damaged[:4], "{broken\n", *damaged[5:]]))
    with pytest.raises(BadInput, match=r"per_query\.jsonl, line 5"):
        run(drawn, out, fast_system(images))


def test_another_run_does_not_go_into_the_same_folder(
    drawn: Any, images: Any, fast_system: Any, tmp_path: Any
) -> None:
    run(drawn, tmp_path / "run", fast_system(images), graph="retrieve")
    with pytest.raises(BadInput, match="graph 'retrieve', not 'imagescope'"):
        run(drawn, tmp_path / "run", fast_system(images))


def test_limit_draws_by_seed_and_keeps_the_order(
    drawn: Any, images: Any, fast_system: Any, tmp_path: Any
) -> None:
    first, again, other = (fast_system(images) for _ in range(3))
    run(drawn, tmp_path / "a", first, limit=7, seed=1)
    run(drawn, tmp_path / "b", again, limit=7, seed=1)
    run(drawn, tmp_path / "c", other, limit=7, seed=2)
    assert first.asked == again.asked and len(first.asked) == 7 and set(other.asked) != set(first.asked)
    order = [query.qid for query in datasets.load("scenes", drawn).queries]
    assert [record["qid"] for record in lines(tmp_path / "a")] == [qid for qid in order if qid in first.asked]


def test_dialogs_are_drawn_whole_and_scored_by_round(
    drawn: Any, images: Any, fast_system: Any, tmp_path: Any
) -> None:
    def place(query: Any) -> Any:
        return {0: 11, 1: 2, 2: 12}[query.turn]

    metrics = run(drawn, tmp_path / "run", fast_system(images, place=place), split="chat", limit=2)
    final = metrics["metrics"]["final"]
    assert metrics["queries"] == 6
    assert [final[f"round {t}"]["Hits@10"] for t in range(3)] == [0.0, 100.0, 100.0]  # once hit stays hit
    assert [final[f"round {t}"]["R@10"] for t in range(3)] == [0.0, 100.0, 0.0]
    expected = ((2.3978952727983707 + 0.6931471805599453) / 2 + 0.6931471805599453) / 2
    assert final["all"]["BRI"] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("file", "line", "change", "words"),
    [
        ("tir.jsonl", 3, lambda r: r.pop("text"), "'text' is missing"),
        ("tir.jsonl", 4, lambda r: r.update(targets=["images/999999.png"]), "does not exist"),
        ("tir.jsonl", 5, lambda r: r.update(qid="tir-0"), "occurs twice"),
        ("cir.jsonl", 2, lambda r: r.update(targets=[r["reference"]]), "none may be its reference"),
        ("cir.jsonl", 1, lambda r: r.update(targets=[]), "at least one target"),
        ("cir.jsonl", 6, lambda r: r.update(reference=7), "'reference' is int"),
    ],
)
def test_malformed_queries_name_file_and_line(
    drawn: Any, file: Any, line: Any, change: Any, words: Any
) -> None:
    records = [json.loads(text) for text in (drawn / file).read_text().splitlines()]
    change(records[line - 1])
    (drawn / file).write_text("".join(json.dumps(record) + "\n" for record in records))
    with pytest.raises(BadInput, match=rf"{re.escape(file)}, line {line}: .*{re.escape(words)}") as caught:
        datasets.load("scenes", drawn)
    assert "\n" not in str(caught.value)


def test_a_truncated_query_line_is_told(drawn: Any) -> None:
    text = (drawn / "tir.jsonl").read_text()
    (drawn / "tir.jsonl").write_text(text[:-20])
    with pytest.raises(BadInput, match=r"tir\.jsonl, line 20: not valid JSON"):
        datasets.load("scenes", drawn)


def test_unknown_data_set_and_split_suggest(drawn: Any) -> None:
    with pytest.raises(BadInput, match="did you mean 'scenes'"):
        datasets.load("scene", drawn)
    with pytest.raises(BadInput, match="all, tir, cir, chat"):
        datasets.load("scenes", drawn, split="val")
