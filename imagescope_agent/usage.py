"""Usage of models: calls, tokens, image prefills and seconds, and every way in which they are summed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self, TypeVar, cast

from typing_extensions import TypedDict

_Number = TypeVar("_Number", int, float)


class UsageDict(TypedDict):
    """The plain values of a `Usage`."""

    calls: int
    prompt_tokens: int
    completion_tokens: int
    image_prefills: int
    seconds: float


class StepUsage(UsageDict):
    """The usage of one node: its step name and the role of the model that it called."""

    step: str
    role: str


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What model calls cost; `seconds` is wall-clock time, `image_prefills` counts images encoded anew."""

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    image_prefills: int = 0
    seconds: float = 0.0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            calls=self.calls + other.calls,
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            image_prefills=self.image_prefills + other.image_prefills,
            seconds=self.seconds + other.seconds,
        )

    @property
    def tokens(self) -> int:
        """Prompt and completion tokens together."""
        return self.prompt_tokens + self.completion_tokens

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """A usage from plain values; what is missing is 0, further keys are ignored."""
        return cls(
            calls=int(values.get("calls", 0)),
            prompt_tokens=int(values.get("prompt_tokens", 0)),
            completion_tokens=int(values.get("completion_tokens", 0)),
            image_prefills=int(values.get("image_prefills", 0)),
            seconds=float(values.get("seconds", 0.0)),
        )

    def to_dict(self) -> UsageDict:
        """Plain values."""
        return cast(UsageDict, dict(vars(self)))


def sum_usage(parts: Iterable[Mapping[str, Any]]) -> Usage:
    """The sum of usages given as plain values; of none, all zero."""
    return sum(map(Usage.from_dict, parts), Usage())


def total_usage(parts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """As `sum_usage`, as plain values."""
    return dict(sum_usage(parts).to_dict())


def token_counts(parts: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """The sums of prompt and completion tokens and of image prefills."""
    total = sum_usage(parts)
    return {
        "prompt_tokens": total.prompt_tokens,
        "completion_tokens": total.completion_tokens,
        "image_prefills": total.image_prefills,
    }


def sum_by_name(amounts: Iterable[tuple[str, _Number]]) -> dict[str, _Number]:
    """The sum of the amounts of each name, names in the order of their first."""
    sums: dict[str, _Number] = {}
    for name, amount in amounts:
        sums[name] = sums[name] + amount if name in sums else amount
    return sums


def spent(step: str, role: str, *parts: Mapping[str, Any]) -> StepUsage:
    """The usage of a node, summed over its model calls (`Reply.usage`, `Choice.usage`)."""
    return {"step": step, "role": role, **sum_usage(parts).to_dict()}
