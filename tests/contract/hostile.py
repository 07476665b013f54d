"""Generated replies of every shape that chat models and servers were seen to give, and of some that they might."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from pydantic import BaseModel, ConfigDict, PrivateAttr

from imagescope_agent.errors import BackendUnavailable, RequestRefused, UnreadableReply, may_pass
from imagescope_agent.mllms.foreign import meaning
from imagescope_agent.mllms.protocols import Choice, UnusableLabels
from imagescope_agent.mllms.scripted import read_asked

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
    return Shape(kind="refused", error=_Status("no such picture", status), status=status, lost=True)


def _failed(random: Random, form: str, text: str) -> Shape:
    status = random.choice([429, 500, 503, 524])
    errors = [
        _Status("busy", status), TimeoutError(), ConnectionError("reset"), KeyError("choices"), RuntimeError("x\ny"),
        ValueError("absolute aspect ratio must be smaller than 200"), TypeError("'NoneType' is not subscriptable"),
        ValueError({"message": "rate limit", "code": 429}), json.JSONDecodeError("no JSON", "<html>", 0),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"), AssertionError(), NotImplementedError("images"),
        OverflowError("int too large"), RequestRefused("no"), UnreadableReply("odd"), BackendUnavailable("away"),
    ]  # fmt: skip
    error = random.choice(errors)
    # what may pass is tried again, and then nothing is lost
    return Shape(kind="failed", error=error, status=status, lost=not may_pass(meaning(error, "")))


class _Status(Exception):
    """As the clients of servers raise it."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status_code = status


_KINDS: tuple[Callable[[Random, str, str], Shape], ...] = (
    _garbage, _silence, _nothing, _thoughts, _fence, _parts, _odd_parts, _cut, _usage, _marks, _filtered, _refused,
    _refused, _failed,
)  # fmt: skip


def row(random: Random, choices: int) -> Any:
    """What a scorer gives for one question."""
    kinds: list[Any] = [[], None, "Yes", [-1.0, 2.0], [1.0], [[0.5], [0.5]], ["0.5", "0.5"], {}]
    kinds += [[value] * choices for value in (float("nan"), 0.0, 1e308, 10**400, True, 0.4 / choices, None)]
    return random.choice(kinds)


def sound_row(random: Random, choices: int) -> list[float]:
    weights = [random.random() + 0.01 for _ in range(choices)]
    return [weight / sum(weights) for weight in weights]


class Stranger(BaseChatModel):
    """A chat model of somebody else's, that answers in shapes drawn from a seed.

    Args:
        seed: of what it answers.
        share: of good replies.
        schemas: whether it claims to follow schemas.

    Attributes:
        lost: kinds of trouble that nothing can be read in, as they were given.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    seed: int
    share: float = 0.6
    schemas: bool = True
    _random: Random = PrivateAttr(default_factory=Random)
    _lost: list[str] = PrivateAttr(default_factory=list)

    def model_post_init(self, context: Any) -> None:
        """Draw from the seed."""
        super().model_post_init(context)
        self._random.seed(self.seed)

    @property
    def lost(self) -> list[str]:
        return self._lost

    @property
    def _llm_type(self) -> str:
        return "stranger"

    def schema_kwargs(self, schema: type[BaseModel]) -> dict[str, Any]:
        return {"response_format": schema.__name__} if self.schemas else {}

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        made = shape(self._random, str(kwargs.get("response_format") or _form(messages)), self.share)
        if made.lost:
            self._lost.append(made.kind)
        if made.error is not None:
            self._begin_again(made.error)
            raise made.error
        message = AIMessage(content="")
        for name, value in (("content", made.content), ("usage_metadata", made.usage)):
            object.__setattr__(message, name, value)
        about: Any = {"finish_reason": made.finish, "notes": self._random.choice(["x", None, [3], [{}]])}
        object.__setattr__(message, "response_metadata", about)
        return ChatResult.model_construct(
            generations=[ChatGeneration.model_construct(message=message, text="", generation_info=None)],
            llm_output=None,
        )

    def _begin_again(self, error: Exception) -> None:
        """After what may pass a step is done anew, and what was lost in it before is asked for again."""
        if may_pass(meaning(error, "")):
            self._lost.clear()

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return self._generate(messages, stop, **kwargs)


class StrangeScorer(Stranger):
    """A stranger that claims to give probabilities."""

    async def ascore(self, messages: list[list[BaseMessage]], choices: Any) -> Any:
        random = self._random
        drawn = random.random()
        if drawn < 0.05:
            raise UnusableLabels("no such tokens")
        if drawn < 0.15:
            errors = [_Status("no", 400), ValueError("picture"), _Status("busy", 429), KeyError("logprobs")]
            error = random.choice(errors)
            self._begin_again(error)
            raise error
        sound = [random.random() < self.share for _ in messages]
        rows = [(sound_row if each else row)(random, len(choices)) for each in sound]
        if not all(sound[1:]):  # the first may be refused instead
            self._lost.append("row")
        usage: Any = random.choice(
            [{"calls": 3, "prompt_tokens": float("nan")}, None, "many", {"seconds": "x"}]
        )
        if drawn < 0.25:
            return random.choice([None, rows, Choice(probabilities=rows[1:], usage=usage), "Yes"])
        refused: Any = {0: "filtered", 99: "x", "a": 1} if drawn < 0.35 else random.choice([{}, None])
        notes = random.choice([[], None, "x", [{"kind": 3}]])
        return Choice(probabilities=rows, usage=usage, notes=notes, refused=refused)  # type: ignore[arg-type]


def _form(messages: list[BaseMessage]) -> str:
    """What a model that is told no schema is asked for, by the keys that the prompt names."""
    text = read_asked(messages).text
    keys = {"IntentAnswer": '"enhanced"', "PredicatesAnswer": '"predicates"', "ProposalAnswer": '"questions"'}
    keys |= {"CotrrAnswer": '"evaluations"', "GradesAnswer": '"grades"', "OrderAnswer": '"order"'}
    if '"drop"' in text:
        return "FoldAnswer"
    return next((form for form, key in keys.items() if key in text), "")


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
