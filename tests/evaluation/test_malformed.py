"""What is wrong in a file is told in one line that names the file and the line."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from imagescope_agent import cli
from imagescope_agent.errors import BadInput
from imagescope_agent.evaluation import datasets, trec
from imagescope_agent.evaluation.check import check_data_set
from imagescope_agent.evaluation.evaluate import evaluate
from imagescope_agent.evaluation.score_run import score_run

ANNOTATIONS = {
    "cirr": "captions/cap.rc2.val.json",
    "circo": "annotations/val.json",
    "fashioniq": "captions/cap.shirt.val.json",
    "visdial": "VisDial_v1.0_queries_val.json",
}


@pytest.fixture
def copied(layout: Any, tmp_path: Any) -> Any:
    """A data set of one's own to break, without its pictures."""

    def root_of(name: Any) -> Any:
        root = tmp_path / name
        shutil.copytree(layout(name), root, ignore=shutil.ignore_patterns("*.png", "*.jpg"))
        return root

    return root_of


def change(path: Any, edit: Any) -> None:
    records = json.loads(path.read_text())
    edit(records)
    path.write_text(json.dumps(records, indent=1))


def told(match: Any, work: Any) -> Any:
    with pytest.raises(BadInput, match=match) as caught:
        work()
    assert "\n" not in str(caught.value) and caught.value.exit_code == 2
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "edit", "words"),
    [
        ("cirr", lambda r: r[2].pop("caption"), "'caption' is missing"),
        ("cirr", lambda r: r[2].update(reference="dev-0-9-img9"), "the reference among them"),
        ("cirr", lambda r: r[2]["img_set"]["members"].pop(), "holds 5 texts, not 6"),
        ("cirr", lambda r: r[2].update(target_hard="dev-0-9-img9"), "not in the split"),
        ("cirr", lambda r: r[2].update(pairid=r[0]["pairid"]), "occurs twice"),
        ("cirr", lambda r: r[2].update(pairid="1"), "'pairid' is str"),
        ("circo", lambda r: r[2]["gt_img_ids"].reverse(), "begin with the target"),
        ("circo", lambda r: r[2]["gt_img_ids"].append(r[2]["reference_img_id"]), "lack the reference"),
        ("circo", lambda r: r[2].update(id=0), "occurs twice"),
        ("fashioniq", lambda r: r[2]["captions"].append("third"), "holds 3 texts, not 2"),
        ("fashioniq", lambda r: r[2].update(target="B0"), "not in the category's split"),
        ("visdial", lambda r: r[2]["dialog"].pop(), "holds 10 texts, not 11"),
        ("visdial", lambda r: r[2].update(img="elsewhere.jpg"), "is not in Search_Space"),
        ("visdial", lambda r: r.__setitem__(2, "text"), "expected an object"),
    ],
)
def test_a_malformed_annotation(copied: Any, name: Any, edit: Any, words: Any) -> None:
    root = copied(name)
    path = root / ANNOTATIONS[name]
    change(path, edit)
    message = told(
        rf"{path.name}, line \d+, record 3: .*{re.escape(words)}", lambda: datasets.load(name, root)
    )
    line = int(re.findall(r"line (\d+)", message)[0])
    before = "\n".join(path.read_text().split("\n")[: line - 1]) + "0]"
    assert len(json.loads(before)) == 3  # two records, and where the third begins


@pytest.mark.parametrize("name", ANNOTATIONS)
def test_a_truncated_annotation(copied: Any, name: Any) -> None:
    root = copied(name)
    path = root / ANNOTATIONS[name]
    path.write_text(path.read_text()[:-40])
    told(rf"{path.name}, line \d+: not valid JSON", lambda: datasets.load(name, root))


@pytest.mark.parametrize(
    ("name", "table"), [("flickr30k", "test_1k_flickr.csv"), ("mscoco", "test_5k_mscoco_2014.csv")]
)
def test_a_truncated_table(copied: Any, name: Any, table: Any) -> None:
    path = copied(name) / table
    whole = path.read_text()
    path.write_text(whole[:-12])
    told(rf"{table}, line \d+", lambda: datasets.load(name, path.parent))
    path.write_text(whole.replace("[", "(", 1))
    told(rf"{table}, line \d+: .*list of captions", lambda: datasets.load(name, path.parent))


@pytest.mark.parametrize("name", sorted(datasets.DATASETS))
def test_nothing_there(name: Any, tmp_path: Any) -> None:
    told(str(tmp_path), lambda: datasets.load(name, tmp_path))
    checked = check_data_set(name, tmp_path)
    assert not checked.complete and any("MISSING" in line or "PROBLEM" in line for line in checked.lines)


