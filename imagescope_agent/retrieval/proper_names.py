"""Words of a text that stand for themselves, by its marks alone: names, and what is quoted."""

from __future__ import annotations

import re

#: Between marks of one kind; an apostrophe within a word is none.
_QUOTED = re.compile(
    r"\"[^\"]*\"|\u201c[^\u201d]*\u201d|\u2018[^\u2019]*\u2019|\u00ab[^\u00bb]*\u00bb|\u201e[^\u201c\u201d]*[\u201c\u201d]"
    r"|(?<!\w)'[^']*'(?!\w)|`[^`]*`"
)
_WORD = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)?")
_BEGINS = re.compile(r"(?:^|[.!?:;\n])[^\w]*$")
_ARTICLE = re.compile(
    r"\b(?:an?|the|this|that|these|those|some|any|no|my|your|his|her|its|our|their|two|three)\s+$", re.I
)
_NEXT = re.compile(r"\s+(?:and\s+)?(?P<word>[^\W\d_]+)")
_VERB = re.compile(r"(?:\w{2,}ing|is|was|has|had|says|said|wears|holds|who|and\s+(?:her|his))\b")


def as_they_stand(text: str) -> frozenset[str]:
    """The words of a text that are quoted or part of a name, in lower case.

    A capitalised word is a name, but for one behind an article with no other capitalised word beside it ("a Kitty"),
    and for one that begins a sentence, unless a verb, "and her", "and his" or another capitalised word follows
    ("Ruby holding a ball", "Lily and Daisy"; of "Jasmine on a beach" nothing tells). Capitals tell nothing where no
    word has a small letter.
    """
    quoted = {word.lower() for match in _QUOTED.finditer(text) for word in _WORD.findall(match[0])}
    if text.isupper():
        return frozenset(quoted)
    named = (
        match[0].lower() for match in _WORD.finditer(text) if match[0][0].isupper() and _is_name(text, match)
    )
    return frozenset([*quoted, *named])


def _is_name(text: str, word: re.Match[str]) -> bool:
    before, after = text[: word.start()], text[word.end() :]
    following = _NEXT.match(after)
    beside = bool(following and following["word"][0].isupper())
    if _BEGINS.search(before):
        return beside or bool(_VERB.match(after.lstrip()) and after[:1].isspace())
    return beside or not _ARTICLE.search(before)
