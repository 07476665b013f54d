"""Generated replies of every shape that chat models and servers were seen to give, and of some that they might."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from imagescope_agent.errors import BackendUnavailable, RequestRefused, UnreadableReply, may_pass
from imagescope_agent.mllms.provider_errors import meaning

#: What a reply is read as.
JSON_FORMS: tuple[str, ...] = (
    "IntentAnswer",
    "PredicatesAnswer",
    "FoldAnswer",
    "ProposalAnswer",
    "OrderAnswer",
    "GradesAnswer",
)

JSON_FORMS += ("CotrrAnswer",)

COLOURS = ("red", "green", "blue", "yellow")

GARBAGE = (
    "perhaps", "{", "}{", "[1, 2", "null", "[]", "{}", '{"a": NaN}', '{"steps": Infinity}', "<b>Error</b>", "\\u0000",
    '{"steps": [{"type": "Addition"}]}', '{"order": {"1": 2}}', '{"predicates": "Is it red?"}', '{"core": 1.5e300}',
    '"core"', "-inf", "maybe {so} and {so}", '{"order": [1.5e300]}', "ｙｅｓ", "1e999", "[" * 3000, '{"a":' * 3000,
    '{"n": ' + "9" * 6000 + "}", "9" * 6000, " " * 5000 + "x", '{"core": "\\ud800"}', "<tool_call>x</tool_call>",
)  # fmt: skip

SILENCE: tuple[str, ...] = (
    "",
    " \n ",
    "\x00\x1b\x07",
    "<think>",
    "<think>Yes, it is red",
    "<thinking>a</thinking>",
    "</think>",
)

SILENCE += ("<|channel|>analysis<|message|>Yes, I think", "[THINK]{}", "◁think▷No◁/think▷")

THOUGHTS: tuple[str, ...] = (
    "<think>%s</think>",
    "<thinking>\n%s\n</thinking>\n",
    "%s</think>",
    "<reasoning>%s</reasoning>",
)

THOUGHTS += (
    "<|channel|>analysis<|message|>%s<|end|><|start|>assistant<|channel|>final<|message|>",
    "[THINK]%s[/THINK]",
)

USAGES: tuple[Any, ...] = (
    None, "many", [1], 7, {"input_tokens": "7"}, {"input_tokens": float("nan"), "output_tokens": 10**40},
    {"input_tokens": -3, "output_tokens": float("inf")}, {"input_tokens": None}, {"output_tokens": [1]}, True,
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Shape:
    """One reply, however it travels.

    Attributes:
        kind: of trouble, "good" for none.
        content: of the message.
        lost: whether nothing can be read in it, so that there must be a note.
        finish: why the model ended.
        usage: what it says that it cost.
        error: raised instead of a reply, or an HTTP status.
    """

    kind: str
    content: Any = ""
    lost: bool = False
    finish: Any = "stop"
    usage: Any = field(default_factory=lambda: {"input_tokens": 5, "output_tokens": 2, "total_tokens": 7})
    error: Exception | None = None
    status: int = 200


def good(random: Random, form: str) -> str:
    """A reply in the form that is asked for."""
    colour = random.choice(COLOURS)
    text = f"a {colour} square"
    grains = {"core": text, "enhanced": text, "full": text}
    step = {"type": "Addition", "text": text}
    made: dict[str, Any] = {
        "IntentAnswer": {"steps": [step], **grains},
        "PredicatesAnswer": {"predicates": [{"question": f"Is it {colour}?", "expected": "Yes"}]},
        "FoldAnswer": {"topic": "same", "answer": "None", "drop": [], "steps": [step], **grains},
        "ProposalAnswer": {"questions": [f"Is it {colour}?", "Is it dark?"]},
        "OrderAnswer": {"order": [2, 1]},
        "GradesAnswer": {"grades": [random.randrange(11) for _ in range(8)]},
        "CotrrAnswer": {
            "components": [text],
            "evaluations": [{"image": 1, "grade": "good"}],
            "order": random.sample(range(1, 9), 8),
        },
    }
    if form in made:
        return json.dumps(made[form])
    return random.choice(["Yes: it is.", "No", "A", "B", "7", "a red square.", "Is it red?"])


def shape(random: Random, form: str, share: float) -> Shape:
    """A reply to a question of that form; good ones are as frequent as `share` says."""
    text = good(random, form)
    if random.random() < share:
        return Shape(kind="good", content=text)
    return random.choice(_KINDS)(random, form, text)


def _garbage(random: Random, form: str, text: str) -> Shape:
    # words may be a caption, or begin with a number that is a grade: only what is asked for in JSON is surely lost
    return Shape(kind="garbage", content=random.choice(GARBAGE), lost=form in JSON_FORMS)


def _silence(random: Random, form: str, text: str) -> Shape:
    return Shape(kind="silence", content=random.choice(SILENCE), lost=True)


def _nothing(random: Random, form: str, text: str) -> Shape:
    return Shape(kind="null", content=None, lost=True, finish=random.choice(["stop", None, 3, "length"]))


def _thoughts(random: Random, form: str, text: str) -> Shape:
    thought = random.choice(["is it {red}?", '{"order": [9]}', "No. Yes. No.", ""])
    return Shape(kind="thoughts", content=random.choice(THOUGHTS) % thought + text)


def _fence(random: Random, form: str, text: str) -> Shape:
    wrapped = (
        f"Sure, {{here}} it is:\n```json\n{text}\n```\nBye {{}}" if form in JSON_FORMS else f"**{text}**"
    )
    return Shape(kind="fence", content=wrapped)


def _parts(random: Random, form: str, text: str) -> Shape:
    thinking = (
        {"type": "thinking", "thinking": "No"},
        {"type": "reasoning", "reasoning": "{}"},
        {"type": "tool_use"},
    )
    parts = [random.choice(thinking), {"type": "text", "text": text[:3]}, {"type": "text", "text": text[3:]}]
    return Shape(kind="parts", content=parts)


def _odd_parts(random: Random, form: str, text: str) -> Shape:
    parts: list[Any] = [[], [{}], [{"type": "text"}], [{"type": "text", "text": None}], [{"type": "image"}]]
    parts += [[{"type": 3, "text": []}], [{"type": "thinking", "thinking": "Yes"}]]
    return Shape(kind="odd parts", content=random.choice(parts), lost=True)


def _cut(random: Random, form: str, text: str) -> Shape:
    reason = random.choice(["length", "max_tokens", "MAX_TOKENS"])
    lost = form in JSON_FORMS
    content = text[: len(text) // 2] if lost else random.choice(["", "<think>so"])
    return Shape(kind="cut", content=content, finish=reason, lost=True)


def _usage(random: Random, form: str, text: str) -> Shape:
    return Shape(kind="usage", content=text, usage=random.choice(USAGES))


def _marks(random: Random, form: str, text: str) -> Shape:
    return Shape(kind="marks", content=f"\x00{text}\x1b[31m\ud800")


def _filtered(random: Random, form: str, text: str) -> Shape:
    return Shape(
        kind="filtered", content="", finish=random.choice(["content_filter", "SAFETY", "refusal"]), lost=True
    )


def _refused(random: Random, form: str, text: str) -> Shape:
    status = random.choice([400, 413, 422])
    return Shape(kind="refused", error=StatusError("no such picture", status), status=status, lost=True)


def _failed(random: Random, form: str, text: str) -> Shape:
    status = random.choice([429, 500, 503, 524])
    errors = [
        StatusError("busy", status), TimeoutError(), ConnectionError("reset"), KeyError("choices"),
        RuntimeError("x\ny"),
        ValueError("absolute aspect ratio must be smaller than 200"), TypeError("'NoneType' is not subscriptable"),
        ValueError({"message": "rate limit", "code": 429}), json.JSONDecodeError("no JSON", "<html>", 0),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"), AssertionError(), NotImplementedError("images"),
        OverflowError("int too large"), RequestRefused("no"), UnreadableReply("odd"), BackendUnavailable("away"),
    ]  # fmt: skip
    error = random.choice(errors)
    # what may pass is tried again, and then nothing is lost
    return Shape(kind="failed", error=error, status=status, lost=not may_pass(meaning(error, "")))


class StatusError(Exception):
    """As the clients of servers raise it."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status_code = status


