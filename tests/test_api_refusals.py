"""What `ImageScope` refuses, in a line, and profiles of one's own."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import pytest

from imagescope_agent.api import ImageScope, index_folder
from imagescope_agent.errors import BackendUnavailable, BadInput
from imagescope_agent.profiles import PROFILES
from imagescope_agent.profiles.profile import FURTHER, ROLES, load_profile
from imagescope_agent.services import open_services, profile_of, serve_from_environment


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"text": " "}, "the query is empty"),
        ({"text": "x" * 10_000}, "10000 characters"),
        ({"text": "a \ud800 boat"}, "not valid UTF-8"),
        ({"text": "blue", "k": 0}, "k is 0"),
        ({"text": "blue", "image": "rde.png"}, "did you mean 'red.png'"),
        ({"text": "blue", "image": "/no/such/file.png"}, "no reference image"),
        ({"text": "blue", "image": "\0"}, "no reference image"),
        ({"text": "blue", "judge": "pairwize"}, "did you mean 'pairwise'"),
        ({"text": "blue", "alfa": 2}, "did you mean 'alpha'"),
    ],
)
def test_wrong_input_is_one_line_and_leaves_no_model_asked(make: Any, words: Any, message: str) -> None:
    scope = make(reasoner="never asked")
    with pytest.raises(BadInput) as caught:
        scope.search(**words)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert scope.services.reasoner.model.asked == []


def test_a_reference_that_is_no_picture_is_refused(make: Any, tmp_path: Any) -> None:
    (tmp_path / "text.png").write_text("not a picture")
    for graph in ("imagescope", "retrieve"):
        with pytest.raises(BadInput, match="give another file"):
            make(graph=graph).search("blue", image=tmp_path / "text.png")


@pytest.mark.parametrize("graph", ["imagescope", "retrieve", "cotrr"])
def test_a_served_collection_opens_no_other_file(make: Any, world: Any, tmp_path: Any, graph: str) -> None:
    secret = tmp_path / "secret.png"
    shutil.copy(world.folder / "red.png", secret)
    scope = make(graph=graph, reasoner="never asked")
    scope.services.collection.takes_files = False
    for name in (secret, "/etc/passwd", "../secret.png", tmp_path / "missing.png"):
        with pytest.raises(BadInput, match=r"there is no image .* in the collection") as caught:
            scope.search("blue", image=name)
        assert "\n" not in str(caught.value)
        with pytest.raises(BadInput, match="there is no image"):
            scope.services.collection.reference(str(name))  # a name that was put into the state
    assert scope.services.reasoner.model.asked == []
    assert scope.services.collection.reference("red.png").key in world.keys


def test_a_graph_server_serves_the_collection_alone(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGESCOPE_COLLECTION", str(world.folder))
    assert serve_from_environment().collection.takes_files is False
    assert open_services("mini", world.folder).collection.takes_files is True


def test_a_folder_without_images_is_told_before_any_weights_are_read(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "imagescope_agent.indexing.open_roles", lambda profile: pytest.fail("weights were read")
    )
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInput, match=r"there is no image in .*; give a folder"):
        index_folder(tmp_path / "empty")
    assert not list((tmp_path / "empty").iterdir())


def test_unknown_runs_and_runs_of_another_graph_are_refused(make: Any) -> None:
    run = make().search("a red square").run
    with pytest.raises(BadInput, match="there is no run 'nothing'"):
        make().resume("nothing")
    with pytest.raises(BadInput, match="belongs to the graph 'imagescope'"):
        make(graph="retrieve").resume(run)
    other = make()
    other.services = dataclasses.replace(other.services, profile="laptop")
    with pytest.raises(BadInput, match="belongs to the profile 'custom'"):
        other.resume(run)


def test_a_place_that_cannot_hold_the_runs_is_told(make: Any, tmp_path: Any) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "broken.sqlite").write_text("no database at all " * 100)
    for place in (tmp_path / "file" / "runs.sqlite", tmp_path / "broken.sqlite"):
        with pytest.raises(BadInput, match="IMAGESCOPE_RUNS"):
            make(runs=place).search("blue")


def test_opening_refuses_what_is_not_there(world: Any, tmp_path: Any) -> None:
    with pytest.raises(BadInput, match="imagescope index"):
        ImageScope.open(tmp_path / "missing")
    with pytest.raises(BadInput, match="is not indexed; run `imagescope index"):
        ImageScope.open(tmp_path)
    with pytest.raises(BadInput, match="did you mean 'mini'"):
        ImageScope.open(world.folder, profile="mnii")
    with pytest.raises(BadInput, match="did you mean 'retrieve'"):
        ImageScope.open(world.folder, graph="retrive")
    with pytest.raises(BadInput, match="there is no folder"):
        index_folder(tmp_path / "missing")


def write_profile(path: Path, **changes: str) -> Path:
    lines = {
        "embedder": 'embedder = "hf-hub:nowhere/at-all"',
        "models": '[models.fake]\nmllm = "scripted"\nreply = "No"',
        "roles": "[roles]\n" + "\n".join(f'{role} = "fake"' for role in ROLES),
        "settings": "[settings]\ntop_k = 3",
        **changes,
    }
    path.write_text("\n".join(lines.values()))
    return path


def test_a_profile_of_ones_own_is_a_file(world: Any, tmp_path: Any) -> None:
    path = write_profile(tmp_path / "mine.toml")
    services = open_services(str(path), world.folder)
    assert services.judge.model is services.verifier.model, "one model, opened once"
    assert services.judge.model is open_services(str(path), world.folder).judge.model
    scope = ImageScope.open(world.folder, profile=str(path))
    assert scope._settings({}).top_k == 3
    assert scope._settings({"top_k": 5}).top_k == 5
    with pytest.raises(BackendUnavailable, match="nowhere/at-all"):
        scope.search("blue")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"embedder": ""}, "names no embedder"),
        ({"embedder": 'embeder = "x"'}, "did you mean 'embedder'"),
        ({"models": ""}, "no known model for the role"),
        ({"models": "[models.fake]\nx = 1"}, "must name its class"),
        ({"models": '[models.fake]\nmllm = "scriptd"'}, "did you mean 'scripted'"),
        ({"models": '[models.fake]\nmllm = "scripted"\nreply = 5'}, "do not fit"),
        ({"roles": "[roles]"}, "no known model for the role 'captioner'"),
        ({"settings": "[settings]\ntopk = 3"}, "did you mean 'top_k'"),
        ({"settings": "= 3"}, "is not TOML"),
    ],
)
def test_a_broken_profile_is_told_in_one_line(world: Any, tmp_path: Any, changes: Any, message: str) -> None:
    path = write_profile(tmp_path / "mine.toml", **changes)
    with pytest.raises(BadInput) as caught:
        ImageScope.open(world.folder, profile=str(path))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", sorted(PROFILES))
def test_every_profile_of_the_table_is_well_formed(name: str) -> None:
    profile = load_profile(name)
    assert profile.description
    assert set(ROLES) <= set(profile.roles) <= {*ROLES, *FURTHER}


def test_the_profile_that_made_an_index_is_remembered(world: Any) -> None:
    assert profile_of(world.folder) == "mini"
    (world.collection.location / "profile").write_text("laptop\n")  # as earlier versions wrote it
    assert profile_of(world.folder) == "laptop"
