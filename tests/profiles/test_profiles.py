"""The profiles that ship: exact weights, what they need, and options that their models take."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from imagescope_agent.errors import BadInput
from imagescope_agent.mllms.absent import Absent
from imagescope_agent.mllms.openai.endpoint import Endpoint
from imagescope_agent.mllms.transformers_chat import TransformersChat
from imagescope_agent.profiles import PROFILES
from imagescope_agent.profiles.profile import ROLES, load_profile
from imagescope_agent.services import open_embedder_of, open_roles, open_services
from imagescope_agent.settings import Settings
from tests.lab.training.hues import hues

COMMIT = re.compile(r"[0-9a-f]{40}")


@pytest.mark.parametrize("name", PROFILES)
def test_every_profile_names_exact_weights_and_what_they_need(name: str) -> None:
    profile = load_profile(name)
    if name not in ("mini", "photos", "server"):
        assert "GB" in profile.description
    if profile.embedder.startswith("hf-hub:"):
        assert COMMIT.fullmatch(profile.embedder.partition("@")[2])
    for options in profile.models.values():
        if options["mllm"] == "transformers" and "/mini/" not in options["checkpoint"]:
            assert options["checkpoint"].count("/") == 1 and COMMIT.fullmatch(options["revision"])
    assert Settings.load(profile.settings)


@pytest.mark.parametrize("name", PROFILES)
def test_opening_a_profile_reads_no_weights(name: str) -> None:
    profile = load_profile(name)
    roles = open_roles(profile)
    assert list(roles) == list(ROLES) and open_embedder_of(profile) is open_embedder_of(profile)
    for role in roles.values():
        model = role.model
        assert isinstance(model, TransformersChat | Endpoint | Absent)
        if isinstance(model, TransformersChat):
            assert not model.trust_remote_code
            given = {key: value for key, value in profile.model(role.name).items() if key != "mllm"}
            assert all(getattr(model, key) == value for key, value in given.items())
    assert open_roles(profile)["judge"].model is roles["judge"].model  # once in the whole process


def test_an_unknown_profile_is_told_with_what_there_is() -> None:
    with pytest.raises(BadInput, match="mini"):
        load_profile("minni")


OWN = """
embedder = "package:mini/clip"
[models.chat]
mllm = "scripted"
[models.other]
mllm = "scripted"
[roles]
captioner = "chat"
reasoner = "chat"
verifier = "chat"
judge = "chat"
{role} = "other"
"""


def test_an_own_profile_may_name_an_editor(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text(OWN.format(role="editor"))
    profile = load_profile(str(tmp_path / "own.toml"))
    assert profile.roles["editor"] == "other" and "editor" not in open_roles(profile)
    services = open_services(str(tmp_path / "own.toml"), hues(tmp_path / "pictures").folder)
    assert services.editor is not None and services.editor.name == "editor"


def test_an_unknown_role_is_told_with_what_there_is(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text(OWN.format(role="edditor"))
    with pytest.raises(BadInput, match=r"'edditor'.*'editor'"):
        load_profile(str(tmp_path / "own.toml"))
