import json
import re
from types import SimpleNamespace

import pytest

from imagescope_agent.errors import BackendUnavailable, BadInput, UnreadableReply
from imagescope_agent.evaluation import datasets
from imagescope_agent.evaluation.run import evaluate
from imagescope_agent.evaluation.score import score

KEYS = {
    *("dataset", "split", "protocol", "graph", "judge", "profile", "weights", "settings", "seed"),
    *("queries", "failed", "degraded", "metrics", "usage"),
}


def run(world, out, system, **given):
    return evaluate("scenes", root=world, out=out, system=system, progress=False, **given)


def lines(out):
    return [json.loads(line) for line in (out / "per_query.jsonl").read_text().splitlines()]


def test_a_run_writes_everything_and_a_perfect_one_scores_100(world, names, fast_system, tmp_path):
    out = tmp_path / "run"
    metrics = run(world, out, fast_system(names))
    assert metrics.keys() >= KEYS
    assert json.loads((out / "metrics.json").read_text()) == metrics
    final = metrics["metrics"]["final"]
    assert final["all"] == {
        name: 100.0 for name in ("R@1", "R@5", "R@10", "mAP@5", "mAP@10", "MRR", "nDCG@10")
    }
    assert set(final) == {"all", "tir", "cir", "tir/core", "tir/negated", "cir/addition", "cir/removal"}
    assert set(metrics["metrics"]) == {"retrieve", "final"}
    assert metrics["queries"] == 30 and metrics["failed"] == 0 and metrics["degraded"] == 0
    assert metrics["usage"]["calls"] == {"verifier": 3.0} and metrics["usage"]["seconds"] == {"retrieve": 0.5}
    page = (out / "report.html").read_text()
    assert "data:image/jpeg" in page and not re.search(r"(src|href)=[\"']?(https?:)?//", page)
    assert score("scenes", root=world, run_file=out / "run.trec")["metrics"]["final"] == final


def test_the_reference_is_taken_out_of_a_composed_ranking(world, names, fast_system, tmp_path):
    inner = fast_system(names)

    async def reference_first(query):
        answer = await inner.answer(query)
        for stage, ranking in answer.stages.items():
            answer.stages[stage] = [query.reference] + [
                image for image in ranking if image != query.reference
            ]
        return answer

    metrics = run(world, tmp_path / "run", SimpleNamespace(answer=reference_first), split="cir")
    assert metrics["metrics"]["final"]["all"]["R@1"] == 100.0
    assert all(record["reference"] not in record["stages"]["final"] for record in lines(tmp_path / "run"))


def test_failures_are_counted_and_never_scored(world, names, fast_system, tmp_path):
    def fails(query):
        return {"tir-3": UnreadableReply("no"), "cir-2": RuntimeError("bug")}.get(query.qid)

    def notes(query):
        kind = {"tir-1": "fallback", "tir-2": "tie"}.get(query.qid)
        return [{"step": "judge", "kind": kind, "detail": ""}] if kind else []

    metrics = run(world, tmp_path / "run", fast_system(names, fails=fails, notes=notes))
    assert (metrics["queries"], metrics["failed"], metrics["degraded"]) == (30, 2, 1)
    assert metrics["notes"] == {"fallback": 1, "tie": 1}
    assert metrics["metrics"]["final"]["all"]["R@1"] == 100.0  # the other 28
    failed = {record["qid"]: record["failed"] for record in lines(tmp_path / "run") if record["failed"]}
    assert set(failed) == {"tir-3", "cir-2"} and "RuntimeError: bug" in failed["cir-2"]
    assert "tir-3 " not in (tmp_path / "run" / "run.trec").read_text()


