"""Detection of replies that drift from the request: repetition, copied prompt examples, other subjects.

The limits were measured with the mini models: of 1,080 drawn intents and targets none is refused; of 156 captions of
photos, of which these models know nothing, all are, and 101 of 113 edits of photos. An edit of a drawn picture that is
not understood is not told: what was made of it still describes the reference.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Sequence

from imagescope_agent.replies.non_answers import AGAIN, endless
from imagescope_agent.replies.parsing import contradiction
from imagescope_agent.retrieval.protocols import Embedder
from imagescope_agent.state import Intent

FOUND = (
    1 / 3
)  # of the words that should be found again; less is another subject, or another way to say the same
ALIKE = 0.9  # cosine above which other words say the same

_FUNCTION = """
    a an the this that these those it its there here he she they them his her their i me my you your we our
    of in on at to by with without from for as into onto over under above below near next left right top bottom
    and or but nor not no yes also too only just more less most least very so than then
    is are be been being was were am has have had do does did can could may might must shall should will would
    one some any each every all both same other another like such what which who whose where when how
    something anything everything nothing someone anyone
    picture image photo photograph scene show shows showing seen look looking make made keep add remove change
"""
#: Words of a text in another language, of which the answer is a translation that shares no words with it.
_FOREIGN = """
    der das ein eine einen einem einer mit ohne und auf im ist nicht von zu dem des
    le les un une des du avec sans et sur dans est pas au aux
    el los las una del con sin y en es por para
    il lo gli uno di della nel che senza sul
    o os um uma com sem e da em
    het een met zonder op niet och ett med utan det
"""
_NUMBERS = frozenset("two three four five six seven eigh nine ten many seve coun numb".split())  # noqa: SIM905
_PRONOUNS = "its|they|them|these|those|he|she"
#: Stems of what anything may be or have.
_GENERIC = frozenset("colo diff kind type sing pair part piec shad styl vers".split())  # noqa: SIM905
_UNRELATED = (
    "a red car on a street",
    "a dog in the grass",
    "a plate of food on a table",
    "people in a room",
    "a boat on the water",
    "a blue shirt",
    "a house with trees",
    "a bird in the sky",
)
FUNCTION, FOREIGN = frozenset(_FUNCTION.split()), frozenset(_FOREIGN.split())


async def drift(
    intent: Intent, query: str, known: str, examples: Sequence[str], embedder: Embedder | None
) -> str:
    """Why an intent has nothing to do with the request; empty when it has.

    Args:
        intent: what was understood.
        query: the user's words.
        known: all else that the model was told of what is wanted: the reference's caption, what was said before.
        examples: answers in the prompt.
        embedder: compares texts whose words differ; None takes them for the same.
    """
    problem = repeated(intent) or copied(intent, f"{query} {known}", examples)
    if problem or embedder is None or not strange(intent, query, known):
        return problem
    alike = await asyncio.to_thread(_likeness, embedder, intent["full"], query, known)
    return f"the answer has nothing to do with the request (likeness {alike:.2f})" if alike < ALIKE else ""


async def doubtful(intent: Intent, query: str, embedder: Embedder | None) -> str:
    """Why the intent of a query in another language may have lost it, for a note; empty where nothing says so.

    Words of two languages cannot be compared, so the vectors must do: the answer should be nearer to the query than
    texts about anything else are on average.
    """
    if embedder is None or is_english(query) or content_words(query) & content_words(intent["full"]):
        return ""
    vectors = await asyncio.to_thread(embedder.texts, [query, intent["full"], *_UNRELATED])
    alike, *others = (vectors[1:] @ vectors[0]).tolist()
    if alike >= sum(others) / len(others) - 1e-6:
        return ""
    return f"{intent['full']!r} is no nearer to the request than any other text; make sure that it is meant"


def repeated(intent: Intent) -> str:
    """Repetition in the intent, as a problem; empty when there is none."""
    texts = [_flat(step["text"]) for step in intent["steps"]]
    if texts and max(Counter(texts).values()) >= AGAIN:
        return f"one instruction is given {max(Counter(texts).values())} times"
    if problem := contradiction((step["type"], step["text"]) for step in intent["steps"]):
        return problem
    for text in (intent["core"], intent["enhanced"], intent["full"], *texts):
        if phrase := endless(text):
            return f"{phrase!r} is said again and again"
    return ""


def copied(intent: Intent, request: str, examples: Sequence[str]) -> str:
    """Which example of the prompt the intent copies, as a problem; empty when it copies none."""
    said = [step["text"] for step in intent["steps"]] + [intent["core"], intent["enhanced"], intent["full"]]
    for text in said:
        if copies(text, request, examples):
            return f"{text!r} is the example, not the request"
    return ""


def copies(text: str, request: str, examples: Sequence[str]) -> bool:
    """Whether a text says no more than an example of the prompt, and nothing of the request."""
    words = content_words(text)
    return (
        bool(words)
        and not words & content_words(request)
        and any(words <= content_words(example) for example in examples)
    )


def strange(intent: Intent, query: str, known: str) -> bool:
    """Whether the content words of the intent are about something else.

    A query alone must be found again in its intent; what is said of a reference must come from it or from the query.
    """
    asked, told = content_words(query), content_words(known)
    if not asked | told or not is_english(query):
        return False
    said = content_words(" ".join([intent["core"], intent["enhanced"], intent["full"]]))
    steps = content_words(" ".join(step["text"] for step in intent["steps"]))
    found, wanted = (asked & (said | steps), asked) if not told else (said & (asked | told), said)
    return len(found) < FOUND * len(wanted)


def strayed_words(text: str, told: str, *, known: bool = True) -> bool:
    """Whether an English question names a thing, and nothing that was told.

    What "it" or "they" are like may be said in other words, and so may a number; what "it" is or has was told, too.

    Args:
        text: the question.
        told: the request, and what is known of the reference.
        known: whether that tells what "it" is.
    """
    if about := re.match(rf"\W*\w+ (?:(it|this|that)|{_PRONOUNS})\b(.*)", text.lower()):
        if not (known and about[1] and re.search(r"\ban? \w", about[2])):
            return False
        if content_words(about[2]) <= _GENERIC:
            return False
    words = {word for word in content_words(text) if not word.isdigit()} - _NUMBERS
    return bool(words) and is_english(told) and not words & content_words(told)


def content_words(text: str) -> set[str]:
    """The stems of the words that name what is seen."""
    return {_stem(word) for word in re.findall(r"[^\W_]{2,}", text.lower()) if word not in FUNCTION}


def _likeness(embedder: Embedder, full: str, query: str, known: str) -> float:
    vectors = embedder.texts([full, query, *([f"{known}, {query}"] if known else [])])
    return float((vectors[1:] @ vectors[0]).max())


def is_english(text: str) -> bool:
    """Whether the text is not mostly in another language; a name, a sign or a single word of one does not count."""
    words = re.findall(r"[^\W\d_]+", text.lower())
    if sum(not word.isascii() for word in words) * 2 > len(words):
        return False
    foreign = sum(word in FOREIGN for word in words)
    return foreign <= sum(word in FUNCTION - FOREIGN for word in words) or foreign * 8 <= len(words)


def _flat(text: str) -> str:
    return " ".join(text.lower().split()).strip(" .")


def _stem(word: str) -> str:
    """A crude stem: "surf" of surfing, surfers and surfboards."""
    for ending in ("ing", "ed", "s" if word.endswith("ees") else "es", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word.removesuffix(ending)[:4]
    return word[:4]
