"""What a profile has its sentence encoder for, and what is lacking without the encoder's package."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from imagescope_agent.profiles.profile import Profile
from imagescope_agent.retrieval.embedders.act_head import ActHead, open_act_head
from imagescope_agent.retrieval.other_words import FILE, OtherWords
from imagescope_agent.services import open_embedder_of


class EncoderUse(NamedTuple):
    """One use: what is compared, how its part is opened, and what holds where the package is missing."""

    what: str
    opens: Callable[[], ActHead | OtherWords | None]
    without: str


def encoder_uses(profile: Profile) -> Iterator[EncoderUse]:
    """Each use of the encoder that a profile names; none where it names no encoder."""
    name = profile.sentence_encoder
    if name is not None and profile.act_head is not None:
        alone = "the classifier reads messages alone"
        yield EncoderUse("messages", lambda: open_act_head(profile.act_head, name), alone)
    if name is not None and profile.domain is not None and (Path(profile.domain) / FILE).exists():
        unread = "words that the models were not taught are not read as others"
        yield EncoderUse("words", lambda: open_embedder_of(profile).other_words, unread)
