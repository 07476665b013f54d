"""The knobs of a run: frozen plain values, checked once; the context every graph is run with."""

from __future__ import annotations

import os
from collections.abc import Container, Mapping
from dataclasses import dataclass, fields
from typing import Any

from imagescope_agent.common.untrusted import parse_json
from imagescope_agent.errors import BadInput, shorten, suggest

PREFIX = "IMAGESCOPE_"
MOST = 2**63 - 1  # of any whole number
CLARIFY = ("information", "random", "never")
REASONING = ("full", "fast", "auto")
CHAIN_WRITERS = ("embedder", "roles")
CLEARED_FROM = 10  # images for each place that `clear` clears: right ones are not all among the first
#: Written into a record only where they are not as by default, so that records of earlier versions stay equal.
UNWRITTEN = {
    "where": "",
    "reasoning": "auto",
    "nothing_fits": None,
    "joint": False,
    "clear": 0,
    "composed": 0.0,
    "chain_writer": "embedder",
    "reread": False,
    "roles_threshold": None,
    "roles_threshold_text": None,
    "exclusions": 0.0,
    "agree_within": None,
    "agree_within_text": None,
    "agree_lead": 0.0,
}


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What may change from run to run without rebuilding a graph.

    Args:
        k: how many results are wanted, at least 1.
        top_k: how many candidates are verified; more are retrieved where more are wanted, see `searched`.
        tau: weight of the captions beside the images in retrieval, from 0 to 1.
        alpha: how many of the best verified candidates the judge may see.
        certain: how many of the first places a graph that stops verifying early makes as certain as if it had
            asked everything; where two sure failures rule out every candidate, so many of the likely nearest are.
        clear: among how many of the first places a graph that stops verifying early asks on until no image that fails a
            predicate stands above one that may satisfy all; the first stays, unless it fails one or another fits more
            surely. 0 and 1 for none.
        judge: a name of `judges.JUDGES`, or "module:attribute"; None for the graph's own.
        seed: the same seed gives the same ranking.
        keep_reference: leave the reference in its own ranking, as some benchmarks demand.
        budget: most model calls a run may make; None for no limit.
        token_budget: most tokens that models may read and write in a run; None for no limit. Both limits hold.
        attempts: how often a step is asked before it falls back when its answers cannot be read.
        penalty: how much of its likeness to the nearest rejected image is taken off an image's score, from 0 to 1.
        shrink: the share of the candidates that each rejection leaves, the best of them, from 0 to 1.
        clarify: how a conversation chooses what to ask the user: "information" (what should narrow the search
            most), "random", or "never".
        reasoning: whether a model that reasons before it embeds writes its chain of thought: "full" (always), "fast"
            (never), or "auto" (where the vector without one does not decide).
        chain_writer: who writes it in `cir_cot` and conversations: the "embedder" itself (CIR-CoT), or the "roles",
            captioner and reasoner, which may be larger models (Think-Then-Embed, arXiv 2510.05014).
        roles_threshold: the lead of the first image over the second, by the vector without a chain, from 0 to 1, below
            which `cir_cot` has the roles write one in "auto"; None for the one that is kept with the weights, which
            is of the embedder's own chains.
        roles_threshold_text: as `roles_threshold`, of queries without a reference, to which a chain may add less; the
            same when None.
        agree_within: among how many of the first images by the collection's own vectors the one must be that the model
            which reasons finds first without a chain, so that `cir_cot` has none written in "auto"; where the profile
            names that model as its `first_stage`. None goes by the lead.
        agree_within_text: as `agree_within`, of queries without a reference, for which the collection's own vectors
            may be better; the same when None.
        agree_lead: the lead of the first image over the second, from 0 to 1, below which `cir_cot` has a chain written
            of a query with a reference though both agree.
        nothing_fits: the probability that the first place fulfils the whole query below which nothing fits, from 0
            to 1; None for the one that the profile's calibration measured.
        joint: ask the reasoner for the intent and its predicates in one call, in the graphs that can (`adaptive` and
            conversations), where its model was taught to answer both at once.
        composed: weight, from 0 to 1, of the vector that an embedder composes of reference and query beside the
            reasoner's descriptions, in the graphs that have these; where it composes none, they count alone.
        reread: read a query a second time, in plain words, also where the first reading lacks words of it, in
            `adaptive`; without it only where the reading contradicts the words.
        exclusions: weight, from 0 to 1, by which a query's vector is moved away from what its words exclude ("without
            people"), in searches and in conversations of a profile without a talker; 0 takes all words as they are.
        where: a filter; only images that match it are found (see `retrieval.metadata.where`); "" for all.

    Raises:
        BadInput: a value of the wrong type or out of range.
    """

    k: int = 10
    top_k: int = 20
    tau: float = 0.15
    alpha: int = 3
    certain: int = 1
    clear: int = 0
    judge: str | None = None
    seed: int = 0
    keep_reference: bool = False
    budget: int | None = None
    token_budget: int | None = None
    attempts: int = 2
    penalty: float = 0.1
    shrink: float = 0.9
    clarify: str = "information"
    reasoning: str = "auto"
    where: str = ""
    nothing_fits: float | None = None
    joint: bool = False
    composed: float = 0.0
    chain_writer: str = "embedder"
    reread: bool = False
    roles_threshold: float | None = None
    roles_threshold_text: float | None = None
    exclusions: float = 0.0
    agree_within: int | None = None
    agree_within_text: int | None = None
    agree_lead: float = 0.0

    @property
    def searched(self) -> int:
        """How many of the first images a search ranks anew; `max(searched, k)` are retrieved at least."""
        return max(self.top_k, CLEARED_FROM * self.clear)

    def __post_init__(self) -> None:
        _check_whole(self, "k", least=1)
        _check_whole(self, "top_k", least=0)
        _check_whole(self, "alpha", least=0)
        _check_whole(self, "certain", least=0)
        _check_whole(self, "clear", least=0)
        _check_whole(self, "seed", least=0)
        _check_whole(self, "attempts", least=1)
        for name in ("budget", "token_budget"):
            if getattr(self, name) is not None:
                _check_whole(self, name, least=0)
        for name in ("agree_within", "agree_within_text"):
            if getattr(self, name) is not None:
                _check_whole(self, name, least=1)
        for name in ("tau", "penalty", "shrink", "composed", "exclusions", "agree_lead"):
            _check_share(self, name)
        for name in ("nothing_fits", "roles_threshold", "roles_threshold_text"):
            if getattr(self, name) is not None:
                _check_share(self, name)
        for name in ("keep_reference", "joint", "reread"):
            if not isinstance(getattr(self, name), bool):
                raise BadInput(f"{name} is {getattr(self, name)!r}; give true or false")
        if self.judge is not None and (not isinstance(self.judge, str) or not self.judge):
            raise BadInput(f"judge is {self.judge!r}; give the name of a judge")
        if self.clarify not in CLARIFY:
            raise BadInput(f"clarify is {self.clarify!r}; give one of {', '.join(CLARIFY)}")
        if self.reasoning not in REASONING:
            raise BadInput(f"reasoning is {self.reasoning!r}; give one of {', '.join(REASONING)}")
        if self.chain_writer not in CHAIN_WRITERS:
            raise BadInput(f"chain_writer is {self.chain_writer!r}; give one of {', '.join(CHAIN_WRITERS)}")
        if not isinstance(self.where, str):
            raise BadInput(f"where is {self.where!r}; give a filter as text")

    @classmethod
    def load(cls, file: Mapping[str, Any] | None = None, /, **given: Any) -> Settings:
        """Settings from where they are named: the caller, else the environment (IMAGESCOPE_TOP_K, ...), else
        `file` (a profile's table), else the default.

        Raises:
            BadInput: an unknown name or an unusable value.
        """
        values = {**(file or {}), **_environment(), **given}
        names = {field.name for field in fields(cls)}
        for name in values:
            if name not in names:
                raise BadInput(f"there is no setting {name!r}; {suggest(name, names)}")
        return cls(**values)

    @classmethod
    def from_record(cls, text: object, *, judges: Container[str]) -> Settings:
        """Settings as a kept run has them; a run may be a stranger's, so it names no code.

        Args:
            text: JSON of `to_dict`.
            judges: those that a run may name.

        Raises:
            BadInput: they are damaged, or name another judge.
        """
        try:
            settings = cls(**parse_json(str(text), deepest=2))
        except (ValueError, TypeError) as error:
            raise BadInput(f"the settings of the run are damaged ({error}); begin a new one") from error
        if settings.judge is not None and settings.judge not in judges:
            raise BadInput(
                f"the run was begun with the judge {shorten(settings.judge, 60)!r}; "
                "name it yourself to go on with it, or begin a new one"
            )
        return settings

    def to_dict(self) -> dict[str, Any]:
        """The settings as plain values, ready for `load` or for a record of the run; see `UNWRITTEN`."""
        return {name: value for name, value in vars(self).items() if UNWRITTEN.get(name, ...) != value}


def current(runtime: Any) -> Settings:
    """The settings of a running graph; the default ones when it was started without a context."""
    return runtime.context if isinstance(runtime.context, Settings) else Settings.load()


def _check_whole(settings: Settings, name: str, *, least: int) -> None:
    value = getattr(settings, name)
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise BadInput(f"{name} is {value!r}; give a whole number of at least {least}")
    if value > MOST:
        raise BadInput(f"{name} is above {MOST}; give a smaller number")


def _check_share(settings: Settings, name: str) -> None:
    value = getattr(settings, name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise BadInput(f"{name} is {value!r}; give a number from 0 to 1")


def _environment() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for field in fields(Settings):
        text = os.environ.get(PREFIX + field.name.upper())
        if text is not None:
            found[field.name] = _convert(field.name, str(field.type), text)
    return found


def _convert(name: str, kind: str, text: str) -> int | float | str | bool | None:
    if text == "" and "None" in kind:
        return None
    if kind.startswith("str"):
        return text
    try:
        if kind == "bool":
            return {"true": True, "1": True, "false": False, "0": False}[text.lower()]
        return float(text) if kind.startswith("float") else int(text)
    except (KeyError, ValueError) as error:
        wanted = "true or false" if kind == "bool" else "a number"
        raise BadInput(f"{PREFIX}{name.upper()} is {text!r}; give {wanted}") from error
