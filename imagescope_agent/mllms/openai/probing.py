"""What a server does with options that it may ignore without a word, and which of its models chats."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from imagescope_agent.errors import (
    BackendUnavailable,
    BadInput,
    Misconfigured,
    ServerFails,
    UnreadableReply,
    shorten,
)
from imagescope_agent.mllms.openai.connection import Server
from imagescope_agent.mllms.openai.dialect import Question
from imagescope_agent.mllms.openai.negotiation import Negotiator, greeting
from imagescope_agent.mllms.openai.responses import first_token_weights, holds
from imagescope_agent.mllms.protocols import UnusableLabels

# a value that no model gives by chance: whoever returns it was held to the schema
_TOKEN = "imagescope-7319"
# with everything that the schemas of a run have
_SCHEMA = {
    "type": "object",
    "$defs": {
        "Word": {
            "type": "object",
            "properties": {"word": {"type": "string", "minLength": 1, "maxLength": 12}},
            "required": ["word"],
            "additionalProperties": False,
        }
    },
    "properties": {
        "seen": {"type": "string", "enum": [_TOKEN]},
        "words": {"type": "array", "items": {"$ref": "#/$defs/Word"}, "minItems": 1, "maxItems": 1},
    },
    "required": ["seen", "words"],
    "additionalProperties": False,
}
_MODELS_TRIED = 5


@dataclass(frozen=True, kw_only=True)
class Powers:
    """Which requests a server heeds; some ignore what they do not know without a word.

    Attributes:
        logprobs: whether it weighs first tokens.
        schema: whether it holds replies to a schema.
        choices: whether it has the route of `choices`.
    """

    logprobs: bool
    schema: bool
    choices: bool = False


async def probe(negotiator: Negotiator) -> Powers:
    """Ask two small questions whose answers show what is heeded.

    Raises:
        BackendUnavailable: the server does not answer.
    """
    weighed = greeting(limit=1, weigh=True)
    described = {"name": "probe", "strict": True, "schema": _SCHEMA}
    held = greeting(limit=160, format={"type": "json_schema", "json_schema": described})
    return Powers(
        logprobs=bool(first_token_weights(await _permitted(negotiator, weighed))),
        schema=holds(await _permitted(negotiator, held), _TOKEN),
    )


async def offers_choices(server: Server, model: str) -> bool:
    """Whether the server's list of models says that it has the route of `choices`."""
    try:
        listed = await server.listed()
    except (BadInput, BackendUnavailable, UnreadableReply):
        return False  # a server without such a list
    extensions = [each.get("extensions") for each in listed if each["id"] == model]
    return any(isinstance(each, list) and "choices" in each for each in extensions)


async def name_of(server: Server, negotiator: Callable[[str], Negotiator]) -> str:
    """The first of the server's models that answers a chat; the only one where it lists no other.

    Raises:
        Misconfigured: none does.
        BackendUnavailable: the server does not answer.
    """
    names = await server.models()
    if len(names) == 1:
        return names[0]
    for name in names[:_MODELS_TRIED]:
        try:
            await negotiator(name).asked(greeting(limit=1))
        except (BadInput, BackendUnavailable):
            continue  # a model that embeds, transcribes, ranks, or does not load
        except UnreadableReply:
            continue
        return name
    listed = ", ".join(repr(name) for name in names[:10])
    raise Misconfigured(
        f"none of the first models of {server.address.url} answers a chat; "
        f"set IMAGESCOPE_ENDPOINT_MODEL to one that does; it lists {shorten(listed, 400)}"
    )


async def _permitted(negotiator: Negotiator, question: Question) -> dict[str, Any]:
    try:
        answer, _ = await negotiator.asked(question)
    except (BadInput, UnreadableReply, UnusableLabels):
        return {}  # a server that refuses the option does not have the power
    except ServerFails:
        if not await negotiator.greets():
            raise
        return {}
    return answer
