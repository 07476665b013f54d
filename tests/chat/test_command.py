"""`imagescope chat`: one turn a line, commands, what it prints and how it exits."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from imagescope_agent import cli
from tests.chat.talk import talking


@pytest.fixture
def chat(world: Any, monkeypatch: Any, capsys: Any) -> Any:
    monkeypatch.setattr("imagescope_agent.services.open_services", lambda *args: talking(world))

    def run(lines: list[str], *options: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{line}\n" for line in lines)))
        code = cli.main(["chat", str(world.folder), *options])
        out, err = capsys.readouterr()
        return code, out, err

    return run


def test_turns_come_from_lines_and_the_export_holds_them(chat: Any) -> None:
    code, out, err = chat(["a red square", "yes"], "--thread", "mine", "-k", "3")
    assert (code, err) == (0, "")
    assert out.startswith("conversation mine\nlooking for: a red square\n   1  red.png")
    assert "? Tell me: is it warm?" in out
    code, out, err = chat(["/undo", "/like 2"], "--thread", "mine", "--export")
    exported = json.loads(out)
    assert (code, err, exported["thread"]) == (0, "", "mine")
    assert [turn["message"] for turn in exported["turns"]] == ["a red square", "/like 2"]
    assert exported["turns"][0]["results"][0]["path"].endswith("red.png")


def test_json_is_one_object_a_turn_and_a_branch_goes_its_own_way(chat: Any) -> None:
    code, out, _ = chat(["a red square", "/branch", "no, a blue one"], "--thread", "mine", "--json")
    turns = [json.loads(line) for line in out.splitlines()]
    assert code == 0 and len(turns) == 3
    assert turns[0]["thread"] == "mine" != turns[2]["thread"]
    assert turns[2]["results"][0]["id"] == "blue.png"
    _, out, _ = chat([], "--thread", "mine", "--export")
    assert len(json.loads(out)["turns"]) == 1


def test_what_cannot_be_used_is_one_line_each_and_the_rest_goes_on(chat: Any) -> None:
    code, out, err = chat(
        ["/like 1", "", "/fly", "/undo", "/branch x", "/image none.png", "a red square", "a" * 10_000]
    )
    assert code == 2
    assert len(err.splitlines()) == 7 and all(line.startswith("imagescope: ") for line in err.splitlines())
    assert "looking for: a red square" in out
    code, _, err = chat([], "--thread", "../etc")
    assert code == 2 and "cannot name a conversation" in err
