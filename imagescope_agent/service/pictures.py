"""Images in requests: ids and data URIs; addresses are never fetched and files of this machine never opened."""

from __future__ import annotations

import base64
import binascii
import re
import tempfile
from pathlib import Path
from typing import Any

from imagescope_agent.chat.thumbnails import UPLOADS, keep
from imagescope_agent.errors import BadInput
from imagescope_agent.mllms.role import ImageRef
from imagescope_agent.retrieval.collection import FolderCollection
from imagescope_agent.retrieval.images import ImageProblem, load
from imagescope_agent.service.collections import Unknown
from imagescope_agent.service.schemas import SayRequest, SearchRequest

MOST_BYTES = 20 * 2**20  # of one picture
UPLOAD = "upload:"  # how the id of an upload begins
_UPLOADED = re.compile(rf"{UPLOAD}([0-9a-f]{{64}}\.(?:png|jpg))", re.ASCII)
_DATA_URI = re.compile(r"data:[\w.+/-]*(?:;[\w=.+-]+)*;base64,", re.ASCII)


def reference(given: str | None, collection: FolderCollection) -> str | None:
    """A reference image as a search takes it: an id, or the path under which an upload is kept beside the index.

    Raises:
        BadInput: it is neither an id nor a data URI of an image.
    """
    if given is None:
        return None
    if (uploaded := _uploaded(given, collection)) is not None:
        return str(uploaded)
    if not is_data_uri(given):
        return known(given, collection)
    return _keep(data_of(given), collection)


def brought(asked: SearchRequest | SayRequest, collection: FolderCollection) -> dict[str, Any]:
    """The pictures of a request as a search takes them: `image`, `images` and `unlike`.

    Raises:
        BadInput: as `reference`.
    """
    return {
        "image": reference(asked.image, collection),
        "images": [reference(each, collection) for each in asked.images],
        "unlike": [reference(each, collection) for each in asked.unlike],
    }


def kept(data: bytes, collection: FolderCollection) -> str:
    """The id of a picture that was sent: of the image that it is, else "upload:NAME" of the file that is kept.

    Raises:
        BadInput: it is no image, too large, or no more uploads are kept.
    """
    if len(data) > MOST_BYTES:
        raise BadInput(f"a picture may have {MOST_BYTES // 2**20} MiB; send a smaller one")
    found = _keep(data, collection)
    return found if found in collection else UPLOAD + Path(found).name


def _keep(data: bytes, collection: FolderCollection) -> str:
    with tempfile.NamedTemporaryFile(suffix=".upload") as file:
        file.write(data)
        file.flush()
        try:
            return keep(Path(file.name), collection)
        except ImageProblem as problem:
            raise _no_image(problem) from problem


def _uploaded(given: str, collection: FolderCollection) -> Path | None:
    """The file of an upload that is kept; None for any other name.

    Raises:
        Unknown: it is kept no more.
    """
    if (name := _UPLOADED.fullmatch(given)) is None:
        return None
    path = collection.location / UPLOADS / name[1]
    if not path.is_file() or path.is_symlink():
        raise Unknown(f"there is no upload {given!r}; send the picture again with POST /v1/uploads")
    return path


def shown(given: str, collection: FolderCollection | None) -> ImageRef:
    """An image as a model is shown it.

    Raises:
        BadInput: as `reference`.
        ImageProblem: the file of the id is gone.
    """
    if collection is not None and (uploaded := _uploaded(given, collection)) is not None:
        return load(uploaded).ref()
    if not is_data_uri(given):
        if collection is None:
            raise BadInput("images are data URIs here; name a collection for ids of its images")
        return collection.image_ref(known(given, collection))
    with tempfile.NamedTemporaryFile(suffix=".upload") as file:
        file.write(data_of(given))
        file.flush()
        try:
            return load(Path(file.name)).ref()
        except ImageProblem as problem:
            raise _no_image(problem) from problem


def known(name: str, collection: FolderCollection) -> str:
    """The id that a name stands for.

    Raises:
        Unknown: there is none; an address or a path is not one.
    """
    found = collection.named(name)
    if found is None:
        raise Unknown(
            f"there is no image {name[:80]!r} in the collection; give an id of it, or a data URI "
            "(addresses are not fetched)"
        )
    return found


def is_data_uri(given: str) -> bool:
    """Whether a string is the beginning of a data URI."""
    return given[:5].lower() == "data:"


def data_of(uri: str) -> bytes:
    """The bytes of a data URI.

    Raises:
        BadInput: it is not in base64, or too large.
    """
    head = _DATA_URI.match(uri)
    if head is None:
        raise BadInput("a data URI must be in base64: data:image/png;base64,...")
    if (len(uri) - head.end()) * 3 // 4 > MOST_BYTES:
        raise BadInput(f"a picture may have {MOST_BYTES // 2**20} MiB; send a smaller one")
    try:
        return base64.b64decode(uri[head.end() :], validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadInput(f"a data URI is no base64: {error}") from error


def _no_image(problem: ImageProblem) -> BadInput:
    return BadInput(f"the picture that was sent cannot be used: {problem.reason}; send another file")
