"""Serving jobs with shared prefixes and one running batch, features spliced in from the cache."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from imagescope_agent.errors import BackendUnavailable, BadInput
from imagescope_agent.mllms.hosting.checkpoint import Checkpoint
from imagescope_agent.mllms.hosting.conversation import Conversation
from imagescope_agent.mllms.hosting.desk import counts, halved, undamaged
from imagescope_agent.mllms.hosting.guide import Guides
from imagescope_agent.mllms.hosting.limits import Limits
from imagescope_agent.mllms.hosting.network import Network
from imagescope_agent.mllms.hosting.pack import Row, batches, halves, pack, score
from imagescope_agent.mllms.hosting.prefixes import PrefixCache, fill
from imagescope_agent.mllms.hosting.prompt import Family, Prepared, Prompt
from imagescope_agent.mllms.hosting.work import Counted, Job, Scored
from imagescope_agent.mllms.hosting.write import Reply, Writer


class SplicedDesk:
    """Shared prefixes for questions, one running batch for replies; features spliced in from the cache."""

    def __init__(
        self, checkpoint: Checkpoint, family: Family, network: Network, guides: Guides, limits: Limits
    ) -> None:
        self.family = family
        self.network = network
        self._checkpoint = checkpoint
        self._guides = guides
        self._limits = limits
        self._writer = Writer(checkpoint, network)
        self._prefixes = PrefixCache(limits.prefix_cache) if limits.share and limits.prefix_cache else None
        self._batch_tokens, self._rows = limits.batch_tokens, limits.rows

    @property
    def questions(self) -> int:
        """How many jobs `score` takes at once."""
        return self._limits.questions

    @property
    def room(self) -> int:
        """How many more jobs `admit` takes."""
        return self._rows - len(self._writer)

    @property
    def writing(self) -> list[Job]:
        """Jobs whose reply is being written."""
        return [reply.job for reply in self._writer.replies]

    def counted(self) -> Counted:
        """What was done so far."""
        network = self.network
        return Counted(forwards=network.forwards, tokens=network.tokens, image_prefills=self.family.prefills)

    def count(self, conversations: list[Conversation]) -> list[int]:
        """Tokens of each prompt, pictures included, 0 where it will be refused; nothing passes the model."""
        return counts(self.family.count, conversations)

    def forget(self, jobs: list[Job]) -> None:
        """Let go of replies that failed."""
        if set(map(id, jobs)) & set(map(id, self.writing)):
            self._writer.abandon()

    def forget_features(self) -> None:
        """Let go of what is held of pictures in memory."""
        self.family.cache.clear()
        if self._prefixes:
            self._prefixes.clear()

    def score(self, jobs: list[Job], conversations: list[Conversation]) -> None:
        """Probabilities for all jobs, in as few forwards as memory allows."""
        asked, prepared, prefills = self._prepare(jobs, conversations)
        prompts = [prompt for _, prompt in asked]
        packed = pack(prompts, share=self._limits.share, row_tokens=self._limits.row_tokens)
        if self._prefixes:
            self._prefixes.look_up(packed)
        waiting = list(batches(packed, batch_tokens=self._batch_tokens))
        notes: tuple[dict[str, str], ...] = ()
        while waiting:
            rows = waiting.pop()
            try:
                hidden, places = self._read(rows, prepared)
            except torch.OutOfMemoryError:
                waiting += self._smaller(rows)
                notes = (halved(f"questions are now asked {self._batch_tokens} tokens at once"),)
                continue
            self._answer(asked, rows, hidden, places, prefills, notes)

    def _read(self, rows: list[Row], prepared: Prepared) -> tuple[torch.Tensor, list[list[int]]]:
        if self._prefixes is None:
            return score(self.network, rows, prepared.features)
        cache = fill(self.network.new_cache(), rows)
        read = score(self.network, rows, prepared.features, cache)
        self._prefixes.keep(rows, cache)
        return read

    def _smaller(self, rows: list[Row]) -> list[list[Row]]:
        self._batch_tokens = max(1, self._batch_tokens // 2)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        if parts := halves(rows):
            return parts
        raise BackendUnavailable("not even one question fits into memory; use a smaller model or pictures")

    def _answer(
        self,
        asked: Sequence[tuple[Job, Prompt]],
        rows: Sequence[Row],
        hidden: torch.Tensor,
        places: Sequence[Sequence[int]],
        prefills: Sequence[int],
        notes: tuple[dict[str, str], ...],
    ) -> None:
        tokens = {branch[1][0]: len(branch[0]) for row in rows for branch in row.branches}
        for row in rows:
            tokens[row.branches[0][1][0]] += row.prefix
        for labels in {asked[place][0].labels or () for answered in places for place in answered}:
            table = self.network.label_logits(hidden, labels).softmax(dim=-1).tolist()
            for probabilities, answered in zip(table, places, strict=True):
                for place in answered:
                    if asked[place][0].labels == labels:
                        scored = Scored(
                            probabilities=probabilities,
                            prompt_tokens=tokens.get(place, 0),
                            image_prefills=prefills[place],
                            notes=notes,
                        )
                        asked[place][0].future.set_result(scored)

    def admit(self, jobs: list[Job], conversations: list[Conversation]) -> list[Job]:
        """Begin replies; the jobs to be asked again later."""
        asked, prepared, prefills = self._prepare(jobs, conversations)
        replies = []
        prompts = []
        for (job, prompt), fresh in zip(asked, prefills, strict=True):
            try:
                guide = None if job.schema is None else self._guides.start(job.schema)
            except BadInput as error:
                job.future.set_exception(error)
                continue
            limit = max(1, min(job.max_tokens, self._checkpoint.context - len(prompt.ids)))
            tokens = len(prompt.ids)
            replies.append(
                Reply(job=job, limit=limit, prompt_tokens=tokens, image_prefills=fresh, guide=guide)
            )
            prompts.append(prompt)
        if not replies:
            return []
        try:
            self._writer.admit(replies, prompts, prepared.features)
        except torch.OutOfMemoryError:
            return self._fewer([reply.job for reply in replies], len(replies) + len(self._writer))
        return []

    def step(self) -> list[Job]:
        """Go on with the replies; the jobs to be asked again later."""
        try:
            ended = self._writer.step()
        except torch.OutOfMemoryError:
            again = self.writing
            self._writer.abandon()
            return self._fewer(again, len(again))
        for reply, written in ended:
            reply.job.future.set_result(written)
        return []

    def _fewer(self, jobs: list[Job], rows: int) -> list[Job]:
        if rows < 2:
            raise BackendUnavailable(
                "not even one reply fits into memory; use a smaller model or fewer tokens"
            )
        self._rows = rows // 2
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        for job in jobs:
            job.notes = (halved(f"replies are now written {self._rows} at once"),)
        return jobs

    def _prepare(
        self, jobs: Sequence[Job], conversations: Sequence[Conversation]
    ) -> tuple[list[tuple[Job, Prompt]], Prepared, list[int]]:
        """The jobs that can be asked with their prompts, and how many pictures each brought anew."""
        try:
            prepared = self.family.prepare(conversations)
        except BadInput:
            jobs, conversations = undamaged(jobs, conversations, lambda each: self.family.prepare([each]))
            prepared = self.family.prepare(conversations)
        asked: list[tuple[Job, Prompt]] = []
        prefills: list[int] = []
        unclaimed = set(prepared.fresh)
        for job, prompt in zip(jobs, prepared.prompts, strict=True):
            if isinstance(prompt, BadInput):
                job.future.set_exception(prompt)
                continue
            mine = unclaimed & set(prompt.pictures)
            unclaimed -= mine
            asked.append((job, prompt))
            prefills.append(len(mine))
        return asked, prepared, prefills
