"""Speculative decoding without a draft model: the next tokens of a reply are guessed and verified in one forward.

Guesses are what the grammar forces and, after it, what followed the last tokens before: in the prompt's text, in the
reply so far, and in earlier replies to the same schema (prompt lookup decoding, Saxena 2023; retrieval-based
speculation, arXiv 2311.08252). A guess that greedy decoding does not choose is discarded, so that replies are the same
as without.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

from cachetools import LRUCache

#: Longest sequence of last tokens that is looked up.
NGRAM = 2
#: Tokens guessed after a match, for each token that matched.
GUESSED = 4
#: Earlier replies to a schema that are looked in.
REPLIES = 4
LONGEST = 256  # tokens of a reply that are remembered
SCHEMAS = 64  # whose replies are remembered


class TokenLookup:
    """What followed the last tokens of a growing text before; the latest occurrence counts."""

    def __init__(self, tokens: Iterable[int]) -> None:
        self._tokens: list[int] = []
        self._after: dict[tuple[int, ...], int] = {}
        self.extend(tokens)

    def extend(self, tokens: Iterable[int]) -> None:
        """Append tokens."""
        for token in tokens:
            end = len(self._tokens)
            for length in range(1, min(NGRAM, end) + 1):
                self._after[tuple(self._tokens[end - length : end])] = end
            self._tokens.append(token)

    def following(self, guessed: Sequence[int], most: int) -> list[int]:
        """At most `most` tokens that may come after the text and the tokens guessed so far."""
        last = [*self._tokens[-NGRAM:], *guessed][-NGRAM:]
        for length in range(len(last), 0, -1):
            start = self._after.get(tuple(last[-length:]))
            if start is not None:
                return self._tokens[start : start + min(most, GUESSED * length)]
        return []


class ReplyHistory:
    """The last replies to each schema, as token ids."""

    def __init__(self) -> None:
        self._replies: LRUCache[str, deque[Sequence[int]]] = LRUCache(SCHEMAS)

    def add(self, schema: str | None, ids: Sequence[int]) -> None:
        """Remember a finished reply."""
        self._replies.setdefault(schema or "", deque(maxlen=REPLIES)).append(ids[:LONGEST])

    def lookup(self, schema: str | None, prompt: Iterable[int]) -> TokenLookup:
        """A lookup in the replies to the schema, then in the text of a prompt."""
        found = TokenLookup(token for reply in self._replies.get(schema or "", ()) for token in reply)
        found.extend(prompt)
        return found
