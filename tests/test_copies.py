"""One content is one picture, and one name is one name in whatever Unicode form it is written."""

from __future__ import annotations

import asyncio
import json
import shutil
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from imagescope_agent.api import ImageScope
from imagescope_agent.errors import BadInput
from imagescope_agent.nodes.begin import check_query, find_reference
from imagescope_agent.retrieval.collection import FolderCollection, build

NFC, NFD = (unicodedata.normalize(form, "Müller café.png") for form in ("NFC", "NFD"))


def copied(world: Any, *copies: tuple[str, str]) -> Any:
    """The world with some of its files copied to other names, indexed anew."""
    for name, copy in copies:
        (world.folder / copy).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(world.folder / name, world.folder / copy)
    role = world.role("captioner", lambda asked: f"a {world.colour(asked)} square")
    asyncio.run(build(world.folder, None, world.embedder, role, "describe", captioner_weights="scripted"))
    world.collection = FolderCollection.open(world.folder)
    return world


def search(world: Any, text: str, graph: str = "retrieve", **options: Any) -> Any:
    roles = options.pop("roles", {})
    return ImageScope(world.services(**roles), graph=graph, runs=False).search(text, **options)


def test_a_search_shows_a_picture_once_and_names_its_copies(world: Any) -> None:
    copied(world, *(("red.png", f"again/red-{n}.png") for n in range(7)), ("blue.png", "blue again.png"))
    result = search(world, "a red square", k=3)
    assert result[0].id == "again/red-0.png" and len(result) == 3
    assert len({world.collection.key(hit.id) for hit in result}) == 3
    others = ", ".join(f"again/red-{n}.png" for n in range(1, 6))
    assert result[0].reasons == [f"the same picture: {others} and 2 more"]
    everything = search(world, "a red square", k=100)
    assert (
        len(everything) == 8
        and sum("the same picture" in hit.reasons[-1:][0] for hit in everything if hit.reasons) == 2
    )


@pytest.mark.parametrize("graph", ["retrieve", "imagescope", "cotrr"])
def test_copies_of_the_reference_are_left_out_with_it(world: Any, graph: str, tmp_path: Path) -> None:
    copied(world, ("red.png", "a copy.png"), ("red.png", "z copy.png"))
    elsewhere = tmp_path / "mine.png"
    shutil.copy(world.folder / "red.png", elsewhere)
    for reference in ("red.png", "z copy.png", str(elsewhere), str(world.folder / "a copy.png")):
        found = {hit.id for hit in search(world, "in red", graph, image=reference, k=50)}
        assert found == {path.name for path in world.folder.glob("*.png")} - {
            "red.png",
            "a copy.png",
            "z copy.png",
        }
    kept = search(world, "in red", "retrieve", image="red.png", k=50, keep_reference=True)
    assert "a copy.png" in {hit.id for hit in kept}


def test_a_file_with_the_content_of_an_indexed_image_is_that_image(world: Any, tmp_path: Path) -> None:
    shutil.copy(world.folder / "blue.png", tmp_path / "mine.png")
    assert find_reference(str(tmp_path / "mine.png"), world.collection) == "blue.png"
    (tmp_path / "other.png").write_bytes((world.folder / "blue.png").read_bytes() + b"x")
    assert find_reference(str(tmp_path / "other.png"), world.collection) == str(tmp_path / "other.png")


def thinks(asked: Any) -> str:
    if (asked.options or {}).get("response_format") == "IntentAnswer":
        step = {"type": "Addition", "text": "red"}
        return json.dumps({"steps": [step], "core": "red", "enhanced": "red", "full": "red"})
    return json.dumps({"predicates": [{"question": "Is it red?", "expected": "Yes"}]})


