"""Show a trace, or a comparison of two, in a notebook."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

from imagescope_agent.traces.compare import Comparison
from imagescope_agent.traces.pages.page import render, render_comparison
from imagescope_agent.traces.trace import Trace

HEIGHT = 640  # pixels


@dataclass(frozen=True)
class NotebookPage:
    """An HTML page that a notebook shows in a sandboxed frame: its styles and script do not touch the notebook."""

    html: str
    height: int = HEIGHT

    def _repr_html_(self) -> str:
        return (
            f'<iframe sandbox="allow-scripts" style="width:100%;height:{self.height}px;border:0" '
            f'srcdoc="{escape(self.html)}"></iframe>'
        )


def show(shown: Trace | Comparison) -> NotebookPage:
    """The page of a trace or of a comparison; the last value of a cell is displayed."""
    return NotebookPage(render(shown) if isinstance(shown, Trace) else render_comparison(shown))
