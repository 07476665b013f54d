"""A collection as a Model Context Protocol server: search, look, compare, explain; images and runs as resources."""

from __future__ import annotations

import asyncio
import re
from typing import Annotated, Any

from mcp.server.mcpserver import Image, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from pydantic import Field

from imagescope_agent.api import ImageScope
from imagescope_agent.common.thumbnails import encode_thumbnail
from imagescope_agent.errors import ImageScopeError
from imagescope_agent.integrations.langchain import describe
from imagescope_agent.judges import elicitation
from imagescope_agent.judges.base import Candidate, Task
from imagescope_agent.judges.session import JudgeSession
from imagescope_agent.mllms.role import Request
from imagescope_agent.prompting import load_prompt
from imagescope_agent.runs.run_store import scope_of
from imagescope_agent.traces.explain import explain as explained
from imagescope_agent.traces.finding import find_run
from imagescope_agent.traces.trace import Trace

SIDE = 384  # pixels, longest side of a picture in an answer
SHOWN = 4  # pictures of a search that are shown
INSTRUCTIONS = (
    "Find images with language in one collection. Ids that a tool returns name images in the others."
)
FILTER = "find only images that match, as: date >= 2024-01-01 and folder = 'Rome'; leave it out for all"
SEVERAL = "ids of several references in the place of one; the text names them by their numbers from 1"
# A model asked to choose between Yes and No chooses one for any question; these ask for something else.
OPEN_QUESTION = re.compile(r"\W*(what|which|who|whose|where|when|why|how)\b", re.IGNORECASE)
EXAMPLE = "is there a dog?"
UNLIKE = "ids of images of what is not wanted"

Id = Annotated[str, Field(description="id of an image, as a search returns it")]


def make_server(scope: ImageScope) -> MCPServer:
    """The server of a collection; its tools name images by id and reach no other file."""
    server = MCPServer("imagescope", instructions=INSTRUCTIONS, log_level="WARNING")
    tools = Tools(scope)
    for tool in (tools.search, tools.look, tools.compare, tools.explain):
        server.add_tool(tool, structured_output=False)
    server.resource("image://{name}", mime_type="image/webp", description="an image of the collection")(
        tools.image
    )
    server.resource("run://{run}", mime_type="application/json", description="what a search did")(tools.run)
    return server


class Tools:
    """What an agent may do with a collection."""

    def __init__(self, scope: ImageScope) -> None:
        self.scope, self.collection = scope, scope.services.collection

    async def search(
        self,
        text: Annotated[str, Field(description="what to look for, or what to change in the reference")],
        reference: Annotated[str | None, Field(description="id of a reference image")] = None,
        k: Annotated[int, Field(ge=1, le=50, description="how many results")] = 5,
        where: Annotated[str, Field(description=FILTER)] = "",
        references: Annotated[list[str] | None, Field(description=SEVERAL, max_length=16)] = None,
        unlike: Annotated[list[str] | None, Field(description=UNLIKE, max_length=16)] = None,
    ) -> list[str | Image]:
        """Search the collection; returns the ranking with its reasons, and the first pictures."""
        try:
            image = None if reference is None else self._id(reference)
            chosen: dict[str, Any] = {"where": where} if where.strip() else {}
            pictures = {"images": references, "unlike": unlike}
            chosen |= {kind: [self._id(each) for each in names] for kind, names in pictures.items() if names}
            found = await self.scope.asearch(text, image=image, k=k, **chosen)
        except ImageScopeError as error:
            raise ToolError(self._public(error)) from error
        best = [self._shown(hit.id) for hit in found.results[:SHOWN]]
        return [f"run {found.run}\n{describe(self.scope, found)}", *await asyncio.gather(*best)]

    async def look(
        self, image: Id, question: Annotated[str, Field(description="a question whose answer is yes or no")]
    ) -> list[str | Image]:
        """Ask a yes/no question about one picture; returns P(yes), the caption and the picture."""
        if OPEN_QUESTION.match(question):
            raise ToolError(f"{question[:80]!r} has no answer of yes or no; ask as: {EXAMPLE}")
        try:
            name = self._id(image)
            verifier = self.scope.services.verifier
            words = load_prompt("verify", prompt_set=verifier.prompt_set).fill(question=question)
            ref = await asyncio.to_thread(self.collection.image_ref, name)
            choice = await verifier.choose([Request(text=words, images=(ref,))], ("Yes", "No"))
        except ImageScopeError as error:
            raise ToolError(self._public(error)) from error
        notes = "".join(f"\nnote: {each['detail']}" for each in choice.notes)
        caption = self.collection.caption(name) or "no caption yet"
        told = f"P(yes) = {choice.probabilities[0][0]:.2f}\n{name}: {caption}{notes}"
        return [told, await self._shown(name)]

    async def compare(
        self, text: Annotated[str, Field(description="what was asked for")], first: Id, second: Id
    ) -> str:
        """Which of two pictures satisfies a request better, asked in both orders."""
        try:
            names = [self._id(first), self._id(second)]
            refs = [await asyncio.to_thread(self.collection.image_ref, name) for name in names]
            candidates = [Candidate(id=name, image=ref) for name, ref in zip(names, refs, strict=True)]
            session = JudgeSession(Task(query=text, model=self.scope.services.judge), candidates)
            preference = (await elicitation.pairs(session, [(0, 1)]))[0]
        except ImageScopeError as error:
            raise ToolError(self._public(error)) from error
        better = {1.0: names[0], 0.0: names[1]}.get(preference.decided, "neither: both orders disagree")
        return f"better: {better}; P({names[0]} over {names[1]}) = {preference.mean:.2f}"

    async def explain(self, run: str, above: Id, below: Id) -> str:
        """Why one picture stands above another in the ranking of a run."""
        try:
            return explained(await asyncio.to_thread(self._trace, run), above, below).text
        except ImageScopeError as error:
            raise ToolError(self._public(error)) from error

    async def image(self, name: str) -> bytes:
        """An image of the collection as WebP."""
        return await asyncio.to_thread(self._encoded, self._id(name))

    async def run(self, run: str) -> dict[str, object]:
        """What a search did: steps, questions, rankings, notes, cost."""
        return (await asyncio.to_thread(self._trace, run)).to_dict()

    def _trace(self, run: str) -> Trace:
        return Trace(
            *find_run(run, self.scope.traces, scope=scope_of(self.scope.services.collection.location))
        )

    def _id(self, name: str) -> str:
        """The id that a name stands for.

        Raises:
            ToolError: there is none.
        """
        if (found := self.collection.named(name)) is None:
            raise ToolError(f"there is no image {name[:80]!r}; give an id that a search returned")
        return found

    async def _shown(self, name: str) -> Image:
        return Image(data=await asyncio.to_thread(self._encoded, name), format="webp")

    def _encoded(self, name: str) -> bytes:
        return encode_thumbnail(self.collection.picture(name).image, SIDE)

    def _public(self, error: ImageScopeError) -> str:
        return str(error).replace(str(self.collection.folder), self.collection.folder.name)
