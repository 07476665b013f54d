"""The one reader of what models say: a message of any chat model to the text that counts and what it cost.

Nothing here raises: what cannot be read is told as such, and whoever asked decides what it is worth.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from imagescope_agent.replies.non_answers import names_several, non_answer

MOST = 200_000  # characters of a reply that are read; nothing that is asked for is as long
OBJECTS = 64  # places where the JSON object of a reply may begin
TOKENS = 10**12  # a count of tokens beyond it is no count

_TEXT = frozenset({"text", "output_text", "input_text"})
_CUT = frozenset({"length", "max_tokens", "max_output_tokens", "model_length", "token_limit"})
_KEPT_BACK = frozenset(
    {
        "content_filter",
        "content_filtered",
        "safety",
        "refusal",
        "recitation",
        "blocklist",
        "prohibited_content",
    }
    | {"spii", "image_safety", "guardrail_intervened", "guardrails", "sensitive"}
)
_ENDINGS = ("finish_reason", "stop_reason", "stopReason", "finishReason", "done_reason", "reason")
_NO_TEXT = {code: None for code in [*range(32), *range(127, 160)] if chr(code) not in "\t\n\r\x85"}

# what may follow a label that is a word of its own, "A" or "I"
_VERB = re.compile(
    r"\s+(?:is|has|shows?|fits?|matches|satisfies|contains?|wins?|looks?|seems?|best|better|because|since|as|over|than"
    r"|by|would|does|most|clearly|definitely|for|with|comes|depicts)\b"
)
_NAMES = r"(?:\w{1,20}:)?(?:think(?:ing)?|thoughts?|reasoning|reflection|scratchpad)"
_PREFACE = re.compile(r"^(?:(?:the|my|final|short) ){0,3}(?:answer|verdict)\W{0,3}(?:is\b|[:=>-])\W{0,4}")
_TAG = re.compile(
    rf"(?P<begin><{_NAMES}(?:\s[^<>]{{0,80}})?>|<\|{_NAMES}\|>|\[THINK\]|◁think▷|<\|begin_of_thought\|>"
    r"|<\|channel\|>(?!final)\w{1,20}[^<]{0,80}<\|message\|>|<\|channel>\s*\w{1,20})"
    rf"|(?P<end></{_NAMES}\s*>|<\|/{_NAMES}\|>|\[/THINK\]|◁/think▷|<\|end_of_thought\|>"
    r"|<\|channel\|>final[^<]{0,80}<\|message\|>|<channel\|>)",
    re.IGNORECASE,
)
_CONTROL = re.compile(r"<\|(?:end|return|im_end|eot_id|endoftext|begin_of_solution|end_of_solution)\|>")


@dataclass(frozen=True, kw_only=True)
class Said:
    """What a message says.

    Attributes:
        text: the answer, without thoughts, stripped of white space around it.
        problem: why there is no answer in it; empty where there is one, or where it is simply empty.
        cut: whether the longest reply that was allowed ended it.
        kept_back: whether the model, or a filter before it, declined to answer.
        prompt_tokens, completion_tokens: 0 where the message does not tell.
    """

    text: str
    problem: str
    cut: bool
    kept_back: bool
    prompt_tokens: int
    completion_tokens: int


def said(message: object) -> Said:
    """Read a message of a chat model, or the text of one; never raises."""
    about = metadata(message)
    ending = _ending(about)
    raw = content_text(message if isinstance(message, str) else getattr(message, "content", None))
    text = "" if raw is None else without_thoughts(raw).strip()
    refusal = _refusal(message)
    kept_back = not text and (ending in _KEPT_BACK or bool(refusal))
    problem = ""
    if raw is None:
        problem = "the reply is no text"
    elif kept_back:
        problem = refusal or f"the reply was kept back ({ending})"
    elif not text and (raw.strip() or _thought_apart(message)):
        problem = "the model wrote thoughts and no answer"
    usage = getattr(message, "usage_metadata", None)
    tokens: Mapping[Any, Any] = usage if isinstance(usage, Mapping) else {}
    return Said(
        text=text,
        problem=problem,
        cut=ending in _CUT,
        kept_back=kept_back,
        prompt_tokens=count(tokens.get("input_tokens")),
        completion_tokens=count(tokens.get("output_tokens")),
    )


def metadata(message: object) -> Mapping[str, Any]:
    """What a message's maker says about it; nothing where that is no mapping."""
    about = getattr(message, "response_metadata", None)
    return about if isinstance(about, Mapping) else {}


def content_text(content: object) -> str | None:
    """The text of a message's content: its text parts together; None for what is no content at all.

    Parts that are no text (thoughts, calls of tools, pictures) are left out.
    """
    if content is None:
        return ""
    if isinstance(content, str):
        return clean(content[:MOST])
    if isinstance(content, Mapping):
        content = [content]
    if not isinstance(content, Sequence) or isinstance(content, bytes | bytearray):
        return None
    return clean("".join(filter(None, map(_part, content)))[:MOST])


