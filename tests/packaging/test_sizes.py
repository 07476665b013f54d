"""Files stay within 300 lines, functions of the package within 40, unless a comment beside them says why."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILES = [*(ROOT / "imagescope_agent").rglob("*.py"), *(ROOT / "graphs").glob("*.py")]
FILE, FUNCTION = 300, 40
WEIGHTS = 50_000_000  # bytes of all that ship
#: Files of tests that may be longer, and why.
LONG_TESTS: dict[str, str] = {}


def long_files(files: Iterable[Path]) -> set[str]:
    """Those of more than 300 lines, by their path in the repository."""
    return {
        file.relative_to(ROOT).as_posix()
        for file in files
        if len(file.read_text(encoding="utf-8").splitlines()) > FILE
    }


def reason(name: str) -> str:
    """What the comment on the first lines of a file says, empty without one."""
    first = (ROOT / name).read_text(encoding="utf-8").splitlines()[:5]
    return next((line.removeprefix("# ") for line in first if line.startswith("# ")), "")


def test_no_file_is_long() -> None:
    assert long_files(FILES) == set()


def test_no_file_of_tests_is_long_without_a_reason() -> None:
    long = long_files((ROOT / "tests").rglob("*.py"))
    assert {name for name in long if not reason(name)} - set(LONG_TESTS) == set()
    assert set(LONG_TESTS) <= long, "what is short again needs no exception"


def test_no_function_is_long_without_a_reason_beside_it() -> None:
    long = []
    for file in FILES:
        source = file.read_text(encoding="utf-8")
        lines = source.splitlines()
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno:
                size = node.end_lineno - node.lineno + 1
                if size > FUNCTION and "  # " not in lines[node.lineno - 1]:
                    long.append(f"{file.relative_to(ROOT)}: {node.name} has {size} lines")
    assert long == []


def test_all_weights_together_are_small() -> None:
    sizes = {file: file.stat().st_size for file in (ROOT / "imagescope_agent").rglob("*.safetensors")}
    assert len(sizes) >= 10 and sum(sizes.values()) <= WEIGHTS, sizes
