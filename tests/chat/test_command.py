"""`imagescope chat`: one turn a line, commands, what it prints and how it exits."""

from __future__ import annotations

import base64
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from imagescope_agent import cli
from imagescope_agent.chat.thumbnails import terminal_picture, terminal_protocol
from imagescope_agent.commands import chat as chat_command
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


def test_reasons_read_as_on_the_page(chat: Any) -> None:
    _, out, _ = chat(["a red square"], "-k", "2")
    assert "   1  red.png\n      ✓ Is it red? (wanted yes, 90%)\n" in out
    assert "      ✗ Is it red? (wanted yes, 10%)\n" in out and "P(Yes)" not in out


def test_what_stands_after_an_undo_is_shown(chat: Any) -> None:
    _, out, _ = chat(["a red square", "no, a blue one", "/undo", "/undo"], "-k", "1")
    after = out.partition("undone; 1 turn left\n")[2]
    assert (
        after.startswith("looking for: a red square\n   1  red.png\n") and "? Tell me: is it light?" in after
    )
    assert after.endswith("undone; 0 turns left\nnothing is looked for yet\n")


def test_an_export_goes_to_a_new_file_only(chat: Any, tmp_path: Path) -> None:
    file, there = tmp_path / "talk.json", tmp_path / "there.json"
    there.write_text("mine")
    code, out, err = chat(["a red square", f"/export {file}", f"/export {there}", f"/export {tmp_path}/no/x"])
    assert code == 2 and f"written to {file}" in out and len(err.splitlines()) == 2
    assert [turn["message"] for turn in json.loads(file.read_text())["turns"]] == ["a red square"]
    assert there.read_text() == "mine" and "choose another name" in err


def test_help_lists_every_command(chat: Any) -> None:
    _, _, err = chat(["/help"])
    listed = {line.split()[0] for line in err.splitlines()}
    source = Path(chat_command.__file__).read_text()
    taken = set(re.findall(r'command == "(/\w+)"', source)) | {
        "/like",
        "/reject",
        "/unlike",
        "/where",
        "/quit",
    }
    assert listed == taken and len(taken) == 11


@pytest.mark.parametrize("word", ["/quit", " /Exit "])
def test_one_may_leave(chat: Any, word: str) -> None:
    code, out, _ = chat(["a red square", word, "a blue square"])
    assert code == 0 and out.count("looking for") == 1


@pytest.mark.parametrize("command", ["/Like 2", "/like\t2"])
def test_a_command_may_be_written_in_capitals_or_with_a_tab(chat: Any, command: str) -> None:
    code, out, err = chat(["a red square", command])
    assert code == 0 and "no command" not in err and out.count("looking for") == 2


def test_what_cannot_be_used_is_one_line_each_and_the_rest_goes_on(chat: Any) -> None:
    code, out, err = chat(
        ["/like 1", "", "/fly", "/undo", "/branch x", "/image none.png", "a red square", "a" * 10_000]
    )
    assert code == 2
    assert len(err.splitlines()) == 7 and all(line.startswith("imagescope: ") for line in err.splitlines())
    assert "looking for: a red square" in out and "'/fly'; /help lists them" in err
    code, _, err = chat([], "--thread", "../etc")
    assert code == 2 and "cannot name a conversation" in err


def test_conversations_are_listed_and_forgotten(chat: Any) -> None:
    for name in ("one", "two", "three"):
        chat(["a red square"], "--thread", name)
    code, out, _ = chat([], "--list")
    assert code == 0 and [line.split()[0] for line in out.splitlines()] == ["three", "two", "one"]
    assert chat([], "--delete", "two")[:2] == (0, "forgotten: two\n")
    code, _, err = chat([], "--delete", "two")
    assert code == 2 and err.startswith("imagescope: there is no conversation 'two'; ") and "--list" in err
    assert chat([], "--prune", "7")[1] == "forgotten: none\n"
    assert sorted(chat([], "--prune", "0")[1].split(": ")[1].split()) == ["one", "three,"]
    assert json.loads(chat([], "--list", "--json")[1]) == []
    assert re.fullmatch(r"0 conversations converted; [\d.]+ MB became [\d.]+ MB\n", chat([], "--compact")[1])


@pytest.mark.parametrize(
    ("environment", "protocol"),
    [
        ({"TERM": "xterm-kitty"}, "kitty"),
        ({"TERM": "xterm-256color", "KITTY_WINDOW_ID": "1"}, "kitty"),
        ({"TERM": "xterm-ghostty"}, "kitty"),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "iTerm.app"}, "iterm"),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "WezTerm"}, "iterm"),
        ({"TERM": "xterm-kitty", "TMUX": "/tmp/tmux"}, None),
        ({"TERM": "xterm-256color"}, None),
        ({}, None),
    ],
)
def test_only_terminals_that_show_pictures_are_sent_them(
    environment: dict[str, str], protocol: str | None
) -> None:
    assert terminal_protocol(environment) == protocol


def test_a_thumbnail_is_one_whole_picture_in_escape_sequences(world: Any, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (300, 400, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    sent = terminal_picture(tmp_path / "noise.png", "kitty", rows=6)
    parts = re.findall(r"\033_G([^;]*);([^\033]*)\033\\", sent)
    assert parts[0][0] == "a=T,f=100,r=6,m=1" and {more for more, _ in parts[1:-1]} == {"m=1"}
    assert parts[-1][0] == "m=0" and all(len(data) <= 4096 for _, data in parts)
    shown = Image.open(io.BytesIO(base64.b64decode("".join(data for _, data in parts))))
    assert shown.size == (192, 144)
    inline = terminal_picture(tmp_path / "noise.png", "iterm")
    assert inline.startswith("\033]1337;File=inline=1;height=6:") and inline.endswith("\a")
