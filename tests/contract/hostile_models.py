"""Chat models and scorers that answer in the generated shapes of hostile.py."""

from __future__ import annotations

from random import Random
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from pydantic import BaseModel, ConfigDict, PrivateAttr

from imagescope_agent.errors import may_pass
from imagescope_agent.mllms.protocols import Choice, UnusableLabels
from imagescope_agent.mllms.provider_errors import meaning
from imagescope_agent.mllms.scripted import read_asked
from tests.contract.hostile import StatusError, shape


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
            errors = [
                StatusError("no", 400),
                ValueError("picture"),
                StatusError("busy", 429),
                KeyError("logprobs"),
            ]
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
