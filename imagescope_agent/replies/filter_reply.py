"""The reply to `filter`: whether a message of a conversation changes which images may be found."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from imagescope_agent.errors import UnreadableReply
from imagescope_agent.replies.parsing import parse_json


class FilterAnswer(BaseModel):
    """The reply to `filter`, and the schema a decoder can hold it to.

    Attributes:
        change: "set" for the whole filter from now on, "add" for one beside the standing one, "remove" for less.
        words: of the message that say so.
        filter: what is set or added; with "remove" the field whose limit goes, "" for all.
    """

    model_config = ConfigDict(extra="ignore")

    change: Literal["keep", "set", "add", "remove"] = "keep"
    words: str = ""
    filter: str = ""


def parse_filter(reply: str) -> FilterAnswer:
    """The answer in a reply.

    Raises:
        UnreadableReply: the reply is not the JSON object asked for, or says that a filter is set and not which.
    """
    answer = parse_json(reply, FilterAnswer)
    if answer.change in ("set", "add") and not answer.filter.strip():
        raise UnreadableReply("a filter is set, and none is given", reply=reply)
    return answer
