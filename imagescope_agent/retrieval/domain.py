"""What an embedder was trained on, as a small statistic: tells the pictures and queries that lie outside.

A domain is a folder:

    domain.safetensors  "mean" (d,), "axes" (r, d) principal directions, "variance" (r + 1,) along each and, last, along
                        any other, "limit" (1,) the distance that few pictures of the kind exceed; optional:
                        "contrast" (d + 1,) a plane, above which vectors are rather of the other kind
    domain.json         {"format": 1, "subject": "drawn scenes", "profile": "mini", "weights": of the
                        embedder, "other": ["photos", "photos"], subject and profile for what looks otherwise;
                        optional: "blind": ["exclusions"], sorts of `blind_spots.BLIND_SPOTS`}
    words.txt           the words of the training texts, a line each, sorted

The distance is Mahalanobis distance with the covariance of probabilistic PCA (Tipping and Bishop, 1999).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast
from weakref import WeakKeyDictionary

import numpy as np

from imagescope_agent.errors import BadInput
from imagescope_agent.records import NoteDict, NoteKind, note
from imagescope_agent.retrieval.blind_spots import BLIND_SPOTS, blind_words
from imagescope_agent.retrieval.function_words import FUNCTION_WORDS
from imagescope_agent.retrieval.protocols import Collection, Embedder
from imagescope_agent.retrieval.stems import stem, words_of, written_words
from imagescope_agent.retrieval.vectors import Vectors

FORMAT = 1
STATISTIC, TABLE, WORDS = "domain.safetensors", "domain.json", "words.txt"
AXES = 48
QUANTILE = 0.99  # of pictures of the kind that lie within the limit
OUTSIDE = 0.5  # share of a folder's pictures above which they are said to be of another kind
UNKNOWN = 1 / 3  # share of a query's words from which on it is said to be about something else
SAMPLE = 200  # pictures of a collection that are looked at
OFTEN = 2  # times that a word must have been seen to be known


@dataclass(frozen=True, kw_only=True)
class Domain:
    """Pictures and words of one kind.

    Args:
        subject: what the training pictures are, in words.
        profile: whose models know them.
        weights: the embedder whose vectors it judges.
        other: subject and profile for what looks otherwise.
        words: of the training texts.
        mean, axes, variance, limit: as in the file.
        contrast: as in the file, None without.
        blind: sorts of words that the embedder does not heed.
        other_words: stems that the other profile knows; None where that cannot be told.
    """

    subject: str
    profile: str
    weights: str
    other: tuple[str, str]
    words: frozenset[str]
    mean: Vectors
    axes: Vectors
    variance: Vectors
    limit: float
    contrast: Vectors | None = None
    blind: tuple[str, ...] = ()
    other_words: frozenset[str] | None = None

    def distances(self, vectors: Vectors) -> Vectors:
        """(n, d) vectors of pictures -> (n,) distances from the training pictures."""
        off = vectors - self.mean
        along = off @ self.axes.T
        rest = np.maximum((off**2).sum(axis=1) - (along**2).sum(axis=1), 0)
        squared = (along**2 / self.variance[:-1]).sum(axis=1) + rest / self.variance[-1]
        found: Vectors = np.sqrt(squared).astype(np.float32)
        return found

    def outside(self, vectors: Vectors) -> float:
        """The share of pictures that are unlike the training pictures, 0 to 1; by the plane where there is one."""
        if self.contrast is not None and len(vectors):
            return float((vectors @ self.contrast[:-1] + self.contrast[-1] > 0).mean())
        return float((self.distances(vectors) > self.limit).mean()) if len(vectors) else 0.0

    def notes(
        self, collection: Collection, text: str, weights: str, once: bool = True, heeded: Sequence[str] = ()
    ) -> list[NoteDict]:
        """Notes on a collection and a query that are not of the kind; none for vectors of other weights.

        Args:
            collection: some of its pictures are looked at.
            text: the query.
            weights: of the embedder in use.
            once: say what is to be said of the collection; it was said before otherwise.
            heeded: sorts of blind spots that the search heeds in another way.
        """
        if weights != self.weights:
            return []
        outside = [self._of_collection(collection) if once else "", asked := self.of_query(text)]
        unchecked = [self.unheeded(text, heeded), "" if asked else self.rare(text)]
        said = [*(("outside", each) for each in outside), *(("unchecked", each) for each in unchecked)]
        return [note("retrieve", cast(NoteKind, kind), detail) for kind, detail in said if detail]

    def _of_collection(self, collection: Collection) -> str:
        """As `of_folder`, of a sample; found once for an opened collection, whose vectors do not change."""
        known = _FOUND.setdefault(collection, {})
        key = self.profile, self.weights
        if key not in known:
            some = [collection.image_vector(name) for name in sample(collection.ids)]
            known[key] = self.of_folder(np.stack(some)) if some else ""
        return known[key]

    def unknown(self, text: str) -> list[str]:
        """The describing words of a text that the training texts do not hold, where they are too many; else none."""
        strange = self._strange(text)
        return strange if strange and len(strange) >= UNKNOWN * len(set(words_of(text))) else []

    def _strange(self, text: str) -> list[str]:
        """As they stand in the text, in order; a word in several forms once."""
        found: dict[str, str] = {}
        for word in written_words(text):
            if word.lower() not in FUNCTION_WORDS:
                found.setdefault(stem(word.lower()), word)
        return [word for form, word in found.items() if form not in self.words]

    def of_folder(self, vectors: Vectors) -> str:
        """What is to be said of a folder's pictures; "" where they are of the kind."""
        share = self.outside(vectors)
        if share <= OUTSIDE:
            return ""
        unlike = f"{share:.0%} of the pictures look unlike the {self.subject}"
        return f"{unlike} that the profile {self.profile!r} knows; {self._advice}"

    def of_query(self, text: str) -> str:
        """What is to be said of a query; "" where its words are known."""
        if not (unknown := self.unknown(text)):
            return ""
        shown = ", ".join(map(repr, unknown[:5]))
        advice = f"; {self._advice}" if self._is_known_elsewhere(unknown) else ""
        return f"{shown}: no words of the {self.subject} that the profile {self.profile!r} knows{advice}"

    def _is_known_elsewhere(self, words: Sequence[str]) -> bool:
        """Whether the other profile knows half of the words or more."""
        known = self.other_words
        return known is None or 2 * sum(known.issuperset(words_of(word)) for word in words) >= len(words)

    def rare(self, text: str) -> str:
        """What is to be said of single words that the training texts do not hold; "" where there are none."""
        shown = ", ".join(map(repr, self._strange(text)[:5]))
        told = f"in no text that the profile {self.profile!r} learnt from, so perhaps not heeded"
        return f"{shown}: {told}" if shown else ""

    def unheeded(self, text: str, heeded: Sequence[str] = ()) -> str:
        """What is to be said of words that the embedder does not heed; "" where there are none but `heeded` sorts."""
        found = blind_words(text, [sort for sort in self.blind if sort not in heeded])
        if not found:
            return ""
        words = ", ".join(repr(word) for said in found.values() for word in said[:3])
        return (
            f"{words}: the embedder of the profile {self.profile!r} does not heed {' and '.join(found)}; "
            "look whether the results do, or use a profile with a verifier"
        )

    @property
    def _advice(self) -> str:
        subject, profile = self.other
        return f"for {subject} use --profile {profile}"

    @classmethod
    def load(cls, folder: Path) -> Domain:
        """Read a folder.

        Raises:
            BadInput: a file is missing or damaged.
        """
        from safetensors.numpy import load_file

        try:
            table = json.loads((folder / TABLE).read_text(encoding="utf-8"))
            found = {name: each.astype(np.float32) for name, each in load_file(folder / STATISTIC).items()}
            words = known_words(folder)
            blind = tuple(table.get("blind", ()))
            if not BLIND_SPOTS.keys() >= set(blind):
                raise ValueError
            if table["format"] != FORMAT or len(found["variance"]) != len(found["axes"]) + 1:
                raise ValueError
            return cls(
                subject=str(table["subject"]),
                weights=str(table["weights"]),
                profile=str(table["profile"]),
                other=(str(table["other"][0]), str(table["other"][1])),
                words=words,
                mean=found["mean"],
                axes=found["axes"],
                variance=found["variance"],
                limit=float(found["limit"][0]),
                contrast=found.get("contrast"),
                blind=blind,
            )
        except Exception as error:  # safetensors raises an error of its own
            raise BadInput(f"the domain in {str(folder)!r} is missing or damaged; install it anew") from error

    def save(self, folder: Path) -> None:
        """Write a folder."""
        from safetensors.numpy import save_file

        folder.mkdir(parents=True, exist_ok=True)
        halves = {"mean": self.mean, "axes": self.axes}
        tensors: dict[str, np.ndarray] = {
            name: np.ascontiguousarray(each, np.float16) for name, each in halves.items()
        }
        tensors |= {"variance": self.variance, "limit": np.asarray([self.limit], np.float32)}
        tensors |= {} if self.contrast is None else {"contrast": self.contrast}
        save_file(tensors, folder / STATISTIC)
        table = {
            "format": FORMAT,
            "subject": self.subject,
            "profile": self.profile,
            "weights": self.weights,
            "other": list(self.other),
        }
        table |= {"blind": list(self.blind)} if self.blind else {}
        (folder / TABLE).write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
        (folder / WORDS).write_text("\n".join(sorted(self.words)) + "\n", encoding="utf-8")


