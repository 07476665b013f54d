"""A collection that somebody else made chooses no code, file or server, and leads nothing astray."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from imagescope_agent import cli
from imagescope_agent.api import ImageScope, index_folder
from imagescope_agent.errors import BadInput
from imagescope_agent.profiles import PROFILES
from imagescope_agent.profiles.profile import is_local
from imagescope_agent.retrieval.collection import FolderCollection
from imagescope_agent.retrieval.index import manifest
from imagescope_agent.retrieval.index.cache import IndexCache
from imagescope_agent.retrieval.stores import tidy
from imagescope_agent.services import profile_of
from tests.scripted_profile import scripted_profile
from tests.security.strangers import database, rewritten, snapshot, written_before

PICKED = "was called"
CODE = """
from pathlib import Path
from langchain_core.language_models import FakeListChatModel
Path({mark!r}).write_text("was called")
"""


@pytest.fixture
def complaint(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """The one line in which a command refuses its input."""

    def run(*words: object) -> str:
        assert cli.main([str(word) for word in words]) == 2
        said = capsys.readouterr()
        assert said.err.count("\n") == 1 and said.out == "" and "Traceback" not in said.err, said
        return said.err

    return run


def test_only_packaged_profiles_that_send_nothing_are_a_collections_to_choose() -> None:
    assert {name for name in PROFILES if not is_local(name)} == {"server"}
    assert not is_local("mine.toml") and not is_local("../profiles/mini") and not is_local("")


@pytest.mark.parametrize("kept", ["in the manifest", "in a file"])
@pytest.mark.parametrize(
    "named",
    ["evil.toml", "/etc/passwd", "server", "../profiles/mini", "mini.toml", "module:attribute", "mini\nserver",
     "~/x.toml", "minni", "MINI", "\x1b[2J", "x" * 5000],
)  # fmt: skip
def test_any_other_profile_needs_the_users_own_word(
    world: Any, complaint: Any, monkeypatch: pytest.MonkeyPatch, kept: str, named: str
) -> None:
    monkeypatch.setattr("imagescope_agent.services.load_profile", lambda name: pytest.fail(f"read {name}"))
    if kept == "in a file":
        written_before(world.collection.location, named)
    else:
        rewritten(world.collection.location, profile=named)
    for words in (["search", world.folder, "red"], ["chat", world.folder], ["ui", world.folder]):
        line = complaint(*words)
        assert "needs your own --profile" in line or "is unreadable" in line
        assert "\x1b" not in line and len(line) < 500
    with pytest.raises(BadInput, match=r"your own --profile|unreadable"):
        ImageScope.open(world.folder)


def test_a_profile_that_lies_in_the_collection_runs_nothing(
    world: Any, tmp_path: Path, complaint: Any
) -> None:
    mark, index = tmp_path / "mark", world.collection.location
    (index / "evil.py").write_text(CODE.format(mark=str(mark)))
    (index / "evil.toml").write_text(
        'embedder = "x"\n[models.m]\nmllm = "evil:FakeListChatModel"\n[roles]\n'
        + "".join(f'{role} = "m"\n' for role in ("captioner", "reasoner", "verifier", "judge"))
    )
    for named in (str(index / "evil.toml"), ".imagescope/evil.toml", "evil.toml"):
        written_before(index, named)
        complaint("search", world.folder, "red")
        rewritten(index, profile=named)
        complaint("search", world.folder, "red")
    assert not mark.exists()


@pytest.mark.parametrize("kind", ["pipe", "link out", "link to itself", "folder", "socket", "huge", "device"])
@pytest.mark.parametrize("name", ["profile", "imagescope.json", "image.*.faiss"])
def test_what_is_no_file_is_refused_and_never_waited_for(
    world: Any, tmp_path: Path, complaint: Any, kind: str, name: str
) -> None:
    index = world.collection.location
    if name == "profile":
        written_before(index, "mini")
    (path,) = index.glob(name)
    content = path.read_bytes()
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "link out":
        (tmp_path / "elsewhere").write_bytes(content)
        path.symlink_to(tmp_path / "elsewhere")
    elif kind == "link to itself":
        path.symlink_to(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "socket":
        os.mknod(path, 0o140600)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        with path.open("wb") as file:
            file.truncate(2**31)  # no byte of it is on the disk
    own = ["--profile", "mini"] if name == "image.*.faiss" else []
    assert "damaged" in complaint("search", world.folder, "red", *own)


def test_an_index_of_an_earlier_version_opens_and_ranks_as_before(world: Any) -> None:
    now = ImageScope(world.services(), graph="retrieve", runs=False).search("a red square")
    assert profile_of(world.folder) == "mini"
    for named in ("mini", "laptop\n", None):
        written_before(world.collection.location, named)
        assert profile_of(world.folder) == (named or "mini").strip()
        (world.collection.location / "profile").unlink(missing_ok=True)
    services = world.services()
    object.__setattr__(services, "collection", FolderCollection.open(world.folder))
    before = ImageScope(services, graph="retrieve", runs=False).search("a red square")
    assert before.rankings == now.rankings and [h.scores for h in before] == [h.scores for h in now]


def test_the_profile_is_published_with_the_index_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.conftest import ColourEmbedder

    monkeypatch.setattr("imagescope_agent.indexing.open_embedder_of", lambda profile: ColourEmbedder())
    (tmp_path / "own.toml").write_text(scripted_profile("hf-hub:x/y"))
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (8, 8), "red").save(tmp_path / "photos" / "red.png")
    index_folder(tmp_path / "photos", profile=str(tmp_path / "own.toml"))
    index = tmp_path / "photos" / ".imagescope"
    assert manifest.read(index).profile == "own.toml", "the name, and no path of this machine"
    assert not (index / "profile").exists()
    with pytest.raises(BadInput, match=r"'own\.toml'.*your own --profile"):
        profile_of(tmp_path / "photos")


HOSTILE: list[dict[str, Any]] = [
    {"folder": 7}, {"dimension": "8"}, {"dimension": 10**9}, {"dimension": 0}, {"entries": "none"}, {"entries": [3]},
    {"image_vectors": {"file": "../../secret", "sha256": "0"}},
    {"image_vectors": {"file": "/etc/passwd", "sha256": ""}},
    {"image_vectors": {}}, {"skipped": [{"id": 1, "reason": []}]}, {"profile": ["mini"]}, {"unknown": 1},
    {"entries": [{"id": "../secret.png", "key": "", "caption": ""}]},
    {"entries": [{"id": "/etc/passwd", "key": "", "caption": ""}]},
    {"entries": [{"id": "a\0b", "key": "", "caption": ""}]}, {"entries": [{"id": "", "key": "", "caption": ""}]},
    {"entries": [{"id": "a.png", "key": "../x", "caption": ""}]}, {"entries": [{"id": "a", "key": "", "caption": 5}]},
    {"entries": [{"id": "a.png", "key": "", "caption": ""}] * 8},
]  # fmt: skip


@pytest.mark.parametrize("changes", HOSTILE, ids=lambda each: str(each)[:40])
def test_a_manifest_with_a_valid_checksum_is_still_a_strangers(world: Any, changes: Any) -> None:
    rewritten(world.collection.location, **changes)
    with pytest.raises(BadInput, match="damaged") as caught:
        FolderCollection.open(world.folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("bad", ["nan", "inf", "kind", "garbage"])
def test_vectors_with_a_valid_checksum_are_still_a_strangers(world: Any, bad: str) -> None:
    index = world.collection.location
    (path,) = index.glob("image.*.faiss")
    data = bytearray(path.read_bytes())
    if bad == "kind":
        data[:4] = b"IxF2"
    elif bad == "garbage":
        data[4:45] = b"\xff" * 41
    else:
        data[-4:] = np.float32(bad).tobytes()
    sha = hashlib.sha256(data).hexdigest()
    (index / f"image.{sha[:16]}.faiss").write_bytes(data)
    rewritten(index, image_vectors={"file": f"image.{sha[:16]}.faiss", "sha256": sha})
    with pytest.raises(BadInput, match="damaged"):
        FolderCollection.open(world.folder)


def test_tidying_deletes_only_what_is_its_own(world: Any) -> None:
    index = world.collection.location
    own = ["image.0123456789abcdef.faiss", "caption.0123456789abcdef.faiss",
           "imagescope.json.0123456789abcdef.tmp", "image.0123456789abcdef.faiss.fedcba9876543210.tmp"]  # fmt: skip
    users = ["mine.faiss", "work.tmp", "imagescope.json.tmp", "image.faiss", "image.0123456789ABCDEF.faiss",
             "thesis.json.0123456789abcdef.tmp", "image.0123456789abcdef.faiss.bak"]  # fmt: skip
    for name in (*own, *users):
        (index / name).write_text("x")
    (index / "caption.fedcba9876543210.faiss").mkdir()
    tidy(index)
    left = {path.name for path in index.iterdir()}
    assert left >= {*users, "caption.fedcba9876543210.faiss"} and not left & set(own)
    assert len(FolderCollection.open(world.folder)) == 8


@pytest.mark.parametrize(
    "name",
    ["imagescope.json.tmp", "image.0123456789abcdef.faiss.tmp", "profile", "imagescope.json", "journal.sqlite",
     "journal.sqlite-wal", "journal.sqlite-journal"],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["file", "nothing"])
def test_links_in_an_index_make_indexing_write_nowhere_else(
    world: Any, tmp_path: Path, name: str, kind: str
) -> None:
    index, target = world.collection.location, tmp_path / "precious"
    if kind == "file":
        target.write_text("precious")
    (index / name).unlink(missing_ok=True)
    (index / name).symlink_to(target)
    before = {k: v for k, v in snapshot(tmp_path).items() if not k.startswith("world/")}
    indexed(world)
    assert {k: v for k, v in snapshot(tmp_path).items() if not k.startswith("world/")} == before


def indexed(world: Any, folder: Path | None = None, out: Path | None = None) -> str:
    """What indexing says: nothing, or why it is not done."""
    import asyncio

    from imagescope_agent.retrieval.index.indexer import build

    captioner = world.role("captioner", lambda asked: "a square")
    work = build(
        folder or world.folder, out, world.embedder, captioner, "describe", captioner_weights="other"
    )
    try:
        asyncio.run(work)
    except BadInput as error:
        assert "\n" not in str(error)
        return str(error)
    return ""


def test_the_folder_of_the_index_may_not_lead_elsewhere(world: Any, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    world.collection.location.rename(elsewhere)
    world.collection.location.symlink_to(elsewhere)
    before = snapshot(elsewhere)
    assert "is a link to" in indexed(world)
    with pytest.raises(BadInput, match="name the index itself"):
        FolderCollection.open(world.folder)
    assert snapshot(elsewhere) == before
    assert len(FolderCollection.open(elsewhere)) == 8


def test_somebody_elses_folder_is_no_place_for_an_index(world: Any, tmp_path: Path) -> None:
    theirs = tmp_path / "thesis"
    theirs.mkdir()
    (theirs / "chapter1.tmp").write_text("my only copy")
    before = snapshot(theirs)
    assert "is no index and holds 'chapter1.tmp'" in indexed(world, out=theirs)
    assert snapshot(theirs) == before
    with database(theirs / "journal.sqlite") as base:
        base.execute("create table diary (day text)")
    before = snapshot(theirs)
    assert "somebody else's" in indexed(world, out=theirs)
    assert {name: data for name, data in snapshot(theirs).items() if "journal" not in name} == {
        name: data for name, data in before.items() if "journal" not in name
    }
    with database(theirs / "journal.sqlite") as base:
        assert base.execute("select name from sqlite_schema").fetchall() == [("diary",)]


def test_a_journal_that_runs_something_of_its_own_is_refused(world: Any) -> None:
    with database(world.collection.location / "journal.sqlite") as base:
        base.execute("create trigger t after insert on contents begin delete from files; end")
    assert "damaged" in indexed(world)
    with pytest.raises(BadInput, match="damaged"), IndexCache(world.collection.location):
        pass
