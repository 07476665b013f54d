"""Parts of the drawn world that a training leaves out, so that a model can be measured on what it never met."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from imagescope_agent.errors import BadInput
from imagescope_agent.lab.scenes.composed_queries import COMPOSED_KINDS
from imagescope_agent.lab.scenes.queries import SceneQuery
from imagescope_agent.lab.scenes.world import COLOURS, KINDS, Scene

#: What can be left out: kinds of instruction, colours, kinds of things.
PARTS = (*COMPOSED_KINDS, *COLOURS, *KINDS)


def check_parts(without: Collection[str]) -> None:
    """Refuse what the drawn world has not.

    Raises:
        BadInput: one of them is no kind of instruction, colour or kind of thing.
    """
    for name in without:
        if name not in PARTS:
            raise BadInput(f"the drawn world has no {name!r}; choose among {', '.join(PARTS)}")


def concerns(query: SceneQuery, scenes: Iterable[Scene], without: Collection[str]) -> bool:
    """Whether a query gives such an instruction, or one of its scenes shows such a thing.

    Every query retains something: "retention" stands for those alone that name what they keep.
    """
    steps = {step.type.lower() for step in query.steps} - {"retention"}
    return bool({query.kind, *steps} & set(without)) or shows(scenes, without)


def shows(scenes: Iterable[Scene], without: Collection[str]) -> bool:
    """Whether one of the scenes shows a thing of such a colour or kind."""
    return any({thing.colour, thing.kind} & set(without) for scene in scenes for thing in scene.things)
