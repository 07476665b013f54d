"""A conversation as HTML: messages, ranked images with reasons, progress of a turn.

Text of users, models, captions and file names is escaped by the environment of the templates (parts.html.j2), and
images are `data:` URIs: nothing in a page can run or send a request to another machine.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Template
from markupsafe import Markup

from imagescope_agent.chat.thumbnails import UPLOADS
from imagescope_agent.common.html_templates import html_environment
from imagescope_agent.records import Reason, Result, ResultDict, fulfilment_words
from imagescope_agent.replies.chains import chain_lines
from imagescope_agent.state import Turn

ToDataUri = Callable[[str], str]  # image id or path -> `data:` URI, "" where there is none

STEPS = {  # node -> its label in the progress
    "read": "read",
    "describe": "reference described",
    "understand": "understood",
    "fold": "folded in",
    "filter": "filter read",
    "retrieve": "searched",
    "reason": "reasoned",
    "predicates": "checks chosen",
    "verify": "verified",
    "further": "looking further",
    "judge": "compared",
    "survey": "questions weighed",
    "answer": "done",
}
_MARK = {"matches": ("yes", "✓"), "fails": ("no", "✗"), "unknown": ("open", "?")}
ANSWERS = (("Yes", "yes"), ("No", "no"), ("Skip", "skip"))
SHOWN = 6  # images at first, and with each "Show more": full rows of two and of three
PICTURES = "pictures"  # where the large images are, relative to the page; uploads are under `UPLOADS`
STYLE = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
SCRIPT = Path(__file__).with_name("page.js").read_text(encoding="utf-8")  # of every part that has buttons

#: Where the theme's text and the edges of fields are too pale to be read (WCAG 2.2, level AA).
COLOURS = {
    "body_text_color_subdued": "#566072",
    "body_text_color_subdued_dark": "#a9b3c2",
    "input_border_color": "#858d9b",
    "input_border_color_dark": "#788294",
    "input_placeholder_color": "#656e7e",
    "input_placeholder_color_dark": "#9aa4b4",
}


def conversation(
    turns: Sequence[Turn],
    picture: ToDataUri,
    *,
    saying: str = "",
    images: Sequence[str] = (),
    waiting: bool = True,
    examples: Sequence[str] = (),
) -> str:
    """The messages and answers, the last turn last.

    Args:
        turns: the finished ones.
        picture: gives the images of references.
        saying: the message of a turn that is running.
        images: the references of that turn.
        waiting: whether the last question may still be answered.
        examples: messages to begin with.
    """
    if not turns and not saying:
        return _render("welcome", examples)
    shown: list[dict[str, Any]] = []
    before: list[str] = []
    for turn in turns:
        standing = _references(turn)
        brought, before = standing if standing != before else [], standing
        shown.append(
            {
                "message": turn["message"],
                "brought": brought,
                "found": "\n".join(turn.get("remarks", [])) or _found(turn),
                "question": turn["question"],
                "answers": (),
            }
        )
    if shown and waiting and not saying and (question := turns[-1]["question"]):
        shown[-1]["answers"] = (
            ANSWERS[-1:] if question.get("also") else ANSWERS
        )  # an open one is answered in words
    return _render("conversation", shown, saying, images, picture=picture)


def gallery(
    turn: Turn | None,
    picture: ToDataUri,
    *,
    liked: Sequence[str] = (),
    folder: Path | None = None,
    samples: Sequence[str] = (),
) -> str:
    """The ranked images, each with its verified predicates and the judge's reason; the first `SHOWN` are visible.

    Args:
        turn: the last one; None before the first.
        picture: gives the thumbnails.
        liked: the ids of the liked ones.
        folder: of the images, where the reader may know their paths.
        samples: ids to show before the first turn.
    """
    if turn is None:
        return _render("samples", [_shown(name, picture, folder) for name in samples])
    where = turn.get("where", "")
    if not turn["results"]:
        return _render("nothing_left", where)
    cards = [
        {
            **_shown(hit["id"], picture, folder),
            "rank": int(hit["rank"]),
            "liked": hit["id"] in liked,
            "hidden": place >= SHOWN,
            "reasons": _reasons(hit),
        }
        for place, hit in enumerate(turn["results"])
    ]
    references = [picture(name) for name in _references(turn)]
    more = SHOWN if len(cards) > SHOWN else 0
    certain = fulfilment_words(turn.get("fulfilment"))
    shown = (references, cards, turn["notes"], more, where, chain_lines(turn.get("chain", {})), certain)
    return _render("gallery", turn["request"], *shown)


def _references(turn: Turn) -> list[str]:
    """The standing references of a turn, in the order of their numbers."""
    return turn.get("references") or ([] if turn["reference"] is None else [turn["reference"]])


def progress(done: Sequence[str], *, working: bool, seconds: float = 0.0) -> str:
    """The finished steps of a turn in one line, each named once, and whether it is still running."""
    names = [STEPS[name] for name in dict.fromkeys(done) if name in STEPS]
    return _render("progress", names, working, seconds)


def problem(text: str) -> str:
    """An error message, in one line."""
    return _render("problem", " ".join(text.split()))


def bringing(name: str, picture: str) -> str:
    """The image that the next message is about, with a button that leaves it out; nothing without one."""
    return _render("bringing", name, picture) if name else ""


def head(count: int, folder: str, *, leave: bool) -> str:
    """The top of the page: how many images of which folder, and the way out where people sign in."""
    return _render("head", count, folder, leave)


def large() -> str:
    """The window in which an image is shown large; `SCRIPT` fills it."""
    return _render("large")


def sign_in_words(*, named: bool) -> str:
    """What the sign-in page says; it does not say by itself that an attempt came too soon."""
    who = "Your name and your password." if named else "Any name, and the password of this page."
    return f"{who} After three wrong ones each attempt must wait, at first a second, at last a minute."


def address(name: str) -> str:
    """Where a large image is: relative to the page, by its id or, of an upload, by its file's name."""
    place, name = (UPLOADS, Path(name).name) if Path(name).is_absolute() else (PICTURES, name)
    return f"{place}/{quote(name, errors='replace')}"


