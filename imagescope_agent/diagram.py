"""Diagrams of the compiled graphs as SVG, made without weights, collection or network.

`imagescope graphs --draw docs/graphs` writes an SVG file for each graph and a page that shows them; a test fails when
they are out of date.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import networkx
from langchain_core.runnables.graph import Graph

from imagescope_agent.common.atomic_write import write_atomic
from imagescope_agent.mllms.role import Role
from imagescope_agent.mllms.scripted import Scripted
from imagescope_agent.profiles.profile import ROLES
from imagescope_agent.registry import graphs, load_graph
from imagescope_agent.services import Services

MAX_WIDTH = 1000  # pixels; longer graphs are drawn downwards
GAP, NODE_THICKNESS, END_RADIUS = 26, 34, 9  # between nodes, of a node, of the dots that begin and end
PAGE = "README.md"
ENDS = ("__start__", "__end__")
#: Graphs that answer no query, so that they are no entry points.
AGENTS = {
    "annotate": "imagescope_agent.graphs.annotate:build",
    "triplets": "imagescope_agent.graphs.triplets:build",
}


@dataclass(frozen=True, kw_only=True)
class GraphLayout:
    """Layout of a graph on a line: nodes in topological order, arcs for edges that skip nodes or go back.

    Attributes:
        nodes: name -> (start, end) along the line.
        arrows: (from, to, conditional, height): 0 is straight, above skips nodes, below goes back.
    """

    nodes: dict[str, tuple[float, float]]
    arrows: list[tuple[str, str, bool, float]]

    @property
    def length(self) -> float:
        """Pixels along the line."""
        return max(end for _, end in self.nodes.values())


def render_all() -> dict[str, str]:
    """{file name: content} of the diagrams of all graphs and of the page that shows them."""
    found = {}
    page = [
        "# Graphs", "",
        "Made from the compiled graphs by `imagescope graphs --draw docs/graphs`. A dashed arrow is taken only",
        "sometimes; an arc on the left (or above) skips steps, one on the right (or below) goes back.", "",
    ]  # fmt: skip
    for name, target in sorted({**graphs(), **AGENTS}.items()):
        found[f"{name}.svg"] = render_svg(name, compiled_graph(AGENTS.get(name, name)).get_graph())
        module = importlib.import_module(target.partition(":")[0])
        page += [f"## {name}", "", (module.__doc__ or "").strip(), "", f"![{name}]({name}.svg)", ""]
    return {**found, PAGE: "\n".join(page)}


def write_all(folder: Path) -> list[Path]:
    """Write what `render_all` returns; gives the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for name, content in render_all().items():
        write_atomic(folder / name, content)
        files.append(folder / name)
    return files


def compiled_graph(name: str) -> Any:
    """A graph compiled with placeholder services, for drawing.

    Raises:
        BadInput: there is no such graph.
    """
    placeholder: Any = None
    roles: dict[str, Any] = {role: Role(role, Scripted("")) for role in ROLES}
    return load_graph(name)(Services(embedder=placeholder, collection=placeholder, **roles))


def layout_of(graph: Graph) -> GraphLayout:
    """Lay out the nodes on a line in topological order, back edges left aside."""
    edges = [(edge.source, edge.target, edge.conditional) for edge in graph.edges]
    order = _topological_order(edges)
    place, nodes = 0.0, {}
    for name in order:
        long = 2.0 * END_RADIUS if name in ENDS else 22 + 8.2 * len(name)
        nodes[name] = (place, place + long)
        place += long + GAP
    rank = {name: i for i, name in enumerate(order)}
    arrows = [(*edge, _arc_height(rank[edge[1]] - rank[edge[0]])) for edge in edges]
    return GraphLayout(nodes=nodes, arrows=arrows)


def render_svg(name: str, graph: Graph) -> str:
    """The diagram; the same graph always gives the same bytes."""
    layout = layout_of(graph)
    down = layout.length > MAX_WIDTH
    above = max((height for *_, height in layout.arrows), default=0) + NODE_THICKNESS
    below = -min((height for *_, height in layout.arrows), default=0) + NODE_THICKNESS
    if down:  # names lie across the line, so the nodes need no more than their thickness of it
        layout = _vertical_layout(layout)
        widest = max(8.2 * len(node) + 22 for node in layout.nodes)
        above, below = above + widest / 2, below + widest / 2
    size = (above + below + 8, layout.length + 24) if down else (layout.length + 24, above + below + 8)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size[0]:.0f} {size[1]:.0f}" '
        f'width="{size[0]:.0f}" height="{size[1]:.0f}" role="img" aria-label="The graph {escape(name)}">',
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" '
        'markerUnits="userSpaceOnUse" orient="auto"><path d="M0 0L8 4L0 8z" fill="#62666f"/></marker></defs>',
        '<rect width="100%" height="100%" rx="10" fill="#fff"/>',
        f'<g transform="translate({above + 4:.0f} 12)">'
        if down
        else f'<g transform="translate(12 {above + 4:.0f})">',
        *(_arrow(layout, arrow, down) for arrow in layout.arrows),
        *(_node(node, *place, down) for node, place in layout.nodes.items()),
        "</g></svg>\n",
    ]
    return "\n".join(parts)


