"""Whether a part of a message may answer the question that is pending."""

from __future__ import annotations

import re
from collections.abc import Sequence

from imagescope_agent.dialogue_acts import ACTS, is_yes_no
from imagescope_agent.nodes.chat.language.coverage import phrases
from imagescope_agent.nodes.chat.language.grounding import NUMBERS, Grounding
from imagescope_agent.nodes.chat.language.vocabulary import Vocabulary
from imagescope_agent.state import ClarifyingQuestion

SURE, LIKELY = (
    0.9,
    0.5,
)  # probability of an answer that has no word of one, to a question of yes or no and to others
_SAYS_SO = re.compile(
    r"\b(?:yes|yeah|yep|yup|aye|sure|indeed|right|correct|true|exactly|absolutely|definitely|certainly|of course"
    r"|probably|(?:think|guess|believe|hope) so"
    r"|no|nope|nah|none|neither|false"
    r"|not (?:really|at all)|(?:is|was|are|were|do|does|did|has|had|could|should) not)\b|n't\b"
    r"|^\W*(?:i think )?(?:it|they|there|that) (?:is|are|was|were|does|do|did|has|had)(?: one| some)?\W*$",
    re.I,
)


#: A "no" alone, which says neither where nor how many.
_BARE_NO = re.compile(r"\W*(?:(?:oh|u+gh+|well|hm+)\W+)?(?:no|nope|nah)\W*", re.I)


def is_reply(
    part: str, question: ClarifyingQuestion | None, vocabulary: Vocabulary, likely: float = 1.0
) -> bool:
    """Whether a part may answer the question.

    To one of yes or no, a part that names other things alone does not. One that names nothing, and says neither yes
    nor no nor how many, must be likely to.

    Args:
        part: of the message.
        question: that is pending, None for none.
        vocabulary: of the collection.
        likely: the probability that it answers.
    """
    if question is not None and not is_yes_no(question["text"]) and _BARE_NO.fullmatch(part):
        return False
    if question is None or _SAYS_SO.search(part):
        return True
    closed, words = is_yes_no(question["text"]), re.findall(r"\w+", part.lower())
    if not any(vocabulary.has(word) or word in NUMBERS or word.isdigit() for word in words):
        return likely >= (SURE if closed else LIKELY)
    asked = Grounding([question["text"]])
    named = [phrase for phrase in phrases(part, vocabulary) if phrase.head]
    if not closed or not named:
        return True
    return not all(asked.ungrounded(f"{phrase.count} {phrase.head}") for phrase in named)


def without_answer(row: Sequence[float]) -> list[float]:
    """The probabilities where an answer is impossible."""
    kept = [0.0 if act == "answer" else p for act, p in zip(ACTS, row, strict=False)]
    return [p / total for p in kept] if (total := sum(kept)) else kept