def test_missing_pictures_are_told_before_any_model_is_loaded(copied: Any, tmp_path: Any) -> None:
    root = copied("cirr")
    told(
        r"dev-0-0-img0\.png: missing, as are 59 more of 60",
        lambda: evaluate("cirr", root=root, out=tmp_path / "o"),
    )
    assert not (tmp_path / "o").exists()
    checked = check_data_set("cirr", root)
    assert not checked.complete and "60 images" in checked.lines[-1] and "nlvr" in checked.lines[-1]


def test_a_complete_data_set_checks_out(layout: Any) -> None:
    for name in ("cirr", "circo", "fashioniq", "flickr30k", "mscoco", "visdial"):
        assert check_data_set(name, layout(name)).complete, name


def test_looking_at_files_and_scoring_need_no_model(layout: Any, tmp_path: Any) -> None:
    root, run = layout("cirr"), tmp_path / "a.run"
    run.write_text("27095 Q0 dev-1-0-img0 1 0.9 x\n")
    code = (
        "import sys; from imagescope_agent import cli\n"
        f"cli.main(['eval', 'cirr', '--root', {str(root)!r}, '--check'])\n"
        f"cli.main(['score', 'cirr', '--root', {str(root)!r}, '--run', {str(run)!r}])\n"
        "heavy = {'torch', 'transformers', 'open_clip', 'faiss', 'langgraph'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "60 of 60 images" in done.stdout and "100.00" in done.stdout


RUN = "27095 Q0 dev-1-0-img0 1 0.9 x\n27095 Q0 dev-2-0-img0 2 0.8 x\n27096 Q0 dev-2-0-img0 1 0.9 x\n"


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (RUN[:-12], 3, "may be cut off"),
        (RUN.replace("0.8", "much"), 2, "expected 'QID Q0"),
        (RUN.replace("0.8", "nan"), 2, "not a finite number"),
        (RUN.replace("27095 Q0 dev-2", "27095 Q0 dev-1"), 2, "'dev-1-0-img0' occurs twice for query '27095'"),
        (RUN.replace("27096 Q0 dev-2", "27096 Q0 test1-2"), 3, "'test1-2-0-img0' is not in the gallery"),
        (RUN.replace("27096", "12063"), 3, "is this a run for another split?"),
        ("", 1, "the run is empty"),
        ('{"version": "rc1", "metric": "recall"}', 1, "wants 'rc2'"),
        ('{"version": "rc2", "metric": "recall_normal"}', 1, "wants recall or recall_subset"),
        ('{"version": "rc2", "metric": "recall",', 1, "not valid JSON"),
        (
            '{"version": "rc2",\n "metric": "recall_subset",\n "27095": ["a", "b"]}',
            3,
            "2 images; the server wants 3",
        ),
        (
            '{"version": "rc2",\n "metric": "recall_subset",\n "27095": ["a", "b", "a"]}',
            3,
            "'a' occurs twice",
        ),
        (
            '{"version": "rc2",\n "metric": "recall_subset",\n "27095": ["a", "b", "c"]}',
            3,
            "'a' is not in the gallery",
        ),
        ('{"version": "rc2",\n "metric": "recall_subset",\n "1": ["a", "b", "c"]}', 3, "another split"),
        (
            '{"version": "rc2",\n "27095": ["a", "b", "c"],\n "27095": ["a", "b", "c"]}',
            3,
            "'27095' occurs twice",
        ),
        ('{"version": "rc2",\n "metric": "recall",\n "27095": [NaN]}', 3, "NaN is not allowed"),
        ('{"version": "rc2",\n "metric": "recall_subset",\n "27095": [1, 2, 3]}', 3, "list of image ids"),
    ],
)
def test_a_malformed_run(layout: Any, tmp_path: Any, text: Any, line: Any, words: Any) -> None:
    run = tmp_path / "their.run"
    run.write_text(text)
    told(
        rf"their\.run, line {line}\b.*{re.escape(words)}",
        lambda: score_run("cirr", root=layout("cirr"), run_file=run),
    )


def test_a_record_that_names_a_field_twice(copied: Any) -> None:
    root = copied("visdial")
    path = root / ANNOTATIONS["visdial"]
    first = json.dumps({"img": "unlabeled2017/000000000001.jpg", "dialog": ["x"] * 11})
    path.write_text(f'[{first},\n{first},\n\n{{"img": "a", "img": "b"}}]')
    told(r"queries_val\.json, line 4: the key 'img' occurs twice", lambda: datasets.load("visdial", root))