def test_a_silent_backend_stops_the_run_and_the_next_call_goes_on(world, names, fast_system, tmp_path):
    out = tmp_path / "run"
    broken = fast_system(
        names, fails=lambda query: BackendUnavailable("down") if query.qid == "tir-9" else None
    )
    with pytest.raises(BackendUnavailable):
        run(world, out, broken, concurrency=1)
    kept = {record["qid"] for record in lines(out)}
    assert kept == {f"tir-{n}" for n in range(9)}
    healthy = fast_system(names)
    metrics = run(world, out, healthy)
    assert not kept & set(healthy.asked) and len(healthy.asked) == 21
    assert metrics == run(world, tmp_path / "undisturbed", fast_system(names))
    for name in ("per_query.jsonl", "run.trec", "metrics.json", "report.html"):
        assert (out / name).read_bytes() == (tmp_path / "undisturbed" / name).read_bytes()


def test_a_torn_last_line_is_asked_again(world, names, fast_system, tmp_path):
    out = tmp_path / "run"
    run(world, out, fast_system(names))
    whole = (out / "per_query.jsonl").read_bytes()
    for cut in range(1, 200, 13):
        (out / "per_query.jsonl").write_bytes(whole[:-cut])
        system = fast_system(names)
        run(world, out, system)
        assert system.asked == ["cir-9"]
        assert (out / "per_query.jsonl").read_bytes() == whole


def test_a_damaged_line_in_the_middle_is_told(world, names, fast_system, tmp_path):
    out = tmp_path / "run"
    run(world, out, fast_system(names))
    damaged = (out / "per_query.jsonl").read_text().splitlines(keepends=True)
    (out / "per_query.jsonl").write_text("".join([*damaged[:4], "{broken\n", *damaged[5:]]))
    with pytest.raises(BadInput, match=r"per_query\.jsonl, line 5"):
        run(world, out, fast_system(names))


def test_another_run_does_not_go_into_the_same_folder(world, names, fast_system, tmp_path):
    run(world, tmp_path / "run", fast_system(names), graph="retrieve")
    with pytest.raises(BadInput, match="graph 'retrieve', not 'imagescope'"):
        run(world, tmp_path / "run", fast_system(names))


def test_limit_draws_by_seed_and_keeps_the_order(world, names, fast_system, tmp_path):
    first, again, other = (fast_system(names) for _ in range(3))
    run(world, tmp_path / "a", first, limit=7, seed=1)
    run(world, tmp_path / "b", again, limit=7, seed=1)
    run(world, tmp_path / "c", other, limit=7, seed=2)
    assert first.asked == again.asked and len(first.asked) == 7 and set(other.asked) != set(first.asked)
    order = [query.qid for query in datasets.load("scenes", world).queries]
    assert [record["qid"] for record in lines(tmp_path / "a")] == [qid for qid in order if qid in first.asked]


def test_dialogs_are_drawn_whole_and_scored_by_round(world, names, fast_system, tmp_path):
    def place(query):
        return {0: 11, 1: 2, 2: 12}[query.turn]

    metrics = run(world, tmp_path / "run", fast_system(names, place=place), split="chat", limit=2)
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
def test_malformed_queries_name_file_and_line(world, file, line, change, words):
    records = [json.loads(text) for text in (world / file).read_text().splitlines()]
    change(records[line - 1])
    (world / file).write_text("".join(json.dumps(record) + "\n" for record in records))
    with pytest.raises(BadInput, match=rf"{re.escape(file)}, line {line}: .*{re.escape(words)}") as caught:
        datasets.load("scenes", world)
    assert "\n" not in str(caught.value)


def test_a_truncated_query_line_is_told(world):
    text = (world / "tir.jsonl").read_text()
    (world / "tir.jsonl").write_text(text[:-20])
    with pytest.raises(BadInput, match=r"tir\.jsonl, line 20: not valid JSON"):
        datasets.load("scenes", world)


def test_unknown_data_set_and_split_suggest(world):
    with pytest.raises(BadInput, match="did you mean 'scenes'"):
        datasets.load("scene", world)
    with pytest.raises(BadInput, match="all, tir, cir, chat"):
        datasets.load("scenes", world, split="val")
