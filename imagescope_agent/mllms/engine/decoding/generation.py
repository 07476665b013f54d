"""A running reply of the decoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from imagescope_agent.mllms.engine.decoding.speculation import DraftLookup, ReplyHistory
from imagescope_agent.mllms.engine.decoding.structured_output import GrammarMask
from imagescope_agent.mllms.engine.request_queue import Job


@dataclass(kw_only=True, eq=False)
class Generation:
    """A running reply.

    Attributes:
        job: that asked for it.
        max_tokens: longest reply that the context has room for.
        prompt_tokens: of its prompt.
        image_prefills: images of its prompt that were encoded for it.
        grammar: mask of its schema, None without one.
        text_ids: tokens of its prompt after the last image.
        lookup: what followed its last tokens before; None until it is needed.
        ids: tokens so far.
        draft: tokens that are guessed to come next, already forwarded.
        drafted: columns of the batch that were forwarded for drafts of any row, the last ones of this row.
    """

    job: Job
    max_tokens: int
    prompt_tokens: int
    image_prefills: int
    grammar: GrammarMask | None = None
    text_ids: Sequence[int] = ()
    lookup: DraftLookup | None = None
    ids: list[int] = field(default_factory=list)
    draft: list[int] = field(default_factory=list)
    drafted: int = 0

    def guess(self, history: ReplyHistory, most: int) -> list[int]:
        """At most `most` tokens that may come next, all of which the grammar takes."""
        most = min(most, self.max_tokens - len(self.ids) - 1)
        if most < 1:
            return []
        if self.lookup is None:
            self.lookup = history.lookup(self.job.schema, self.text_ids)
            self.lookup.extend(self.ids)
        if self.grammar is None:
            return self.lookup.following((), most)
        forced = self.grammar.forced(most)
        return self.grammar.allowed([*forced, *self.lookup.following(forced, most - len(forced))])