def test_an_image_that_is_listed_twice(copied: Any) -> None:
    for name, file in (
        ("visdial", "Search_Space_val_50k.json"),
        ("fashioniq", "image_splits/split.toptee.val.json"),
    ):
        root = copied(name)
        change(root / file, lambda listed: listed.append(listed[3]))
        told(
            rf"{Path(file).name}, line 62, record 61: the id '.*' occurs twice",
            lambda name=name, root=root: datasets.load(name, root),
        )


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda image: image.pop("sentences"), "'sentences' is missing"),
        (lambda image: image.update(sentences=["a dog"]), "objects only"),
        (lambda image: image["sentences"][0].pop("raw"), "'raw' is missing"),
        (lambda image: image.update(filename="1.jpg"), "'1.jpg' occurs twice"),
    ],
)
def test_a_malformed_file_of_karpathy(tmp_path: Any, edit: Any, words: Any) -> None:
    images = [
        {"filename": f"{n}.jpg", "split": "test", "sentences": [{"raw": f"[{n}] dogs"}]} for n in range(3)
    ]
    edit(images[2])
    lines = ",\n".join(json.dumps(image) for image in images)
    (tmp_path / "dataset_flickr30k.json").write_text(f'{{"ids": [1, 2],\n"images": [\n{lines}]}}')
    told(
        rf"dataset_flickr30k\.json, line 5, record 3: .*{re.escape(words)}",
        lambda: datasets.load("flickr30k", tmp_path),
    )


def test_an_image_of_a_query_that_is_not_there(copied: Any) -> None:
    root = copied("circo")
    folder = root / "COCO2017_unlabeled"
    listed = [{"id": number, "file_name": f"{number:012d}.jpg"} for number in range(1, 61) if number != 22]
    (folder / "annotations").mkdir()
    info = folder / "annotations" / "image_info_unlabeled2017.json"
    info.write_text(json.dumps({"images": listed}, indent=1))
    benchmark = datasets.load("circo", root)
    told(r"val\.json, line \d+, record 3: image '22' is missing in .*unlabeled2017", benchmark.open_galleries)
    del listed[1]["file_name"]
    info.write_text(json.dumps({"images": listed}, indent=1))
    told(r"image_info.*\.json, line 7, record 2: the field 'file_name'", lambda: datasets.load("circo", root))


def test_scores_may_be_large(tmp_path: Any) -> None:
    run = tmp_path / "a.run"
    run.write_text("q Q0 a 1 1e308 x\nq Q0 b 2 9e307 x\n")
    assert trec.read_run(run) == {"q": ["a", "b"]}


@pytest.mark.parametrize("text", [RUN[:-12], RUN.replace("27096", "1"), '{"version": "rc1"}'])
def test_the_command_line_says_it_in_one_line(
    layout: Any, tmp_path: Any, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    run = tmp_path / "their.run"
    run.write_text(text)
    assert cli.main(["score", "cirr", "--root", str(layout("cirr")), "--run", str(run)]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1 and re.search(r"their\.run, line \d", said.err)


def test_a_missing_run_and_a_hidden_ground_truth(layout: Any, tmp_path: Any) -> None:
    told("no.run: No such file", lambda: score_run("cirr", root=layout("cirr"), run_file=tmp_path / "no.run"))
    told(
        "test server",
        lambda: score_run("cirr", root=layout("cirr"), run_file=tmp_path / "no.run", split="test1"),
    )


def test_a_run_is_read_as_trec_eval_reads_it(tmp_path: Any) -> None:
    run = tmp_path / "a.run"
    run.write_text("q Q0 low 1 0.1 x\nq Q0 second 3 0.9 x\nother Q0 a 1 5 x\nq Q0 first 2 0.9 x\n")
    assert trec.read_run(run) == {"q": ["first", "second", "low"], "other": ["a"]}


def test_names_with_spaces_survive_a_run_file(tmp_path: Any) -> None:
    rankings = {"a query": ["my photo.jpg", "50% off.png", "tab\there.gif", "ümlaut.png"], "b": ["x"]}
    trec.write_run(tmp_path / "a.run", rankings, "my system")
    assert trec.read_run(tmp_path / "a.run") == rankings


def test_a_missing_query_is_counted_and_not_scored(layout: Any, tmp_path: Any) -> None:
    run = tmp_path / "a.run"
    run.write_text("27095 Q0 dev-1-0-img0 1 0.9 x\n")
    got = score_run("cirr", root=layout("cirr"), run_file=run)
    assert (got["queries"], got["failed"]) == (8, 7) and got["metrics"]["final"]["all"]["R@1"] == 100.0
