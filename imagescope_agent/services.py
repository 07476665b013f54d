"""The heavy things a graph is built with, opened from a profile; the only place that loads weights."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from langchain_core.language_models import BaseChatModel

from imagescope_agent.common.redact import learn, redact
from imagescope_agent.common.untrusted import read_file
from imagescope_agent.errors import BadInput, ImageScopeError, shorten
from imagescope_agent.mllms import MLLMS
from imagescope_agent.mllms.embedding_role import with_list_embedder
from imagescope_agent.mllms.options import require_known_options
from imagescope_agent.mllms.role import Role
from imagescope_agent.profiles.profile import FURTHER, ROLES, Profile, is_local, load_profile
from imagescope_agent.registry import resolve
from imagescope_agent.retrieval.captions.on_demand import CaptionOnDemand
from imagescope_agent.retrieval.collection import FolderCollection
from imagescope_agent.retrieval.domain import known_words
from imagescope_agent.retrieval.embedders import identify, open_embedder
from imagescope_agent.retrieval.embedders.act_head import ActHead, open_act_head
from imagescope_agent.retrieval.embedders.late import LateEmbedder
from imagescope_agent.retrieval.embedders.sentence_encoder import open_sentence_encoder
from imagescope_agent.retrieval.index import manifest
from imagescope_agent.retrieval.protocols import Embedder

COLLECTION_VARIABLE = "IMAGESCOPE_COLLECTION"
PROFILE_VARIABLE = "IMAGESCOPE_PROFILE"
DEFAULT_PROFILE = "mini"
PROFILE_FILE = "profile"
NAME_BYTES = 4096  # of a profile file


@dataclass(frozen=True, kw_only=True)
class Services:
    """What the nodes work with.

    Args:
        profile: name of the profile it was opened from.
        settings: the profile's defaults of `Settings`.
        editor: proposes edits when triplets are built; None where the judge does.
        limiter: tells what a message says of a value of a field; None where the talker writes filters, or nobody.
        multi_reasoner: reads queries with several references; None where the reasoner does.
        list_embedder: embeds for judges that rank by vectors; None where the judge does.
        graph: what a search runs when the user names none.
        fulfilment: file of a calibration of its answers (see `nodes.fulfilment`); None without one.
        first_stage: reasons and embeds: retrieves what others judge; None where the embedder does.
        captions: makes the captions of images that searches reach; None where the index has them, or wants none.
        act_head: reads what messages do beside the classifier; None without one, or without the encoder.
    """

    embedder: Embedder
    collection: FolderCollection
    captioner: Role
    reasoner: Role
    talker: Role
    verifier: Role
    judge: Role
    classifier: Role | None = None
    profile: str = "custom"
    settings: Mapping[str, Any] = field(default_factory=dict)
    editor: Role | None = None
    limiter: Role | None = None
    multi_reasoner: Role | None = None
    list_embedder: Role | None = None
    graph: str = "imagescope"
    captions: CaptionOnDemand | None = None
    fulfilment: str | None = None
    first_stage: Embedder | None = None
    act_head: ActHead | None = None

    @property
    def dialogue_acts(self) -> Role:
        """Who tells what a message does: the classifier, or the talker where there is none."""
        return self.classifier or self.talker

    @property
    def roles(self) -> dict[str, Role]:
        """Every role that a model serves, by its name."""
        named = {name: getattr(self, name) for name in (*ROLES, *FURTHER)}
        return {name: r for name, r in (named | {"classifier": self.dialogue_acts}).items() if r is not None}

    @cached_property
    def weights(self) -> dict[str, str]:
        """The exact weights behind every role and the embedder, and what reads the words that they were not taught."""
        told = {"embedder": self.embedder.weights, "composer": getattr(self.embedder, "composer", "")}
        told["other_words"] = getattr(getattr(self.embedder, "other_words", None), "weights", "")
        told |= {name: getattr(getattr(self, name), "weights", "") for name in ("first_stage", "act_head")}
        told |= {name: weights_of(role) for name, role in self.roles.items()}
        return {name: each for name, each in told.items() if each}


def open_services(profile: str, collection: Path | str) -> Services:
    """Open an indexed collection and the profile's models; weights are read when they are first needed.

    Raises:
        BadInput: an unknown profile, or no usable index.
    """
    chosen = load_profile(profile)
    embedder, roles = open_embedder_of(chosen), open_roles(chosen)
    images = FolderCollection.open(collection, store=chosen.store)
    return Services(
        embedder=embedder,
        collection=images,
        captions=_captions_on_demand(roles["captioner"], embedder, images),
        **roles,
        profile=chosen.name,
        settings=chosen.settings,
        graph=chosen.graph,
        fulfilment=chosen.fulfilment,
        first_stage=None if chosen.first_stage is None else _embedder(chosen.first_stage),
        act_head=open_act_head(chosen.act_head, chosen.sentence_encoder),
    )


def _captions_on_demand(
    captioner: Role, embedder: Embedder, collection: FolderCollection
) -> CaptionOnDemand | None:
    """What makes captions when searches want them: only the captioner that the index names."""
    weights = weights_of(captioner)
    wanted = collection.captions_wanted == "lazy" and collection.captioner_weights == weights
    return CaptionOnDemand(captioner, embedder, collection, collection.location, weights) if wanted else None


def open_roles(profile: Profile) -> dict[str, Role]:
    """Every role of a profile; roles that name the same model share it, in the whole process."""
    return with_list_embedder(
        {role: _open_role(profile, role) for role in (*ROLES, *FURTHER) if role in profile.roles}
    )


def _open_role(profile: Profile, role: str) -> Role:
    model = _model(json.dumps(profile.model(role), sort_keys=True))
    return Role(role, model, prompt_set=profile.prompt_set_of(role))


def open_embedder_of(profile: Profile) -> LateEmbedder:
    """The profile's embedder, shared in the whole process."""
    return _embedder(profile.embedder, profile.domain, profile.sentence_encoder)


