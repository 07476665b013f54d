"""Index by Ray Data: files are looked at in tasks, batches are computed by actors that hold the models.

This process composes the batches and records what comes back, as it does with its own models. A batch that a dead
worker or node had is computed again elsewhere. Every node must see the folder of images at the same path.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from imagescope_agent.cluster.connection import BLOCKS, TRIES, answering, mapped, on_actors
from imagescope_agent.cluster.telling import error_of, node_id, telling, there, told_error
from imagescope_agent.errors import BadInput, ImageScopeError, RequestRefused
from imagescope_agent.profiles.profile import Profile
from imagescope_agent.retrieval.images import ImageFile, ImageProblem, LoadedImage, inside, load
from imagescope_agent.retrieval.index.making import Batch, Made, Maker, Seen, Wanted
from imagescope_agent.retrieval.index.manifest import CAPTIONS
from imagescope_agent.retrieval.index.rows import Content
from imagescope_agent.runs.run_graph import run_sync
from imagescope_agent.services import open_embedder_of, open_roles, weights_of

LOOKED = 32  # files that a task looks at, at least


class RayEngine:
    """As `making.Engine`, on a cluster.

    Args:
        ray: the package, connected.
        profile: whose models the actors open.
    """

    def __init__(self, ray: Any, profile: Profile) -> None:
        self._ray, self._profile = ray, profile

    def look(self, folder: Path, files: Sequence[ImageFile], known: Callable[[str], bool]) -> Iterator[Seen]:
        """As `Engine.look`: every file is read, hashed and decoded once, in order."""
        if not files:
            return
        self._ray.data.DataContext.get_current().execution_options.preserve_order = True
        rows = [{"id": json.dumps(item.id)} for item in files]
        listed = self._ray.data.from_items(rows, override_num_blocks=min(BLOCKS, 1 + len(rows) // LOOKED))
        looked = mapped(listed, _look, fn_kwargs={"folder": str(folder.absolute())}, max_retries=TRIES)
        with answering():
            for item, row in zip(files, looked.iter_rows(), strict=True):
                if error := json.loads(row["error"]):
                    raise error_of(error)
                yield Seen(item=item, key=row["key"], problem=json.loads(row["problem"]))

    async def make(
        self, folder: Path, batches: Iterable[Batch], maker: Maker
    ) -> AsyncIterator[tuple[Batch, Made]]:
        """As `Engine.make`."""
        listed = []
        for batch in batches:  # files are looked at
            listed.append(batch)
            await asyncio.sleep(0)  # a stop is seen
        wanted = [number for number, batch in enumerate(listed) if batch.wanted]
        for batch in listed:
            if not batch.wanted:
                yield batch, Made()
        rows = [{"number": number, "wanted": _told(listed[number].wanted)} for number in wanted]
        arguments = (self._profile, maker.prompt, maker.captions, str(folder.absolute()))
        with answering():
            for row in on_actors(self._ray, rows, _Actor, arguments):
                yield listed[row["number"]], _made(row, maker)


def _look(row: Mapping[str, Any], folder: str) -> dict[str, Any]:
    """The content of a file, or what is wrong with it."""
    key, problem, failed = "", "", list[str]()
    try:
        with telling():
            key = load(inside(there(Path(folder)), json.loads(row["id"]))).key
    except ImageProblem as found:
        problem = found.reason
    except ImageScopeError as error:
        failed = told_error(error)
    return {"key": key, "problem": json.dumps(problem), "error": json.dumps(failed)}


class _Actor:
    """Computes batches on a node, with models that stay open.

    Args:
        profile: whose models.
        prompt, captions: as of `Maker`.
        folder: of the images, as this node sees it.
    """

    def __init__(self, profile: Profile, prompt: str, captions: str, folder: str) -> None:
        self._folder, self._asked = Path(folder), (profile, prompt, captions)

    @cached_property
    def _maker(self) -> Maker:
        profile, *asked = self._asked
        return Maker(open_embedder_of(profile), open_roles(profile)["captioner"], *asked)

    def __call__(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """A row with a batch that is wanted -> one with what came of it."""
        node = node_id()
        try:
            with telling():
                made, told = self._made(row["wanted"])
        except ImageScopeError as error:
            made, told = Made(), {"error": told_error(error)}
        return {
            "number": row["number"],
            "told": json.dumps({"node": node, **told}),
            "images": b"".join(each.image.tobytes() for each in made.contents),
            "words": b"".join(each.words.tobytes() for each in made.contents),
        }

    def _made(self, told: str) -> tuple[Made, dict[str, Any]]:
        wanted, pictures, gone = list[Wanted](), list[LoadedImage](), dict[str, str]()
        there(self._folder)
        for each in _wanted(told):
            try:
                picture = load(inside(self._folder, each.id))
            except ImageProblem as problem:
                gone[each.id] = problem.reason
                continue
            if picture.key != each.key:
                gone[each.id] = "it changed while it was indexed"
                continue
            wanted.append(each)
            pictures.append(picture)
        made = run_sync(self._maker(wanted, pictures)) if wanted else Made()
        return made, {
            "weights": self._maker.embedder.weights,
            "captioner": _captioner_of(self._maker),
            "contents": [[each.key, each.caption] for each in made.contents],
            "notes": list(made.notes),
            "usage": dict(made.usage),
            "uncaptioned": {
                key: None if error is None else [isinstance(error, RequestRefused), str(error)]
                for key, error in made.uncaptioned.items()
            },
            "refused": made.refused,
            "gone": gone,
        }


def _captioner_of(maker: Maker) -> str:
    """The weights that captions are made with, "" where none are made."""
    return weights_of(maker.captioner) if maker.captions == CAPTIONS[0] else ""


def _told(wanted: Sequence[Wanted]) -> str:
    return json.dumps(
        [
            [each.id, each.key, each.caption, None if each.image is None else each.image.tolist()]
            for each in wanted
        ]
    )


def _wanted(told: str) -> Iterator[Wanted]:
    for name, key, caption, image in json.loads(told):
        kept = None if image is None else np.array(image, dtype=np.float32)
        yield Wanted(id=name, key=key, caption=caption, image=kept)


def _made(row: Mapping[str, Any], maker: Maker) -> Made:
    """What an actor computed, as it would have been computed here.

    Raises:
        ImageScopeError: what the actor raised.
        BadInput: it has other weights.
    """
    told = json.loads(row["told"])
    if "error" in told:
        raise error_of(told["error"])
    if told.pop("weights") != maker.embedder.weights:
        raise BadInput(f"the node {told['node']} has other embedding weights; install the same on every node")
    if told.pop("captioner") != _captioner_of(maker):
        raise BadInput(
            f"the node {told['node']} has another captioner; install the same weights on every node"
        )
    dimension = maker.embedder.dimension
    images, words = (
        np.frombuffer(row[name], dtype=np.float32).reshape(-1, dimension) for name in ("images", "words")
    )
    contents = [
        Content(key=key, caption=caption, image=image, words=text)
        for (key, caption), image, text in zip(told.pop("contents"), images, words, strict=True)
    ]
    lacking = {
        key: None if why is None else (RequestRefused if why[0] else ImageScopeError)(why[1])
        for key, why in told.pop("uncaptioned").items()
    }
    return Made(contents=contents, uncaptioned=lacking, **told)
