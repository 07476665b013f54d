"""Holding a reply to a JSON schema, token by token (llguidance)."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import llguidance
import llguidance.hf
import llguidance.numpy
import numpy as np
import torch

from imagescope_agent.errors import BadInput


class GrammarCache:
    """Makes guides for one tokenizer; a schema is compiled once."""

    def __init__(self, tokenizer: Any, vocabulary: int) -> None:
        self._vocabulary = vocabulary
        self._source = tokenizer
        self._grammars: dict[str, str] = {}

    @cached_property
    def _tokenizer(self) -> Any:
        return llguidance.hf.from_tokenizer(self._source, n_vocab=self._vocabulary)

    def start(self, schema: str) -> GrammarMask:
        """A guide at the start of a reply.

        Raises:
            BadInput: a schema that the grammar compiler does not take.
        """
        if schema not in self._grammars:
            options: Any = {"whitespace_flexible": False}
            try:
                grammar = llguidance.LLMatcher.grammar_from_json_schema(schema, overrides=options)
            except ValueError as error:
                raise BadInput(f"the JSON schema cannot be followed: {error}") from error
            self._grammars[schema] = grammar
        matcher = llguidance.LLMatcher(self._tokenizer, self._grammars[schema])
        if matcher.is_error():
            raise BadInput(f"the JSON schema cannot be followed: {matcher.get_error()}")
        return GrammarMask(matcher, self._vocabulary)


class GrammarMask:
    """Where one reply stands in its grammar."""

    def __init__(self, matcher: Any, vocabulary: int) -> None:
        self._matcher = matcher
        self.done = False
        self._bits = llguidance.numpy.allocate_token_bitmask(1, vocabulary)

    def forbid(self, logits: torch.Tensor) -> None:
        """Rule out, in place, every token that cannot come next: (vocabulary,)."""
        llguidance.numpy.fill_next_token_bitmask(self._matcher, self._bits, 0)
        allowed = np.unpackbits(self._bits.view(np.uint8), bitorder="little")[: logits.shape[-1]].astype(bool)
        logits[~torch.from_numpy(allowed).to(logits.device)] = -torch.inf

    def take(self, token: int) -> bool:
        """Go on past the chosen token; whether the reply is complete."""
        self._matcher.consume_token(token)
        self.done = bool(self._matcher.is_stopped())
        return self.done
