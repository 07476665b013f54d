"""Who may import whom: one way, as ARCHITECTURE.md draws it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import networkx as nx
import pytest

ROOT = Path(__file__).parents[2]

# each part of the package may import the parts on its right, its own files, and nothing else of ours
BASE = ["common", "errors", "records", "usage", "dialogue_acts"]
MODELS = [*BASE, "registry", "replies", "mllms"]
STATE = [*BASE, "settings", "state"]
TOOLS = [*MODELS, *STATE, "run_budget", "prompting", "judges", "retrieval"]
SERVICES = [*TOOLS, "profiles", "services"]
API = [*SERVICES, "runs", "traces", "profile_choice", "cluster", "indexing", "integrations.langchain", "api"]
LAB = ["lab", "lab.scenes", "lab.training", "lab.benchmarks", "lab.demo"]
ALLOWED = {
    "common": ["errors"],
    "dialogue_acts": [],
    "errors": ["common"],
    "settings": BASE,
    "state": BASE,
    "registry": BASE,
    "replies": [*BASE, "state"],
    "prompting": BASE,
    "records": ["errors"],
    "usage": [],
    "run_budget": STATE,
    "runs": TOOLS,
    "diagram": [*SERVICES, "nodes"],
    "mllms": MODELS,
    "profiles": [*BASE, "registry", "settings", "mllms", "prompting"],
    "retrieval": TOOLS,
    "photo_chat": TOOLS,
    "judges": TOOLS,
    "nodes": TOOLS,
    "services": SERVICES,
    "profile_choice": SERVICES,
    "cluster": [*SERVICES, "runs"],
    "indexing": [*SERVICES, "profile_choice", "runs", "cluster"],
    "traces": [*SERVICES, "runs"],
    "graphs": [*SERVICES, "nodes", "traces"],
    "api": API,
    "chat": [*API, "nodes"],
    "client": ["errors"],
    "ingest": API,
    "integrations.langchain": [*SERVICES, "runs"],
    "integrations": API,
    "rerank": API,
    "service": [*API, "rerank", "chat"],
    "training_data": [*API, "nodes"],
    "evaluation": [*API, "chat", "nodes", "lab.scenes"],
    "lab": API,
    "lab.scenes": BASE,
    "lab.training": [*API, "lab.scenes", "nodes", "photo_chat", "training_data"],
    "lab.demo": [*API, "lab.scenes"],
    "lab.benchmarks": [*API, "chat", "client", "evaluation", *LAB, "nodes", "training_data"],
    "doctor": [*API, "lab.benchmarks"],
    "commands": [
        *API,
        *LAB,
        "chat",
        "service",
        "ingest",
        "integrations",
        "rerank",
        "diagram",
        "doctor",
        "evaluation",
        "training_data",
    ],
    "cli": [*BASE, "commands"],
    "__init__": API,
}
PACKAGE = ROOT / "imagescope_agent"
FILES = [*PACKAGE.rglob("*.py"), *(ROOT / "graphs").glob("*.py")]


def part(file: Path) -> str:
    """The part of the package a file belongs to."""
    inside = file.relative_to(ROOT)
    return "graphs" if inside.parts[0] == "graphs" else part_of(".".join(inside.with_suffix("").parts))


def part_of(module: str) -> str:
    """The part that a module's dotted name belongs to; the lab has several."""
    names = module.split(".")
    room = ".".join(names[1:3]) if names[1] in ("lab", "integrations") else names[1]
    return room if room in ALLOWED else names[1]


def modules_imported(file: Path, *, for_types: bool = True) -> set[str]:
    """Our modules that a file imports, inside functions too.

    Args:
        file: the file.
        for_types: count also what is imported under `if TYPE_CHECKING:`, which never runs.
    """
    names: set[str] = set()
    for node in statements(ast.parse(file.read_text(encoding="utf-8")), for_types=for_types):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return {name for name in names if name.startswith("imagescope_agent.") and exists(name)}


def statements(tree: ast.AST, *, for_types: bool) -> Iterator[ast.AST]:
    """Every node of a tree."""
    for node in ast.iter_child_nodes(tree):
        if for_types or not (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)):
            yield node
            yield from statements(node, for_types=for_types)


def exists(module: str) -> bool:
    """Whether a dotted name is a module of ours rather than something that a module defines."""
    names = module.split(".")[1:]
    if names[0] in ("graphs", "prompts"):
        return True
    path = PACKAGE.joinpath(*names)
    return path.is_dir() or path.with_suffix(".py").is_file()


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_imports_go_one_way(file: Path) -> None:
    own = part(file)
    assert {part_of(module) for module in modules_imported(file)} <= {*ALLOWED[own], own}


def test_no_module_imports_itself_by_way_of_others() -> None:
    graph = nx.DiGraph()
    for file in PACKAGE.rglob("*.py"):
        module = ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for name in modules_imported(file, for_types=False) - {module}:
            graph.add_edge(module, name)
    assert not [sorted(circle) for circle in nx.strongly_connected_components(graph) if len(circle) > 1]


def test_graphs_are_short_and_reached_by_name_only() -> None:
    for file in FILES:
        graphs = {name for name in modules_imported(file) if part_of(name) == "graphs"}
        assert not graphs, f"{file} imports a graph: use load_graph(name)"
    for file in (ROOT / "graphs").glob("[!_]*.py"):
        assert len(file.read_text(encoding="utf-8").splitlines()) <= 100, file
