"""Drawn scenes as a model is shown them."""

from __future__ import annotations

import hashlib
import io

from imagescope_agent.judges.base import blank_image
from imagescope_agent.lab.scenes.draw import draw
from imagescope_agent.lab.scenes.world import Scene
from imagescope_agent.mllms.role import ImageRef


def picture(scene: Scene) -> ImageRef:
    """A scene as a model is shown it."""
    buffer = io.BytesIO()
    draw(scene).save(buffer, "PNG")
    return ImageRef(key=hashlib.sha256(buffer.getvalue()).hexdigest(), data=buffer.getvalue())


def blank() -> ImageRef:
    """The white picture that stands for a missing reference."""
    return blank_image()
