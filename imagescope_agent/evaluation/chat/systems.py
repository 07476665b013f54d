"""The dialog systems ("players") that `imagescope eval chat` compares, each of which ranks the gallery in every round.

Each player sees a dialog's rounds 0..10 in order. Round 0 is the caption. After it "given" reads the dialog's own
questions with their answers, while "ours" and "random" ask a simulated user. "imagescope" is that paper's chat
procedure on the given rounds, "clip" ranks by all rounds joined, and "cir_cot" reasons about them and embeds.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from langgraph.checkpoint.memory import InMemorySaver

from imagescope_agent.chat import Chats, Session
from imagescope_agent.errors import BadInput, ImageScopeError
from imagescope_agent.evaluation.chat.simulated_user import SimulatedUser, read_scenes
from imagescope_agent.evaluation.datasets.annotations import (
    read_id,
    read_jsonl,
    require_field,
    require_strings,
)
from imagescope_agent.evaluation.datasets.base import BenchmarkQuery
from imagescope_agent.evaluation.runner import SystemAnswer
from imagescope_agent.lab.scenes.world import Scene
from imagescope_agent.nodes.chat.deepen_retrieval import RetrieveLiked
from imagescope_agent.records import complete_order, note
from imagescope_agent.registry import load_graph
from imagescope_agent.services import Services
from imagescope_agent.settings import Settings
from imagescope_agent.usage import total_usage


@dataclass(frozen=True, kw_only=True)
class DrawnDialog:
    """A dialog about one image: its caption and "question? answer" rounds, and the scene that the image shows."""

    name: str
    rounds: tuple[str, ...]
    scene: Scene


class Player(Protocol):
    """A system that takes part in dialogs."""

    def play(self, dialog: DrawnDialog) -> AsyncIterator[SystemAnswer]:
        """One answer for each of the rounds 0, 1, ...

        Raises:
            BackendUnavailable: a model does not answer.
            ImageScopeError: the dialog cannot go on.
        """
        ...


def read_dialogs(root: Path) -> dict[str, DrawnDialog]:
    """The dialogs of a drawn world by name.

    Raises:
        BadInput: a file is missing or malformed.
    """
    scenes, path = read_scenes(root), root / "chat.jsonl"
    dialogs = {}
    for number, record in read_jsonl(path):
        place = f"{path}, line {number}"
        name, target = read_id(record, "qid", place), require_field(record, "target", str, place)
        if target not in scenes:
            raise BadInput(f"{place}: the image {target!r} does not exist")
        rounds = tuple(require_strings(record, "dialog", place))
        dialogs[name] = DrawnDialog(name=name, rounds=rounds, scene=scenes[target])
    return dialogs


def world_digest(root: Path) -> str:
    """Name of a drawn world by its dialogs: a folder that was drawn before keeps them, whatever the seed of a run."""
    return f"world {hashlib.sha256((root / 'chat.jsonl').read_bytes()).hexdigest()[:8]}"


class JoinedRoundsPlayer:
    """CLIP on all rounds so far, joined as VisDial's protocol joins them (graph `retrieve`)."""

    graph_name = "retrieve"

    def __init__(self, services: Services, settings: Settings) -> None:
        self.settings = with_full_gallery(settings, services)
        self.graph = load_graph(self.graph_name)(services)

    async def play(self, dialog: DrawnDialog) -> AsyncIterator[SystemAnswer]:
        """See `Player.play`."""
        for number in range(len(dialog.rounds)):
            joined = ", ".join(dialog.rounds[: number + 1])
            state = await self.graph.ainvoke({"query": joined}, context=self.settings)
            yield system_answer(state["ranking"], state["ranking"], state["notes"], state["usage"])


class ReasonedRoundsPlayer(JoinedRoundsPlayer):
    """A dialog as the modification of a blank reference (graph `cir_cot`); needs an embedder that reasons."""

    graph_name = "cir_cot"


