"""The demonstration as one self-contained HTML page: no script, no network, images as data URIs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from imagescope_agent.common.html_templates import html_environment
from imagescope_agent.common.thumbnails import to_data_uri
from imagescope_agent.lab.demo.example import Example
from imagescope_agent.retrieval.images import open_image

THUMBNAIL = 160  # pixels, longest side


def render(examples: Sequence[Example], facts: dict[str, Any]) -> str:
    """The page as HTML.

    Args:
        examples: the queries with their rankings, in order.
        facts: `images`, `seed`, `profile` and `seconds` of the run, `most` right images of a query.
    """
    environment = html_environment("imagescope_agent.lab.demo")
    environment.filters["thumbnail"] = cache(_thumbnail)
    return environment.get_template("page.html.j2").render(examples=examples, facts=facts)


def _thumbnail(path: Path) -> str:
    return to_data_uri(open_image(path), THUMBNAIL)
