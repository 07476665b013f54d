"""`imagescope graphs`, `judges` and `profiles`: what there is, one line each."""

from __future__ import annotations

import argparse
import importlib
import tomllib
from importlib.resources import files

from imagescope_agent.commands import path, plain

OWN = {  # of each list: what else may be named
    "graphs": "Any other: the entry point of a package (group imagescope_agent.graphs), or MODULE:ATTRIBUTE.",
    "judges": "Any other: MODULE:ATTRIBUTE.",
    "profiles": "Your own: a file that ends in .toml; its models, embedder and store may be MODULE:ATTRIBUTE.",
}
WHERE = " The module is installed, or lies in the current folder."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the one argument of `graphs`."""
    parser.epilog = OWN[parser.prog.split()[-1]] + WHERE
    if parser.prog.endswith("graphs"):
        parser.add_argument("--draw", type=path, metavar="DIR", help="write a picture of each into DIR")


def run(args: argparse.Namespace) -> int:
    """Print the names with one line each, or the files that were drawn."""
    if getattr(args, "draw", None):
        from imagescope_agent.diagram import write_all

        print("\n".join(plain(str(file)) for file in write_all(args.draw)))
        return 0
    found = {"graphs": _graphs, "judges": _judges, "profiles": _profiles}[args.command]()
    width = max(map(len, found), default=0)
    for name, line in found.items():
        print(f"{name:<{width}}  {line}".rstrip())
    return 0


def _graphs() -> dict[str, str]:
    from imagescope_agent.registry import graphs

    return {name: _first_line(target) for name, target in sorted(graphs().items())}


def _judges() -> dict[str, str]:
    from imagescope_agent.judges import JUDGES
    from imagescope_agent.registry import resolve

    return {
        name: getattr(resolve(name, JUDGES, kind="judge"), "summary", "") or _first_line(target)
        for name, target in JUDGES.items()
    }


def _profiles() -> dict[str, str]:
    folder = files("imagescope_agent") / "profiles"
    tables = {
        file.name.removesuffix(".toml"): tomllib.loads(file.read_text(encoding="utf-8"))
        for file in folder.iterdir()
        if file.name.endswith(".toml")
    }
    return {name: str(table.get("description", "")) for name, table in sorted(tables.items())}


def _first_line(target: str) -> str:
    """What the module of "module:attribute" says about itself."""
    module = importlib.import_module(target.partition(":")[0])
    return (module.__doc__ or "").strip().partition("\n")[0]
