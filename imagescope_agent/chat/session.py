"""One conversation: say, like, reject, undo, branch, export; an interrupted turn is finished first."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.types import Command, StateSnapshot

from imagescope_agent.chat.migrations import is_current, migrate
from imagescope_agent.chat.store import GRAPH, ConversationStore
from imagescope_agent.checkpoints import reading
from imagescope_agent.errors import BadInput
from imagescope_agent.judges import JUDGES, OWN_JUDGE
from imagescope_agent.nodes.chat.parse_message import PARSED, CheckedMessage, check_message, check_reference
from imagescope_agent.records import Result, ResultDict
from imagescope_agent.settings import Settings
from imagescope_agent.state import Feedback, State, Turn, new_conversation, overwrite
from imagescope_agent.traces.instrument import recording
from imagescope_agent.traces.store import place

AT_REST: tuple[tuple[str, ...], ...] = ((), ("ask",))  # `next` of a state that waits for the user

Progress = Callable[[str], None]


class Session:
    """One conversation; made by `Chats.create` and `Chats.open`."""

    def __init__(self, store: ConversationStore, thread: str) -> None:
        self.store, self.thread = store, thread

    async def create(self) -> Session:
        """Begin the conversation, in which nothing was said yet.

        Raises:
            BadInput: there is one of that name.
        """
        async with self.store.turn(self.thread):
            if await self.store.exists(self.thread):
                raise BadInput(
                    f"there is a conversation {self.thread!r} already; open it or choose another name"
                )
            await self.store.graph.aupdate_state(
                self.config(begun=True), new_conversation(), as_node="answer"
            )
        return self

    def config(self, settings: Settings | None = None, **metadata: Any) -> RunnableConfig:
        """The configuration of a run; its metadata lets an interrupted turn go on with the same settings."""
        recorded = json.dumps((settings or self.store.settings).to_dict())
        profile = self.store.services.profile
        return {
            "configurable": {"thread_id": self.store.key(self.thread)},
            "metadata": {"graph": GRAPH, "profile": profile, "settings": recorded, **metadata},
        }

    async def state(self) -> dict[str, Any]:
        """The state of the conversation (see `State`)."""
        with reading(self.store.place):
            values: dict[str, Any] = (await self.store.graph.aget_state(self.config())).values
            return check_state(values)

    async def turns(self) -> list[Turn]:
        """The finished turns, the first one first."""
        return list((await self.state()).get("turns", []))

    async def say(
        self, message: str, image: Path | str | None = None, *, progress: Progress | None = None
    ) -> Turn:
        """Run one turn: anything in words, an answer, "like 3", "not that one", with a new reference image or not.

        Args:
            message: the user's words.
            image: a new reference, an id or a file.
            progress: called with the name of each step when it is done.

        Raises:
            BadInput: the message cannot be used; nothing is changed.
            BackendUnavailable: a model does not answer; the turn is kept, the next call finishes it.
        """
        return await self._say(message, image, None, progress)

    async def _say(
        self, message: str, image: Path | str | None, feedback: Feedback | None, progress: Progress | None
    ) -> Turn:
        async with self.store.turn(self.thread):
            snapshot = await self.settle(progress)
            state, collection = _state(snapshot), self.store.services.collection
            checked = check_message(message, image, state, collection, feedback=feedback)
            given = {"query": message, "reference": checked.reference, "feedback": feedback}
            graph_input: Any = Command(resume=given) if snapshot.next else given
            await self._run(graph_input, self.store.settings, progress, checked)
            with reading(self.store.place):
                return (await self.turns())[-1]

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
        """Undo the last turn; returns the remaining turns.

        Raises:
            BadInput: there is no turn.
        """
        async with self.store.turn(self.thread):
            snapshot = await self.settle()
            before = await self._resting(snapshot, len(snapshot.values["turns"]) - 1)
            config = _at(self.config(), before)
            await self.store.graph.aupdate_state(
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
        async with self.store.turn(self.thread):
            snapshot = await self.settle()
            count = len(snapshot.values["turns"]) if turn is None else turn
            steps = [snapshot := await self._resting(snapshot, n) for n in range(count, -1, -1)]
        other = await Session(self.store, check_name(thread or uuid.uuid4().hex[:12])).create()
        for step in steps[-2::-1]:  # each turn once, so that the branch can be undone as well
            await self.store.graph.aupdate_state(other.config(), overwrite(step.values), as_node="answer")
        return other

    async def export(self) -> dict[str, Any]:
        """The conversation as `imagescope chat --export` prints it: {"thread", "turns": [{"message", "results"}]}."""
        folder = self.store.services.collection.folder
        turns = [
            {**turn, "results": [_exported(hit, folder) for hit in turn["results"]]}
            for turn in await self.turns()
        ]
        return {"thread": self.thread, "turns": turns}

    async def settle(self, progress: Progress | None = None) -> StateSnapshot:
        """Finish an interrupted turn, migrate an older schema, and return the state at rest.

        Raises:
            BadInput: there is no such conversation, or this version or profile cannot go on with it.
            BackendUnavailable: a model does not answer.
        """
        with reading(self.store.place):
            return await self._settled(progress)

    async def _settled(self, progress: Progress | None) -> StateSnapshot:
        snapshot = await self._head()
        metadata: Mapping[str, Any] = snapshot.metadata or {}
        if (made_by := metadata.get("profile")) != self.store.services.profile:
            raise BadInput(
                f"conversation {self.thread!r} was begun with the profile {made_by!r}; open it with that"
            )
        if not is_current(snapshot.values):
            await self._migrate(snapshot)
            snapshot = await self._head()
        elif snapshot.next not in AT_REST or await self._accepted():
            judges = {*JUDGES, self.store.settings.judge or OWN_JUDGE}
            settings = Settings.from_record(metadata.get("settings"), judges=judges)
            await self._run(None, settings, progress)
            snapshot = await self._head()
        return snapshot

    async def _head(self) -> StateSnapshot:
        """The last checkpoint as it was written.

        Without the checkpoint's id, writes of a step that was cut off before its checkpoint would count as done:
        the conversation would seem at rest, and the next message would wipe them out.
        """
        kept = await self.store.saver.aget_tuple(self.config())
        if kept is None:
            raise BadInput(f"there is no conversation {self.thread!r}; begin one")
        snapshot: StateSnapshot = await self.store.graph.aget_state(kept.config)
        check_state(snapshot.values)
        return snapshot

    async def _accepted(self) -> bool:
        """Whether a message was taken while the conversation waited, and nothing was done with it yet."""
        kept = await self.store.saver.aget_tuple(self.config())
        return kept is not None and any(write[1] == "__resume__" for write in kept.pending_writes or ())

    async def _run(
        self, given: Any, settings: Settings, progress: Progress | None, checked: CheckedMessage | None = None
    ) -> None:
        services, config = self.store.services, self.config(settings)
        config["configurable"][PARSED] = checked
        with recording(place(services.collection.location), services, settings) as recorders:
            # "sync": what a step found is on disk before the next one starts, so a kill loses one step
            updates = self.store.graph.astream(
                given,
                {**config, "callbacks": [*recorders]},
                context=settings,
                stream_mode="updates",
                durability="sync",
            )
            async for update in updates:
                for name in update:
                    if progress is not None and not name.startswith("__"):
                        progress(name)

    async def _resting(self, snapshot: StateSnapshot, count: int) -> StateSnapshot:
        """The latest ancestor of a state that has so many turns and is at rest."""
        total = len(snapshot.values["turns"])
        if not 0 <= count <= total:
            raise BadInput(
                "there is no turn to undo; say something first"
                if count < 0
                else f"there are only {total} turns, not {count}; name one of them, or 0 for the beginning"
            )
        while len(snapshot.values.get("turns", ())) != count or snapshot.next not in AT_REST:
            if snapshot.parent_config is None:
                raise BadInput(
                    f"conversation {self.thread!r} does not reach back to turn {count}; name a later one"
                )
            snapshot = await self.store.graph.aget_state(snapshot.parent_config)
        return snapshot

    async def _migrate(self, snapshot: StateSnapshot) -> None:
        """Migrate the last state at rest, then repeat the message of an unfinished turn."""
        rest = await self._resting(snapshot, len(snapshot.values.get("turns", ())))
        update = overwrite(migrate(rest.values))
        await self.store.graph.aupdate_state(_at(self.config(), rest), update, as_node="answer")
        if snapshot.next not in AT_REST:
            unread = snapshot.next == ("begin",)
            message = {
                "query": snapshot.values["query" if unread else "message"],
                "reference": snapshot.values.get("reference"),
                "feedback": snapshot.values.get("feedback"),
            }
            await self._run(message, self.store.settings, None)


def _state(snapshot: StateSnapshot) -> State:
    state: State = snapshot.values  # type: ignore[assignment]
    return state


def _at(config: RunnableConfig, snapshot: StateSnapshot) -> RunnableConfig:
    return {**config, "configurable": dict(snapshot.config["configurable"])}


def check_state(values: dict[str, Any]) -> dict[str, Any]:
    """The state of a conversation, where every key holds a value of the right type.

    Raises:
        TypeError: one does not; the store is untrusted.
    """
    for name, empty in new_conversation().items():
        value = values.get(name, empty)
        if not isinstance(value, type(empty)) and not (empty is None and isinstance(value, str | dict)):
            raise TypeError(f"{name} is {type(value).__name__}")
    for turn in values.get("turns", []):
        results = [Result.from_dict(hit) for hit in turn["results"]]
        if not isinstance(turn["message"], str) or not all(isinstance(each.id, str) for each in results):
            raise TypeError("a turn is malformed")
    return values


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
