"""Who holds a drawn dialog with whom: systems that are told a round at a time, and the wanted picture's rank in each.

Each player sees a dialog's rounds 0..10 in order. Round 0 is the caption. After it "given" is told the dialog's own
questions with their answers, "ours" and "random" ask a simulated user instead. "imagescope" is that paper's chat
procedure on the given rounds, "clip" ranks by all rounds joined.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from langgraph.checkpoint.memory import InMemorySaver

from imagescope_agent.chat import Chats, Session
from imagescope_agent.errors import ImageScopeError
from imagescope_agent.evaluation.chat.simulated_user import SimulatedUser, read_scenes
from imagescope_agent.evaluation.datasets.annotations import field, read_jsonl, strings
from imagescope_agent.evaluation.datasets.base import BenchmarkQuery
from imagescope_agent.evaluation.runner import Answer
from imagescope_agent.lab.scenes.world import Scene
from imagescope_agent.nodes.chat.deepen_retrieval import RetrieveLiked
from imagescope_agent.parsing import complete_order
from imagescope_agent.registry import load_graph
from imagescope_agent.services import Services
from imagescope_agent.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Dialog:
    """A dialog about one picture: its caption and "question? answer" rounds, and what the picture shows."""

    name: str
    rounds: tuple[str, ...]
    scene: Scene


class Player(Protocol):
    """Plays a dialog: one answer a round."""

    def play(self, dialog: Dialog) -> AsyncIterator[Answer]:
        """The answers of rounds 0, 1, ...

        Raises:
            BackendUnavailable: a model does not answer.
            ImageScopeError: the dialog cannot go on.
        """
        ...


def read_dialogs(root: Path) -> dict[str, Dialog]:
    """The dialogs of a drawn world by name.

    Raises:
        BadInput: a file is missing or malformed.
    """
    scenes, path = read_scenes(root), root / "chat.jsonl"
    dialogs = {}
    for number, record in read_jsonl(path):
        place = f"{path}, line {number}"
        name = str(field(record, "qid", (str, int), place))
        scene = scenes[field(record, "target", str, place)]
        dialogs[name] = Dialog(name=name, rounds=tuple(strings(record, "dialog", place)), scene=scene)
    return dialogs


class Joined:
    """CLIP on all rounds so far, joined as VisDial's protocol joins them (graph `retrieve`)."""

    def __init__(self, services: Services, settings: Settings) -> None:
        self.settings = whole(settings, services)
        self.graph = load_graph("retrieve")(services)

    async def play(self, dialog: Dialog) -> AsyncIterator[Answer]:
        """See `Player.play`."""
        for number in range(len(dialog.rounds)):
            said = ", ".join(dialog.rounds[: number + 1])
            state = await self.graph.ainvoke({"query": said}, context=self.settings)
            yield answer_of(state["ranking"], state["ranking"], state["notes"], state["usage"])


class Rounds:
    """ImageScope's chat procedure on the given rounds (graph `imagescope_chat`)."""

    def __init__(self, services: Services, settings: Settings) -> None:
        self.settings, self.rest = settings, Rest(services, settings)
        self.saver = InMemorySaver()
        self.graph = load_graph("imagescope_chat")(services, checkpointer=self.saver)

    async def play(self, dialog: Dialog) -> AsyncIterator[Answer]:
        """See `Player.play`."""
        config = {"configurable": {"thread_id": dialog.name}}
        for said in dialog.rounds:
            state = await self.graph.ainvoke({"query": said}, config, context=self.settings)
            every = self.rest({**state, "liked": [], "rejected": [], "facts": []})
            yield answer_of(state["ranking"], every, state["notes"], state["usage"])
        await self.saver.adelete_thread(dialog.name)


