"""What README and the documentation claim is run or looked up: code, commands, links, paths, numbers, pictures."""

from __future__ import annotations

import argparse
import ast
import importlib
import pkgutil
import re
import shlex
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from imagescope_agent import cli
from imagescope_agent.commands.benches.cost import COST
from imagescope_agent.commands.benches.quality import QUALITY
from tests.pages import README, ROOT, blocks

PACKAGE = ROOT / "imagescope_agent"

RESULTS = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")

PAGES = {
    str(page.relative_to(ROOT)): page.read_text(encoding="utf-8")
    for page in (
        *(ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md")),
        *sorted((ROOT / "docs").rglob("*.md")),
        PACKAGE / "mini" / "README.md",
    )
}

PICTURES = sorted([*(ROOT / "docs").rglob("*.png"), *(ROOT / "docs").rglob("*.svg")])


def commands(text: str, program: str) -> list[str]:
    """What a page tells to run: lines of code blocks and inline code that begin with the program's name."""
    lines = re.findall(rf"^(?:    )?({program} .*)$", text, re.MULTILINE)
    without_descriptions = [re.split(r"  +|#", line)[0] for line in lines]
    return [*without_descriptions, *re.findall(rf"`({program} [^`]+)`", text.replace("\n", " "))]


def slug(heading: str) -> str:
    """The anchor of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def test_the_readme_is_short_and_begins_with_a_picture_and_two_commands() -> None:
    assert len(README.splitlines()) <= 170
    first_screen = "\n".join(README.splitlines()[:20])
    places = [first_screen.index(mark) for mark in ("docs/demo.png", "    make demo", "    make test")]
    assert places == sorted(places)


def test_the_mini_models_limits_are_told_where_a_newcomer_indexes_photos() -> None:
    section = next(part for part in README.split("\n## ") if "imagescope index photos" in part)
    assert "never shown a photo" in section


def test_the_page_of_commands_lists_every_benchmark() -> None:
    (line,) = re.findall(r"^    imagescope bench NAME +(.*)$", PAGES["docs/commands.md"], re.MULTILINE)
    assert sorted(line.split(", ")) == sorted({**COST, **QUALITY})


@pytest.mark.parametrize("page", PAGES)
def test_links_resolve(page: str) -> None:
    text, folder = PAGES[page], (ROOT / page).parent
    targets = [*re.findall(r"\]\(([^)\s]+)\)", text), *re.findall(r'src="([^"]+)"', text)]
    for target in targets:
        if target.startswith("http"):
            continue
        name, _, anchor = target.partition("#")
        linked = folder / name if name else ROOT / page
        assert linked.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", linked.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in map(slug, headings), target


@pytest.mark.parametrize("page", PAGES)
def test_paths_in_the_text_are_there(page: str) -> None:
    starts = r"imagescope_agent|tests|graphs|prompts|docs|notebooks"
    for path in re.findall(rf"`((?:{starts})/[\w./]*)`|\b(tests/[\w/]+\.py)", PAGES[page]):
        assert (ROOT / "".join(path)).exists(), path


@pytest.mark.parametrize("page", [page for page in PAGES if page.count("/") < 2])
def test_names_in_the_text_are_there(page: str) -> None:
    """Files and folders stand in the repository or the package, other names in some line of the code."""
    for name in re.findall(r"`([^`\s]+)`", PAGES[page]):
        if re.fullmatch(r"[\w/]+(/|\.(py|toml|json))", name):
            assert (ROOT / name).exists() or any(PACKAGE.rglob(name.rstrip("/"))), name
        elif re.fullmatch(r"[a-z_]+(\.\w+)+", name) and not name.endswith(".jsonl"):
            pkgutil.resolve_name(f"imagescope_agent.{name.removeprefix('imagescope_agent.')}")
        elif re.fullmatch(r"[A-Z]\w{3,}", name):
            assert re.search(rf"\b{name}\b", code()), name


@cache
def code() -> str:
    """All Python of the package and its tests but this file."""
    files = [*PACKAGE.rglob("*.py"), *(ROOT / "graphs").glob("*.py"), *(ROOT / "tests").rglob("*.py")]
    return "\n".join(file.read_text(encoding="utf-8") for file in files if file != Path(__file__))


def test_the_tests_that_hold_a_promise_are_there() -> None:
    file = ""
    for path, name in re.findall(r"(tests/[\w/]+\.py)|::(\w+)", PAGES["docs/security.md"]):
        file = path or file
        assert not name or f"def {name}(" in (ROOT / file).read_text(encoding="utf-8"), f"{file}::{name}"


@cache
def parser() -> argparse.ArgumentParser:
    """The command line's own."""
    return cli.build_parser()


def subcommands(of: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The commands below a parser, by name."""
    found: dict[str, argparse.ArgumentParser] = {}
    for action in of._actions:
        if isinstance(action, argparse._SubParsersAction):
            found |= action.choices
    return found


@pytest.mark.parametrize("page", PAGES)
def test_commands_exist_with_their_flags(page: str) -> None:
    for line in commands(PAGES[page], "imagescope"):
        words = shlex.split(re.sub(r"[][|]", " ", line))
        assert words[1] in subcommands(parser()) or words[1].isupper(), line
        current = parser()
        for word in words[1:]:
            current = subcommands(current).get(word, current)
            assert not word.startswith("-") or word in current._option_string_actions, line
    for line in commands(PAGES[page], "make"):
        makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
        target = line.split()[1]
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), line


def flags(of: argparse.ArgumentParser) -> set[str]:
    """The flags of a parser and of all commands below it."""
    return set(of._option_string_actions).union(*(flags(each) for each in subcommands(of).values()))


@pytest.mark.parametrize("page", PAGES)
def test_flags_that_are_named_alone_exist(page: str) -> None:
    assert set(re.findall(r"`(--[a-z-]+)", PAGES[page])) <= flags(parser())


def test_every_command_is_documented() -> None:
    told = {line.split()[1] for line in commands(PAGES["docs/commands.md"], "imagescope")}
    assert told == set(cli.COMMANDS)


@pytest.mark.parametrize("page", PAGES)
def test_python_parses_and_what_it_imports_is_there(page: str) -> None:
    for block in blocks(PAGES[page], "python"):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom):
                assert node.module is not None
                for alias in node.names:
                    assert hasattr(importlib.import_module(node.module), alias.name), ast.unparse(node)


def test_the_profile_of_the_hosting_page_is_one(tmp_path: Path) -> None:
    from imagescope_agent.mllms import MLLMS
    from imagescope_agent.profiles.profile import load_profile
    from imagescope_agent.registry import resolve
    from imagescope_agent.settings import Settings

    whole, part = blocks(PAGES["docs/hosting.md"], "toml")
    (tmp_path / "my.toml").write_text(whole)
    profile = load_profile(str(tmp_path / "my.toml"))
    Settings.load(profile.settings)
    for options in profile.models.values():
        hosted = resolve(options["mllm"], MLLMS)
        assert set(options) - {"mllm"} <= set(hosted.model_fields)
    assert ":" in tomllib.loads(part)["models"]["mine"]["mllm"]


@pytest.mark.parametrize("profile", ["laptop", "gpu", "paper", "server", "mini"])
def test_every_profile_is_in_the_hosting_page(profile: str) -> None:
    from imagescope_agent.profiles import PROFILES

    assert profile in PROFILES and f"| `{profile}` |" in PAGES["docs/hosting.md"]


def numbers(text: str) -> set[str]:
    """The numbers of a text, without those that are parts of names (R@1, Flickr30K)."""
    return set(re.findall(r"(?<![\w.@-])\d+(?:\.\d+)?(?!\w|\.\d)", text))


def prose(text: str) -> str:
    """A page without code, links, tags and numbers of lists."""
    for code in (r"^```.*?^```", r"^    .*$", r"`[^`\n]*`", r"\[[^]]*\]\([^)]*\)", r"<[^>]*>", r"^\d+\. "):
        text = re.sub(code, "", text, flags=re.MULTILINE | (re.DOTALL if code.startswith("^`") else 0))
    return text


def test_the_readmes_numbers_are_measured_ones() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    known = numbers(RESULTS) | numbers(project["requires-python"].replace(">=", " "))
    assert numbers(prose(README)) and not numbers(prose(README)) - known


def cells(line: str) -> list[str]:
    """The cells of a row of a table."""
    return [cell.strip(" `") for cell in line.strip("|\n").split("|")]


def test_the_readmes_results_are_those_of_their_rows() -> None:
    measured = [cells(line) for line in RESULTS.splitlines() if line.startswith("|")]
    rounds = {row[0]: row[2] for row in measured if len(row) == 13 and row[0] in ("clip", "ours")}
    rows = [cells(line) for line in README.split("## Results")[1].splitlines() if line.startswith("|")][2:8]
    assert len(rows) == 6
    for _, measure, graph, baseline, value in rows:
        if measure == "R@1":
            assert any(row[0] == graph and row[4:6] == [baseline, value] for row in measured), graph
        else:
            assert rounds == {"clip": baseline, "ours": value}


def test_pictures_are_shown_made_by_a_command_and_small() -> None:
    assert sum(file.stat().st_size for file in PICTURES) < 1_500_000
    made = RESULTS.split("## Pictures")[1]
    for file in PICTURES:
        name = file.relative_to(ROOT / "docs").as_posix()
        assert any(file.name in text for text in PAGES.values()), f"{name} is shown nowhere"
        assert name in made or f"{file.stem}.md" in made or name.split("/")[0] + "/" in made, name


def mapped(tree: str) -> Iterator[Path]:
    """The files and folders that the map in ARCHITECTURE.md names."""
    folders: list[Path] = []
    for line in tree.splitlines():
        depth = (len(line) - len(line.lstrip()) - 4) // 2
        names = re.split(r", ?", re.split(r"  +", line.strip())[0])
        parent = folders[depth - 1] if depth else ROOT
        folders[depth:] = [parent / names[-1]]
        yield from (parent / name for name in names)


def test_the_map_names_real_places_and_every_folder_of_the_package() -> None:
    tree = PAGES["ARCHITECTURE.md"].split("## Map\n\n")[1].split("\n\n")[0]
    places = list(mapped(tree))
    assert len(PAGES["ARCHITECTURE.md"].splitlines()) <= 90
    assert [str(place) for place in places if not place.exists()] == []
    folders = [*PACKAGE.iterdir(), *(PACKAGE / "lab").iterdir()]
    packages = {folder for folder in folders if (folder / "__init__.py").is_file()}
    assert packages - set(places) == set()
