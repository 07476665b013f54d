"""Records of a data set: queries, galleries, and the protocol by which rankings are scored."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from imagescope_agent.errors import BadInput
from imagescope_agent.retrieval.imaging.formats import is_picture


@dataclass(frozen=True, kw_only=True)
class BenchmarkQuery:
    """One query.

    `relevant` holds every image that satisfies it (empty when the ground truth is held by a test server).
    `target` is the one image that recall asks for where the protocol names one; otherwise any relevant image
    counts. `members` is CIRR's group without the reference. A dialog is several queries with one `group`,
    numbered by `turn` from 0: `text` joins all rounds so far, `said` is this round alone.
    `negatives` are images that explicitly do not satisfy it, though they nearly do. Several wordings of one wish are
    several queries with one `wish`, numbered by `wording` from 1. `copies` are other files of the reference's content,
    which our graphs leave out with it. `references` are all of them where there are several; `reference` is the first
    then.
    """

    qid: str
    text: str
    reference: str | None = None
    relevant: tuple[str, ...] = ()
    target: str | None = None
    subsets: tuple[str, ...] = ()
    gallery: str = "images"
    members: tuple[str, ...] = ()
    group: str = ""
    turn: int = 0
    said: str = ""
    copies: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    negatives: tuple[str, ...] = ()
    wish: str = ""
    wording: int = 0

    @property
    def shown(self) -> tuple[str, ...]:
        """All references, in the order of their numbers."""
        return self.references or (() if self.reference is None else (self.reference,))

    @property
    def unit(self) -> str:
        """The unit of sampling, resampling and pairing: the dialog, the wish with its wordings, or the query."""
        return self.group or self.wish or self.qid


@dataclass(frozen=True, kw_only=True)
class Gallery:
    """The images a query is searched in: `files` maps an image's official id to its path below `folder`, in
    order. `outside` does the same for references that are no images of it.
    """

    name: str
    folder: Path
    files: Mapping[str, str]
    outside: Mapping[str, str] = field(default_factory=dict)

    @property
    def index(self) -> Path:
        """Folder of its index: with the images, apart from the indices of other galleries in the same folder."""
        return self.folder / (".imagescope" if self.name == "images" else f".imagescope-{self.name}")

    def missing(self) -> list[str]:
        """Paths below `folder` that do not exist."""
        paths = (*self.files.values(), *self.outside.values())
        return [path for path in paths if not (self.folder / path).is_file()]

    def unusable(self) -> list[str]:
        """Paths below `folder` of files that are there but are no pictures: empty, or a web page in place of one."""
        return [
            path
            for path in self.files.values()
            if (self.folder / path).is_file() and not is_picture(self.folder / path)
        ]


@dataclass(frozen=True, kw_only=True)
class RequiredFile:
    """A file or folder that a data set expects, and where to obtain it."""

    path: Path
    source: str
    images: bool = False


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """A data set, one split, one protocol.

    Attributes:
        key: the protocol in short, "dataset/split/variant"; only figures with the same key may be compared.
        protocol: the protocol in one line of text.
        gallery: a description of the galleries ("original, 3 categories").
        measures: names of `aggregate.MEASURES` with cutoffs, such as "R@1" or "mAP@5".
        drop_reference: the reference image is removed from every ranking before it is scored.
        macro: subsets whose unweighted mean is the figure of "all"; empty = the mean over queries.
        depth: how deep a ranking must be known; None = the whole gallery.
        size: images in the largest gallery, 0 = unknown; the rank of a target that a cut-off ranking does not
            hold.
        open_galleries: reads the galleries, which may need the images on disk.
        known: whether an id may occur in a run, by gallery name; None = cannot be told without the images.
        submit: makes the official server's files from `{qid: ranking}`; None where there is no server.
        parse: reads an official submission (document, its file) into `{qid: ranking}` and the measures it is
            meant for.
    """

    name: str
    split: str
    key: str
    protocol: str
    gallery: str
    queries: tuple[BenchmarkQuery, ...]
    measures: tuple[str, ...]
    open_galleries: Callable[[], Mapping[str, Gallery]]
    drop_reference: bool = False
    macro: tuple[str, ...] = ()
    depth: int | None = 100
    size: int = 0
    known: Mapping[str, frozenset[str]] | None = None
    submit: Callable[[Mapping[str, list[str]]], Mapping[str, object]] | None = None
    parse: Callable[[object, Path], tuple[Mapping[str, list[str]], Sequence[str]]] | None = None


def choose_split(name: str, split: str | None, splits: tuple[str, ...]) -> str:
    """The split asked for, or the first of `splits`.

    Raises:
        BadInput: the data set has no such split.
    """
    if split is None:
        return splits[0]
    if split not in splits:
        raise BadInput(f"{name} has no split {split!r}: choose one of {', '.join(splits)} with --split")
    return split


def first_existing(root: Path, *names: str) -> Path:
    """The first of several places below `root` that exists; the first name when none does."""
    return next((root / name for name in names if (root / name).exists()), root / names[0])