class Conversation:
    """Our own graph, told the given rounds, or asking a simulated user.

    Args:
        services: what the graph is built with.
        settings: of every turn; `clarify` says who asks: with "never" it is told the given rounds.
    """

    def __init__(self, services: Services, settings: Settings) -> None:
        self.settings, self.rest = settings, Rest(services, settings)
        self.chats = Chats(services, InMemorySaver(), settings)

    async def play(self, dialog: Dialog) -> AsyncIterator[Answer]:
        """See `Player.play`; where no question is worth asking the ranking stands."""
        session, user = await self.chats.create(), SimulatedUser(dialog.scene)
        turn = await session.say(dialog.rounds[0])
        yield await self._answer(session, turn["notes"], turn["usage"])
        for given in dialog.rounds[1:]:
            notes: list[Any] = []
            if self.settings.clarify == "never":
                said = given
            elif turn["question"] is not None:
                question = turn["question"]["text"]
                said = user.answer(question)
                notes = [{"step": "user", "kind": "asked", "detail": f"{question} {said}"}]
            else:
                yield await self._answer(session, [], [])
                continue
            turn = await session.say(said)
            yield await self._answer(session, [*notes, *turn["notes"]], turn["usage"])
        await self.chats.delete(session.thread)

    async def _answer(self, session: Session, notes: Sequence[Any], usage: Sequence[Any]) -> Answer:
        state = await session.state()
        return answer_of(state["ranking"], self.rest(state), notes, usage)


class Rest:
    """The whole gallery as a turn retrieved it: a turn itself keeps only the best."""

    def __init__(self, services: Services, settings: Settings) -> None:
        self.retrieve = RetrieveLiked(services.embedder, services.collection)
        self.settings = whole(settings, services)

    def __call__(self, state: Any) -> list[str]:
        """Every image, best first."""
        return [name for name, _ in self.retrieve.search(state, self.settings)]


class Dialogs:
    """Any player as a system that is asked round by round, each dialog's in order.

    A run that was stopped plays the earlier rounds of its unfinished dialogs again.

    Args:
        player: plays the dialogs.
        dialogs: by name.
        identity: what the run is known by.
    """

    def __init__(self, player: Player, dialogs: Mapping[str, Dialog], *, identity: dict[str, Any]) -> None:
        self.player, self.dialogs, self.identity = player, dialogs, identity
        self._playing: dict[str, AsyncIterator[tuple[int, Answer]]] = {}

    async def answer(self, query: BenchmarkQuery) -> Answer:
        """The player's answer in this round.

        Raises:
            BackendUnavailable: a model does not answer.
            ImageScopeError: the dialog broke off in this round or before.
        """
        playing = self._playing.setdefault(query.group, self._play(self.dialogs[query.group]))
        async for turn, answer in playing:
            if turn == query.turn:
                return answer
        raise ImageScopeError(f"dialog {query.group!r} broke off before round {query.turn}")

    async def _play(self, dialog: Dialog) -> AsyncIterator[tuple[int, Answer]]:
        number = 0
        async for answer in self.player.play(dialog):
            yield number, answer
            number += 1
        self._playing.pop(dialog.name, None)


def answer_of(
    ranking: Sequence[str], every: Sequence[str], notes: Sequence[Any], usage: Sequence[Any]
) -> Answer:
    """A turn's answer with the whole gallery ranked: what was verified, then the rest as it was retrieved."""
    spent = {
        name: sum(entry[name] for entry in usage)
        for name in ("calls", "prompt_tokens", "completion_tokens", "image_prefills", "seconds")
    }
    final = complete_order(list(ranking), list(every))
    return Answer(stages={"final": final}, notes=[dict(note) for note in notes], usage=spent)


def whole(settings: Settings, services: Services) -> Settings:
    """The settings under which retrieval ranks the whole collection."""
    return Settings(**{**settings.to_dict(), "k": len(services.collection)})


#: Who plays, and with which settings.
PLAYERS: dict[str, tuple[Callable[[Services, Settings], Player], dict[str, Any]]] = {
    "clip": (Joined, {}),
    "imagescope": (Rounds, {}),
    "given": (Conversation, {"clarify": "never"}),
    "ours": (Conversation, {"clarify": "information"}),
    "random": (Conversation, {"clarify": "random"}),
}
