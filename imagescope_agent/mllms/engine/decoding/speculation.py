"""Speculative decoding without a draft model: the next tokens of a reply are guessed and verified in one forward.

Guesses are what the grammar forces and, after it, what followed the last tokens before: in the prompt's text, in the
reply so far, and in earlier replies to the same schema (prompt lookup decoding, Saxena 2023; retrieval-based
speculation, arXiv 2311.08252). A guess that greedy decoding does not choose is discarded, so that replies are the same
as without.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, MutableMapping, Sequence

from cachetools import LRUCache

#: Longest sequence of last tokens that is looked up.
NGRAM = 3
#: Tokens guessed after a match, for each token that matched.
GUESSED = 8
#: Earlier replies to a schema that are looked in.
REPLIES = 4
LONGEST = 256  # tokens of a reply that are remembered
SCHEMAS = 64  # whose replies are remembered
TOKENS = 1024  # of a schema, after which it is remembered where to look
SURE = 2  # how often one place to look may be ahead of the other: what changes is soon learned anew
START = -1  # stands before the first token of a reply


class TokenLookup:
    """What followed the last tokens of a growing text before; the latest occurrence counts.

    Attributes:
        tokens: of the text.
    """

    def __init__(self, tokens: Iterable[int] = ()) -> None:
        self.tokens: list[int] = []
        self._after: dict[tuple[int, ...], int] = {}
        self.extend(tokens)

    def extend(self, tokens: Iterable[int]) -> None:
        """Append tokens."""
        for token in tokens:
            end = len(self.tokens)
            for length in range(1, min(NGRAM, end) + 1):
                self._after[tuple(self.tokens[end - length : end])] = end
            self.tokens.append(token)

    def following(self, last: Sequence[int]) -> tuple[int, list[int]]:
        """How many of the last tokens were found together, and what came after them, up to the end of a reply."""
        for length in range(len(last), 0, -1):
            start = self._after.get(tuple(last[-length:]))
            if start is not None:
                found = self.tokens[start : start + GUESSED * length]
                return length, found[: found.index(START)] if START in found else found
        return 0, []


class DraftLookup:
    """Guesses the next tokens of a reply from its own text, which begins with its prompt, or from earlier replies.

    Where the two differ the longer match counts, unless one of them was right more often after the same last token.

    Args:
        prompt: tokens of the prompt's text.
        earlier: replies to the schema.
        ahead: by last token, how much more often the own text was right than earlier replies; this reply adds to it.
    """

    def __init__(self, prompt: Iterable[int], earlier: TokenLookup, ahead: MutableMapping[int, int]) -> None:
        self._own, self._earlier, self._ahead = TokenLookup([*prompt, START]), earlier, ahead
        #: The guess about which they differ, until its token comes: its place, the token before it, what either says.
        self._open: tuple[int, int, int, int] | None = None

    def extend(self, tokens: Iterable[int]) -> None:
        """Append tokens of the reply."""
        self._own.extend(tokens)
        if self._open is not None and self._open[0] < len(self._own.tokens):
            place, before, own, earlier = self._open
            right = self._own.tokens[place]
            told = self._ahead.get(before, 0) + (right == own) - (right == earlier)
            self._ahead[before], self._open = max(-SURE, min(SURE, told)), None

    def following(self, guessed: Sequence[int], most: int) -> list[int]:
        """At most `most` tokens that may come after the text and the tokens guessed so far."""
        last = [*self._own.tokens[-NGRAM:], *guessed][-NGRAM:]
        (matched, own), (matched_earlier, earlier) = (
            self._own.following(last),
            self._earlier.following(last),
        )
        if not own or not earlier:
            return (own or earlier)[:most]
        if own[0] != earlier[0]:
            self._open = len(self._own.tokens) + len(guessed), last[-1], own[0], earlier[0]
        ahead = self._ahead.get(last[-1], 0) or matched - matched_earlier
        return (own if ahead >= 0 else earlier)[:most]


class ReplyHistory:
    """The last replies to each schema, as token ids, and where guesses of the next one are found."""

    def __init__(self) -> None:
        self._replies: LRUCache[str, deque[Sequence[int]]] = LRUCache(SCHEMAS)
        self._lookups: LRUCache[str, TokenLookup] = LRUCache(
            SCHEMAS
        )  # of the replies, until there is another
        self._ahead: LRUCache[str, LRUCache[int, int]] = LRUCache(SCHEMAS)

    def add(self, schema: str | None, ids: Sequence[int]) -> None:
        """Remember a finished reply."""
        self._replies.setdefault(schema or "", deque(maxlen=REPLIES)).append(ids[:LONGEST])
        self._lookups.pop(schema or "", None)

    def lookup(self, schema: str | None, prompt: Iterable[int]) -> DraftLookup:
        """A lookup in the replies to the schema, and in the text of a prompt."""
        name = schema or ""
        if (earlier := self._lookups.get(name)) is None:
            replies = self._replies.get(name, ())
            earlier = TokenLookup(token for reply in replies for token in (START, *reply))
            self._lookups[name] = earlier
        return DraftLookup(prompt, earlier, self._ahead.setdefault(name, LRUCache(TOKENS)))