def test_a_content_is_verified_once_where_files_count(world: Any) -> None:
    copied(world, ("red.png", "a copy.png"), ("blue.png", "b copy.png"))
    world.collection.merges_copies = False
    asked: list[str] = []

    def looks(request: Any) -> list[float]:
        asked.append(request.images[-1])
        return [0.9, 0.1] if world.colour(request) == "red" else [0.2, 0.8]

    roles = {"reasoner": world.role("reasoner", thinks), "verifier": world.role("verifier", scorer=looks)}
    result = search(world, "red", "imagescope", roles=roles, k=50)
    assert len(asked) == len(set(asked)) == 8 and len(result) == 10
    shares = {hit.id: hit.scores["verify"] for hit in result}
    assert shares["a copy.png"] == shares["red.png"] == 1.0 and shares["b copy.png"] == 0.0
    assert {hit.id for hit in result[:2]} == {"a copy.png", "red.png"}


def test_a_rejected_picture_does_not_come_back_as_its_copy(world: Any) -> None:
    from imagescope_agent.chat import open_chats

    copied(world, ("red.png", "copy.png"))

    async def talk() -> tuple[list[str], list[str]]:
        roles = {
            "reasoner": world.role("reasoner", thinks),
            "verifier": world.role("verifier", scorer=lambda _: [0.5, 0.5]),
        }
        async with open_chats(world.services(**roles)) as chats:
            session = await chats.create()
            first = await session.say("a red square")
            second = await session.reject(1)
        return [[hit["id"] for hit in turn["results"]] for turn in (first, second)]  # type: ignore[return-value]

    first, second = asyncio.run(talk())
    assert first[0] == "copy.png" and not {"copy.png", "red.png"} & set(second)


def test_copies_do_not_come_back_in_a_ranking_with_rejected_images(world: Any) -> None:
    copied(world, ("red.png", "copy.png"))
    world.collection.merges_copies = True
    found = search(world, "a red square", "cotrr", k=50, rejected=["red.png"])
    assert not {"copy.png", "red.png"} & {hit.id for hit in found}


@pytest.mark.parametrize(("stored", "asked"), [(NFD, NFC), (NFC, NFD), (NFC, NFC)])
def test_a_name_is_found_in_either_unicode_form(world: Any, tmp_path: Path, stored: str, asked: str) -> None:
    copied(world, ("red.png", stored))
    (world.folder / "red.png").unlink()
    collection = copied(world).collection
    assert asked in collection and collection.caption(asked) == collection.caption(stored)
    assert collection.path(asked).name == stored and collection.picture(asked).key == collection.key(stored)
    assert find_reference(asked, collection) == stored
    assert stored not in {hit.id for hit in search(world, "in red", image=asked, k=50)}
    assert collection.search(world.embedder.texts(["red"]), 0.0, 1, exclude=[asked])[0][0] != stored
    # an image elsewhere
    (tmp_path / stored).write_bytes((world.folder / stored).read_bytes() + b"x")
    assert find_reference(str(tmp_path / asked), collection) == str(tmp_path / stored)


def test_two_forms_of_a_name_in_one_folder_are_two_files(world: Any) -> None:
    collection = copied(world, ("red.png", NFC), ("blue.png", NFD)).collection
    assert collection.caption(NFC) == "a red square" and collection.caption(NFD) == "a blue square"


NOTHING = [
    "",
    " \t\n",
    "\u200b",
    "\ufeff",
    "\u200b \u200d\u2060",
    "\x00\x07",
    "\u00ad",
    "\u2800",
    "\u3164",
    "\ufe0f",
    "\u202e",
]


@pytest.mark.parametrize("text", NOTHING)
def test_a_text_that_shows_nothing_is_no_query(world: Any, text: str) -> None:
    with pytest.raises(BadInput, match="say what to look for"):
        check_query(text)
    with pytest.raises(BadInput, match="say what to look for"):
        search(world, text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("\ufeffa boat\u200b\n", "a boat"),
        ("\u200b\u2764\ufe0f", "\u2764\ufe0f"),
        (
            "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
            "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
        ),
        ("a\u200db", "a\u200db"),
        ("?", "?"),
        ("\U000f0000", "\U000f0000"),
    ],
)
def test_what_is_said_stays(text: str, said: str) -> None:
    assert check_query(text) == said
