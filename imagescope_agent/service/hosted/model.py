"""The model that is served: what is asked of it, and how its answers look on the wire."""

from __future__ import annotations

import hmac
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from langchain_core.messages import HumanMessage

from imagescope_agent.errors import BadInput, suggest
from imagescope_agent.mllms.engine.first_token import FirstToken, first_token
from imagescope_agent.mllms.liveness import SMALL_TALK
from imagescope_agent.mllms.transformers_chat import TransformersChat
from imagescope_agent.profiles.profile import Profile, load_profile
from imagescope_agent.service.admission import AdmissionQueue
from imagescope_agent.service.collections import Unknown, WrongKey
from imagescope_agent.service.hosted.schemas import ChoicesRequest, Completion, conversation
from imagescope_agent.service.metrics import Metrics
from imagescope_agent.services import open_roles

#: What the list of models says that this server offers beside chat completions.
EXTENSIONS = ["choices"]


@dataclass(kw_only=True)
class HostedModel:
    """A model of a profile behind a key.

    Args:
        model: who is asked.
        name: under which clients ask for it.
        queue: how many requests ask it at a time.
        metrics: what is counted.
        key: that clients send as a bearer token, "" for none.

    Attributes:
        ready: whether its weights are loaded.
        created: when it was opened, in seconds since 1970.
    """

    model: TransformersChat
    name: str
    queue: AdmissionQueue
    metrics: Metrics
    key: str = field(default="", repr=False)
    ready: bool = False
    created: int = field(default_factory=lambda: int(time.time()))

    def public(self, text: str) -> str:
        """A message without the place of the checkpoint on this machine."""
        return text.replace(self.model.checkpoint, self.name)

    def require(self, key: str, name: str) -> None:
        """Let a request in.

        Raises:
            WrongKey: it brings another key.
            Unknown: it names another model.
        """
        if self.key and not hmac.compare_digest(key.encode(), self.key.encode()):
            raise WrongKey("send the key of this server: Authorization: Bearer KEY")
        if name and name != self.name:
            raise Unknown(f"there is no model {name[:80]!r} here; {suggest(name[:80], [self.name])}")

    def listed(self) -> dict[str, Any]:
        """The list of models."""
        return {"object": "list", "data": [self.described()]}

    def described(self) -> dict[str, Any]:
        """The model."""
        about = {"id": self.name, "object": "model", "created": self.created, "owned_by": "imagescope"}
        return {**about, "extensions": EXTENSIONS}

    async def complete(self, asked: Completion) -> dict[str, Any]:
        """A chat completion, with the weights of the first token where they are asked for.

        Raises:
            RequestRefused: the model does not take it.
            BackendUnavailable: it cannot be run.
        """
        asked.require_possible()
        messages = conversation(asked.messages)
        limit = asked.max_completion_tokens or asked.max_tokens
        first = (
            await first_token(self.model, messages, max(1, asked.top_logprobs or 0))
            if asked.logprobs
            else None
        )
        if first is not None and limit == 1:
            return self._completion(
                first.text, "length" if first.text else "stop", first.usage, _logprobs(first), [*first.notes]
            )
        options: dict[str, Any] = {"max_tokens": limit, "response_format": asked.held_to}
        given = {name: value for name, value in options.items() if value is not None}
        reply = await self.model.ainvoke(messages, stop=asked.stops or None, **given)
        about: Mapping[str, Any] = reply.response_metadata
        counted: Mapping[str, Any] = getattr(reply, "usage_metadata", None) or {}
        usage = {
            "prompt_tokens": counted.get("input_tokens", 0),
            "completion_tokens": counted.get("output_tokens", 0),
            "image_prefills": about["image_prefills"] + (first.usage["image_prefills"] if first else 0),
        }
        return self._completion(
            str(reply.text), about["finish_reason"], usage, first and _logprobs(first), about["notes"]
        )

    async def choose(self, asked: ChoicesRequest) -> dict[str, Any]:
        """The probability of each choice as the answer to each question; what all begin with is read once.

        Raises:
            UnusableLabels: the choices begin alike for this model.
            RequestRefused: the model takes none of the questions.
            BackendUnavailable: it cannot be run.
        """
        found = await self.model.ascore(asked.conversations(), asked.choices)
        rows = [
            {"index": row, "error": {"type": "refused", "message": self.public(found.refused[row])}}
            if row in found.refused
            else {"index": row, "probabilities": probabilities}
            for row, probabilities in enumerate(found.probabilities)
        ]
        read, wrote = found.usage["prompt_tokens"], found.usage["completion_tokens"]
        usage = {
            "prompt_tokens": read,
            "completion_tokens": wrote,
            "total_tokens": read + wrote,
            "image_prefills": found.usage["image_prefills"],
        }
        return {"object": "choices", "model": self.name, "data": rows, "usage": usage, "notes": found.notes}

    def _completion(
        self, text: str, finish: str, usage: dict[str, int], logprobs: Any, notes: list[dict[str, str]]
    ) -> dict[str, Any]:
        return {
            "id": f"chatcmpl-{uuid.uuid4().hex}",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": self.name,
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": text},
                    "finish_reason": finish,
                    "logprobs": logprobs,
                }
            ],
            "usage": {**usage, "total_tokens": usage["prompt_tokens"] + usage["completion_tokens"]},
            "notes": notes,
        }

    async def warm_up(self) -> None:
        """Load the weights.

        Raises:
            BackendUnavailable: they cannot be loaded.
        """
        await first_token(self.model, [HumanMessage(SMALL_TALK)], 1)
        self.ready = True


def open_hosted(
    profile: str, role: str, *, name: str = "", key: str = "", running: int, waiting: int, timeout: float
) -> HostedModel:
    """As `host_model`, of the profile of that name.

    Raises:
        BadInput: as there, or there is no such profile.
    """
    limits: dict[str, Any] = {"running": running, "waiting": waiting, "timeout": timeout}
    return host_model(load_profile(profile), role, name=name, key=key, **limits)


def host_model(
    profile: Profile, role: str, *, name: str = "", key: str = "", running: int, waiting: int, timeout: float
) -> HostedModel:
    """The model that serves a role of a profile.

    Raises:
        BadInput: there is no such role, or its model is not hosted by this package.
    """
    if role not in profile.roles:
        raise BadInput(f"the profile {profile.name!r} has no role {role!r}; {suggest(role, profile.roles)}")
    model = open_roles(profile)[role].model
    if not isinstance(model, TransformersChat):
        raise BadInput(
            f"the {role} of the profile {profile.name!r} is of class {profile.model(role)['mllm']!r}, which is not "
            "hosted here; name a role whose model is of class 'transformers'"
        )
    queue = AdmissionQueue(running, waiting, timeout)
    metrics = Metrics(queue)
    metrics.watch_models(lambda: [model])
    return HostedModel(
        model=model, name=name or _name(model.checkpoint), queue=queue, metrics=metrics, key=key
    )


def _name(checkpoint: str) -> str:
    """A hub id as it is; of a folder only its own name, for where it lies is nobody's business."""
    return (
        checkpoint
        if checkpoint.count("/") == 1 and not checkpoint.startswith(("/", "."))
        else checkpoint.rstrip("/").rpartition("/")[2]
    )


def _logprobs(first: FirstToken) -> dict[str, Any]:
    listed = [{"token": token, "logprob": weight, "bytes": [*token.encode()]} for token, weight in first.top]
    return {"content": [{**listed[0], "top_logprobs": listed}]}
