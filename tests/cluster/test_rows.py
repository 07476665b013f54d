"""What goes to a node and comes back is what this process would have made; no cluster is needed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from imagescope_agent.cluster import indexing
from imagescope_agent.cluster.telling import error_of, told_error
from imagescope_agent.errors import BackendUnavailable, BadInput, Exhausted, UnreadableReply
from imagescope_agent.profiles.profile import load_profile
from imagescope_agent.retrieval.images import load
from imagescope_agent.retrieval.index.making import Batch, Made, Maker, Wanted
from imagescope_agent.retrieval.index.report import shares
from imagescope_agent.runs.run_graph import run_sync
from imagescope_agent.services import open_embedder_of, open_roles
from tests.scripted_profile import scripted_profile


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(6):
        noise = np.random.default_rng(number).integers(0, 256, (24, 32, 3), dtype=np.uint8)
        (tmp_path / "photos").mkdir(exist_ok=True)
        Image.fromarray(noise).save(tmp_path / "photos" / f"{number}.png")
    return tmp_path / "photos"


def both(folder: Path, reply: str) -> tuple[Maker, Any]:
    """What makes batches here, and an actor of the same profile."""
    place = folder.parent / "own.toml"
    place.write_text(scripted_profile(f"tests.cluster.models:open_slow:{folder.parent / 'log'}", reply=reply))
    profile = load_profile(str(place))
    maker = Maker(open_embedder_of(profile), open_roles(profile)["captioner"], "?", "all")
    return maker, indexing._Actor(profile, "?", "all", str(folder))


def sent(actor: Any, wanted: list[Wanted]) -> dict[str, Any]:
    """The row that comes back for some contents."""
    made, told = actor._made(indexing._told(wanted))
    vectors = {
        name: b"".join(getattr(each, name).tobytes() for each in made.contents) for name in ("image", "words")
    }
    return {"told": json.dumps({"node": "n1", **told}), "images": vectors["image"], "words": vectors["words"]}


@pytest.mark.parametrize("reply", ["a noisy picture", "", "I cannot help with that."])
def test_contents_captions_notes_and_usage_are_the_same(reply: str, folder: Path) -> None:
    maker, actor = both(folder, reply)
    pictures = [load(folder / f"{number}.png") for number in range(4)]
    wanted = [Wanted(id=f"{number}.png", key=each.key) for number, each in enumerate(pictures)]
    wanted[1] = Wanted(id="1.png", key=pictures[1].key, caption="kept")
    unit = np.eye(48, dtype=np.float32)[3]
    wanted[2] = Wanted(id="2.png", key=pictures[2].key, image=unit)
    here: Made = run_sync(maker(wanted, pictures))
    there = indexing._made(sent(actor, wanted), maker)
    for one, other in zip(here.contents, there.contents, strict=True):
        assert (one.key, one.caption) == (other.key, other.caption)
        assert np.array_equal(one.image, other.image) and np.array_equal(one.words, other.words)
    assert here.contents[1].caption == "kept" and np.array_equal(there.contents[2].image, unit)
    assert list(here.notes) == list(there.notes) and there.node == "n1" and here.refused == there.refused
    assert {**here.usage, "seconds": 0} == {**there.usage, "seconds": 0}
    assert {key: str(why) for key, why in here.uncaptioned.items()} == {
        key: str(why) for key, why in there.uncaptioned.items()
    }
    assert bool(there.uncaptioned) == (reply != "a noisy picture")


def test_files_that_changed_or_vanished_on_the_way_are_told(folder: Path) -> None:
    maker, actor = both(folder, "a picture")
    wanted = [Wanted(id=f"{number}.png", key=load(folder / f"{number}.png").key) for number in range(3)]
    (folder / "0.png").write_bytes((folder / "5.png").read_bytes())
    (folder / "1.png").unlink()
    made = indexing._made(sent(actor, wanted), maker)
    assert set(made.gone) == {"0.png", "1.png"} and "changed" in made.gone["0.png"]
    assert [each.key for each in made.contents] == [wanted[2].key]


def test_a_node_without_the_folder_or_with_other_weights_is_told(folder: Path) -> None:
    maker, actor = both(folder, "a picture")
    wanted = [Wanted(id="0.png", key=load(folder / "0.png").key)]
    row = sent(actor, wanted)
    told = {**json.loads(row["told"]), "weights": "others"}
    with pytest.raises(BadInput, match=r"n1.*other embedding weights"):
        indexing._made({**row, "told": json.dumps(told)}, maker)
    told = {**json.loads(row["told"]), "captioner": "others"}
    with pytest.raises(BadInput, match=r"n1.*another captioner"):
        indexing._made({**row, "told": json.dumps(told)}, maker)
    looked = indexing._look({"id": json.dumps("0.png")}, str(folder / "elsewhere"))
    with pytest.raises(BadInput, match="same path"):
        raise error_of(json.loads(looked["error"]))
    assert indexing._look({"id": json.dumps("0.png")}, str(folder))["key"] == wanted[0].key
    assert json.loads(indexing._look({"id": json.dumps("x.png")}, str(folder))["problem"])


def test_what_nobody_expects_on_a_node_is_told_by_its_name(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stale(*_: Any) -> Any:
        raise OSError("stale handle")

    maker, actor = both(folder, "a picture")
    monkeypatch.setattr(indexing, "inside", stale)
    monkeypatch.setattr(indexing, "node_id", lambda: "n1")
    wanted = [Wanted(id="0.png", key="0")]
    row = {"number": 0, "wanted": indexing._told(wanted)}
    with pytest.raises(BackendUnavailable, match="OSError: stale handle"):
        indexing._made(actor(row), maker)
    looked = indexing._look({"id": json.dumps("0.png")}, str(folder))
    with pytest.raises(BackendUnavailable, match="OSError: stale handle"):
        raise error_of(json.loads(looked["error"]))


def test_a_stop_is_seen_while_batches_are_composed(folder: Path) -> None:
    maker, _ = both(folder, "a picture")
    composed: list[Batch] = []

    def batches() -> Iterator[Batch]:
        for _ in range(9):
            composed.append(Batch())
            yield composed[-1]

    async def stopped() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()  # what the first Ctrl-C does
        async for _ in indexing.RayEngine(None, load_profile("mini")).make(folder, batches(), maker):
            raise AssertionError("a batch came")

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(stopped())
    assert len(composed) == 1


def test_an_error_is_the_same_on_the_other_side() -> None:
    class Own(Exhausted):
        pass

    for error, kind in (
        (BadInput("a"), BadInput),
        (Own("b"), Exhausted),
        (UnreadableReply("c"), UnreadableReply),
    ):
        back = error_of(told_error(error))
        assert type(back) is kind and str(error) in str(back) and back.exit_code == error.exit_code
    assert isinstance(error_of(told_error(Own("b"))), BackendUnavailable)


def test_one_node_is_told_in_the_singular() -> None:
    assert shares({"abcdefghij": 3}) == "1 node: abcdefgh 3"
    assert shares({"b" * 9: 1, "a" * 9: 2}) == "2 nodes: aaaaaaaa 2, bbbbbbbb 1"
