"""Vectors that exist already into an index, and out of it again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from imagescope_agent import cli
from imagescope_agent.api import ImageScope
from imagescope_agent.errors import BadInput
from imagescope_agent.ingest.vector_files import read_vectors
from imagescope_agent.ingest.vectors import export_vectors, import_space, import_vectors
from imagescope_agent.profiles.profile import load_profile
from imagescope_agent.retrieval.collection import FolderCollection
from imagescope_agent.retrieval.protocols import SpaceQuery
from tests.ingest.conftest import NAMES, draw, ids


def vectors(folder: Path) -> np.ndarray:
    collection = FolderCollection.open(folder)
    return np.stack([collection.image_vector(name) for name in collection.ids])


def plain(place: Path, names: list[str], rows: np.ndarray) -> Path:
    place.mkdir(parents=True, exist_ok=True)
    np.save(place / "vectors.npy", rows)
    (place / "ids.txt").write_text("".join(f"{name}\n" for name in names))
    return place


@pytest.mark.parametrize("form", ["npy", "clip-retrieval"])
def test_an_index_made_of_vectors_is_the_one_that_they_come_from(
    folder: Path, tmp_path: Path, form: str
) -> None:
    if form == "clip-retrieval":
        pytest.importorskip("pyarrow", reason="pip install 'imagescope-agent[parquet]'")
    out = tmp_path / "out"
    assert cli.main(["vectors", "export", str(folder), str(out), "--format", form]) == 0
    before = vectors(folder)
    shutil.rmtree(folder / ".imagescope")
    draw(folder / "later.png", "red")  # has no vector: it is embedded here
    done, report = import_vectors(folder, out, profile="mini")
    assert (done.used, done.foreign, report.new) == (len(NAMES), 0, 1)
    assert np.allclose(vectors(folder)[: len(NAMES)], before, atol=1e-6)
    assert len(ImageScope.open(folder, graph="retrieve", runs=False).search("a red car", k=3)) == 3
    again, _ = import_vectors(folder, out, profile="mini")
    assert again.used == 0
    assert FolderCollection.open(folder).uncaptioned == {*NAMES, "later.png"}  # not asked is not "none given"
    import_vectors(folder, out, profile="mini", captions="all")
    assert FolderCollection.open(folder).uncaptioned == set()
    assert all(FolderCollection.open(folder).captions.values())


def test_names_are_ids_or_longer_paths_and_halves_are_enough(folder: Path, tmp_path: Path) -> None:
    rows = vectors(folder)
    shutil.rmtree(folder / ".imagescope")
    names = [f"/somewhere/else/{name}" for name in NAMES]
    place = plain(tmp_path / "v", [*names, "/x/none.png"], np.vstack([rows * 3, rows[:1]]).astype(np.float16))
    done, _ = import_vectors(folder, place, profile="mini")
    assert (done.used, done.foreign) == (len(NAMES), 1)
    assert np.allclose(vectors(folder), rows, atol=2e-3)


def test_vectors_of_something_else_are_refused_in_words(folder: Path, tmp_path: Path) -> None:
    rows = vectors(folder)
    wrong = {
        "numbers": plain(tmp_path / "a", NAMES, rows[:, :-1]),
        "another vector": plain(tmp_path / "b", NAMES, rows[::-1]),
        "two vectors": plain(tmp_path / "c", [NAMES[0]] * 4, rows),
        "vectors for": plain(tmp_path / "d", NAMES[:2], rows),
        "no vector in": plain(tmp_path / "e", ["x", "y", "z", "w"], rows),
        "not finite": plain(tmp_path / "f", NAMES, rows * np.nan),
        "no rows of numbers": plain(tmp_path / "g", NAMES, np.ones((4, 3), dtype=int)),
        "cannot read the ids": tmp_path,
    }
    told = plain(tmp_path / "h", NAMES, rows)
    (told / "vectors.json").write_text(json.dumps({"weights": "another model"}))
    for words, place in {**wrong, "say that": told}.items():
        with pytest.raises(BadInput, match=words) as caught:
            import_vectors(folder, place, profile="mini")
        assert "\n" not in str(caught.value)
    assert np.array_equal(vectors(folder), rows) and ids(folder) == NAMES


def test_files_that_hold_code_are_not_run(folder: Path, tmp_path: Path) -> None:
    place = plain(tmp_path / "v", NAMES, np.array([{}, {}, {}, {}], dtype=object))
    with pytest.raises(BadInput, match="cannot read"):
        read_vectors(place)


def test_a_space_of_their_own(folder: Path, tmp_path: Path) -> None:
    rows = np.eye(4, 7, dtype=np.float32)
    place = plain(tmp_path / "v", NAMES, rows)
    assert cli.main(["vectors", "import", str(folder), str(place), "--space", "mine"]) == 0
    collection = FolderCollection.open(folder)
    query = SpaceQuery(space="mine", vector=rows[2], weight=1.0)
    assert collection.search_spaces([query], 1) == [(NAMES[2], 1.0)]
    assert collection.spaces["mine"].weights.startswith("imported:")
    assert export_vectors(folder, tmp_path / "out", space="mine") == 4
    assert np.array_equal(np.load(tmp_path / "out" / "vectors.npy"), rows)
    with pytest.raises(BadInput, match="1 of 4 images have no vector"):
        import_space(folder, plain(tmp_path / "w", NAMES[:3], rows[:3]), "other")
    with pytest.raises(BadInput, match="numbers"):
        import_space(folder, place, "other", embedder=load_profile("mini").embedder)
    with pytest.raises(BadInput, match="cannot name"):
        import_space(folder, place, "image")


def test_a_space_whose_embedder_is_known_is_searched_with_it(folder: Path, tmp_path: Path) -> None:
    export_vectors(folder, tmp_path / "out")
    import_space(folder, tmp_path / "out", "copy", embedder=load_profile("mini").embedder)
    collection = FolderCollection.open(folder)
    collection.require_weights(collection.embedder_weights, "copy")


def test_an_export_goes_to_a_new_folder(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["vectors", "export", str(folder), str(folder)]) == 2
    assert cli.main(["vectors", "export", str(folder), str(tmp_path / "o"), "--space", "imag"]) == 2
    assert "did you mean 'image'" in capsys.readouterr().err
