"""What lies outside of a model's training pictures and words is noticed, and what lies inside is not."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from PIL import Image

from imagescope_agent.errors import BadInput
from imagescope_agent.lab.scenes.make import make_world
from imagescope_agent.mllms.role import Role
from imagescope_agent.mllms.scripted import Scripted
from imagescope_agent.profiles.profile import load_profile
from imagescope_agent.records import NOT_DEGRADING
from imagescope_agent.registry import load_graph
from imagescope_agent.retrieval.blind_spots import BLIND_SPOTS
from imagescope_agent.retrieval.collection import build
from imagescope_agent.retrieval.domain import Domain, fit, plane
from imagescope_agent.retrieval.vectors import Vectors, unit_rows
from imagescope_agent.services import open_embedder_of

SHARED = os.environ.get("IMAGESCOPE_SHARED")  # read before tests are shielded from such settings
PHOTOS = (Path(SHARED) if SHARED else Path(__file__).parents[2].parent / "shared") / "data" / "photos"
TEXTS = ["a red boat at sunset", "two boats", "a red house at sunset", "the houses"] * 2
#: Written by hand; nothing of the drawn world.
EVERYDAY = [
    "a guy on a surfboard but not wearing a wetsuit", "grandma's birthday cake", "somebody repairing a bicycle",
    "a plate of spaghetti", "the airport at night", "children playing football", "a kitchen without a fridge",
]  # fmt: skip
DRAWN = [
    "a red house and a black boat",
    "show me a small purple flower, at sunset",
    "two yellow stars in the snow",
]


def kind(count: int, at: int, *, seed: int = 0) -> np.ndarray:
    """Vectors around one direction."""
    rng = np.random.default_rng(seed)
    return unit_rows((np.eye(64)[at] * 8 + rng.normal(size=(count, 64))).astype(np.float32))


def made(weights: str = "w") -> Domain:
    return fit(
        kind(600, 0), TEXTS, subject="boats", profile="ours", weights=weights, other=("photos", "theirs")
    )


def test_pictures_of_the_kind_are_inside_and_others_outside(tmp_path: Path) -> None:
    made().save(tmp_path)
    domain = Domain.load(tmp_path)
    assert domain.outside(kind(500, 0, seed=1)) <= 0.04
    assert domain.outside(kind(500, 1)) == 1.0
    assert domain.of_folder(kind(50, 0, seed=2)) == ""
    said = domain.of_folder(kind(50, 1))
    assert "unlike the boats that the profile 'ours' knows; for photos use --profile theirs" in said


def test_a_plane_tells_two_kinds_apart_where_the_distance_does_not(tmp_path: Path) -> None:
    """Pictures of the kind from another source are farther away, but on the right side."""
    far = unit_rows(kind(300, 0, seed=1) + np.eye(64, dtype=np.float32)[2] * 2)
    assert made().outside(far) > 0.2
    replace(made(), contrast=plane(kind(600, 0), kind(200, 1))).save(tmp_path)
    domain = Domain.load(tmp_path)
    assert domain.outside(far) == 0.0 and domain.outside(kind(300, 1, seed=2)) == 1.0
    assert domain.outside(np.zeros((0, 64), np.float32)) == 0.0


def test_names_are_known_though_they_were_seen_once() -> None:
    options: Any = {"subject": "boats", "profile": "ours", "weights": "w", "other": ("photos", "theirs")}
    domains = [
        fit(kind(60, 0), ["a red kettle"], names=names, **options) for names in ([], ["a photo of a kettle"])
    ]
    assert [domain.rare("the kettles") != "" for domain in domains] == [True, False]


def test_words_of_the_kind_are_known_in_every_form() -> None:
    domain = made()
    assert domain.of_query("the red house, two BOATS") == "" == domain.of_query("")
    assert domain.unknown("a guy on a Surfboard, surfboards") == ["guy", "Surfboard"], "as they were said"


@pytest.mark.parametrize(
    ("known", "advised"),
    [
        (None, True),
        ({"broccoli", "oven"}, True),
        ({"broccoli", "fork"}, True),
        ({"fork"}, False),
        (set(), False),
    ],
)
def test_another_profile_is_named_only_where_it_knows_more_of_the_words(
    known: set[str] | None, advised: bool
) -> None:
    domain = replace(made(), other_words=None if known is None else frozenset(known))
    said = domain.of_query("broccoli, in an oven")
    assert said.startswith("'broccoli', 'oven': no words of the boats that the profile 'ours' knows")
    assert said.endswith("; for photos use --profile theirs") is advised


def test_the_profiles_that_ship_know_the_words_of_each_other() -> None:
    mini, photos = (open_embedder_of(load_profile(name)).domain for name in ("mini", "photos"))
    assert mini is not None and photos is not None
    assert mini.of_query("a guy on a surfboard").endswith("for photos use --profile photos")
    assert "use --profile" not in mini.of_query("a zyzzyva and a quokkaburra")
    assert photos.of_query("broccoli, artichokes") == "" == photos.rare("a badger beside a bookcase"), (
        "classes"
    )
    assert photos.of_query("zyzzyva") and "use --profile" not in photos.of_query("zyzzyva")


def test_a_profile_that_is_not_there_is_not_named(tmp_path: Path) -> None:
    made().save(tmp_path)
    profile = tmp_path / "own.toml"
    lines = (files("imagescope_agent") / "profiles" / "photos.toml").read_text(encoding="utf-8").splitlines()
    own = [f'domain = "{tmp_path}"' if line.startswith("domain") else line for line in lines]
    profile.write_text("\n".join(own), encoding="utf-8")
    domain = open_embedder_of(load_profile(str(profile))).domain
    assert domain is not None and domain.other_words == frozenset(), "there is no profile 'theirs'"


def test_words_that_describe_nothing_are_known_and_those_that_change_what_is_wanted_are_not() -> None:
    domain = made()
    plain = "please show me pictures that have the house from there, the boats as well, both of them together"
    assert domain.rare(plain) == "" == domain.of_query(plain)
    for word in ("without", "except", "nobody", "behind", "few", "bigger", "twelve", "never"):
        assert repr(word) in domain.rare(f"the red house, the boats, {word}"), word
    assert domain.rare("the houses together with the kettle at sunset") != ""
    for word in ("doe", "cane", "mad", "wile"):  # their stems are those of words of grammar
        assert domain.unknown(f"a {word}") == [word] and repr(word) in domain.rare(f"a {word}")
    for word in ("does", "can", "made", "while", "photos", "I've", "that's", "THEIRS", "you're", "let's"):
        assert domain.rare(f"the red house, the boats, {word}") == ""


@pytest.mark.parametrize("graph", ["retrieve", "imagescope", "adaptive", "cotrr", "chat"])
def test_every_graph_notes_it_and_says_it_of_the_collection_once(world: Any, graph: str) -> None:
    world.embedder.domain = replace(
        made("colours-1"), mean=np.full(8, -9, np.float32), axes=np.eye(8, dtype=np.float32)[:2]
    )
    world.embedder.domain = replace(world.embedder.domain, variance=np.ones(3, np.float32))
    compiled = load_graph(graph)(world.services())
    state = asyncio.run(compiled.ainvoke({"query": "a guy on a surfboard", "reference": None}))
    told = [note for note in state["notes"] if note["kind"] == "outside"]
    assert [note["step"] for note in told] == ["retrieve", "retrieve"] and "outside" not in NOT_DEGRADING
    assert "100% of the pictures" in told[0]["detail"] and "'surfboard'" in told[1]["detail"]


def test_vectors_of_other_weights_are_not_judged(world: Any) -> None:
    world.embedder.domain = replace(made("other weights"))
    compiled = load_graph("retrieve")(world.services())
    state = asyncio.run(compiled.ainvoke({"query": "a guy on a surfboard", "reference": None}))
    assert not state["notes"]


class Boats:
    """An embedder whose pictures are all of another kind than it was trained on."""

    weights, dimension = "w", 64

    def __init__(self) -> None:
        self.domain = made()

    def images(self, images: Sequence[Image.Image]) -> Vectors:
        return kind(len(images), 1, seed=images[0].width)

    def texts(self, texts: Sequence[str]) -> Vectors:
        return kind(len(texts), 1)


@pytest.mark.parametrize("shown", [True, False])
def test_a_foreign_folder_is_told_at_once_and_in_the_report(
    shown: bool, pictures: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On a terminal the first batch is enough; the report looks at a sample, however large the folder is."""
    looked_at: list[int] = []
    of_folder = Domain.of_folder

    def counted(self: Domain, vectors: np.ndarray) -> str:
        looked_at.append(len(vectors))
        return of_folder(self, vectors)

    monkeypatch.setattr(Domain, "of_folder", counted)
    monkeypatch.setattr("imagescope_agent.retrieval.domain.SAMPLE", 10)
    role = Role("captioner", Scripted(lambda asked: "a boat"))
    report = asyncio.run(
        build(
            pictures(40), None, cast(Any, Boats()), role, "?", captioner_weights="x", batch=16, progress=shown
        )
    )
    assert [each["kind"] for each in report.notes] == ["outside"]
    assert looked_at == ([16, 10] if shown else [10])
    assert ("pictures look unlike the boats" in capsys.readouterr().err) is shown


