"""One conversation: say, like, reject, undo, branch, export; a turn that was cut off is finished first."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_core.runnables import RunnableConfig
from langgraph.types import Command, Overwrite, StateSnapshot

from imagescope_agent.chat.schema import is_current, migrate
from imagescope_agent.checkpoints import reading
from imagescope_agent.errors import BadInput
from imagescope_agent.judges import JUDGES, OWN_JUDGE
from imagescope_agent.nodes.hear import NEW, check_message, check_reference
from imagescope_agent.settings import Settings
from imagescope_agent.state import State, Turn
from imagescope_agent.traces.attach import recording
from imagescope_agent.traces.store import place

if TYPE_CHECKING:
    from imagescope_agent.chat import Chats

GRAPH = "chat"
REST: tuple[tuple[str, ...], ...] = ((), ("ask",))  # where a conversation waits for the user
ACCUMULATED = ("verdicts", "notes", "usage")  # keys that a plain update would add to

Progress = Callable[[str], None]


class Session:
    """One conversation; made by `Chats.create` and `Chats.open`."""

    def __init__(self, chats: Chats, thread: str) -> None:
        self.chats, self.thread = chats, thread

    def config(self, settings: Settings | None = None, **metadata: Any) -> RunnableConfig:
        """How the graph is told the thread; the metadata lets a cut-off turn go on as it began."""
        told = json.dumps((settings or self.chats.settings).to_dict())
        profile = self.chats.services.profile
        return {
            "configurable": {"thread_id": self.chats.key(self.thread)},
            "metadata": {"graph": GRAPH, "profile": profile, "settings": told, **metadata},
        }

    async def state(self) -> dict[str, Any]:
        """What the conversation knows (see `State`)."""
        with reading(self.chats.place):
            values: dict[str, Any] = (await self.chats.graph.aget_state(self.config())).values
            return sound(values)

    async def turns(self) -> list[Turn]:
        """The finished turns, the first one first."""
        return list((await self.state()).get("turns", []))

    async def say(
        self, message: str, image: Path | str | None = None, *, progress: Progress | None = None
    ) -> Turn:
        """One turn: anything in words, an answer, "like 3", "not that one", with a new reference image or not.

        Args:
            message: the user's words.
            image: a new reference, an id or a file.
            progress: told the name of each step when it is done.

        Raises:
            BadInput: the message cannot be used; nothing is changed.
            BackendUnavailable: a model does not answer; the turn is kept, the next call finishes it.
        """
        async with self.chats.turn(self.thread):
            snapshot = await self.settle(progress)
            given = {"query": message, "reference": self.reference(image)}
            check_message(message, given["reference"], _state(snapshot), self.chats.services.collection)
            await self._run(Command(resume=given) if snapshot.next else given, self.chats.settings, progress)
            with reading(self.chats.place):
                return (await self.turns())[-1]

    def reference(self, image: Path | str | None) -> str | None:
        """A reference image as the state names it.

        Raises:
            BadInput: it is not there, or is no image.
        """
        return check_reference(image, self.chats.services.collection)

    async def like(self, rank: int) -> Turn:
        """A turn that says: more like the image at this rank of the last results."""
        return await self.say(f"like {rank}")

    async def reject(self, rank: int) -> Turn:
        """A turn that says: never again the image at this rank of the last results."""
        return await self.say(f"reject {rank}")

    async def undo(self) -> list[Turn]:
        """Go back to before the last turn; what is left of the turns.

        Raises:
            BadInput: there is no turn.
        """
        async with self.chats.turn(self.thread):
            snapshot = await self.settle()
            before = await self._resting(snapshot, len(snapshot.values["turns"]) - 1)
            config = _at(self.config(), before)
            await self.chats.graph.aupdate_state(
                config, {"question": before.values["question"]}, as_node="answer"
            )
            return list(before.values["turns"])

    async def branch(self, turn: int | None = None, *, thread: str | None = None) -> Session:
        """A new conversation that goes on from after a turn of this one and shares nothing with it from then on.

        Args:
            turn: after how many turns, 0 for an empty one; None for all.
            thread: its name.

        Raises:
            BadInput: there is no such turn, or the name is taken.
        """
        async with self.chats.turn(self.thread):
            snapshot = await self.settle()
            count = len(snapshot.values["turns"]) if turn is None else turn
            steps = [snapshot := await self._resting(snapshot, n) for n in range(count, -1, -1)]
        other = await self.chats.create(thread)
        for step in steps[-2::-1]:  # each turn once, so that the branch can be undone as well
            await self.chats.graph.aupdate_state(other.config(), whole(step.values), as_node="answer")
        return other

    async def export(self) -> dict[str, Any]:
        """The conversation as `imagescope chat --export` prints it: {"thread", "turns": [{"message", "results"}]}."""
        folder = self.chats.services.collection.folder
        turns = [
            {**turn, "results": [{**hit, "path": str(folder / hit["id"])} for hit in turn["results"]]}
            for turn in await self.turns()
        ]
        return {"thread": self.thread, "turns": turns}

    async def settle(self, progress: Progress | None = None) -> StateSnapshot:
        """The conversation at rest: a cut-off turn is finished, an older schema brought up to date.

        Raises:
            BadInput: there is no such conversation, or this version or profile cannot go on with it.
            BackendUnavailable: a model does not answer.
        """
        with reading(self.chats.place):
            return await self._settled(progress)

    async def _settled(self, progress: Progress | None) -> StateSnapshot:
        snapshot = await self._head()
        metadata: Mapping[str, Any] = snapshot.metadata or {}
        if (made_by := metadata.get("profile")) != self.chats.services.profile:
            raise BadInput(
                f"conversation {self.thread!r} was begun with the profile {made_by!r}; open it with that"
            )
        if not is_current(snapshot.values):
            await self._migrate(snapshot)
            snapshot = await self._head()
        elif snapshot.next not in REST or await self._accepted():
            judges = {*JUDGES, self.chats.settings.judge or OWN_JUDGE}
            settings = Settings.from_record(metadata.get("settings"), judges=judges)
            await self._run(None, settings, progress)
            snapshot = await self._head()
        return snapshot

    async def _head(self) -> StateSnapshot:
        """The last checkpoint as it was written.

        Without the checkpoint's id, writes of a step that was cut off before its checkpoint would count as done:
        the conversation would seem at rest, and the next message would wipe them out.
        """
        kept = await self.chats.saver.aget_tuple(self.config())
        if kept is None:
            raise BadInput(f"there is no conversation {self.thread!r}; begin one")
        snapshot: StateSnapshot = await self.chats.graph.aget_state(kept.config)
        sound(snapshot.values)
        return snapshot

    async def _accepted(self) -> bool:
        """Whether a message was taken while the conversation waited, and nothing was done with it yet."""
        kept = await self.chats.saver.aget_tuple(self.config())
        return kept is not None and any(write[1] == "__resume__" for write in kept.pending_writes or ())

    async def _run(self, given: Any, settings: Settings, progress: Progress | None) -> None:
        services = self.chats.services
        with recording(place(services.collection.location), services, settings) as recorders:
            # "sync": what a step found is on disk before the next one starts, so a kill loses one step
            updates = self.chats.graph.astream(
                given,
                {**self.config(settings), "callbacks": [*recorders]},
                context=settings,
                stream_mode="updates",
                durability="sync",
            )
            async for update in updates:
                for name in update:
                    if progress is not None and not name.startswith("__"):
                        progress(name)

    async def _resting(self, snapshot: StateSnapshot, count: int) -> StateSnapshot:
        """The latest state with that many turns from which this one came."""
        total = len(snapshot.values["turns"])
        if not 0 <= count <= total:
            raise BadInput(
                "there is no turn to undo; say something first"
                if count < 0
                else f"there are only {total} turns, not {count}; name one of them, or 0 for the beginning"
            )
        while len(snapshot.values.get("turns", ())) != count or snapshot.next not in REST:
            if snapshot.parent_config is None:
                raise BadInput(
                    f"conversation {self.thread!r} does not reach back to turn {count}; name a later one"
                )
            snapshot = await self.chats.graph.aget_state(snapshot.parent_config)
        return snapshot

    async def _migrate(self, snapshot: StateSnapshot) -> None:
        """Bring the last state at rest up to date, then say once more what was not finished."""
        rest = await self._resting(snapshot, len(snapshot.values.get("turns", ())))
        update = whole(migrate(rest.values))
        await self.chats.graph.aupdate_state(_at(self.config(), rest), update, as_node="answer")
        if snapshot.next not in REST:
            unheard = snapshot.next == ("begin",)
            said = {
                "query": snapshot.values["query" if unheard else "message"],
                "reference": snapshot.values.get("reference"),
            }
            await self._run(said, self.chats.settings, None)


def _state(snapshot: StateSnapshot) -> State:
    state: State = snapshot.values  # type: ignore[assignment]
    return state


def _at(config: RunnableConfig, snapshot: StateSnapshot) -> RunnableConfig:
    return {**config, "configurable": dict(snapshot.config["configurable"])}


def sound(values: dict[str, Any]) -> dict[str, Any]:
    """What a conversation keeps, where every key holds what kind of value it should.

    Raises:
        TypeError: one does not; the store may be a stranger's.
    """
    for name, empty in NEW.items():
        value = values.get(name, empty)
        if not isinstance(value, type(empty)) and not (empty is None and isinstance(value, str | dict)):
            raise TypeError(f"{name} is {type(value).__name__}")
    for turn in values.get("turns", []):
        if not isinstance(turn["message"], str) or not all(
            isinstance(hit["id"], str) for hit in turn["results"]
        ):
            raise TypeError("a turn is none")
    return values


def whole(values: Mapping[str, Any]) -> dict[str, Any]:
    """A state as an update that leaves exactly it."""
    return {name: Overwrite(value) if name in ACCUMULATED else value for name, value in values.items()}


def check_name(thread: str) -> str:
    """A name for a conversation, where it can be one.

    Raises:
        BadInput: it cannot.
    """
    if not re.fullmatch(r"[\w.-]{1,64}", thread):
        raise BadInput(
            f"{thread!r} cannot name a conversation; use up to 64 letters, digits, '.', '_' and '-'"
        )
    return thread
