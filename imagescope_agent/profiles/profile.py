"""Read and check a profile."""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from imagescope_agent.common.untrusted import read_file
from imagescope_agent.errors import BadInput, suggest
from imagescope_agent.profiles import PROFILES
from imagescope_agent.prompting import prompt_sets
from imagescope_agent.settings import Settings

ROLES = ("captioner", "reasoner", "talker", "classifier", "verifier", "judge")
#: Further roles that a profile may name: who proposes edits when triplets are built, else the judge does; who tells by
#: label probabilities what a message says of a value of a field, where the talker was not taught to write filters; who
#: reads queries with several references, else the reasoner does; who embeds for judges that rank by vectors, else the
#: judge does.
FURTHER = ("editor", "limiter", "multi_reasoner", "list_embedder")
PLACES = ("domain", "fulfilment", "act_head")  # keys of a file or folder of ours or of the user
EMBEDDERS = ("embedder", "first_stage")
TEXTS = (
    "description",
    "prompt_set",
    *EMBEDDERS,
    "store",
    "graph",
    "sentence_encoder",
    *PLACES,
)  # keys of a text
KEYS = {*TEXTS, "models", "roles", "settings"}
PACKAGE = "imagescope_agent"
LARGEST = 2**20  # bytes of a profile
_PLACE = re.compile(r"([a-z_-]+:)?package:(.*)")


@dataclass(frozen=True, kw_only=True)
class Profile:
    """Which model serves which role.

    Args:
        name: the table's name, or the path of the user's own file.
        embedder: as `retrieval.embedders.open_embedder` takes it.
        first_stage: a model that reasons and embeds, as `embedder`; its vectors, a further space of the index, retrieve
            what `imagescope`, `cotrr` and `adaptive` verify and judge. None where the embedder does.
        graph: what a search runs when the user names none.
        domain: folder of what its embedder was trained on (see `retrieval.domain`), None where that is not known.
        fulfilment: file of a calibration for its models (see `nodes.fulfilment`), None without one.
        sentence_encoder: an entry of `retrieval.embedders.backbones.TEXT`, for words that its models were not taught,
            where its package is installed; None without one.
        act_head: file of a head over that encoder (see `retrieval.embedders.act_head`), None without one.
        store: as `retrieval.stores.open_store` takes it; an index made with this profile keeps its vectors there.
        models: by name, the MLLM class ("mllm") and its arguments.
        roles: role -> model name; all of `ROLES`, and perhaps some of `FURTHER`. The reasoner talks where no talker is
            named, and the talker classifies where no classifier is.
        prompt_set: whose wording suits the models that name none of their own, None for the general one.
        prompt_sets: by name, the wording of the models that name their own.
        settings: defaults of `Settings`.
    """

    name: str
    embedder: str
    models: dict[str, dict[str, Any]]
    roles: dict[str, str]
    store: str = "faiss"
    graph: str = "imagescope"
    first_stage: str | None = None
    domain: str | None = None
    fulfilment: str | None = None
    sentence_encoder: str | None = None
    act_head: str | None = None
    description: str = ""
    prompt_set: str | None = None
    prompt_sets: dict[str, str] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)

    def model(self, role: str) -> dict[str, Any]:
        """The model behind a role: "mllm" and the arguments of that class."""
        return self.models[self.roles[role]]

    def prompt_set_of(self, role: str) -> str | None:
        """Whose wording suits the model behind a role, None for the general one."""
        return self.prompt_sets.get(self.roles[role], self.prompt_set)


def load_profile(name: str) -> Profile:
    """The profile of that name, or of a file whose name ends in .toml.

    Raises:
        BadInput: there is none, or it is not well-formed.
    """
    if name.endswith(".toml"):
        return _checked(name, _own(name))
    if name not in PROFILES:
        raise BadInput(f"there is no profile {name!r}; {suggest(name, PROFILES)}")
    return _checked(name, (files(f"{PACKAGE}.profiles") / PROFILES[name]).read_bytes())


def is_local(name: str) -> bool:
    """Whether a name is one of our table and all of its models run on this machine: nothing is sent anywhere.

    Only such a profile may be chosen by a collection, which may be a stranger's.
    """
    return name in PROFILES and all(
        options["mllm"] in ("transformers", "cir_cot", "photo_chat", "absent")
        for options in load_profile(name).models.values()
    )