def weights_of(role: Role) -> str:
    """The exact weights behind a role, or the kind of model when it does not say."""
    return redact(str(getattr(role.model, "weights", "") or role.model._llm_type))


def serve_from_environment() -> Services:
    """The services of a graph server: of IMAGESCOPE_COLLECTION, by IMAGESCOPE_PROFILE ("mini" by default).

    References are images of the collection, never other files.

    Raises:
        BadInput: no collection is named, or it cannot be opened.
    """
    if not (folder := os.environ.get(COLLECTION_VARIABLE)):
        raise BadInput(f"{COLLECTION_VARIABLE} is not set; set it to an indexed folder")
    services = open_services(os.environ.get(PROFILE_VARIABLE, DEFAULT_PROFILE), folder)
    services.collection.takes_files = False  # a path in a request must not open a file of this machine
    return services


@cache
def _model(options: str) -> BaseChatModel:
    arguments = json.loads(options)
    learn(arguments)
    named = arguments.pop("mllm")
    hosted = resolve(named, MLLMS, kind="model class")
    if named in MLLMS:  # a class of somebody else may take what it does not declare
        require_known_options(named, hosted, arguments)
    try:
        model: BaseChatModel = hosted(**arguments)
    except ImageScopeError:
        raise
    except Exception as error:  # a class of somebody else may refuse its options in any way
        raise BadInput(
            f"model options {options} do not fit: {shorten(str(error))}; mend the profile"
        ) from error
    return model


@cache
def _embedder(spec: str, domain: str | None = None, sentences: str | None = None) -> LateEmbedder:
    encoder = None if sentences is None else open_sentence_encoder(sentences)
    return LateEmbedder(lambda: open_embedder(spec), domain, lambda: identify(spec), encoder, _known_to)


def _known_to(name: str) -> frozenset[str] | None:
    """The stems of words that a profile knows: none where there is no such profile, None where it does not tell."""
    try:
        place = load_profile(name).domain
        return None if place is None else known_words(Path(place))
    except (BadInput, OSError, UnicodeDecodeError):  # only advice hangs on it: such a profile is not named
        return frozenset()


def profile_of(folder: Path | str) -> str:
    """The profile that made an index, if an index may choose it: one that ships and uses local models only.

    Raises:
        BadInput: nothing is indexed there, the index is damaged, or it was made with another profile.
    """
    index = manifest.find(Path(folder))
    name = manifest.read(index).profile or _profile_file(index)
    if not is_local(name):
        raise BadInput(
            f"the index in {str(index)!r} was made with the profile {shorten(name, 60)!r}, which is for its user to "
            "choose; it needs your own --profile: a name of `imagescope profiles` or your .toml file"
        )
    return name


def _profile_file(index: Path) -> str:
    """The profile of an index that keeps it in a file of its own, as those of earlier versions do."""
    try:
        return read_file(index / PROFILE_FILE, NAME_BYTES).decode("utf-8").strip()
    except FileNotFoundError:
        return DEFAULT_PROFILE
    except (OSError, UnicodeDecodeError) as error:
        raise manifest.damaged(index, f"{PROFILE_FILE} is unreadable") from error