def clean(text: str) -> str:
    """The text without control characters and without halves of characters, which nothing could store or show."""
    return text.translate(_NO_TEXT).encode("utf-8", "replace").decode()


def without_thoughts(text: str) -> str:
    """What a reasoning model says outside its blocks of thoughts.

    A block that is not closed goes on to the end; one that was not opened (chat templates open it) began at the
    beginning.
    """
    kept: list[str] = []
    start, thinking = 0, False
    for tag in _TAG.finditer(text):
        if tag["begin"]:
            if not thinking:
                kept.append(text[start : tag.start()])
            thinking = True
            continue
        if not thinking:
            kept.clear()
        start, thinking = tag.end(), False
    if not thinking:
        kept.append(text[start:])
    return _CONTROL.sub("", "".join(kept))


def json_objects(text: str) -> Iterator[Any]:
    """The JSON objects in a text in the order they begin, nested ones too; the ValueError where one is broken."""
    return (value for value, _ in placed_objects(text))


def placed_objects(text: str) -> Iterator[tuple[Any, int]]:
    """As `json_objects`, each with the place after its end; an object that names a key twice is broken."""
    decoder = json.JSONDecoder(parse_constant=_no_constant, object_pairs_hook=_each_once, strict=False)
    start = text.find("{")
    for _ in range(OBJECTS):
        if start < 0:
            return
        try:
            yield decoder.raw_decode(text, start)
        except RecursionError:
            yield ValueError("it is nested too deep"), start
        except ValueError as error:  # also of a number with more digits than Python reads
            yield error, start
        start = text.find("{", start + 1)


def count(value: object) -> int:
    """A number of tokens or calls; 0 for whatever is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0
    return int(value) if 0 <= value < TOKENS else 0


def first_choice(text: str, choices: Sequence[str], about: str = "") -> int | None:
    """The choice that `text` begins with as a whole word, in any case, also after "Answer:"; the longest such.

    None if there is none, if another is named beside it, or if what follows shows that nothing is answered.

    Args:
        text: the reply.
        choices: the labels.
        about: the question.
    """
    marks = r"^[\W_]+" if all(choice.strip().isalpha() for choice in choices) else r"^[*_`\"'(\[“”‘\s]+"
    start = re.sub(marks, "", _PREFACE.sub("", re.sub(marks, "", text.casefold())))
    found = None
    for index, choice in enumerate(choices):
        word = choice.strip().casefold()
        rest = start[len(word) :]
        longer = found is None or len(word) > len(choices[found].strip())
        whole = not rest[:1].isalnum() and not re.match(r"[-'’_]\w", rest)
        if longer and start.startswith(word) and whole:
            found = index
    if found is None:
        return None
    word = choices[found].strip().casefold()
    rest, others = start[len(word) :], [each for place, each in enumerate(choices) if place != found]
    article = word in ("a", "i") and re.match(r"\s+(?!and\b|or\b)[a-z]", rest) and not re.match(_VERB, rest)
    if names_several(rest, others) or article or (word in ("yes", "no") and non_answer(start, about)):
        return None
    return found


def _part(part: object) -> str | None:
    if isinstance(part, str):
        return part
    if not isinstance(part, Mapping) or part.get("thought") is True:
        return None
    text = part.get("text")
    return text if isinstance(text, str) and part.get("type", "text") in _TEXT else None


def _ending(about: Mapping[str, Any]) -> str:
    """Why the model stopped, in lower case; some name it one level down."""
    nested = about.get("incomplete_details")
    for holder in (about, nested if isinstance(nested, Mapping) else {}):
        for name in _ENDINGS:
            if (value := holder.get(name)) is not None:
                return str(getattr(value, "name", value)).rpartition(".")[2].lower()
    return ""


def _refusal(message: object) -> str:
    more = getattr(message, "additional_kwargs", None)
    told = more.get("refusal") if isinstance(more, Mapping) else None
    if told is None and isinstance(content := getattr(message, "content", None), list):
        refusals = (part.get("refusal") for part in content if isinstance(part, Mapping))
        told = next(filter(None, refusals), None)
    return f"the model declines: {clean(told)}" if isinstance(told, str) and told.strip() else ""


def _thought_apart(message: object) -> bool:
    """Whether thoughts came beside the content."""
    more = getattr(message, "additional_kwargs", None)
    apart = isinstance(more, Mapping) and any(more.get(name) for name in ("reasoning_content", "reasoning"))
    content = getattr(message, "content", None)
    return apart or (isinstance(content, list) and bool(content))


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)!r} stands in it twice")
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number")