_KINDS: tuple[Callable[[Random, str, str], Shape], ...] = (
    _garbage, _silence, _nothing, _thoughts, _fence, _parts, _odd_parts, _cut, _usage, _marks, _filtered, _refused,
    _refused, _failed,
)  # fmt: skip


def over_http(made: Shape) -> tuple[int, Any]:
    """A reply as an OpenAI-compatible server sends it: status and body."""
    if made.error is not None:
        return made.status, {"error": {"message": str(made.error), "code": made.status}}
    usage = made.usage
    if isinstance(usage, dict):
        names = {"input_tokens": "prompt_tokens", "output_tokens": "completion_tokens"}
        usage = {names.get(name, name): value for name, value in usage.items()}
    choice = {"message": {"role": "assistant", "content": made.content}, "finish_reason": made.finish}
    return 200, {"model": "m", "choices": [{"index": 0, **choice}], "usage": usage}


def logprobs(random: Random) -> Any:
    """What a server gives as the weights of a first token."""
    top: list[Any] = [{"token": "Yes", "logprob": -0.1}, {"token": "No", "logprob": -2.5}]
    value: Any = random.choice([float("nan"), "x", 1e300, None, [], -1e400])
    odd: list[Any] = [
        None,
        [],
        "x",
        {"content": None},
        {"content": []},
        {"content": [{"top_logprobs": None}]},
    ]
    odd.append({"content": [{"top_logprobs": [{"token": "Yes", "logprob": value}]}]})
    odd.append({"content": [{"top_logprobs": [{"token": "Maybe", "logprob": -0.01}, top[1]]}]})
    return {"content": [{"top_logprobs": top}]} if random.random() < 0.6 else random.choice(odd)


def spoiled(made: Shape) -> Shape:
    """As a server can send it: half characters do not travel."""
    content = made.content
    return replace(made, content=content.replace("\ud800", "?")) if isinstance(content, str) else made