def reason_words(reason: Reason) -> tuple[str, str, str]:
    """A reason for a reader: its mark ("" for none), its words, and how certain they are ("" for not known)."""
    if not reason.is_verdict:
        return "", reason.sentence, ""
    chance = "unknown" if reason.probability is None else f"{round(reason.probability, 2):.0%}"
    return _MARK[reason.kind][1], reason.question, f"wanted {reason.expected.lower()}, {chance}"


def _found(turn: Turn) -> str:
    found = len(turn["results"])
    return f"{found} found, {turn['results'][0]['id']} first" if found else "Nothing found"


def _shown(name: str, picture: ToDataUri, folder: Path | None) -> dict[str, Any]:
    """An image of a card; its path is told where the reader may know it."""
    return {"id": name, "image": picture(name), "path": str(folder / name) if folder else name}


def _reasons(hit: ResultDict) -> list[tuple[str, str, str, str]]:
    """Mark, kind, words and certainty of each reason."""
    rows = []
    for reason in Result.from_dict(hit).reasons:
        mark, words, certainty = reason_words(reason)
        rows.append((mark, _MARK[reason.kind][0] if mark else "", words, certainty))
    return rows


def _render(part: str, *values: Any, picture: ToDataUri | None = None) -> str:
    """One macro of parts.html.j2."""
    module = _template().make_module({"picture": picture})
    return str(getattr(module, part)(*values))


@cache
def _template() -> Template:
    environment = html_environment("imagescope_agent.chat.web")
    environment.finalize = _readable
    environment.globals.update(address=address, file_name=lambda name: Path(name).name)
    return environment.get_template("parts.html.j2")


def _readable(value: Any) -> Any:
    """Text without lone surrogates and control characters; what is HTML already stays."""
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    plain = value.encode("utf-8", "replace").decode()
    return "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in plain)