def _topological_order(edges: list[tuple[str, str, bool]]) -> list[str]:
    forward: networkx.DiGraph[str] = networkx.DiGraph()
    forward.add_node(ENDS[0])
    back = _back_edges(edges)
    for source, target, _ in edges:
        if (source, target) not in back:
            forward.add_edge(source, target)
    # nodes from which only back edges lead on stand beside the target of those edges
    useful = networkx.ancestors(forward, ENDS[1]) if ENDS[1] in forward else set()
    known = {name: i for i, name in enumerate(dict.fromkeys(n for s, t, _ in edges for n in (s, t)))}

    def place(node: str) -> tuple[bool, bool, int]:
        return (node == ENDS[1], node in useful, known.get(node, 0))

    return list(networkx.lexicographical_topological_sort(forward, key=place))


def _back_edges(edges: list[tuple[str, str, bool]]) -> set[tuple[str, str]]:
    """The edges to a node on the current path of a depth-first search from the start, in the graph's own order."""
    after: dict[str, list[str]] = {}
    for source, target, _ in edges:
        after.setdefault(source, []).append(target)
    back: set[tuple[str, str]] = set()
    done: set[str] = set()

    def follow(node: str, above: frozenset[str]) -> None:
        for target in after.get(node, []):
            if target in above:
                back.add((node, target))
            elif target not in done:
                follow(target, above | {target})
        done.add(node)

    follow(ENDS[0], frozenset({ENDS[0]}))
    return back


def _arc_height(over: int) -> float:
    """Height of the arc of an edge that leads `over` places on; 0 and less lead to the node itself, or back."""
    if over == 1:
        return 0.0
    return 22.0 + 9 * over if over > 0 else 9.0 * over - 31


def _vertical_layout(layout: GraphLayout) -> GraphLayout:
    place, nodes = 0.0, {}
    for name in layout.nodes:
        long = 2 * END_RADIUS if name in ENDS else NODE_THICKNESS
        nodes[name] = (place, place + long)
        place += long + GAP
    return GraphLayout(nodes=nodes, arrows=layout.arrows)


def _arrow(layout: GraphLayout, arrow: tuple[str, str, bool, float], down: bool) -> str:
    source, target, conditional, height = arrow
    (s1, s2), (t1, t2) = layout.nodes[source], layout.nodes[target]
    if height == 0:
        points = [(s2, 0.0), (t1 - 1, 0.0)]
        path = f"M{_at(points[0], down)}L{_at(points[1], down)}"
    else:
        sign = 1 if height > 0 else -1
        edge = sign * _half_thickness(source, down)
        start, end = ((s1 + s2) / 2, -edge), ((t1 + t2) / 2, -sign * (_half_thickness(target, down) + 1))
        far = -(height + sign * (_half_thickness(source, down) if down else 0))
        bend = [(start[0], far * 1.2), (end[0], far * 1.2), end]
        path = f"M{_at(start, down)}C{' '.join(_at(point, down) for point in bend)}"
    dashed = ' stroke-dasharray="5 4"' if conditional else ""
    return (
        f'<path d="{path}" fill="none" stroke="#62666f" stroke-width="1.5"{dashed} marker-end="url(#tip)"/>'
    )


def _half_thickness(name: str, down: bool) -> float:
    if name in ENDS:
        return float(END_RADIUS)
    return (22 + 8.2 * len(name)) / 2 if down else NODE_THICKNESS / 2


def _at(point: tuple[float, float], down: bool) -> str:
    """Coordinates along and across the line as x and y; in a vertical layout above becomes left."""
    along, across = point
    return f"{across:.1f} {along:.1f}" if down else f"{along:.1f} {across:.1f}"


def _node(name: str, start: float, end: float, down: bool) -> str:
    middle = (start + end) / 2
    if name in ENDS:
        fill = "#22242a" if name == ENDS[1] else "#fff"
        x, y = (0.0, middle) if down else (middle, 0.0)
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{END_RADIUS}" fill="{fill}" stroke="#22242a" stroke-width="1.5"/>'
    wide = 22 + 8.2 * len(name)
    x, y = (0.0, middle) if down else (middle, 0.0)
    return (
        f'<rect x="{x - wide / 2:.1f}" y="{y - NODE_THICKNESS / 2:.1f}" width="{wide:.1f}" height="{NODE_THICKNESS}" '
        f'rx="8" fill="#eef3fa" stroke="#2767b8"/>'
        f'<text x="{x:.1f}" y="{y + 5:.1f}" text-anchor="middle" font-family="system-ui, sans-serif" '
        f'font-size="14" fill="#22242a">{escape(name)}</text>'
    )
