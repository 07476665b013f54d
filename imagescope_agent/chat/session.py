"""One conversation: say, like, reject, undo, branch, export; an interrupted turn is finished first."""

from __future__ import annotations

import re
import uuid
from pathlib import Path
from typing import Any

from langchain_core.runnables import RunnableConfig

from imagescope_agent.chat.migrations import is_current
from imagescope_agent.chat.storage.tables import Conversation
from imagescope_agent.chat.store import ConversationStore
from imagescope_agent.chat.turn_runner import Progress, TurnRunner, run_config
from imagescope_agent.common.given_pictures import Pictures, one_or_several, picture_names
from imagescope_agent.errors import BadInput, ImageScopeError
from imagescope_agent.nodes.chat.parse_message import check_message, check_reference
from imagescope_agent.records import NoteDict, ResultDict
from imagescope_agent.runs.checkpoints import reading
from imagescope_agent.settings import Settings
from imagescope_agent.state import Feedback, Turn


class Session:
    """One conversation; made by `Chats.create` and `Chats.open`.

    Attributes:
        last: everything that the graph knew after the last turn that was said here; {} before.
    """

    def __init__(self, store: ConversationStore, thread: str) -> None:
        self.store, self.thread = store, thread
        self.last: dict[str, Any] = {}

    async def create(self) -> Session:
        """Begin the conversation, in which nothing was said yet.

        Raises:
            BadInput: there is one of that name.
            ReadOnly: the store takes nothing.
        """
        self.store.require_writable()
        if await self.store.find(self.thread) is None:
            async with self.store.turn(self.thread):
                if await self.store.turns.create(
                    self.store.key(self.thread), {"profile": self.store.services.profile}
                ):
                    return self
        raise BadInput(f"there is a conversation {self.thread!r} already; open it or choose another name")

    def config(self, settings: Settings | None = None) -> RunnableConfig:
        """The configuration of the graph while a turn runs; between turns there are no checkpoints."""
        return run_config(self.store, self.thread, settings)

    async def state(self) -> dict[str, Any]:
        """What the next turn knows (see `State`), with all finished `turns` and the `notes` on messages given up."""
        conversation = await self._conversation()
        state = await self.store.state(conversation)
        return {**state, "turns": await self.turns(), "notes": conversation.notes}

    async def turns(self) -> list[Turn]:
        """The finished turns, the first one first."""
        with reading(self.store.place):
            return await self.store.turns.turns(self.store.key(self.thread))

    async def pending(self) -> str | None:
        """The message whose turn was cut off; it is finished before the next one, `undo` withdraws it."""
        pending = (await self._conversation()).pending
        return None if pending is None else str(pending.get("query"))

    async def say(
        self,
        message: str,
        image: Path | str | None = None,
        *,
        images: Pictures = (),
        unlike: Pictures = (),
        progress: Progress | None = None,
    ) -> Turn:
        """Run one turn: anything in words, an answer, "like 3", "not that one", with a new reference image or not.

        Args:
            message: the user's words.
            image: a new reference, an id or a file.
            images: several new references, which the message names by their numbers from 1.
            unlike: pictures of what is not wanted, from now on.
            progress: called with the name of each step when it is done.

        Raises:
            BadInput: the message cannot be used, or not be kept; nothing is changed and no model is asked.
            BackendUnavailable: a model does not answer; the turn is kept, the next call finishes it, `undo`
                withdraws it. One that will not answer later either (`Misconfigured`, `ModelFailed`), and any
                other error of a model, gives the message up: the conversation stands as before it, and a note says why.
        """
        first, several = one_or_several(image, images)
        pictures = {"references": several, "unlike": picture_names(unlike)}
        return await self._say(message, first, None, progress, **pictures)

    async def _say(
        self,
        message: str,
        image: Path | str | None,
        feedback: Feedback | None,
        progress: Progress | None,
        **pictures: list[str],
    ) -> Turn:
        self.store.require_writable()
        async with self.store.turn(self.thread):
            conversation = await self._conversation()
            runner = TurnRunner(self.store, self.thread, progress)
            if conversation.pending is not None:
                await runner.finish(conversation)
                conversation = await self._conversation()
            state = await self.store.state(conversation)
            collection = self.store.services.collection
            checked = check_message(
                message,
                image,
                state,  # type: ignore[arg-type]
                collection,
                feedback=feedback,
                where=self.store.settings.where,
                **pictures,
            )
            turn, self.last = await runner.begin(conversation, state, checked)
            return turn

    def reference(self, image: Path | str | None) -> str | None:
        """A reference image as the state names it.

        Raises:
            BadInput: it is not there, or is no image.
        """
        return check_reference(image, self.store.services.collection)

    async def like(self, rank: int) -> Turn:
        """Run a turn that likes the image at this rank of the last results: search for more like it."""
        return await self._say(f"like {rank}", None, {"kind": "like", "rank": rank}, None)

    async def reject(self, rank: int) -> Turn:
        """Run a turn that rejects the image at this rank of the last results: never show it again."""
        return await self._say(f"reject {rank}", None, {"kind": "reject", "rank": rank}, None)

    async def undo(self) -> list[Turn]:
        """Undo the last turn, or withdraw a message whose turn was cut off; returns the remaining turns.

        Raises:
            BadInput: there is no turn, or what it began from is kept no more.
        """
        self.store.require_writable()
        async with self.store.turn(self.thread):
            conversation = await self._conversation()
            if conversation.pending is not None:
                await TurnRunner(self.store, self.thread).withdraw()
            elif conversation.turns == 0:
                raise BadInput("there is no turn to undo; say something first")
            else:
                await self.store.state(conversation, conversation.turns - 1)
                await self.store.turns.undo(conversation.thread, conversation.turns)
        return await self.turns()

    async def branch(self, turn: int | None = None, *, thread: str | None = None) -> Session:
        """A new conversation that goes on from after a turn of this one and shares nothing with it from then on.

        Args:
            turn: after how many turns, 0 for an empty one; None for all.
            thread: its name.

        Raises:
            BadInput: there is no such turn, it is kept no more, or the name is taken.
        """
        self.store.require_writable()
        conversation = await self._conversation()
        count = conversation.turns if turn is None else turn
        if not 0 <= count <= conversation.turns:
            raise BadInput(
                f"there are only {conversation.turns} turns, not {count}; name one of them, or 0 for the beginning"
            )
        await self.store.state(conversation, count)
        other = Session(self.store, check_name(thread or uuid.uuid4().hex[:12]))
        about = {**conversation.about, "parent": {"thread": self.thread, "turn": count}}
        async with self.store.turn(other.thread):
            key = self.store.key(other.thread)
            taken = await self.store.find(other.thread) is not None
            if taken or not await self.store.turns.copy(conversation.thread, count, key, about):
                raise BadInput(f"there is a conversation {other.thread!r} already; choose another name")
        return other

    async def export(self) -> dict[str, Any]:
        """The conversation as `imagescope chat --export` prints it.

        Returns:
            {"thread", "turns": [{"message", "results", ...}]}, and "notes" where messages were given up since.
        """
        folder = self.store.services.collection.folder
        turns = [
            {**turn, "results": [_exported(hit, folder) for hit in turn["results"]]}
            for turn in await self.turns()
        ]
        notes: list[NoteDict] = (await self._conversation()).notes
        return {"thread": self.thread, "turns": turns, **({"notes": notes} if notes else {})}

    async def settle(self, progress: Progress | None = None) -> None:
        """Finish an interrupted turn where the models answer, and migrate an older schema.

        A turn whose models do not answer now stays pending; one that failed for good is given up, with a note.

        Raises:
            BadInput: there is no such conversation, or this version or profile cannot go on with it.
        """
        await self.store.find(self.thread)  # converts one of an older version
        conversation = await self._conversation()
        if (made_by := conversation.about.get("profile")) != self.store.services.profile:
            raise BadInput(
                f"conversation {self.thread!r} was begun with the profile {made_by!r}; open it with that"
            )
        if self.store.read_only:
            return
        await self._migrate(conversation)
        if conversation.pending is None:
            return
        async with self.store.turn(self.thread):
            conversation = await self._conversation()
            if conversation.pending is not None:
                await self._finish(conversation, progress)

    async def _finish(self, conversation: Conversation, progress: Progress | None) -> None:
        try:
            await TurnRunner(self.store, self.thread, progress).finish(conversation)
        except Exception as error:
            # a message that was given up has its note; one that stays is told about when the next is said
            given_up = (await self._conversation()).pending is None
            if not given_up and not isinstance(error, ImageScopeError):
                raise

    async def _migrate(self, conversation: Conversation) -> None:
        with reading(self.store.place):
            values = await self.store.turns.state(conversation.thread, conversation.turns)
        if values is not None and not is_current(values):
            migrated = await self.store.state(conversation)
            await self.store.turns.replace(conversation.thread, conversation.turns, migrated)

    async def _conversation(self) -> Conversation:
        with reading(self.store.place):
            found = await self.store.turns.find(self.store.key(self.thread))
        if found is None:
            raise BadInput(f"there is no conversation {self.thread!r}; begin one")
        return found


def _exported(hit: ResultDict, folder: Path) -> dict[str, Any]:
    return {**{name: hit[name] for name in hit if name != "evidence"}, "path": str(folder / hit["id"])}  # type: ignore[literal-required]


def check_name(thread: str) -> str:
    """The name, where it is a valid name of a conversation.

    Raises:
        BadInput: it is not.
    """
    if not re.fullmatch(r"[\w.-]{1,64}", thread):
        raise BadInput(
            f"{thread!r} cannot name a conversation; use up to 64 letters, digits, '.', '_' and '-'"
        )
    return thread
