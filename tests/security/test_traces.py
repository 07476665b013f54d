"""A trace that somebody else wrote: bounded in memory, silent on the terminal, and no window on this machine."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import subprocess
import sys
import zlib
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from imagescope_agent import cli
from imagescope_agent.api import ImageScope
from imagescope_agent.errors import BadInput
from imagescope_agent.traces.packing import LARGEST_EVENT, Unpacker, pack
from imagescope_agent.traces.pages.page import render
from imagescope_agent.traces.store import TraceStore
from imagescope_agent.traces.trace import Trace
from tests.chat.talk import talking
from tests.security.strangers import database
from tests.traces.runs import HEAD, write

ESCAPES = "\x1b[2J\x9b2J\x1b]0;owned\x07\r\u202e\x7f"


def stranger(path: Path, *, folder: str, names: list[str], reference: str | None = None, **end: Any) -> Trace:
    """A trace that names what it likes."""
    with closing(TraceStore(path)) as store:
        about = {**HEAD, "folder": folder, "reference": reference, **end.pop("about", {})}
        run = store.start("run", graph="imagescope", query="q", about=about)
        span = store.append(run, "node", {"node": "retrieve", "step": 1, "attempt": 1, "parent": 0})
        store.append(run, "node_end", {"span": span, "update": {"ranking": names}})
        store.append(run, "end", {"status": "done", **end})
        return Trace(*store.read(run))


def test_a_page_embeds_no_picture_whose_content_the_run_did_not_see(tmp_path: Path) -> None:
    private = tmp_path / "home" / "private.png"
    private.parent.mkdir()
    Image.new("RGB", (40, 40), "red").save(private)
    relative = str(private).removeprefix("/")
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "link.png").symlink_to(private)
    key = "0" * 64
    for number, (folder, name, reference) in enumerate(
        [("/", relative, None), ("/", str(private), None), (str(private.parent), "private.png", None),
         ("", str(private), None),
         (str(tmp_path / "theirs"), "../home/private.png", None), (str(tmp_path / "theirs"), "link.png", None),
         ("/", "x", str(private)), ("\0", "a\0b", None)]
    ):  # fmt: skip
        for keys in ({}, {name: key}, {name: None}, {name: ["x"]}, "none", [name]):
            trace = stranger(
                tmp_path / f"{number}", folder=folder, names=[name], reference=reference, keys=keys,
                about={"keys": {str(reference): key}},
            )  # fmt: skip
            assert "data:image" not in render(trace)
    true = hashlib.sha256(private.read_bytes()).hexdigest()
    for name, folder in (("../home/private.png", "theirs"), ("link.png", "theirs")):
        outside = stranger(tmp_path / "o", folder=str(tmp_path / folder), names=[name], keys={name: true})
        assert "data:image" not in render(outside), "not even where its content is known"
    shown = stranger(
        tmp_path / "s", folder=str(private.parent), names=["private.png"], keys={"private.png": true}
    )
    assert render(shown).count("data:image") == 1


def test_a_search_shows_its_pictures_and_so_does_a_trace_of_an_earlier_version(
    world: Any,
) -> None:
    result = ImageScope(talking(world)).search("a red square", image=world.folder / "blue.png")
    store = world.collection.location / "traces.sqlite"

    def shown(run: str | None = None) -> int:
        with closing(TraceStore(store)) as opened:
            return render(Trace(*opened.read(run))).count("data:image/webp")

    assert shown(result.run) == len({*result.rankings["final"], "blue.png"}) == 8
    with database(store) as base:
        for table, column in (("events", "data"), ("runs", "about")):
            for row, data in base.execute(f"select rowid, {column} from {table}").fetchall():
                content = {k: v for k, v in json.loads(zlib.decompress(data)).items() if k != "keys"}
                base.execute(f"update {table} set {column} = ? where rowid = ?", (pack(content), row))
    assert shown(result.run) == 7, "as the index beside the trace has it; the reference was a file's name"
    (world.collection.location / "imagescope.json").unlink()
    assert shown(result.run) == 0, "nothing says any more what the run saw"


def test_a_reference_from_elsewhere_is_shown_while_it_is_the_same(world: Any, tmp_path: Path) -> None:
    mine = tmp_path / "mine.png"
    Image.new("RGB", (40, 40), (1, 2, 3)).save(mine)
    result = ImageScope(talking(world)).search("a red square", image=mine)
    with closing(TraceStore(world.collection.location / "traces.sqlite")) as store:
        trace = Trace(*store.read(result.run))
    both = render(trace).count("data:image/webp")
    Image.new("RGB", (40, 40), (3, 2, 1)).save(mine)
    assert render(trace).count("data:image/webp") == both - 1


BOMBS = {
    "zeros": zlib.compress(b'{"status": "' + b"0" * 600_000_000 + b'"}', 9),
    "lists": zlib.compress(b'{"status": [' + b"[]," * 30_000_000 + b"[]]}", 9),
    "deep": zlib.compress(b'{"status": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_small_blob_takes_no_gigabytes(bomb: str, tmp_path: Path) -> None:
    write(tmp_path / "t")
    with database(tmp_path / "t") as base:
        base.execute("update events set data = ? where kind = 'end'", (BOMBS[bomb],))
    code = (
        "import resource, sys\nfrom imagescope_agent import cli\n"
        "import imagescope_agent.traces.trace, imagescope_agent.traces.pages.page\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        f"codes = [cli.main(['trace', *w, '--store', {str(tmp_path / 't')!r}]) for w in ([], ['--last'])]\n"
        "print(*codes, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    *codes, grown = map(int, done.stdout.splitlines()[-1].split())
    assert codes == [0, 2] and "damaged" in done.stdout and done.stderr.count("\n") == 1
    assert grown < 300_000, f"{grown} kB"


def test_many_events_are_bounded_together(tmp_path: Path) -> None:
    data = pack({"text": "x" * 1000})
    unpack = Unpacker(5000)
    with pytest.raises(ValueError, match="too large"):
        for _ in range(10):
            unpack(data)
    with pytest.raises(ValueError, match="more than"):
        pack({"text": "x" * LARGEST_EVENT})


@pytest.mark.parametrize(
    "statement",
    [
        "update runs set started = 'never'", "update runs set started = 9e999", "update runs set query = x'ff'",
        "update runs set id = 7, thread = 7", "update runs set about = 'text'", "update runs set about = x'00'",
        "update events set at = 'x'", "update events set kind = x'00'", "update events set data = 5",
        "update events set data = x'789c'", "drop table events", "drop table runs", "update runs set graph = x'c3'",
        "pragma writable_schema=on; update sqlite_schema set sql = 'create table runs (id)' where name = 'runs'",
    ],
)  # fmt: skip
def test_damaged_rows_are_told_in_one_line(
    statement: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "t")
    with database(tmp_path / "t") as base:
        try:
            base.executescript(statement)
        except sqlite3.Error:
            pytest.skip("SQLite itself does not take it")
    for words in (
        [],
        ["--last"],
        ["run"],
        ["--json"],
        ["run", "--json"],
        ["--last", "--html", str(tmp_path / "p")],
    ):
        code = cli.main(["trace", *words, "--store", str(tmp_path / "t")])
        said = capsys.readouterr()
        assert code in (0, 2) and said.err.count("\n") == (code == 2) and "Traceback" not in said.err, said


@pytest.mark.parametrize(
    "events",
    [
        [("node", {})], [("node", {"node": 1, "attempt": "x"})], [("node_end", {"span": []})], [("call", {})],
        [("node", {"node": "retrieve", "attempt": 1}), ("node_end", {"span": 2, "update": {"ranking": 5}})],
        [("node", {"node": "r", "attempt": 1}), ("node_end", {"span": 2, "update": [1]})],
        [("node", {"node": "v", "attempt": 1}), ("node_end", {"span": 2, "update": {"verdicts": {"a": 3}}})],
        [("node", {"node": "j", "attempt": 1}), ("node_end", {"span": 2, "update": {"judgement": "x"}})],
        [("call", {"span": 1, "role": 1, "texts": [], "images": [], "asked": [[9, [9], 0]], "usage": [],
                   "started": 0})],
        [("end", {})], [("end", {"status": {}})], [("nothing", {})],
    ],
)  # fmt: skip
def test_events_that_are_none_are_told_in_one_line(
    events: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with closing(TraceStore(tmp_path / "t")) as store:
        run = store.start("run", graph="g", query="q", about={"settings": 5, "weights": "x", "keys": 3})
        for kind, data in events:
            store.append(run, kind, data)
    for words in ([], ["run"], ["run", "--json"], ["run", "--html", str(tmp_path / "p")]):
        code = cli.main(["trace", *words, "--store", str(tmp_path / "t")])
        said = capsys.readouterr()
        assert code in (0, 2) and said.err.count("\n") == (code == 2) and "Traceback" not in said.err, said


def test_nothing_that_is_printed_moves_the_cursor(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "t", query=ESCAPES, retrieved={ESCAPES: 0.5, "b": 0.4}, thread=ESCAPES)
    with database(tmp_path / "t") as base:
        base.execute("update runs set graph = ?", (ESCAPES,))
    for words in (
        [],
        ["--last"],
        ["--json"],
        ["--last", "--json"],
        ["--last", "--why", ESCAPES, "b"],
        [ESCAPES * 2],
    ):
        code = cli.main(["trace", *words, "--store", str(tmp_path / "t")])
        said = capsys.readouterr()
        assert code in (0, 2)
        for text in (said.out, said.err):
            assert all(c.isprintable() or c == "\n" for c in text), (words, text)
        if "--json" in words:
            assert ESCAPES in json.dumps(json.loads(said.out), ensure_ascii=False) or json.loads(said.out)
    assert json.loads(_json({"a": ESCAPES, "\U0001f600\u2028": "é"})) == {
        "a": ESCAPES,
        "\U0001f600\u2028": "é",
    }


def test_json_holds_only_what_json_can_hold() -> None:
    found = json.loads(
        _json({"a": float("nan"), "b": [float("inf")], "c": 1.5, "d": "\ud800"}), parse_constant=pytest.fail
    )
    assert found == {"a": None, "b": [None], "c": 1.5, "d": "\ud800"}


def _json(value: Any) -> str:
    from imagescope_agent.commands import json_text

    text = json_text(value, indent=2)
    assert all(c.isprintable() or c == "\n" for c in text)
    return text


def test_a_file_that_is_no_store_is_told(tmp_path: Path) -> None:
    (tmp_path / "t").write_bytes(b"SQLite format 3\0" + b"\xff" * 4000)
    with pytest.raises(BadInput, match="cannot keep traces"):
        TraceStore(tmp_path / "t")
