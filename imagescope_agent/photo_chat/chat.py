"""The chat model for photos, hosted as any other checkpoint once it is assembled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel

from imagescope_agent.common.model_loading import LOADING
from imagescope_agent.mllms.transformers_chat import TransformersChat
from imagescope_agent.photo_chat.assemble import assemble, identity


class PhotoChat(TransformersChat):
    """`checkpoint` is the folder of an adapter (see `assemble`); the whole model is assembled at the first request."""

    @property
    def weights(self) -> str:
        """Hash of all that decides the answers; nothing is assembled.

        Raises:
            BadInput: there is no such adapter.
        """
        return identity(Path(self.checkpoint))[:16]

    def _options(self, kind: type[BaseModel]) -> dict[str, Any]:
        options = super()._options(kind)
        if "checkpoint" in options:
            with LOADING:
                from imagescope_agent.photo_chat.model import register

                register()
                options["checkpoint"] = str(assemble(Path(self.checkpoint)))
        return options
