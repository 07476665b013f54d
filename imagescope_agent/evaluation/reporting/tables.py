"""Score tables as Markdown and LaTeX, and as the cells that the report shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_LATEX = str.maketrans(
    {c: f"\\{c}" for c in "&%$#_{}"} | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\^{}"}
)


def by_stage(metrics: Mapping[str, Mapping[str, Mapping[str, float]]]) -> list[dict[str, Any]]:
    """{stage: {subset: {measure: figure}}} as rows of formatted cells, one table a stage."""
    shown = []
    for stage, subsets in metrics.items():
        columns = list(dict.fromkeys(name for row in subsets.values() for name in row))
        rows = [(name, [_cell(row.get(column)) for column in columns]) for name, row in subsets.items()]
        shown.append({"stage": stage, "columns": columns, "rows": rows})
    return shown


def markdown(metrics: Mapping[str, Any]) -> str:
    """The tables of metrics.json in Markdown, below a line that says what was measured."""
    lines = [
        f"{metrics['dataset']} ({metrics['split']}), {metrics['graph']}, profile {metrics['profile']}: "
        f"{metrics['queries']} queries, {metrics['failed']} failed, {metrics['degraded']} degraded. "
        f"Protocol: {metrics['protocol']}. Gallery: {metrics['gallery']}. Shares in per cent.",
        f"Mean cost of a query: {cost(metrics['usage'])}.",
    ]
    if stated := metrics.get("fulfilment"):
        told = ", ".join(f"{name} {value:g}" for name, value in stated.items())
        lines.append(f"Stated probability that the first place fulfils the query: {told}.")
    if spread := metrics.get("wordings"):
        rates = ", ".join(f"{rate:.1f}" for rate in spread["by wording"])
        lines.append(
            f"{spread['measure']} by wording: {rates}; (max - min) / mean {spread['spread']:.1f} %, mean range over "
            f"wishes {spread['range']:.1f}."
        )
    lines.append("")
    for table in by_stage(metrics["metrics"]):
        lines.append(
            markdown_table([table["stage"], *table["columns"]], [[name, *row] for name, row in table["rows"]])
        )
    return "\n".join(lines)


def cost(usage: Mapping[str, Any]) -> str:
    """The mean cost of a query in one line: calls by role, tokens, image prefills, seconds."""
    asked = usage.get("calls", {})
    by_role = asked if isinstance(asked, Mapping) else {"in all": asked}
    calls = [f"{value:.2f} {role}" for role, value in by_role.items()]
    counts = {"prompt_tokens": "prompt tokens", "completion_tokens": "completion tokens"}
    counts["image_prefills"] = "image prefills"
    sums = [f"{usage[name]:.1f} {words}" for name, words in counts.items() if name in usage]
    seconds = usage.get("seconds", {})
    took = sum(seconds.values()) if isinstance(seconds, Mapping) else float(seconds)
    return "; ".join([f"calls: {', '.join(calls) or 'none'}", *sums, f"{took:.3f} s"])


def latex(metrics: Mapping[str, Any]) -> str:
    """The final table of metrics.json for LaTeX, with a description and the cost as comments."""
    head = [f"% {line}" for line in markdown(metrics).splitlines()[:2] if line]
    last = [table for table in by_stage(metrics["metrics"]) if table["stage"] == "final"]
    rows = [
        latex_table([metrics["graph"], *table["columns"]], [[name, *row] for name, row in table["rows"]])
        for table in last
    ]
    return "\n".join([*head, *rows])


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[object]], *, text_columns: int = 1) -> str:
    """A Markdown table; the first columns are text, the others are numbers."""
    cells = [[str(cell).replace("|", "\\|").replace("\n", "\\n") for cell in row] for row in (head, *rows)]
    rule = ["---"] * text_columns + ["---:"] * (len(head) - text_columns)
    return "\n".join("| " + " | ".join(row) + " |" for row in (cells[0], rule, *cells[1:])) + "\n"


def latex_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The same table for LaTeX with booktabs."""
    body = [" & ".join(str(cell).translate(_LATEX) for cell in row) + r" \\" for row in (head, *rows)]
    columns = "l" + "r" * (len(head) - 1)
    lines = [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", body[0], r"\midrule", *body[1:]]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
