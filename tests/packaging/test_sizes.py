"""Files of the package stay within 300 lines and functions within 40, unless a comment beside them says why."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILES = [*(ROOT / "imagescope_agent").rglob("*.py"), *(ROOT / "graphs").glob("*.py")]
FILE, FUNCTION = 300, 40


def test_no_file_is_long() -> None:
    sizes = {
        str(file.relative_to(ROOT)): len(file.read_text(encoding="utf-8").splitlines()) for file in FILES
    }
    assert {name: size for name, size in sizes.items() if size > FILE} == {}


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
