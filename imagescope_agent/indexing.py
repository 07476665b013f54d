"""Index a folder of images with the models of a profile."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from imagescope_agent.cluster.connection import joined, require_engine
from imagescope_agent.profile_choice import choose_profile, require_same_profile, stored_name
from imagescope_agent.profiles.profile import Profile, load_profile
from imagescope_agent.prompting import load_prompt
from imagescope_agent.retrieval.image_files import find_images
from imagescope_agent.retrieval.index import manifest
from imagescope_agent.retrieval.index.indexer import build
from imagescope_agent.retrieval.index.making import Engine, LocalEngine
from imagescope_agent.retrieval.index.report import IndexReport
from imagescope_agent.retrieval.stores import store_to_use
from imagescope_agent.runs.run_graph import run_sync
from imagescope_agent.services import open_embedder_of, open_roles, weights_of


def index_folder(  # every argument is told
    folder: Path | str,
    *,
    profile: str | None = None,
    out: Path | str | None = None,
    only: Container[str] | None = None,
    exclude: Sequence[str] | None = None,
    change_profile: bool = False,
    captions: str | None = None,
    index: str | None = None,
    progress: bool | None = None,
    engine: str = "local",
    address: str | None = None,
) -> IndexReport:
    """Index a folder of images, or bring its index up to date; killed at any moment, the next call goes on.

    Args:
        folder: the images, at any depth.
        profile: which models; when None the ones that made the index, in a new one what knows such pictures:
            "mini" for drawn scenes, "photos" for photos where that is installed.
        out: where the index goes; FOLDER/.imagescope when None.
        only: ids to index, for a gallery that is a part of the folder; all of it when None.
        exclude: patterns of files and folders to skip, as in a .gitignore file; None for those the index was made with.
        change_profile: make an index of another profile anew; until it is done, searches find the old one.
        captions: "all" images get one now, "lazy": those that searches reach, "none": the rest are found by their
            pictures alone; None is as the index was made, all in a new one.
        index: how nearest vectors are looked for: "exact" compares all, "hnsw" and "ivfpq" some, "pq4" and "sq8" all
            by codes of 1 and 8 bits a number, "auto" is exact up to 200,000 images and then as the store does best;
            None is as the index was made, "auto" in a new one.
        progress: a bar on standard error; None shows it on a terminal only.
        engine: "local" for this process, "ray" for a Ray cluster whose nodes all see the folder at its path.
        address: of the cluster, as `cluster.connection.joined` takes it.

    Raises:
        BadInput: no folder, no image in it, an unknown profile or another than made the index, or a disk that is full
            or read-only.
        BackendUnavailable: a model or the cluster failed; what was finished is kept.
        MissingExtra: the engine is not installed.
    """
    require_engine(engine, address)
    folder, place = Path(folder), None if out is None else Path(out)
    location = place if place is not None else folder / manifest.FOLDER_INDEX
    if profile is not None:
        load_profile(profile)  # a misspelt name is told first
    patterns = manifest.patterns_of(folder, place) if exclude is None else exclude
    scanned = find_images(folder, place, only, patterns)  # refuses the folder before weights are loaded
    chosen = load_profile(profile or choose_profile(folder, location, scanned[0]))
    name = stored_name(chosen.name)
    if not change_profile:
        require_same_profile(location, name)
    captioner = open_roles(chosen)["captioner"]
    prompt = load_prompt("caption", prompt_set=captioner.prompt_set).fill()
    with _opened(engine, address, chosen) as worker:
        return run_sync(
            build(
                *(folder, place, open_embedder_of(chosen), captioner, prompt),
                captioner_weights=weights_of(captioner),
                profile=name,
                store=chosen.store if change_profile else store_to_use(location, chosen.store),
                only=only,
                exclude=exclude,
                captions=captions,
                index=index,
                progress=progress,
                scanned=scanned,
                engine=worker,
            )
        )


@contextmanager
def _opened(engine: str, address: str | None, profile: Profile) -> Iterator[Engine]:
    """Who computes the batches."""
    if engine == "local":
        yield LocalEngine()
        return
    from imagescope_agent.cluster.indexing import RayEngine

    with joined(address) as ray:
        yield RayEngine(ray, profile)
