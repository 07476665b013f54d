"""A chat model in a role: the one way nodes ask anything. Any LangChain chat model serves."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.runnables.config import (
    RunnableConfig,
    ensure_config,
    get_async_callback_manager_for_config,
)
from pydantic import BaseModel

from imagescope_agent.errors import BadInput, RequestFailed, RequestRefused, UnreadableReply, shorten
from imagescope_agent.mllms.batch import CALLER, one_caller, together
from imagescope_agent.mllms.liveness import answer_of
from imagescope_agent.mllms.output_validation import (
    joined,
    sound_attention,
    sound_choice,
    sound_embedding,
    sound_usage,
)
from imagescope_agent.mllms.powers import Powers
from imagescope_agent.mllms.protocols import (
    Attention,
    AttentionReader,
    Choice,
    ChoiceScorer,
    Embedding,
    MessageEmbedder,
    SchemaWriter,
    UnusableLabels,
)
from imagescope_agent.mllms.provider_errors import as_ours
from imagescope_agent.mllms.request import ImageRef, Reply, Request, answered, chosen, read_reply
from imagescope_agent.records import NoteDict, NoteKind, note
from imagescope_agent.replies.reader import first_choice
from imagescope_agent.usage import total_usage

__all__ = ["CALLER", "SCORED", "Choice", "ImageRef", "Reply", "Request", "Role", "first_choice"]

#: LangChain custom event of answers read from probabilities: {"role", "texts", "images": [[key]], "choices",
#: "probabilities", "usage"}; such answers pass no chat model callback.
SCORED = "imagescope.scored"


class Role(Powers):
    """A chat model under the name of what it is asked to be: captioner, reasoner, talker, verifier, judge.

    Args:
        name: of the role.
        model: who is asked.
        prompt_set: whose wording suits the model, None for the general one.
    """

    def __init__(self, name: str, model: BaseChatModel, *, prompt_set: str | None = None) -> None:
        self.name, self.model, self.prompt_set = name, model, prompt_set

    def __repr__(self) -> str:
        return f"Role({self.name!r}, {type(self.model).__name__})"

    async def ask(
        self,
        requests: Sequence[Request],
        *,
        schema: type[BaseModel] | None = None,
        max_tokens: int | None = None,
    ) -> list[Reply]:
        """The answers, in the order of the requests, all asked at once.

        Args:
            requests: what to ask.
            schema: the answer is JSON of this model where the chat model can be held to it; else a note.
            max_tokens: longest answer.

        Raises:
            BackendUnavailable: the model does not answer.
            RequestRefused, UnreadableReply: none of the requests got an answer. Where only some got none, their
                replies say so (`Reply.problem`).
        """
        return answered(await self.ask_some(requests, (), schema=schema, max_tokens=max_tokens))

    async def choose(
        self, requests: Sequence[Request], choices: Sequence[str], *, max_tokens: int | None = None
    ) -> Choice:
        """How probable each of `choices` is as the answer to each request.

        A model that gives no probabilities (or not for these choices) is asked for text, of at most `max_tokens`:
        1 for the choice that the answer begins with, an even row with a note when it begins with none.

        Raises:
            BackendUnavailable: the model does not answer.
            RequestRefused: it refuses every request. Where it refuses some, `Choice.refused` says so.
        """
        return chosen(await self.choose_some(requests, choices, (), max_tokens=max_tokens))

    async def ask_some(
        self,
        requests: Sequence[Request],
        groups: Sequence[int],
        *,
        schema: type[BaseModel] | None = None,
        max_tokens: int | None = None,
    ) -> list[Reply]:
        """The answers to the first requests; to all of them, unless the role is on a budget (`BudgetedRole`).

        Args:
            requests: what to ask.
            groups: sizes of consecutive groups of requests, each of which is asked whole or not at all.
            schema: as in `ask`.
            max_tokens: as in `ask`.

        Raises:
            BackendUnavailable: the model does not answer.
        """
        if not requests:
            return []
        options: dict[str, Any] = {} if max_tokens is None else {"max_tokens": max_tokens}
        constrained: dict[str, Any] = {}
        if schema is not None and isinstance(self.model, SchemaWriter):
            with as_ours(self.model):
                constrained = self.model.schema_kwargs(schema) or {}
        start = time.perf_counter()
        with one_caller():
            replies = await together(self._reply(request, {**options, **constrained}) for request in requests)
        share = (time.perf_counter() - start) / len(requests)
        for reply in replies:
            reply.usage["seconds"] = share
            if isinstance(reply.problem, UnreadableReply):
                reply.problem.usage = reply.usage
        if schema is not None and not constrained:
            replies[0].notes.append(self._note("fallback", "the model cannot be held to a JSON schema"))
        return replies

    async def choose_some(
        self,
        requests: Sequence[Request],
        choices: Sequence[str],
        groups: Sequence[int],
        *,
        max_tokens: int | None = None,
    ) -> Choice:
        """Probabilities for the first requests; for all of them, unless the role is on a budget (`BudgetedRole`).

        Raises:
            BackendUnavailable: the model does not answer.
        """
        if not requests:
            return Choice(probabilities=[], usage=total_usage([]))
        reason = "the model gives no label probabilities"
        if isinstance(self.model, ChoiceScorer):
            try:
                with one_caller():
                    return await self._scored(self.model, requests, choices)
            except UnusableLabels as error:
                reason = str(error)
        note = self._note("fallback", f"{reason}; answers are read as text")
        return await self._read(requests, choices, [note], max_tokens)

    @property
    def images_per_request(self) -> int | None:
        """The most pictures that the model takes in a request; None where no limit is known."""
        limit = getattr(self.model, "images_per_request", None)
        return limit if type(limit) is int and limit >= 0 else None

    async def affords(self, request: Request, calls: int) -> bool:
        """Whether so many requests like this one may be asked: always, unless the role is on a budget."""
        return True

    async def attend(self, requests: Sequence[Request]) -> list[Attention]:
        """Where the model's attention goes in each request.

        Raises:
            BadInput: the model does not show it.
            RequestRefused: it refuses one of them.
            UnreadableReply: what it gives is no number a token of each picture.
        """
        if not isinstance(self.model, AttentionReader):
            raise BadInput(f"{type(self.model).__name__} does not show its attention; choose another model")
        found = []
        for request in requests:
            with as_ours(self.model):
                given = await self.model.aattention(request.messages())
            found.append(sound_attention(given, len(request.images)))
        return found

    async def embed(self, requests: Sequence[Request]) -> Embedding:
        """Each request as a vector.

        Raises:
            BadInput: the model embeds nothing.
            RequestRefused: it refuses one of them.
            UnreadableReply: what it gives is no vector a request.
        """
        if not isinstance(self.model, MessageEmbedder):
            raise BadInput(f"{type(self.model).__name__} embeds nothing; choose another model")
        with as_ours(self.model):
            given = await self.model.aembed([request.messages() for request in requests])
        return sound_embedding(given, len(requests))

    async def _reply(self, request: Request, options: Mapping[str, Any]) -> Reply:
        """One reply; a request that is refused, or answered with nothing that can be read, says so."""
        try:
            message = await answer_of(
                self.model, lambda: self.model.ainvoke(request.messages(), self._named(request), **options)
            )
        except RequestRefused as error:
            return Reply(text="", usage=total_usage([]), problem=error)
        except UnreadableReply as error:
            calls = 0 if error.usage.get("calls") == 0 else 1  # 0: of a server that sent no reply at all
            return Reply(text="", usage=sound_usage(error.usage, calls), problem=error)
        limit = options.get("max_tokens") or getattr(self.model, "max_tokens", None)
        return read_reply(message, request, limit)

    async def _scored(
        self, model: ChoiceScorer, requests: Sequence[Request], choices: Sequence[str]
    ) -> Choice:
        choice = await self._weighed(model, requests, choices)
        await self._tell(requests, choices, choice)
        notes = [{**note, "step": self.name} for note in choice.notes]
        return replace(choice, notes=notes)

    async def _weighed(
        self, model: ChoiceScorer, requests: Sequence[Request], choices: Sequence[str]
    ) -> Choice:
        """A scorer's rows. A batch that is refused as a whole is halved until it shows which request is to blame."""
        even = [1 / len(choices)] * len(choices)
        try:
            given = await answer_of(
                self.model, lambda: model.ascore([request.messages() for request in requests], choices)
            )
            return sound_choice(given, len(requests), len(choices))
        except RequestRefused as error:
            if len(requests) == 1:
                failed = frozenset({0} if isinstance(error, RequestFailed) else ())
                return Choice(
                    probabilities=[even], usage=total_usage([]), refused={0: str(error)}, failed=failed
                )
        except UnreadableReply as error:
            if len(requests) == 1:
                usage = sound_usage(error.usage, 1)
                return Choice(probabilities=[even], usage=usage, notes=[self._note("unreadable", str(error))])
        half = len(requests) // 2
        parts = [await self._weighed(model, part, choices) for part in (requests[:half], requests[half:])]
        return joined(parts)

    def _named(self, request: Request) -> RunnableConfig:
        """Who asks about which pictures, for whoever listens: callbacks are not shown a picture's key."""
        return {"metadata": {"role": self.name, "images": [image.key for image in request.images]}}

    async def _tell(self, requests: Sequence[Request], choices: Sequence[str], choice: Choice) -> None:
        """Tell whoever listens to the running graph; nothing is done where nobody does."""
        manager = get_async_callback_manager_for_config(ensure_config())
        if manager.parent_run_id is None or not manager.handlers:
            return
        scored = {
            "role": self.name,
            "texts": [request.text for request in requests],
            "images": [[image.key for image in request.images] for request in requests],
            "choices": list(choices),
            "probabilities": choice.probabilities,
            "usage": choice.usage,
        }
        await manager.on_custom_event(SCORED, scored, run_id=manager.parent_run_id)

    async def _read(
        self,
        requests: Sequence[Request],
        choices: Sequence[str],
        notes: list[dict[str, str]],
        max_tokens: int | None,
    ) -> Choice:
        replies = await self.ask_some(requests, (), max_tokens=max_tokens)
        rows: list[list[float]] = []
        refused: dict[int, str] = {}
        failed = frozenset(i for i, reply in enumerate(replies) if isinstance(reply.problem, RequestFailed))
        for place, (request, reply) in enumerate(zip(requests, replies, strict=True)):
            notes += reply.notes
            index = None if reply.problem else first_choice(reply.text, choices, request.text)
            if index is not None:
                rows.append([float(index == column) for column in range(len(choices))])
                continue
            rows.append([1 / len(choices)] * len(choices))
            if isinstance(reply.problem, RequestRefused):
                refused[place] = str(reply.problem)
            else:
                problem = reply.problem or reply.cut or f"not one of {list(choices)!r}"
                notes.append(self._note("unreadable", f"{problem}: {shorten(reply.text)!r}"))
        usage = total_usage([reply.usage for reply in replies])
        return Choice(probabilities=rows, usage=usage, notes=notes, refused=refused, failed=failed)

    def _note(self, kind: NoteKind, detail: str) -> NoteDict:
        return note(self.name, kind, detail)
