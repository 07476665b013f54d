"""What a message names in words of the collection's descriptions, and what a model made of it does not cover."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from imagescope_agent.nodes.chat.grounding import PHRASE, Grounding
from imagescope_agent.nodes.chat.polarity import is_negated
from imagescope_agent.nodes.drift import FUNCTION, content_words
from imagescope_agent.replies.parsing import StepAnswer
from imagescope_agent.retrieval.protocols import Embedder

_ARTICLE = re.compile(r"an?")
_BREAK = re.compile(r"[.,;:!?()\n]")


async def with_passed_over(
    steps: Sequence[StepAnswer],
    message: str,
    known: Sequence[str],
    embedder: Embedder | None,
    vocabulary: Collection[str],
) -> list[StepAnswer]:
    """The steps with the things that a message names and that neither they nor anything known covers.

    A step that says less than such a phrase gives way to it: "a house" to "a big red house".

    Args:
        steps: what a model found in the message.
        message: in the user's words.
        known: what stands or was asked, beside the steps.
        embedder: tells whether other words say the same.
        vocabulary: stems of the words that describe the collection; nothing is found where there are none.
    """
    held = list(steps)
    for phrase in noun_phrases(message, vocabulary):
        if await Grounding([*(step.text for step in held), *known], embedder).holds(phrase):
            continue
        covering = Grounding([phrase], embedder)
        kind = "Removal" if is_negated(phrase, message) else "Addition"
        held = [step for step in held if step.type != kind or covering.ungrounded(step.text)]
        held.append(StepAnswer(type=kind, text=phrase))  # type: ignore[arg-type]
    return held


def noun_phrases(message: str, vocabulary: Collection[str]) -> list[str]:
    """The phrases of a message in words of a vocabulary: after an article, or of two words and more.

    "a small white cat", and of "big red house, please" "a big red house".
    """
    found = list[str]()
    for line in _BREAK.split(message.lower()):
        run, article = list[str](), False
        for word in [*re.findall(r"[\w'-]+", line), "a"]:
            stems = content_words(word)
            if word not in FUNCTION and stems and stems <= set(vocabulary) and len(run) < PHRASE:
                run.append(word)
                continue
            if word in FUNCTION and word != "one" and ((article and run) or len(run) > 1):
                first = [] if run[-1].endswith("s") else ["an" if run[0][0] in "aeiou" else "a"]
                found.append(" ".join([*first, *run]))
            run, article = [], bool(_ARTICLE.fullmatch(word))
    return list(dict.fromkeys(found))
