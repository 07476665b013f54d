"""Parts of a message that only ask back, tell of something else, or state what a thing is like."""

from __future__ import annotations

import re
from collections.abc import Sequence

from imagescope_agent.dialogue_acts import ACTS
from imagescope_agent.nodes.chat.language.coverage import phrases
from imagescope_agent.nodes.chat.language.polarity import TAKES_BACK
from imagescope_agent.nodes.chat.language.relations import lies_somewhere
from imagescope_agent.nodes.chat.language.vocabulary import Vocabulary
from imagescope_agent.prompting import NEGATED

#: A question about the conversation, which says nothing of a picture: "does it matter how big it is?".
_ASKS_BACK = re.compile(
    r"\W*(?:(?:and|but|so|well|hm+|wait|sorry|ok(?:ay)?)\W+)*(?:"
    r"(?:why|how come|what for)\b(?! (?:not|don['\u2019]?t)\b)"
    r"|(?:does|do|is|would|will|should|did) (?:it|that|this|you) (?:really |even |actually )?"
    r"(?:matter|make (?:a|any|much) difference|count(?! \w)|care(?! for\b| to\b)|important|relevant|necessary)\b"
    r"|what (?:do|does|did) (?:you|that|it|this) (?:even |actually )?mean\b"
    r"|how (?:should|would|am|can) i (?:supposed to )?(?:know|tell)\b)[^?]*\?+\W*",
    re.I,
)
_TAKES = re.compile(
    r"\b(?:wrong|mistake\w*|error|idea|nonsense|rubbish|forget|never ?mind|no|without|remove|delete|drop|lose"
    r"|scratch)\b",
    re.I,
)
_IS = re.compile(r"\b(?:is|was|are|were|be|looked|looks)\b|['\u2019]s\b", re.I)


_EXCLAIMS = re.compile(r"\W*(?:[\w']+\W+){0,4}what an?\b[^?]*", re.I)


def exclaims(part: str, vocabulary: Vocabulary) -> bool:
    """Whether a part only exclaims, and names nothing that can be seen: "thanks, what a day"."""
    return bool(vocabulary.words) and _EXCLAIMS.fullmatch(part) is not None and not phrases(part, vocabulary)


def asks_back(part: str) -> bool:
    """Whether a part asks what a question is for, or what it means, and wishes nothing."""
    return _ASKS_BACK.fullmatch(part) is not None


def tells_something_else(part: str, row: Sequence[float]) -> bool:
    """Whether a part of a first message reads as taking something back, though nothing stands and it denies nothing."""
    back = row[ACTS.index("withdrawal")]
    return back == max(row) and len(set(row)) > 1 and not (NEGATED.search(part) or TAKES_BACK.search(part))


def states(part: str, vocabulary: Vocabulary) -> bool:
    """Whether a part says what a thing is like, or where it lies, and has no word that takes anything back."""
    told = any(each.told_of and each.definite for each in phrases(part, vocabulary))
    return not _TAKES.search(part) and (lies_somewhere(part, vocabulary) or (told and bool(_IS.search(part))))
