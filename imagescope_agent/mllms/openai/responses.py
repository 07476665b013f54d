"""What the answers of OpenAI-compatible servers mean."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from imagescope_agent.errors import RequestRefused, UnreadableReply, shorten

#: What no waiting mends, even where the status asks for it.
SPENT = re.compile(
    r"insufficient[ _]?(?:quota|funds|credits?|(?:account )?balance)|out of credits?|credit balance"
    r"|(?:balance|credits?) (?:is |are )?(?:insufficient|exhausted|too low|not enough|negative|used up)"
    r"|payment required|requires more credits|top up your",
    re.I,
)

#: The share of what the server listed for the first token that the labels must hold, together, to be believed:
#: below it the answer was about to begin with something else, and how the rest is divided says nothing.
LEAST_SHARE = 0.5

_MOST_TOKENS = 10**9  # a count beyond it is no count
_LONGEST_REPR = 4000  # characters of a strange answer that are kept
_SLACK = 1e-3  # a log probability of nearly certain tokens may lie this much above 0

_THOUGHTS = re.compile(r"<think(?:ing)?>(?:(?!</think).)*", re.DOTALL | re.IGNORECASE)
_THINKING = frozenset({"thinking", "reasoning", "thought", "reasoning_content", "redacted_thinking"})


@dataclass(frozen=True, kw_only=True)
class ServerError:
    """An error that came where an answer should be.

    Attributes:
        status: as in HTTP.
        text: what the server says about it.
    """

    status: int
    text: str


@dataclass(frozen=True, kw_only=True)
class Written:
    """What a model wrote.

    Attributes:
        text: the answer without thoughts that came apart from it.
        finish: why it ended: "stop", "length", ...
        thought: whether there were thoughts apart from the answer.
    """

    text: str
    finish: str
    thought: bool

    @property
    def cut(self) -> bool:
        """Whether the limit of tokens ended it."""
        return self.finish in ("length", "max_tokens", "MAX_TOKENS")

    @property
    def unspoken(self) -> bool:
        """Whether it is thoughts alone, or nothing."""
        text = self.text.strip()
        return not text or (bool(_THOUGHTS.fullmatch(text)) and self.cut)


def error_of(answer: Any) -> ServerError | None:
    """The error that an answer of HTTP 200 holds, in its body or in its first choice; None where there is none."""
    if not isinstance(answer, dict):
        return None
    choice = _first(answer.get("choices"))
    for holder in (answer, choice if isinstance(choice, dict) else {}):
        if error := holder.get("error"):
            return ServerError(status=_status(error), text=_told(error))
    if isinstance(told := answer.get("base_resp"), dict) and told.get("status_code"):
        return ServerError(status=_status(told), text=_told(told))
    if "choices" not in answer and _is_error(answer):
        return ServerError(status=_status(answer), text=_told(answer))
    if isinstance(choice, dict) and choice.get("finish_reason") == "error":
        return ServerError(status=500, text="the reply ended in an error")
    return None


def written(answer: Mapping[str, Any]) -> Written:
    """What the model wrote.

    Raises:
        RequestRefused: it, or a filter, declines to answer.
        UnreadableReply: the answer is no chat completion.
    """
    choice = _first(answer.get("choices"))
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(choice, dict) or not isinstance(message, dict):
        raise _strange(answer)
    finish = str(choice.get("finish_reason") or "")
    content = message.get("content")
    text = content if isinstance(content, str) else _joined(content)
    if text is None:
        raise _strange(answer)
    if not text.strip():
        if isinstance(refusal := message.get("refusal"), str) and refusal.strip():
            raise RequestRefused(f"the model declines: {shorten(refusal)!r}")
        if finish == "content_filter":
            raise RequestRefused("the server's content filter kept the reply back")
    thoughts = message.get("reasoning_content") or message.get("reasoning")
    return Written(text=text, finish=finish, thought=bool(thoughts))


def token_counts(answer: Mapping[str, Any]) -> tuple[int, int]:
    """Tokens read and written, 0 where the server does not say it in numbers."""
    usage = answer.get("usage")
    if not isinstance(usage, dict):
        return 0, 0
    return _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))


def image_prefills(answer: Mapping[str, Any]) -> int:
    """Images that passed the model anew; 0 where the server does not say it."""
    usage = answer.get("usage")
    return _count(usage.get("image_prefills")) if isinstance(usage, dict) else 0


def first_token_probabilities(answer: Mapping[str, Any], choices: Sequence[str]) -> list[float] | None:
    """Probabilities of the choices from the weights of the first token; None where these say too little.

    A token speaks for the choice that it is the beginning of, and for no other. A choice that was not weighed
    gets what the weighed tokens leave over, at most the least of them. They say too little where the choices
    hold less than `LEAST_SHARE` of the listed tokens, white space included: what follows it is not weighed.
    """
    weights = first_token_weights(answer)
    mass = [0.0] * len(choices)
    spoken_of = 0.0
    for token, weight in weights:
        text = token.strip().strip("▁Ġ").casefold()
        spoken_of += weight if text or token.isspace() else 0.0
        spoken = [
            place for place, choice in enumerate(choices) if text and choice.casefold().startswith(text)
        ]
        if len(spoken) == 1:
            mass[spoken[0]] += weight
    if not any(mass) or sum(mass) < LEAST_SHARE * spoken_of - 1e-9:
        return None
    least = min(weight for _, weight in weights if weight > 0)
    left = max(0.0, 1.0 - sum(weight for _, weight in weights))
    mass = [each or min(least, left) for each in mass]
    return [each / sum(mass) for each in mass]


def first_token_weights(answer: Mapping[str, Any]) -> list[tuple[str, float]]:
    """The listed tokens in the first place of the reply and their probabilities; none where one is no probability."""
    choice = _first(answer.get("choices"))
    logprobs = choice.get("logprobs") if isinstance(choice, dict) else None
    first = _first(logprobs.get("content")) if isinstance(logprobs, dict) else None
    if not isinstance(first, dict):
        return []
    listed = first.get("top_logprobs")
    entries = listed if isinstance(listed, list) and listed else [first]
    found = []
    for entry in entries:
        if not isinstance(entry, dict) or not isinstance(entry.get("token"), str):
            continue
        weight = entry.get("logprob")
        if isinstance(weight, bool) or not isinstance(weight, int | float):
            continue
        if math.isnan(weight) or weight > _SLACK:
            return []
        found.append((entry["token"], math.exp(min(0.0, weight))))
    return found


def holds(answer: Mapping[str, Any], token: str) -> bool:
    """Whether the reply is JSON whose "seen" is the token."""
    try:
        found = json.loads(written(answer).text)
    except (RequestRefused, UnreadableReply, ValueError, RecursionError):
        return False
    return isinstance(found, dict) and found.get("seen") == token


def _joined(content: Any) -> str | None:
    """The text of content in parts, without thoughts; None for what is no content."""
    if content is None:
        return ""
    if not isinstance(content, list):
        return None
    texts = []
    for part in content:
        if isinstance(part, str):
            texts.append(part)
        elif isinstance(part, dict) and str(part.get("type")) not in _THINKING:
            text = part.get("text")
            texts.append(text if isinstance(text, str) else "")
    return "".join(texts)


def _strange(answer: Mapping[str, Any]) -> UnreadableReply:
    read, wrote = token_counts(answer)
    usage = {"calls": int(bool(answer.get("choices"))), "prompt_tokens": read, "completion_tokens": wrote}
    return UnreadableReply("the server's answer is no chat completion", reply=_repr(answer), usage=usage)


def _repr(value: Any) -> str:
    try:
        return repr(value)[:_LONGEST_REPR]
    except RecursionError:
        return "something nested beyond reason"


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _MOST_TOKENS:
        return 0
    return int(value)


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, list) and value else None


def _code(error: Mapping[str, Any]) -> int | None:
    """The HTTP status that an error names."""
    for key in ("code", "status", "status_code", "http_status", "http_code"):
        value = error.get(key)
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) == 3:
            value = int(value)
        if isinstance(value, int) and not isinstance(value, bool) and 400 <= value <= 599:
            return value
    return None


def _is_error(answer: Mapping[str, Any]) -> bool:
    """Whether an answer without a reply says that something failed."""
    failed = any(answer.get(name) is False for name in ("success", "ok"))
    named = any(str(answer.get(name, "")).casefold() in _ERRORS for name in ("object", "status", "type"))
    return failed or named or bool(answer.get("detail") or answer.get("errors")) or _code(answer) is not None


def _status(error: Any) -> int:
    """What the status would have been; 500 where nothing tells."""
    if isinstance(error, dict) and (code := _code(error)) is not None:
        return code
    words = _told(error).casefold()
    if isinstance(error, dict):
        words += f" {error.get('type', '')} {error.get('code', '')}".casefold()
    return next((status for status, meant in _MEANT if meant.search(words)), 500)


_ERRORS = frozenset({"error", "failed", "fail", "failure"})
# what an error is about, by its words; the first that fits counts
_MEANT = tuple(
    (status, re.compile(words))
    for status, words in (
        (402, SPENT.pattern),
        (429, r"rate.?limit|too many|quota|throttl"),
        (400, r"filter|policy|safety|moderat"),
        (
            401,
            r"authenti|unauthori[sz]|api.?(?:secret.?)?key|\blog.?in fail|credential|invalid token|token expired",
        ),
        (403, r"permission|forbidden|access denied|not allowed to"),
        (404, r"not.?found|does not exist|no such model|unknown model"),
        (400, r"invalid.?request|bad.?request|unsupported|not supported|validation|too (?:large|long)"),
    )
)


def _told(error: Any) -> str:
    told = error
    if isinstance(error, dict):
        told = next(filter(None, map(error.get, ("message", "detail", "status_msg", "msg", "errors"))), None)
    return shorten(told if isinstance(told, str) else _repr(error), 400)
