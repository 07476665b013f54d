"""Who may import whom: one way, as ARCHITECTURE.md draws it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# each part of the package may import the parts on its right, its own files, and nothing else of ours
BASE = ["errors", "redact", "untrusted"]
MODELS = [*BASE, "registry", "reader", "mllms"]
RECORDS = [*BASE, "settings", "state"]
TOOLS = [*MODELS, *RECORDS, "ledger", "prompting", "parsing", "judges", "collection"]
SERVICES = [*TOOLS, "profiles", "services"]
API = [*SERVICES, "results", "checkpoints", "traces", "api", "scenes"]
ALLOWED = {
    "redact": [],
    "errors": ["redact"],
    "untrusted": ["errors", "redact"],
    "settings": BASE,
    "state": BASE,
    "registry": BASE,
    "reader": [],
    "parsing": [*BASE, "reader", "state"],
    "prompting": BASE,
    "ledger": RECORDS,
    "results": [*RECORDS, "collection"],
    "checkpoints": BASE,
    "mllms": MODELS,
    "profiles": [*BASE, "registry", "settings", "mllms", "prompting"],
    "collection": TOOLS,
    "judges": TOOLS,
    "nodes": TOOLS,
    "services": SERVICES,
    "traces": [*SERVICES, "results"],
    "graphs": [*SERVICES, "nodes", "traces"],
    "api": API,
    "chat": [*API, "nodes"],
    "scenes": BASE,
    "training": [*API, "training"],
    "evaluation": [*API, "chat", "nodes"],
    "demo": API,
    "benchmarks": [*API, "chat", "evaluation"],
    "doctor": [*API, "benchmarks"],
    "commands": [*API, "benchmarks", "chat", "demo", "doctor", "evaluation", "training"],
    "cli": [*BASE, "commands"],
    "__init__": API,
}
FILES = [*(ROOT / "imagescope_agent").rglob("*.py"), *(ROOT / "graphs").glob("*.py")]


def part(file: Path) -> str:
    """The part of the package a file belongs to."""
    inside = file.relative_to(ROOT)
    return "graphs" if inside.parts[0] == "graphs" else inside.parts[1].removesuffix(".py")


def imported(file: Path) -> set[str]:
    """The parts of the package that a file imports, anywhere in it; `<dynamic>` names excepted."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            base = node.module
            names |= (
                {f"{base}.{alias.name}" for alias in node.names} if base == "imagescope_agent" else {base}
            )
    ours = {name.split(".")[1] for name in names if name.startswith("imagescope_agent.")}
    return {name for name in ours if (ROOT / "imagescope_agent" / name).exists() or exists(name)}


def exists(name: str) -> bool:
    """Whether a name is a module of ours rather than something a package exports."""
    return name in ("graphs", "prompts") or (ROOT / "imagescope_agent" / f"{name}.py").is_file()


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_imports_go_one_way(file: Path) -> None:
    own = part(file)
    assert imported(file) <= {*ALLOWED[own], own}


def test_graphs_are_short_and_reached_by_name_only() -> None:
    for file in FILES:
        assert "graphs" not in imported(file), f"{file} imports a graph: use load_graph(name)"
    for file in (ROOT / "graphs").glob("[!_]*.py"):
        assert len(file.read_text(encoding="utf-8").splitlines()) <= 100, file
