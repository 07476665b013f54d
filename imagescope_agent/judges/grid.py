"""Batch reranking of SQUARE (arXiv 2509.26330): all candidates as one numbered grid picture, in one call.

A request has one picture, so models that take no more than one can judge by it. Inferred: that the reference is a cell
of the same grid, the size of the cells, that more candidates than a window holds are judged in sliding windows, and
that a reply which names fewer than half of the cells decides nothing.
"""

from __future__ import annotations

import asyncio
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from PIL import Image, ImageDraw, ImageFont, ImageOps

from imagescope_agent.judges.elicitation import complete
from imagescope_agent.judges.listwise import Listwise
from imagescope_agent.judges.replies import OrderAnswer, parse_order
from imagescope_agent.judges.session import STEP, JudgeSession
from imagescope_agent.mllms.role import ImageRef, Request
from imagescope_agent.records import NoteDict, note

CELL = 224  # pixels, both sides, of a picture in the grid
MARK = 28  # pixels, height of the strip above it, which holds its number
REFERENCE = "R"  # the mark of the reference; of several, before their numbers
KEY = "grid:"  # a grid's key: this, then the keys of its cells in order, each after its mark where it is no number


@dataclass(frozen=True, kw_only=True)
class Grid(Listwise):
    """Listwise ranking of the numbered cells of one picture."""

    @property
    def at_once(self) -> int | None:
        """See `Strategy`."""
        return 0

    async def elicit(self, session: JudgeSession, shown: Sequence[Sequence[int]]) -> list[list[int] | None]:
        """An order of each presentation."""
        requests = [await self._request(session, items) for items in shown]
        most = max(map(len, shown))
        replies = await session.ask(requests, lambda text: parse_order(text, most), schema=OrderAnswer)
        return [
            None if places is None else _whole(session, places, items)
            for places, items in zip(replies, shown, strict=True)
        ]

    async def _request(self, session: JudgeSession, items: Sequence[int]) -> Request:
        task = session.task
        cells = {str(place): session.candidates[item].image for place, item in enumerate(items, start=1)}
        if task.numbers:
            named = zip(task.numbers, task.references, strict=True)
            cells = {**{f"{REFERENCE}{number}": each for number, each in named}, **cells}
        elif task.reference is not None:
            cells = {REFERENCE: task.reference, **cells}
        picture, notes = await asyncio.to_thread(draw_grid, cells)
        session.notes += [each for each in notes if each not in session.notes]
        text, _ = replace(task, numbers=()).words("grid", count=str(len(items)))
        if task.numbers:
            marks = ", ".join(f"{REFERENCE}{number}" for number in task.numbers)
            text = f"{task.prompt('grid_several').fill(marks=marks)}\n\n{text}"
        told = [session.candidates[item].text for item in items]
        known = [f"{place}: {words}" for place, words in enumerate(told, start=1) if words]
        return Request(text="\n".join([text, *known]), images=(picture,))


def _whole(session: JudgeSession, places: Sequence[int], items: Sequence[int]) -> list[int] | None:
    """As `complete`; None, with a note, of a reply that names fewer than half: the cells were not read."""
    named = {place for place in places if place < len(items)}
    if 2 * len(named) < len(items):
        detail = f"a reply names {len(named)} of {len(items)} cells; says nothing about the order"
        session.add_note("unreadable", detail)
        return None
    return complete(session, places, items)


def draw_grid(cells: dict[str, ImageRef]) -> tuple[ImageRef, list[NoteDict]]:
    """One picture of all cells, row by row, as square as their number allows, each under its mark.

    A picture that cannot be decoded leaves its cell empty, with a note.
    """
    columns = math.ceil(math.sqrt(len(cells)))
    rows = math.ceil(len(cells) / columns)
    grid = Image.new("RGB", (columns * CELL, rows * (CELL + MARK)), "white")
    pen, font = ImageDraw.Draw(grid), ImageFont.load_default(size=MARK - 6)
    notes: list[NoteDict] = []
    for place, (mark, ref) in enumerate(cells.items()):
        left, top = place % columns * CELL, place // columns * (CELL + MARK)
        pen.text((left + CELL // 2, top + MARK // 2), mark, fill="black", font=font, anchor="mm")
        try:
            with Image.open(io.BytesIO(ref.data), formats=("PNG", "JPEG")) as picture:
                small = ImageOps.contain(picture.convert("RGB"), (CELL - 4, CELL - 4))
        except OSError as error:
            notes.append(note(STEP, "skipped", f"cell {mark} of the grid is empty: {error}"))
            continue
        grid.paste(small, (left + (CELL - small.width) // 2, top + MARK + (CELL - small.height) // 2))
    buffer = io.BytesIO()
    grid.save(buffer, "JPEG", quality=90)
    keys = (ref.key if mark.isdecimal() else f"{mark}={ref.key}" for mark, ref in cells.items())
    return ImageRef(key=KEY + " ".join(keys), data=buffer.getvalue()), notes


judge = Grid(summary="all candidates as one numbered grid picture, in one call (SQUARE)")
