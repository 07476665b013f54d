"""The reply to `filter`: whether a message of a conversation changes which images may be found."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from imagescope_agent.errors import UnreadableReply
from imagescope_agent.replies.parsing import parse_json


class FilterAnswer(BaseModel):
    """The reply to `filter`, and the schema a decoder can hold it to."""

    model_config = ConfigDict(extra="ignore")

    change: Literal["keep", "set", "remove"] = "keep"
    filter: str = ""


def parse_filter(reply: str) -> str | None:
    """The filter in a reply: None where the standing one is kept, "" where it is removed.

    Raises:
        UnreadableReply: the reply is not the JSON object asked for, or says that a filter is set and not which.
    """
    answer = parse_json(reply, FilterAnswer)
    if answer.change == "set" and not answer.filter.strip():
        raise UnreadableReply("a filter is set, and none is given", reply=reply)
    return {"keep": None, "remove": "", "set": answer.filter.strip()}[answer.change]