#: What was found of collections that are open, by the domain's profile and weights.
_FOUND: WeakKeyDictionary[Collection, dict[tuple[str, str], str]] = WeakKeyDictionary()


def fit(
    vectors: Vectors,
    texts: Iterable[str],
    *,
    subject: str,
    profile: str,
    weights: str,
    other: tuple[str, str],
    names: Iterable[str] = (),
) -> Domain:
    """The domain of (n, d) vectors of training pictures and of their texts.

    The covariance is of one half of the pictures, the limit of the other; words of `names` are known though seen once.

    Raises:
        BadInput: there are too few pictures.
    """
    size = vectors.shape[1]
    learn, check = vectors[::2].astype(np.float64), vectors[1::2]
    axes = min(AXES, size - 1, len(check) // 2)
    if axes < 1:
        raise BadInput(f"{len(vectors)} pictures are too few for a statistic; give hundreds of them")
    mean = learn.mean(axis=0)
    variances, directions = np.linalg.eigh(np.cov(learn - mean, rowvar=False))
    rest = float(variances[:-axes].mean()) + 1e-9
    kept = np.maximum(variances[::-1][:axes], rest)
    seen = Counter(word for text in texts for word in set(words_of(text)))
    often = {word for word, count in seen.items() if count >= OFTEN}
    found = Domain(
        subject=subject, profile=profile, weights=weights, other=other, limit=np.inf,
        words=frozenset(often.union(*map(words_of, names))),
        mean=mean.astype(np.float16).astype(np.float32),
        axes=directions[:, ::-1][:, :axes].T.astype(np.float16).astype(np.float32),
        variance=np.append(kept, rest).astype(np.float32),
    )  # fmt: skip
    return Domain(**{**vars(found), "limit": float(np.quantile(found.distances(check), QUANTILE))})


def plane(vectors: Vectors, others: Vectors) -> Vectors:
    """(d + 1,) the plane between two kinds of unit vectors by linear discriminant analysis, in the middle of both."""
    ours, theirs = vectors.astype(np.float64), others.astype(np.float64)
    within = (np.cov(ours, rowvar=False) + np.cov(theirs, rowvar=False)) / 2
    size = len(within)
    normal = np.linalg.solve(within + 1e-3 * np.eye(size) / size, theirs.mean(0) - ours.mean(0))
    found: Vectors = np.append(normal, -normal @ (ours.mean(0) + theirs.mean(0)) / 2).astype(np.float32)
    return found


def known_words(folder: Path) -> frozenset[str]:
    """The stems that a domain's folder knows; raises OSError and UnicodeDecodeError as reading does."""
    return frozenset((folder / WORDS).read_text(encoding="utf-8").split())


def said_of(embedder: Embedder, vectors: Vectors) -> str:
    """What is to be said of pictures by the vectors an embedder gave them; "" where they are of its kind."""
    domain: Domain | None = getattr(embedder, "domain", None)
    return domain.of_folder(vectors) if domain is not None and domain.weights == embedder.weights else ""


def sample(names: Sequence[str]) -> Sequence[str]:
    """At most `SAMPLE` of the names, spread over all of them."""
    return names[:: max(1, -(-len(names) // SAMPLE))]
