"""The profiles that ship: exact weights, what they need, and options that their models take."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

import pytest

from imagescope_agent.errors import BadInput
from imagescope_agent.mllms.absent import Absent
from imagescope_agent.mllms.openai.endpoint import Endpoint
from imagescope_agent.mllms.transformers_chat import TransformersChat
from imagescope_agent.profiles import PROFILES
from imagescope_agent.profiles.profile import FURTHER, ROLES, load_profile
from imagescope_agent.services import open_embedder_of, open_roles
from imagescope_agent.settings import Settings

COMMIT = re.compile(r"[0-9a-f]{40}")


@pytest.mark.parametrize("name", PROFILES)
def test_every_profile_names_exact_weights_and_what_they_need(name: str) -> None:
    profile = load_profile(name)
    if name not in ("mini", "mini_cot", "mini_mra", "photos", "server"):
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
    assert list(roles) == [*ROLES, *(role for role in FURTHER if role in profile.roles)]
    assert open_embedder_of(profile) is open_embedder_of(profile)
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


@pytest.mark.parametrize("role", FURTHER)
def test_a_profile_may_name_a_further_role(tmp_path: Path, role: str) -> None:
    text = (files("imagescope_agent.profiles") / PROFILES["server"]).read_text(encoding="utf-8")
    model = load_profile("server").roles["judge"]
    text = "\n".join(line for line in text.splitlines() if not line.startswith(role))
    file = tmp_path / "own.toml"
    file.write_text(text.replace("[roles]", f'[roles]\n{role} = "{model}"'))
    profile = load_profile(str(file))
    assert profile.roles[role] == model and open_roles(profile)[role].name == role
    file.write_text(text.replace("[roles]", f'[roles]\n{role} = "nobody"'))
    with pytest.raises(BadInput, match=f"no known model for the role '{role}'"):
        load_profile(str(file))


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


def test_an_unknown_role_is_told_with_what_there_is(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text(OWN.format(role="edditor"))
    with pytest.raises(BadInput, match=r"'edditor'.*'editor'"):
        load_profile(str(tmp_path / "own.toml"))
