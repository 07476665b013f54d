"""Traces read back: why A is above B where the reason is known, the graph, the store, secrets."""

from __future__ import annotations

import json
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import networkx
import pytest

from imagescope_agent.cli import main
from imagescope_agent.common.redact import redact
from imagescope_agent.errors import BadInput
from imagescope_agent.traces.explain import explain
from imagescope_agent.traces.graph import to_networkx
from imagescope_agent.traces.pairwise import cycles
from imagescope_agent.traces.store import TraceStore, place
from tests.traces.runs import write


def test_retrieval_decides_where_nothing_else_does(tmp_path: Path) -> None:
    why = explain(write(tmp_path / "t"), "a", "b")
    assert why.stage == "retrieve"
    assert "0.9000 against 0.8000" in why.text


def test_a_failed_predicate_decides(tmp_path: Path) -> None:
    why = explain(write(tmp_path / "t", verdicts={"a": 0.1, "b": 0.9, "c": 0.2}), "b", "a")
    assert why.stage == "verify"
    assert "a fails “Is it blue?” (expected Yes, P(Yes) = 0.10)" in why.text


def test_a_tie_keeps_the_order_of_retrieval(tmp_path: Path) -> None:
    why = explain(write(tmp_path / "t", verdicts={"a": 0.9, "b": 0.9, "c": 0.9}), "a", "c")
    assert why.stage == "retrieve"
    assert why.sentences[0] == "Both satisfy 1 of 1 predicates: a tie, which keeps the order."
    equal = explain(write(tmp_path / "e", retrieved={"a": 0.5, "b": 0.5}), "a", "b")
    assert equal.stage == "tie"


def test_a_lost_duel_decides_and_both_orders_are_told(tmp_path: Path) -> None:
    duels = [("a", "b", 0.2), ("b", "a", 0.9)]
    trace = write(tmp_path / "t", verdicts={"a": 0.9, "b": 0.8}, judged=["b", "a"], duels=duels)
    why = explain(trace, "b", "a")
    assert why.stage == "judge"
    assert "P(b is better) = 0.80, 0.90" in why.text


def test_a_caption_that_moved_an_image_is_named(tmp_path: Path) -> None:
    why = explain(write(tmp_path / "t", told="c"), "c", "a")
    assert why.stage == "verify_shown"
    assert why.text.endswith("from rank 3 to 1, past a: its caption says everything that is wanted.")


def test_a_caption_is_not_named_for_what_another_step_moved(tmp_path: Path) -> None:
    why = explain(
        write(tmp_path / "t", verdicts={"a": 0.1, "b": 0.1, "c": 0.1}, judged=["c", "a", "b"], told="c"),
        "c",
        "a",
    )
    assert why.stage == "judge" and "caption" not in why.text


def test_a_judge_that_moves_with_words_is_quoted(tmp_path: Path) -> None:
    reasons = {"b": ["Yes: it is blue"]}
    why = explain(
        write(tmp_path / "t", verdicts={"a": 0.9, "b": 0.8}, judged=["b", "a"], reasons=reasons), "b", "a"
    )
    assert why.stage == "judge"
    assert "from rank 2 to 1, past a: Yes: it is blue." in why.text


def test_a_candidate_that_was_never_verified_is_told_so(tmp_path: Path) -> None:
    why = explain(write(tmp_path / "t", verdicts={"a": 0.9, "b": 0.1}), "a", "c")
    assert why.stage == "verify"
    assert "c was not" in why.text


def test_the_wrong_way_round_is_turned_and_unknown_images_are_refused(tmp_path: Path) -> None:
    trace = write(tmp_path / "t")
    why = explain(trace, "c", "a")
    assert (why.above, why.below) == ("a", "c")
    assert why.sentences[0].startswith("It is the other way round")
    with pytest.raises(BadInput, match="did not rank"):
        explain(trace, "a", "zebra")


def test_the_graph_is_typed_and_holds_verdicts_duels_and_cycles(tmp_path: Path) -> None:
    duels = [("a", "b", 0.8), ("b", "c", 0.7), ("c", "a", 0.9)]
    verdicts = {"a": 0.9, "b": 0.9, "c": 0.9}
    trace = write(tmp_path / "t", verdicts=verdicts, judged=["c", "a", "b"], duels=duels)
    graph = to_networkx(trace)
    assert isinstance(graph, networkx.DiGraph)
    kinds = {data["kind"] for _, data in graph.nodes(data=True)}
    assert kinds == {"run", "node", "call", "candidate", "predicate"}
    edges = {data["kind"] for *_, data in graph.edges(data=True)}
    assert edges == {"ran", "then", "asked", "ranked", "showed", "verdict", "duel"}
    assert graph.edges["candidate:a", "predicate:Is it blue?"]["probability"] == 0.9
    assert graph.edges["candidate:c", "candidate:a"] == {"kind": "duel", "probability": 0.9, "comparisons": 1}
    assert cycles(trace) == [["c", "a", "b"]]
    assert graph.nodes["candidate:c"]["rank"] == 1


