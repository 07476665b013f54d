"""Vectorised parsing of columns of a large text file, without a Python object for every field.

The common case is parsed by numpy: fields separated by one space or tab, ids that repeat, decimal numbers. For anything
else `split` and `decimals` return None, so that the caller parses line by line, and `IdCodes` falls back to a dict.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import unquote

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.bytes_]
Words = npt.NDArray[np.uint64]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

WIDEST = 128  # bytes of a field
_WORD = 8  # bytes of a machine word, which are compared at once
_LONGEST = 24  # bytes of a number that is parsed here
_TABLE_BITS = 20  # log2 of the slots of the hash table
_MASKS = np.where(np.arange(WIDEST) < np.arange(WIDEST + 1)[:, None], 255, 0).astype(np.uint8).view(np.uint64)
_POWERS_OF_TEN = np.array([float(10**power) for power in range(23)])  # all exact
_HASH_FACTORS = np.random.default_rng(0).integers(2**63, size=WIDEST // _WORD, dtype=np.uint64) * 2 + 1


def split(block: bytes, fields: int, wanted: Sequence[int]) -> list[Bytes] | None:
    """Columns of a block of lines, each padded with zero bytes to a multiple of eight.

    Returns:
        For every wanted column an array (n_lines,); None unless every line, the last one too, is `fields` fields of at
        most WIDEST bytes, one space or tab between them, and a line feed.
    """
    data = np.frombuffer(block + bytes(WIDEST), dtype=np.uint8)
    ends = np.flatnonzero(data[: len(block)] <= ord(" "))
    n_lines = len(ends) // fields
    if not n_lines or len(ends) != fields * n_lines or ends[-1] != len(block) - 1:
        return None
    after = data[ends]
    feeds, spaces, tabs = (np.count_nonzero(after == ord(end)) for end in "\n \t")
    if (
        feeds != n_lines
        or feeds + spaces + tabs != len(ends)
        or (after[fields - 1 :: fields] != ord("\n")).any()
    ):
        return None
    starts = np.concatenate([[0], ends[:-1] + 1])
    lengths = ends - starts
    if lengths.min() < 1 or lengths.max() > WIDEST:
        return None
    return [_fields_at(data, starts[place::fields], lengths[place::fields]) for place in wanted]


def pad(column: Sequence[bytes]) -> Bytes:
    """A column as `split` makes it, of fields that hold no zero byte."""
    width = max(map(len, column), default=1)
    return np.array(column, dtype=f"S{_WORD * -(-width // _WORD)}")


def decimals(column: Bytes, *, points: bool) -> Floats | None:
    """The numbers of a column of digits, with at most one point where `points`, as `float` reads them; None when any is
    not of that kind, or has more digits than a float holds.
    """
    if column.itemsize > _LONGEST:
        return None
    letters = np.ascontiguousarray(column.view(np.uint8).reshape(len(column), column.itemsize).T)
    value, power = np.zeros(len(column)), np.zeros(len(column), dtype=np.uint8)
    pointed, started = np.full(len(column), not points), np.zeros(len(column), dtype=np.bool_)
    for letter in letters[letters.any(axis=1)]:
        digit, is_point = letter - np.uint8(ord("0")), letter == ord(".")
        is_digit = digit < 10
        if (is_point & pointed).any() or not (is_digit | is_point | (letter == 0)).all():
            return None
        value = np.where(is_digit, 10 * value + digit, value)
        power += is_digit & pointed
        pointed |= is_point
        started |= is_digit
    if not started.all() or (value >= 2**53).any() or (power >= len(_POWERS_OF_TEN)).any():
        return None  # up to there both parts are exact, and so their quotient is rounded once
    return np.asarray(value / _POWERS_OF_TEN[power], dtype=np.float64)


class IdCodes:
    """Integer codes of ids, in order of first appearance; percent-encoded ids are decoded.

    A direct-mapped hash table of recent ids answers for most lines; a colliding id replaces the older one.
    """

    def __init__(self) -> None:
        self.names: dict[str, int] = {}
        self._spelled = _CodeBySpelling(self.names)
        self._tables: dict[int, Words] = {}

    def of(self, column: Bytes) -> Ints:
        """The codes of a column's ids, (n_lines,).

        Raises:
            UnicodeDecodeError: an id is not UTF-8.
        """
        words = column.view(np.uint64).reshape(len(column), column.itemsize // _WORD)
        first = np.flatnonzero(np.concatenate([[True], _differ(words[1:], words[:-1])]))[: len(column)]
        return np.repeat(self._of(words.take(first, axis=0)), np.diff(first, append=len(column)))

    def _of(self, words: Words) -> Ints:
        width = words.shape[1]
        if width > len(_HASH_FACTORS):
            return self._look_up(words)
        if width not in self._tables:
            self._tables[width] = np.zeros((1 << _TABLE_BITS, width + 1), dtype=np.uint64)
        slots = ((words @ _HASH_FACTORS[:width]) >> np.uint64(64 - _TABLE_BITS)).astype(np.intp)
        found = self._tables[width].take(slots, axis=0)
        codes = found[:, width].astype(np.int64)
        new = np.flatnonzero(_differ(found, words))
        if new.size:
            codes[new] = self._look_up(words[new])
            self._tables[width][slots[new]] = np.column_stack([words[new], codes[new].astype(np.uint64)])
        return codes

    def _look_up(self, words: Words) -> Ints:
        spelled = words.view(f"S{_WORD * words.shape[1]}").ravel().tolist()
        return np.fromiter(map(self._spelled.__getitem__, spelled), np.int64, len(spelled))


class _CodeBySpelling(dict[bytes, int]):
    """Code of an id by its spelling in the file; two spellings of an id share a code."""

    def __init__(self, names: dict[str, int]) -> None:
        super().__init__()
        self._names = names

    def __missing__(self, spelled: bytes) -> int:
        name = unquote(spelled.decode("utf-8"))
        code = self[spelled] = self._names.setdefault(name, len(self._names))
        return code


def _differ(left: Words, right: Words) -> npt.NDArray[np.bool_]:
    """Which rows differ, word by word, in as many words as `right` has: (n_lines,)."""
    differ = np.zeros(len(right), dtype=np.bool_)
    for place in range(right.shape[1]):
        differ |= left[:, place] != right[:, place]
    return differ


def _fields_at(data: npt.NDArray[np.uint8], starts: Ints, lengths: Ints) -> Bytes:
    """Fixed-width slices of `data`, zero padded; `data` extends WIDEST bytes beyond the last start."""
    width = _WORD * -(-int(lengths.max()) // _WORD)
    windows: Bytes = np.ndarray(len(data) - width + 1, dtype=f"V{width}", buffer=data, strides=(1,))
    pieces = windows[starts].view(np.uint64).reshape(len(starts), -1)
    pieces &= _MASKS[:, : pieces.shape[1]].copy().take(lengths, axis=0)
    return pieces.view(f"S{width}").ravel()
