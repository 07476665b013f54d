"""Instructions about where or when the picture is: "the scene at night", "it takes place in a meadow", "on a beach"."""

from __future__ import annotations

import re

PREPOSITION = frozenset(
    "in at on by under near inside outside during after before among amid along beside beneath".split()  # noqa: SIM905
)
_SUBJECT = (
    r"(?:the\s+|its\s+)?(?:whole\s+)?(?:scene|setting|place|location|background|backdrop|surroundings?|scenery"
    r"|picture|image|photo|photograph|shot|everything|it|this)"
)
_VERB = (
    r"(?:is|was|are|were|(?:should|must|may|might|could|has to) be|takes? place|took place|happens?|plays?|lies?)"
    r"(?:\s+(?:set|taken|shot|located))?"
)
_PLACE = re.compile(
    rf"(?:{_SUBJECT}(?:\s+{_VERB})?\s+|(?:set|taken|shot|located)\s+)?"
    rf"((?:out\s+|somewhere\s+)?(?:{'|'.join(sorted(PREPOSITION))})\s+.+|outdoors|indoors)",
    re.I,
)
#: "The setting is a beach": what the surroundings are, without a preposition.
_NAMED = re.compile(
    rf"(?:the\s+|its\s+)?(?:setting|place|location|background|backdrop|surroundings?|scenery)\s+{_VERB}\s+(.+)",
    re.I,
)
#: Words by which a message means the surroundings without naming them.
SURROUNDINGS = re.compile(
    r"\b(?:place|setting|background|backdrop|surroundings?|scenery|scene|where|location|time of day|hour)\b",
    re.I,
)


def place_in(text: str) -> str:
    """Where or when the picture is, of an instruction that says nothing else; "" for any other."""
    told = text.strip().rstrip(".")
    found = _PLACE.fullmatch(told) or _NAMED.fullmatch(told)
    return found[1] if found else ""
