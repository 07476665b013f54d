"""A conversation as HTML: messages, ranked images with reasons, progress of a turn.

Text of users, models, captions and file names is escaped here, and images are `data:` URIs: nothing in a page can run
or send a request to another machine.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from urllib.parse import quote

from imagescope_agent.chat.thumbnails import UPLOADS
from imagescope_agent.records import Reason, Result, ResultDict
from imagescope_agent.state import ClarifyingQuestion, Turn

ToDataUri = Callable[[str], str]  # image id or path -> `data:` URI, "" where there is none

STEPS = {  # node -> its label in the progress
    "describe": "reference described",
    "understand": "understood",
    "fold": "folded in",
    "filter": "filter read",
    "retrieve": "searched",
    "predicates": "checks chosen",
    "verify": "verified",
    "further": "looking further",
    "judge": "compared",
    "survey": "questions weighed",
    "answer": "done",
}
_MARK = {"matches": ("yes", "✓"), "fails": ("no", "✗"), "unknown": ("open", "?")}
ANSWERS = (("Yes", "yes"), ("No", "no"), ("Skip", "skip"))
_LABEL = '<span class="is-label">{}</span>'  # beside its sign where there is room
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
#: The window in which an image is shown large; `SCRIPT` fills it.
LARGE = """<dialog aria-labelledby="large-title"><div class="is-top"><h2 id="large-title"></h2>
<div class="is-answers"><button data-close aria-label="Close">✕ Close</button></div></div><img alt="">
<div class="is-answers"><button data-step="-1" aria-label="Previous picture">‹ Previous</button>
<button data-step="1" aria-label="Next picture">Next ›</button>
<button data-rate="like">♥ Like</button><button data-rate="reject">✕ Not this</button>
<button data-do="bring">Like this, but …</button><a data-download download>Download</a>
<button data-copy data-label="Copy path" aria-live="polite">Copy path</button></div></dialog>"""


def conversation(
    turns: Sequence[Turn],
    picture: ToDataUri,
    *,
    saying: str = "",
    image: str | None = None,
    waiting: bool = True,
    examples: Sequence[str] = (),
) -> str:
    """The messages and answers, the last turn last.

    Args:
        turns: the finished ones.
        picture: gives the images of references.
        saying: the message of a turn that is running.
        image: the reference of that turn.
        waiting: whether the last question may still be answered.
        examples: messages to begin with.
    """
    if not turns and not saying:
        return _welcome(examples)
    said: list[str] = []
    before: str | None = None
    for number, turn in enumerate(turns, 1):
        brought = turn["reference"] if turn["reference"] != before else None
        before = turn["reference"]
        last = number == len(turns)
        said.append(_said(turn["message"], brought, picture, number))
        said.append(_turn_buttons(number, last=last) if not saying else "")
        said.append(_answered(turn, open_question=last and waiting and not saying))
    if saying:
        said.append(_said(saying, image, picture, len(turns) + 1))
        said.append('<div class="is-reply"><span class="is-dots"><i></i><i></i><i></i></span></div>')
    return f'<div class="is-talk" role="log">{"".join(said)}</div>'


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
        cards = [_sample(name, picture(name), folder) for name in samples]
        return f'<div class="is-wanted">Some of the pictures</div><div class="is-grid">{"".join(cards)}</div>'
    if not turn["results"]:
        return _nothing(turn)
    cards = [
        _card(hit, picture(hit["id"]), hit["id"] in liked, folder=folder, hidden=place >= SHOWN)
        for place, hit in enumerate(turn["results"])
    ]
    more = f'<button data-more="{SHOWN}">Show more</button>' if len(cards) > SHOWN else ""
    notes = "".join(f"<li>{_text(note['step'])}: {_text(note['detail'])}</li>" for note in turn["notes"])
    told = f'<details class="is-notes"><summary>Notes</summary><ul>{notes}</ul></details>' if notes else ""
    like = turn["reference"] and picture(turn["reference"])
    image = f'<img src="{like}" alt="the reference">' if like else ""
    return (
        f'<div class="is-wanted">{image}<span>Looking for <b>{_text(turn["request"])}</b>{_filter(turn)}</span></div>'
        f'<div class="is-grid">{"".join(cards)}</div><div class="is-more">{more}</div>{told}'
    )


def _nothing(turn: Turn) -> str:
    """What is shown where there is no result: nothing matches the filter, or all was rejected."""
    if turn.get("where"):
        head, told = "No picture matches", f"{_filter(turn)}</p><p>Remove the filter, or say another one."
    else:
        head = "Nothing is left to show"
        told = "Every picture was rejected. Undo the last turn, or begin a new conversation."
    return f'<div class="is-empty"><h2>{head}</h2><p>{told}</p></div>'


def _filter(turn: Turn) -> str:
    """The filter of a turn, with a button that removes it; "" without one."""
    if not (where := turn.get("where")):
        return ""
    remove = '<button data-say="/where" aria-label="remove the filter">✕</button>'
    return f' only where <code class="is-filter">{_text(where)}</code> {remove}'


def progress(done: Sequence[str], *, working: bool, seconds: float = 0.0) -> str:
    """The finished steps of a turn in one line, each named once, and whether it is still running."""
    names = [STEPS[name] for name in dict.fromkeys(done) if name in STEPS]
    steps = "".join(f'<span class="is-step">✓ {name}</span>' for name in names)
    if working:
        steps += '<span class="is-now">working …</span>'
    elif done:
        steps += f'<span class="is-time">{seconds:.1f} s</span>'
    short = " is-short" if len(names) <= 3 else ""
    return f'<div class="is-steps{short}" role="status">{steps}</div>'


def problem(text: str) -> str:
    """An error message, in one line."""
    return f'<div class="is-problem" role="alert">{_text(" ".join(text.split()))}</div>'


def bringing(name: str, picture: str) -> str:
    """The image that the next message is about, with a button that leaves it out; nothing without one."""
    if not name:
        return ""
    image = f'<img src="{picture}" alt="">' if picture else ""
    return (
        f'<div class="is-brought">{image}<span>Like <b>{_text(name)}</b>, but …</span>'
        '<button data-do="bring" data-name="" aria-label="without this picture">✕</button></div>'
    )


def head(count: int, folder: str, *, leave: bool) -> str:
    """The top of the page: how many images of which folder, and the way out where people sign in."""
    way_out = '<a href="logout">Sign out</a>' if leave else ""
    return f'<div class="is-head"><h1>ImageScope</h1><span>{count} images of {_text(folder)}</span>{way_out}</div>'


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


def _welcome(examples: Sequence[str]) -> str:
    buttons = "".join(f'<button data-say="{_text(each)}">{_text(each)}</button>' for each in examples)
    tried = f'<p>For example:</p><div class="is-examples">{buttons}</div>' if buttons else ""
    return (
        '<div class="is-empty"><h2>Which picture do you look for?</h2><p>Describe it, or bring a picture and say '
        f"what should be different. Then like, reject, answer, or go on describing.</p>{tried}</div>"
    )


def _turn_buttons(number: int, *, last: bool) -> str:
    undo = '<button data-do="undo">Undo</button>' if last else ""
    branch = f'<button data-do="branch" data-turn="{number}" title="Go on from here in a new conversation">'
    return f'<div class="is-turns">{undo}{branch}Branch</button></div>'


def _said(text: str, brought: str | None, picture: ToDataUri, number: int) -> str:
    image = ""
    if brought and (small := picture(brought)):
        name = _text(Path(brought).name)
        alt = "the picture that came with the message"
        link = f'href="{_text(address(brought))}" data-open data-name="{name}"'
        image = f'<a {link}><img src="{small}" alt="{alt}"></a>'
    return f'<div class="is-said" data-turn="{number}">{image}<span>{_text(text)}</span></div>'


def _answered(turn: Turn, *, open_question: bool) -> str:
    found = len(turn["results"])
    best = f"{found} found, {_text(turn['results'][0]['id'])} first" if found else "Nothing found"
    reply = f'<div class="is-reply is-found"><span>{best}</span></div>'
    question = turn["question"]
    return reply if question is None else reply + _question(question, open_question=open_question)


def _question(question: ClarifyingQuestion, *, open_question: bool) -> str:
    answers = ANSWERS[-1:] if question.get("also") else ANSWERS  # an open question is answered in words
    buttons = "".join(f'<button data-say="{say}">{label}</button>' for label, say in answers)
    choice = f'<div class="is-answers">{buttons}</div>' if open_question else ""
    return f'<div class="is-reply is-question"><span>{_text(question["text"])}</span>{choice}</div>'


def _card(
    hit: ResultDict, picture: str, liked: bool, *, folder: Path | None = None, hidden: bool = False
) -> str:
    rank, name = int(hit["rank"]), _text(hit["id"])
    reasons = "".join(map(_reason, Result.from_dict(hit).reasons))
    heart = '<span class="is-heart" title="liked">♥</span>' if liked else ""
    like = f'<button data-say="like {rank}">♥ {_LABEL.format("Like")}</button>'
    reject = f'<button data-say="reject {rank}">✕ {_LABEL.format("Not this")}</button>'
    return (
        f'<figure class="is-card" data-rank="{rank}"{" hidden" if hidden else ""}><div class="is-shot">'
        f'{_shot(hit["id"], picture, folder)}<span class="is-rank">{rank}</span>{heart}</div>'
        f'<figcaption><div class="is-name" title="{name}">{name}</div><ul class="is-why">{reasons}</ul>'
        f'<div class="is-answers">{like}{reject}{_bring(hit["id"])}</div></figcaption></figure>'
    )


def _sample(name: str, picture: str, folder: Path | None) -> str:
    return (
        f'<figure class="is-card"><div class="is-shot">{_shot(name, picture, folder)}</div><figcaption>'
        f'<div class="is-name" title="{_text(name)}">{_text(name)}</div>'
        f'<div class="is-answers">{_bring(name)}</div></figcaption></figure>'
    )


def _shot(name: str, picture: str, folder: Path | None) -> str:
    """A thumbnail that opens large; without script it is a plain link."""
    if not picture:
        return '<div class="is-gone">the file is gone</div>'
    path = f' data-path="{_text(str(folder / name))}"' if folder else f' data-path="{_text(name)}"'
    link = f'href="{_text(address(name))}" data-open data-name="{_text(name)}"{path}'
    return f'<a {link}><img src="{picture}" alt="{_text(name)}"></a>'


def _bring(name: str) -> str:
    label = _LABEL.format("Like this, but …")
    return f'<button data-do="bring" data-name="{_text(name)}">✎ {label}</button>'


def _reason(reason: Reason) -> str:
    mark, words, certainty = reason_words(reason)
    if not mark:
        return f'<li class="is-judge">{_text(words)}</li>'
    kind = _MARK[reason.kind][0]
    return f'<li class="is-{kind}"><b>{mark}</b><span>{_text(words)} <small>{_text(certainty)}</small></span></li>'


def _text(text: str) -> str:
    """Escaped text without lone surrogates and control characters."""
    readable = str(text).encode("utf-8", "replace").decode()
    return escape(
        "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in readable)
    )