def test_a_damaged_domain_is_told(tmp_path: Path) -> None:
    made().save(tmp_path)
    (tmp_path / "domain.safetensors").write_bytes(b"nothing")
    with pytest.raises(BadInput, match="missing or damaged"):
        Domain.load(tmp_path)


@pytest.mark.slow
def test_the_domain_of_mini_knows_drawn_scenes_and_their_words(tmp_path: Path) -> None:
    make_world(tmp_path / "world", 77, 60)
    embedder = open_embedder_of(load_profile("mini"))
    paths = sorted((tmp_path / "world" / "images").iterdir())
    drawn = embedder.images([Image.open(path).convert("RGB") for path in paths])
    domain = embedder.domain
    assert domain is not None and domain.weights == embedder.weights
    assert domain.outside(drawn) <= 0.1
    assert not any(map(domain.unknown, DRAWN)) and all(map(domain.unknown, EVERYDAY))


@pytest.mark.slow
@pytest.mark.skipif(not PHOTOS.is_dir(), reason=f"no photographs in {PHOTOS}: set IMAGESCOPE_SHARED")
def test_photos_are_outside_of_what_mini_knows() -> None:
    embedder = open_embedder_of(load_profile("mini"))
    photos = embedder.images([Image.open(path).convert("RGB") for path in sorted(PHOTOS.glob("*.jpg"))])
    assert embedder.domain is not None and embedder.domain.outside(photos) >= 0.98


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("a beach without any people", "'without'"),
        ("someone who isn’t smiling", "'isn’t'"),
        ("exactly 3 dogs left of a tree", "'exactly', '3', 'left'"),
        ("nobody but two cats", "'nobody', 'two'"),
        ("a pair of shoes beside a single chair", "'pair of', 'single', 'beside'"),
        ("at least twenty people in front of 15 tents", "'twenty', '15', 'in front of'"),
        ("canteen food, a hundredweight, an understudy", ""),
        ("a notebook on a table in 2024, seen at 7:30 and 8.15", ""),
        ("a knot of rope, one noble horse", ""),
    ],
)
def test_words_that_the_embedder_does_not_heed_are_told(tmp_path: Path, query: str, told: str) -> None:
    replace(made(), blind=tuple(BLIND_SPOTS)).save(tmp_path)
    said = Domain.load(tmp_path).unheeded(query)
    assert said.startswith(f"{told}: the embedder of the profile 'ours' does not heed") if told else not said
    assert not made().unheeded(query), "what nothing is known of is not claimed"


def test_an_unknown_blind_spot_is_damage(tmp_path: Path) -> None:
    replace(made(), blind=("everything",)).save(tmp_path)
    with pytest.raises(BadInput, match="missing or damaged"):
        Domain.load(tmp_path)