def test_a_thousand_runs_are_listed_and_opened_within_a_second_of_work(tmp_path: Path) -> None:
    with closing(TraceStore(tmp_path / "t")) as store:
        for number in range(1000):
            run = store.start(f"r{number}", graph="g", query="q", about={})
            store.append(run, "end", {"status": "done"})
        start = time.process_time()
        listed = store.runs()
        store.read("r500")
        assert time.process_time() - start < 1
        assert len(listed) == 1000
        assert listed[0].id == "r999.1"
        assert listed[0].status == "done"


def test_the_store_stays_within_its_bound_and_drops_the_oldest(tmp_path: Path) -> None:
    noise = [{"text": str(hash((i, "x"))) * 20} for i in range(200)]
    with closing(TraceStore(tmp_path / "t", largest=100_000)) as store:
        for number in range(60):
            run = store.start(f"r{number}", graph="g", query="q", about={})
            store.append(run, "end", {"status": "done", "noise": noise, "number": number})
        kept = [each.id for each in store.runs()]
        assert kept[0] == "r59.1"
        assert "r0.1" not in kept
    assert (tmp_path / "t").stat().st_size < 250_000


def test_turns_of_a_thread_are_traces_of_their_own(tmp_path: Path) -> None:
    for query in ("one", "two"):
        write(tmp_path / "t", query=query)
    with closing(TraceStore(tmp_path / "t")) as store:
        assert store.read("run")[0]["query"] == "two"
        assert store.read("run.1")[0]["query"] == "one"
        with pytest.raises(BadInput, match="no run 'nothing'"):
            store.read("nothing")


@pytest.mark.parametrize(
    "secret",
    [
        "sk-abcdefghijklmnopqrstuvwxyz",
        "hf_abcdefghijklmnopqrstuvwx",
        "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
    ],
)
def test_secrets_are_hidden_and_json_stays_json(secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_API_KEY", 'od"d value')
    data = {
        "a": secret,
        "b": f'{{"Authorization": "Bearer {secret}"}}',
        "c": "https://me:pass@host/x",
        "d": 'od"d value',
    }
    told = redact(json.dumps(data, ensure_ascii=False))
    assert set(json.loads(told)) == {"a", "b", "c", "d"}
    assert secret not in told
    assert "me:pass" not in told
    assert "d value" not in told
    assert redact("a red apple on a key ring") == "a red apple on a key ring"


def test_where_traces_go_is_one_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert place(tmp_path) == tmp_path / "traces.sqlite"
    assert place(tmp_path, False) is None
    monkeypatch.setenv("IMAGESCOPE_TRACES", "off")
    assert place(tmp_path) is None
    assert place(tmp_path, tmp_path / "x") == tmp_path / "x"


def test_the_command_shows_lists_and_explains(tmp_path: Path, capsys: Any) -> None:
    store = ["--store", str(tmp_path / "t")]
    write(tmp_path / "t", verdicts={"a": 0.1, "b": 0.9, "c": 0.2})
    assert main(["trace", "--last", *store]) == 0
    shown = capsys.readouterr().out
    assert "ranking after verify: b, a, c" in shown
    assert "3 verifier; 50 + 0 tokens" in shown
    assert main(["trace", "run", "--json", *store]) == 0
    assert json.loads(capsys.readouterr().out)["verdicts"]["b"] == {"Is it blue?": 0.9}
    assert main(["trace", "--last", "--why", "b", "a", *store]) == 0
    assert "b satisfies 1 of 1 predicates, a 0." in capsys.readouterr().out
    assert main(["trace", *store]) == 0
    assert "run.1" in capsys.readouterr().out
    assert main(["trace", "run", "--html", str(tmp_path / "new" / "page.html"), *store]) == 0
    assert "a blue square" in (tmp_path / "new" / "page.html").read_text(encoding="utf-8")
    assert main(["trace", "nothing", *store]) == 2
    assert main(["trace", "--last", "--store", str(tmp_path / "none")]) == 2


def test_a_reason_that_ends_with_a_full_stop_gets_no_second_one(tmp_path: Path) -> None:
    reasons = {"b": ["Yes: everything asked for is there."]}
    trace = write(tmp_path / "t", verdicts={"a": 0.9, "b": 0.8}, judged=["b", "a"], reasons=reasons)
    assert explain(trace, "b", "a").text.endswith("past a: Yes: everything asked for is there.")
    assert explain(trace, "b", "c").text.endswith("The judge on b: Yes: everything asked for is there.")
