"""How results and traces look in a notebook: pictures, words and a folded page, safe beside other cells."""

from __future__ import annotations

from html import escape

HEIGHT = 640  # pixels


def framed(page: str, height: int = HEIGHT) -> str:
    """A page in a frame of its own, so that neither its styles nor its script touch the notebook."""
    return (
        f'<iframe sandbox="allow-scripts" style="width:100%;height:{height}px;border:0" '
        f'srcdoc="{escape(page)}"></iframe>'
    )
