"""A role with a second model, which was trained to embed what the first one judges."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from imagescope_agent.mllms.protocols import Embedding, MessageEmbedder
from imagescope_agent.mllms.request import Request
from imagescope_agent.mllms.role import Role


class EmbeddingRole(Role):
    """A role whose vectors are those of another model.

    Args:
        role: answers everything else.
        embedder: embeds.
    """

    def __init__(self, role: Role, embedder: Role) -> None:
        super().__init__(role.name, role.model, prompt_set=role.prompt_set)
        self.embedder = embedder

    @property
    def query_words(self) -> tuple[str, str | None] | None:
        """As `Role.query_words`, of the model that embeds."""
        return self.embedder.query_words

    def has(self, power: type[Any]) -> bool:
        """As `Role.has`; of embedding alone it is asked of the model that embeds."""
        return self.embedder.has(power) if power is MessageEmbedder else super().has(power)

    async def embed(self, requests: Sequence[Request]) -> Embedding:
        """As `Role.embed`, by the model that embeds."""
        return await self.embedder.embed(requests)


def with_list_embedder(roles: dict[str, Role]) -> dict[str, Role]:
    """The roles, the judge with the vectors of the model that a profile names for it, if any."""
    if "list_embedder" in roles:
        return {**roles, "judge": EmbeddingRole(roles["judge"], roles["list_embedder"])}
    return roles
