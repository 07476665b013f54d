"""Whether a request failed by itself, or its model is away: told by whether the model answers anything else."""

from __future__ import annotations

import asyncio
import time
import weakref
from collections.abc import Awaitable, Callable
from typing import TypeVar

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import HumanMessage

from imagescope_agent.errors import (
    BackendUnavailable,
    ImageScopeError,
    Misconfigured,
    RequestFailed,
    UnusableModel,
    may_pass,
)
from imagescope_agent.mllms.protocols import UnusableLabels
from imagescope_agent.mllms.provider_errors import as_ours, reached, timed_out

#: What is asked to see whether a model answers at all.
SMALL_TALK = "Say Yes."
_SHORT = 16  # tokens of the answer to it
_PATIENCE = 30.0  # seconds for the answer to it
_RECENT = 300.0  # seconds for which an answer shows that a model works that can still be reached
_PAUSES = (0.5, 1.0)  # seconds before a request that failed in passing is sent again

_Value = TypeVar("_Value")


class Liveness:
    """When a model last answered; shared by all roles that it serves.

    Attributes:
        answered: time (monotonic) of its latest answer, a refusal included; None before the first.
    """

    def __init__(self) -> None:
        self.answered: float | None = None
        self._silent: tuple[float, bool] | None = (
            None  # when small talk was not answered; whether it was reached
        )
        self._locks: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = (
            weakref.WeakKeyDictionary()
        )

    def alive(self) -> None:
        """Record an answer."""
        self.answered = time.monotonic()

    async def answers_since(
        self, began: float, small_talk: Callable[[], Awaitable[object]], error: BackendUnavailable
    ) -> bool:
        """Whether the model answered anything since `began`; if nothing yet, it is asked `small_talk`.

        A model that fails at small talk, too, still counts where it can be reached and answered in the last minutes,
        in whatever batch or step: small talk may be what it cannot take.

        Args:
            began: when the request that failed was sent (monotonic).
            small_talk: asks the smallest question.
            error: how it failed.
        """
        lock = self._locks.setdefault(asyncio.get_running_loop(), asyncio.Lock())
        async with lock:
            if self.answered is not None and self.answered >= began:
                return True
            if self._silent is None or self._silent[0] < began:
                asked = time.monotonic()
                try:
                    async with asyncio.timeout(_PATIENCE):
                        await small_talk()
                except BackendUnavailable as silent:
                    self._silent = asked, reached(silent)
                except TimeoutError:
                    self._silent = asked, False
                except (ImageScopeError, UnusableLabels):
                    self.alive()  # a refusal, or an answer that cannot be read, comes from a model that is there
                    return True
                else:
                    self.alive()
                    return True
            lately = self.answered is not None and self.answered > began - _RECENT
            return lately and self._silent[1] and reached(error)


async def answer_of(model: BaseChatModel, ask: Callable[[], Awaitable[_Value]]) -> _Value:
    """What a request is answered; one that fails in passing is sent again while the model answers others.

    Args:
        model: who is asked.
        ask: sends the request.

    Raises:
        RequestFailed: it fails at every attempt, and the model answers others.
        BackendUnavailable: the model answers nothing.
        RequestRefused, UnreadableReply: as the model says.
    """
    liveness = liveness_of(model)
    for pause in (*_PAUSES, None):
        began = time.monotonic()
        try:
            with as_ours(model):
                answer = await ask()
        except (RequestFailed, UnusableModel):
            raise
        except BackendUnavailable as error:
            if not await liveness.answers_since(began, lambda: _greet(model), error):
                raise
            if pause is None or not _passing(error):
                raise RequestFailed(str(error)) from error
            await asyncio.sleep(pause)
            continue
        except (ImageScopeError, UnusableLabels):
            liveness.alive()
            raise
        liveness.alive()
        return answer
    raise AssertionError("the last pause ends the loop")


async def _greet(model: BaseChatModel) -> object:
    with as_ours(model):
        return await model.ainvoke([HumanMessage(SMALL_TALK)], max_tokens=_SHORT)


def liveness_of(model: object) -> Liveness:
    """What is known of a model, whoever asks it."""
    key = id(model)
    if key not in _KNOWN:
        _KNOWN[key] = Liveness()
        weakref.finalize(model, _KNOWN.pop, key, None)
    return _KNOWN[key]


_KNOWN: dict[int, Liveness] = {}


def _passing(error: BackendUnavailable) -> bool:
    cause = error.__cause__
    odd = isinstance(cause, LookupError | TypeError | AttributeError | AssertionError | NotImplementedError)
    return may_pass(error) and not isinstance(error, Misconfigured) and not odd and not timed_out(error)