class ImageScopeChatPlayer:
    """ImageScope's chat procedure on the given rounds (graph `imagescope_chat`)."""

    def __init__(self, services: Services, settings: Settings) -> None:
        self.settings, self.full_ranking = settings, FullGalleryRanking(services, settings)
        self.saver = InMemorySaver()
        self.graph = load_graph("imagescope_chat")(services, checkpointer=self.saver)

    async def play(self, dialog: DrawnDialog) -> AsyncIterator[SystemAnswer]:
        """See `Player.play`."""
        config = {"configurable": {"thread_id": dialog.name}}
        for said in dialog.rounds:
            state = await self.graph.ainvoke({"query": said}, config, context=self.settings)
            every = self.full_ranking({**state, "liked": [], "rejected": [], "facts": []})
            yield system_answer(state["ranking"], every, state["notes"], state["usage"])
        await self.saver.adelete_thread(dialog.name)


class SessionPlayer:
    """The graph `chat`, on the given rounds or asking a simulated user.

    Args:
        services: what the graph is built with.
        settings: of every turn; with `clarify` "never" the given rounds are sent.
    """

    def __init__(self, services: Services, settings: Settings) -> None:
        self.settings, self.full_ranking = settings, FullGalleryRanking(services, settings)
        self.chats = Chats(services, InMemorySaver(), settings)

    async def play(self, dialog: DrawnDialog) -> AsyncIterator[SystemAnswer]:
        """See `Player.play`; in a round without a question the ranking stays as it is."""
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
                notes = [note("user", "asked", f"{question} {said}")]
            else:
                yield await self._answer(session, [], [])
                continue
            turn = await session.say(said)
            yield await self._answer(session, [*notes, *turn["notes"]], turn["usage"])
        await self.chats.delete(session.thread)

    async def _answer(self, session: Session, notes: Sequence[Any], usage: Sequence[Any]) -> SystemAnswer:
        state = session.last
        return system_answer(state["ranking"], self.full_ranking(state), notes, usage)


class FullGalleryRanking:
    """Ranks the whole gallery as a turn retrieved it; the turn itself keeps only the best candidates."""

    def __init__(self, services: Services, settings: Settings) -> None:
        self.retrieve = RetrieveLiked(services.embedder, services.collection)
        self.settings = with_full_gallery(settings, services)

    def __call__(self, state: Any) -> list[str]:
        """Every image, best first."""
        return [name for name, _ in self.retrieve.search(state, self.settings)]


class DialogSystem:
    """Adapter from a player to a `System`, which is sent the rounds of each dialog in order.

    A resumed run repeats the earlier rounds of its unfinished dialogs.

    Args:
        player: takes part in the dialogs.
        dialogs: by name.
        identity: of the run, for its run.json.
    """

    def __init__(
        self, player: Player, dialogs: Mapping[str, DrawnDialog], *, identity: dict[str, Any]
    ) -> None:
        self.player, self.dialogs, self.identity = player, dialogs, identity
        self._playing: dict[str, AsyncIterator[tuple[int, SystemAnswer]]] = {}

    async def answer(self, query: BenchmarkQuery) -> SystemAnswer:
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

    async def _play(self, dialog: DrawnDialog) -> AsyncIterator[tuple[int, SystemAnswer]]:
        number = 0
        async for answer in self.player.play(dialog):
            yield number, answer
            number += 1
        self._playing.pop(dialog.name, None)


def system_answer(
    ranking: Sequence[str], every: Sequence[str], notes: Sequence[Any], usage: Sequence[Any]
) -> SystemAnswer:
    """A turn's answer with the whole gallery ranked: the turn's ranking, then the rest as it was retrieved."""
    final = complete_order(list(ranking), list(every))
    return SystemAnswer(
        stages={"final": final}, notes=[dict(note) for note in notes], usage=total_usage(usage)
    )


def with_full_gallery(settings: Settings, services: Services) -> Settings:
    """The settings under which retrieval ranks the whole collection."""
    return Settings(**{**settings.to_dict(), "k": len(services.collection)})


#: Name -> player, and settings that it is run with.
PLAYERS: dict[str, tuple[Callable[[Services, Settings], Player], dict[str, Any]]] = {
    "clip": (JoinedRoundsPlayer, {}),
    "imagescope": (ImageScopeChatPlayer, {}),
    "cir_cot": (ReasonedRoundsPlayer, {}),
    "given": (SessionPlayer, {"clarify": "never"}),
    "ours": (SessionPlayer, {"clarify": "information"}),
    "random": (SessionPlayer, {"clarify": "random"}),
}
#: Those that any profile can play.
EVERYWHERE = tuple(name for name in PLAYERS if name != "cir_cot")
