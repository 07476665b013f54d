"""Run files that are read column by column say what a reader line by line says."""

from __future__ import annotations

import math
import random
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest

from imagescope_agent.errors import BadInput
from imagescope_agent.evaluation import columns, trec


def whole(field: bytes) -> float:
    if not float(field).is_integer():
        raise ValueError(field)
    return float(field)


def slowly(content: bytes) -> dict[str, list[str]] | int:
    """The twin, with plain Python: rankings, or the number of the line that is wrong."""
    rows: list[tuple[int, str, str, float, float]] = []
    for number, line in enumerate(content.split(b"\n"), start=1):
        fields = line.split()
        if not fields:
            continue
        if len(fields) != 6 or b"\0" in line:
            return number
        try:
            ids = unquote(fields[0].decode()), unquote(fields[2].decode())
            rows.append((number, *ids, whole(fields[3]), float(fields[4])))
        except ValueError:
            return number
    if not rows:
        return 1
    pairs = [row[1:3] for row in rows]
    for place, row in enumerate(rows):
        if pairs.index(row[1:3]) < place:
            return row[0]
    for row in rows:
        if not math.isfinite(row[4]):
            return row[0]
    rankings: dict[str, list[str]] = {row[1]: [] for row in rows}
    for _, qid, image, _, _ in sorted(rows, key=lambda row: (-row[4], row[3])):
        rankings[qid].append(image)
    return rankings


def read(file: Path) -> dict[str, list[str]] | int:
    try:
        return trec.read_run(file)
    except BadInput as error:
        place = re.match(rf"{re.escape(str(file))}, line (\d+): ", str(error))
        assert place and "\n" not in str(error)
        return int(place[1])


def drawn(rng: random.Random) -> bytes:
    """A run with ids of many lengths, scores of many kinds and, at times, ties and queries in pieces."""
    form = rng.choice(["{:.6f}", "{:.17g}", "{:.2e}", "{:.1f}", "-{:.3f}", "{:.25f}"])
    names = [f"{rng.choice(['a', 'img', 'ü'])}{number:0{rng.choice([1, 7, 12])}}" for number in range(9)]
    lines = [
        f"q{'_' * (query % 3 * 6)}{query} Q0 {trec.encode(image)} {rank} {form.format(1 / rank)} tag\n"
        for query in range(rng.randint(1, 5))
        for rank, image in enumerate(rng.sample(names, rng.randint(1, 8)), start=1)
    ]
    if rng.random() < 0.3:
        rng.shuffle(lines)
    return "".join(lines).encode()


def broken(content: bytes, rng: random.Random) -> bytes:
    """A few bytes taken away, put in or said again; or the end is missing."""
    for _ in range(rng.choice([0, 1, 1, 2])):
        place = rng.randrange(len(content) + 1)
        more = rng.choice([b" ", b"\t", b"\n", b"\r\n", b"\n\n", b"\0", b"\x0b", b"%", b"%61", b".", b"-", b"+",
                           b"e", b"_", b"0", b"nan", b"inf", b"\xff", b"1" * 20, b"x" * 200])  # fmt: skip
        cut = rng.choice([0, 0, 1, 2])
        content = content[:place] + rng.choice([more, b""]) + content[place + cut :]
    if rng.random() < 0.2:
        content = content[: rng.randrange(len(content) + 1)]
    if rng.random() < 0.1:
        lines = content.splitlines(keepends=True)
        content += rng.choice(lines or [b""])
    return content


@pytest.mark.parametrize("block", [1, 90, 1 << 20])
def test_damaged_runs_are_read_as_line_by_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(trec, "BLOCK", block)
    monkeypatch.setattr(columns, "_SLOTS", 2)  # ids drive each other out all the time
    rng, seen = random.Random(block), set()
    for number in range(100):
        content = broken(drawn(rng), rng)
        (tmp_path / "a.run").write_bytes(content)
        expected = slowly(content)
        assert read(tmp_path / "a.run") == expected, (number, content)
        seen.add(type(expected))
    assert seen == {int, dict}


def test_a_run_that_is_cut_off_anywhere_in_its_last_line(tmp_path: Path) -> None:
    content = b"q Q0 a 1 0.5 x\nq Q0 b 2 0.25 tag\n"
    for end in range(15, len(content) + 1):
        (tmp_path / "a.run").write_bytes(content[:end])
        assert read(tmp_path / "a.run") == slowly(content[:end])


def test_an_id_in_two_spellings_is_one_id(tmp_path: Path) -> None:
    run = tmp_path / "a.run"
    run.write_text("q Q0 a 1 0.5 x\n%71 Q0 b 2 0.25 x\n")
    assert trec.read_run(run) == {"q": ["a", "b"]}
    run.write_text("q Q0 a 1 0.5 x\n%71 Q0 %61 2 0.25 x\n")
    with pytest.raises(BadInput, match="line 2: image 'a' occurs twice for query 'q'"):
        trec.read_run(run)


def test_what_no_line_and_no_field_is(tmp_path: Path) -> None:
    run = tmp_path / "a.run"
    for text, line in (("\n \n\n", 1), ("q Q0 a 1 0.5 x\n\nq Q0 b 2\0 0.25 x\n", 3)):
        run.write_text(text)
        with pytest.raises(BadInput, match=f"line {line}: "):
            trec.read_run(run)
    run.write_text("q Q0 a 1 0.5 x\n" + "q Q0 b " + "9" * 400 + " 0.25 x\n")
    with pytest.raises(BadInput, match="line 2: expected"):
        trec.read_run(run)


@pytest.mark.parametrize("form", ["{:.6f}", "{:.9f}", "{:.0f}.", "{:.15g}", "{:.17g}", "{:.22f}"])
def test_decimals_are_read_as_floats(form: str) -> None:
    drawn = np.random.default_rng(0).random(500) * 10.0 ** np.random.default_rng(1).integers(-6, 3, 500)
    texts = [form.format(number).encode() for number in drawn]
    found: Any = columns.decimals(columns.pad(texts), points=True)
    assert found is None or found.tolist() == [float(text) for text in texts]
    assert found is not None or form in ("{:.15g}", "{:.17g}", "{:.22f}")


@pytest.mark.parametrize("text", [b".", b"1.2.3", b"-1", b"1e5", b"1_0", b"9007199254740993", b"\xb2"])
def test_what_is_no_plain_decimal_is_left_to_python(text: bytes) -> None:
    assert columns.decimals(columns.pad([b"1", text]), points=True) is None
    assert columns.decimals(columns.pad([b"1.5", b"2"]), points=False) is None
