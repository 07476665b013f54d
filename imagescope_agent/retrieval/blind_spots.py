"""Blind spots of an embedder: words of a query that it reads without heeding what they mean, such as "without".

Embeddings of contrastive models hardly change with negation, number, place and side (Yuksekgonul et al., 2023, arXiv
2210.01936; Alhamoud et al., 2025, arXiv 2501.09425), so where nothing else checks these words the user is told.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

#: Sort of blind spot -> the English words that show it.
BLIND_SPOTS = {
    "exclusions": re.compile(
        r"\b(?:without|no|not|never|none|nobody|nothing|neither|nor|except|excluding|\w+n['’]t|cannot|lacking|minus)\b"
    ),
    "counts": re.compile(
        r"\b(?<!\d[:.])(?:two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|twenty|thirty|forty|fifty|hundred|"
        r"(?:thir|four|fif|six|seven|eigh|nine)teen|exactly|dozens?|pairs? of|couple of|"
        r"single|only one|[2-9]|[1-9]\d)\b(?![:.]?\d)"
    ),
    "relations": re.compile(
        r"\b(?:under|underneath|beneath|behind|between|in front of|on top of|atop|beside|next to|leaning against)\b"
    ),
    "sides": re.compile(r"\b(?:left|right|above|below)\b"),
}


def blind_words(text: str, sorts: Iterable[str]) -> dict[str, list[str]]:
    """The words of a text that are of the given sorts of `BLIND_SPOTS`, by sort; sorts without one are left out."""
    lower = text.lower()
    found = {sort: list(dict.fromkeys(BLIND_SPOTS[sort].findall(lower))) for sort in sorts}
    return {sort: words for sort, words in found.items() if words}
