"""One self-contained HTML page of the demonstration: no script, no network, pictures as data URIs."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from PIL import Image

from imagescope_agent.lab.demo.story import Story

THUMBNAIL = 160  # pixels, longest side


def render(stories: Sequence[Story], facts: dict[str, Any]) -> str:
    """The page as HTML.

    Args:
        stories: the queries to show, in order.
        facts: `images`, `seed`, `profile` and `seconds` of the run, `most` right images of a query.
    """
    environment = Environment(autoescape=True, undefined=StrictUndefined)
    environment.trim_blocks = environment.lstrip_blocks = True
    environment.filters["thumbnail"] = cache(data_uri)
    template = environment.from_string((files(__package__) / "page.html.j2").read_text(encoding="utf-8"))
    return template.render(stories=stories, facts=facts)


def data_uri(path: Path) -> str:
    """The picture at `path`, made small, as a `data:` address."""
    buffer = io.BytesIO()
    with Image.open(path) as picture:
        small = picture.convert("RGB")
        small.thumbnail((THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS)
        small.save(buffer, "WEBP", quality=82, method=4)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