def _own(name: str) -> bytes:
    """The content of the user's own file."""
    try:
        path = Path(name).expanduser().resolve(strict=True)
        return read_file(path, LARGEST)
    except (FileNotFoundError, NotADirectoryError, RuntimeError, ValueError):
        raise BadInput(f"there is no profile file {name!r}; give the path of a .toml file") from None
    except OSError as error:
        raise BadInput(f"cannot read the profile {name!r}: {error.strerror}; give a .toml file") from error


def _require_types(name: str, table: Mapping[str, Any]) -> None:
    """Make sure that every key holds what kind of value it should.

    Raises:
        BadInput: one does not.
    """
    texts = dict.fromkeys(TEXTS, table)
    tables = {key: table.get(key, {}) for key in ("models", "roles", "settings")}
    for key, value in tables.items():
        if not isinstance(value, dict):
            raise BadInput(f"profile {name!r}: {key} is no table; write [{key}] and its lines below")
    for key, where in [*texts.items(), *((role, tables["roles"]) for role in tables["roles"])]:
        if not isinstance(where.get(key, ""), str):
            raise BadInput(f'profile {name!r}: {key} is no text; write {key} = "..."')
    for key, options in tables["models"].items():
        if not _is_plain(options):
            raise BadInput(f"profile {name!r}: model {key!r} has a date or no number among its options")
    Settings.load(tables["settings"])


def _is_plain(value: Any) -> bool:
    if isinstance(value, dict):
        return all(map(_is_plain, value.values()))
    if isinstance(value, list):
        return all(map(_is_plain, value))
    return isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value))


def _checked(name: str, content: bytes) -> Profile:  # one check a key
    try:
        table = tomllib.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise BadInput(f"profile {name!r} is not TOML: {error}; mend that line") from error
    for key in table:
        if key not in KEYS:
            raise BadInput(f"profile {name!r} has an unknown key {key!r}; {suggest(key, KEYS)}")
    _require_types(name, table)
    models, roles = table.get("models", {}), dict(table.get("roles", {}))
    roles.setdefault("talker", roles.get("reasoner"))
    roles.setdefault("classifier", roles["talker"])
    for role in (*ROLES, *(role for role in FURTHER if role in roles)):
        if roles.get(role) not in models:
            raise BadInput(
                f"profile {name!r} names no known model for the role {role!r}; {suggest(role, models)}"
            )
    for role in roles:
        if role not in (*ROLES, *FURTHER):
            raise BadInput(
                f"profile {name!r} has an unknown role {role!r}; {suggest(role, (*ROLES, *FURTHER))}"
            )
    for model, options in models.items():
        if not isinstance(options, dict) or not isinstance(options.get("mllm"), str):
            raise BadInput(
                f'profile {name!r}: model {model!r} must name its class, as in mllm = "transformers"'
            )
    if not isinstance(table.get("embedder"), str):
        raise BadInput(f'profile {name!r} names no embedder; add embedder = "..."')
    located = {
        model: {key: _place(value) for key, value in options.items() if key != "prompt_set"}
        for model, options in models.items()
    }
    worded = {
        model: _prompt_set(f"profile {name!r}: model {model!r}", options["prompt_set"])
        for model, options in models.items()
        if "prompt_set" in options
    }
    if "prompt_set" in table:
        _prompt_set(f"profile {name!r}", table["prompt_set"])
    embedder = _place(table["embedder"])
    places = {key: _place(table.get(key)) for key in PLACES}
    first = _place(table.get("first_stage"))
    changed = {"name": name, "models": located, "roles": roles, "embedder": embedder, "first_stage": first}
    return Profile(**{**table, **changed, **places, "prompt_sets": worded})


def _prompt_set(whose: str, value: object) -> str:
    if not isinstance(value, str) or value not in prompt_sets():
        raise BadInput(f"{whose} names the prompt set {value!r}; {suggest(str(value), prompt_sets())}")
    return value


def _place(value: Any) -> Any:
    """A "package:..." path, alone or after the kind of what opens it, as a real one."""
    if isinstance(value, str) and (found := _PLACE.fullmatch(value)):
        return f"{found[1] or ''}{Path(str(files(PACKAGE))) / found[2]}"
    return value
