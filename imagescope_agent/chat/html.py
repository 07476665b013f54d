"""A conversation as HTML: messages, ranked images with reasons, progress of a turn.

Text of users, models, captions and file names is escaped here, and images are `data:` URIs: nothing in a page can run
or send a request to another machine.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape

from imagescope_agent.records import Reason, Result, ResultDict
from imagescope_agent.state import ClarifyingQuestion, Turn

ToDataUri = Callable[[str], str]  # image id or path -> `data:` URI, "" where there is none

STEPS = {  # node -> its label in the progress
    "read": "read",
    "describe": "reference described",
    "understand": "understood",
    "fold": "folded in",
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


def conversation(
    turns: Sequence[Turn],
    picture: ToDataUri,
    *,
    saying: str = "",
    image: str | None = None,
    waiting: bool = True,
) -> str:
    """The messages and answers, the last turn last.

    Args:
        turns: the finished ones.
        picture: gives the images of references.
        saying: the message of a turn that is running.
        image: the reference of that turn.
        waiting: whether the last question may still be answered.
    """
    if not turns and not saying:
        return (
            '<div class="is-empty">Say what to look for, or bring a picture and say what should be different.'
            "<br>Like and reject what is found, answer the questions, or just go on describing.</div>"
        )
    said: list[str] = []
    before: str | None = None
    for number, turn in enumerate(turns, 1):
        brought = turn["reference"] if turn["reference"] != before else None
        before = turn["reference"]
        last = number == len(turns)
        said.append(_said(turn["message"], picture(brought) if brought else "", number))
        said.append(_answered(turn, open_question=last and waiting and not saying))
    if saying:
        said.append(_said(saying, picture(image) if image else "", len(turns) + 1))
        said.append('<div class="is-reply"><span class="is-dots"><i></i><i></i><i></i></span></div>')
    return f'<div class="is-talk">{"".join(said)}</div>'


def gallery(turn: Turn | None, picture: ToDataUri, *, liked: Sequence[str] = ()) -> str:
    """The ranked images, each with its verified predicates and the judge's reason."""
    if turn is None:
        return '<div class="is-empty">What is found will be shown here.</div>'
    if not turn["results"]:
        return '<div class="is-empty">Nothing is left that was not rejected.</div>'
    cards = [_card(hit, picture(hit["id"]), hit["id"] in liked) for hit in turn["results"]]
    notes = "".join(f"<li>{_text(note['step'])}: {_text(note['detail'])}</li>" for note in turn["notes"])
    told = f'<details class="is-notes"><summary>Notes</summary><ul>{notes}</ul></details>' if notes else ""
    return (
        f'<div class="is-wanted">Looking for <b>{_text(turn["request"])}</b></div>'
        f'<div class="is-grid">{"".join(cards)}</div>{told}'
    )


def progress(done: Sequence[str], *, working: bool, seconds: float = 0.0) -> str:
    """The finished steps of a turn, and whether it is still running."""
    chips = "".join(f'<span class="is-chip">✓ {STEPS[name]}</span>' for name in done if name in STEPS)
    if working:
        chips += '<span class="is-chip is-now">working …</span>'
    elif done:
        chips += f'<span class="is-time">{seconds:.1f} s</span>'
    return f'<div class="is-steps" role="status">{chips}</div>'


def problem(text: str) -> str:
    """An error message, in one line."""
    return f'<div class="is-problem" role="alert">{_text(" ".join(text.split()))}</div>'


def _said(text: str, picture: str, number: int) -> str:
    image = f'<img src="{picture}" alt="the picture that came with the message">' if picture else ""
    return f'<div class="is-said" data-turn="{number}">{image}<span>{_text(text)}</span></div>'


def _answered(turn: Turn, *, open_question: bool) -> str:
    found = len(turn["results"])
    best = f"{found} found, {turn['results'][0]['id']} first" if found else "Nothing found"
    said = _text("\n".join(turn.get("remarks", [])) or best)
    reply = f'<div class="is-reply is-found"><span>{said}</span></div>'
    question = turn["question"]
    return reply if question is None else reply + _question(question, open_question=open_question)


def _question(question: ClarifyingQuestion, *, open_question: bool) -> str:
    answers = ANSWERS[-1:] if question.get("also") else ANSWERS  # an open question is answered in words
    buttons = "".join(f'<button data-say="{say}">{label}</button>' for label, say in answers)
    choice = f'<div class="is-answers">{buttons}</div>' if open_question else ""
    return f'<div class="is-reply is-question"><span>{_text(question["text"])}</span>{choice}</div>'


def _card(hit: ResultDict, picture: str, liked: bool) -> str:
    rank, name = int(hit["rank"]), _text(hit["id"])
    shown = (
        f'<img src="{picture}" alt="{name}">' if picture else '<div class="is-gone">the file is gone</div>'
    )
    reasons = "".join(map(_reason, Result.from_dict(hit).reasons))
    heart = '<span class="is-heart" title="liked">♥</span>' if liked else ""
    return (
        f'<figure class="is-card" data-rank="{rank}"><div class="is-shot">{shown}'
        f'<span class="is-rank">{rank}</span>{heart}</div>'
        f'<figcaption><div class="is-name" title="{name}">{name}</div><ul class="is-why">{reasons}</ul>'
        f'<div class="is-answers"><button data-say="like {rank}">♥ Like</button>'
        f'<button data-say="reject {rank}">✕ Not this</button></div></figcaption></figure>'
    )


def _reason(reason: Reason) -> str:
    if not reason.is_verdict:
        return f'<li class="is-judge">{_text(reason.sentence)}</li>'
    kind, mark = _MARK[reason.kind]
    wanted = _text(reason.expected.lower())
    chance = " unknown" if reason.probability is None else f" {round(reason.probability, 2):.0%}"
    return (
        f'<li class="is-{kind}"><b>{mark}</b><span>{_text(reason.question)} '
        f"<small>wanted {wanted},{chance}</small></span></li>"
    )


def _text(text: str) -> str:
    """Escaped text without lone surrogates and control characters."""
    readable = str(text).encode("utf-8", "replace").decode()
    return escape(
        "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in readable)
    )


#: Sends the message of a clicked button.
CLICK = """
element.addEventListener('click', event => {
  const button = event.target.closest('button[data-say]');
  if (button) trigger('click', {say: button.dataset.say});
});
"""

STYLE = """
.gradio-container { max-width: 1480px !important; margin: 0 auto; }
.is-bar { align-items: center; } .is-bar button { align-self: center; }
#head { padding: 4px 2px 0; } #head h1 { font-size: 20px; font-weight: 650; margin: 0; }
#head p { margin: 0; color: var(--body-text-color-subdued); font-size: 13px; }
#talk { border: 1px solid var(--border-color-primary); border-radius: 14px;
  background: var(--background-fill-primary); }
#talk, #gallery { padding: 12px; }
.is-empty { color: var(--body-text-color-subdued); text-align: center; padding: 56px 20px; line-height: 1.6; }
.is-talk { display: flex; flex-direction: column; gap: 8px; }
.is-said, .is-reply { max-width: 86%; padding: 8px 12px; border-radius: 14px; overflow-wrap: anywhere;
  line-height: 1.4; }
.is-said { align-self: flex-end; background: var(--primary-500); color: white; border-bottom-right-radius: 4px; }
.is-said span { color: white !important; }
.is-said img { display: block; max-width: 150px; max-height: 150px; border-radius: 8px; margin-bottom: 6px; }
.is-said span, .is-reply span { white-space: pre-wrap; }
.is-reply { align-self: flex-start; background: var(--background-fill-secondary); border-bottom-left-radius: 4px;
  border: 1px solid var(--border-color-primary); font-size: 14px; }
.is-found { padding: 2px 10px; color: var(--body-text-color-subdued); border: none; font-size: 13px; }
.is-question { border-color: var(--primary-400); font-size: 15px; }
.is-answers { display: flex; gap: 6px; margin-top: 8px; flex-wrap: wrap; }
.is-answers button { border: 1px solid var(--border-color-primary); border-radius: 999px; padding: 3px 12px;
  background: var(--background-fill-primary); color: var(--body-text-color); font-size: 13px; font-weight: 500;
  cursor: pointer; margin: 0; box-shadow: none; white-space: nowrap; }
.is-answers button:hover { border-color: var(--primary-500); color: var(--primary-600); }
.is-answers button:focus-visible { outline: 2px solid var(--primary-500); }
.is-wanted { margin: 0 2px 10px; overflow-wrap: anywhere; }
.is-grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(200px, 1fr)); gap: 12px; }
.is-card { margin: 0; border: 1px solid var(--border-color-primary); border-radius: 14px; overflow: hidden;
  background: var(--background-fill-primary); display: flex; flex-direction: column; }
.is-shot { position: relative; background: var(--background-fill-secondary); aspect-ratio: 4 / 3; }
.is-shot img { width: 100%; height: 100%; object-fit: contain; display: block; }
.is-gone { display: grid; place-items: center; height: 100%; color: var(--body-text-color-subdued); }
.is-rank { position: absolute; top: 8px; left: 8px; min-width: 26px; text-align: center; padding: 1px 7px;
  border-radius: 999px; background: rgba(17, 24, 39, .78); color: white; font-size: 13px; font-weight: 600; }
.is-heart { position: absolute; top: 6px; right: 10px; color: #e11d48; font-size: 20px; text-shadow: 0 0 3px white; }
.is-card figcaption { padding: 8px 10px 10px; display: flex; flex-direction: column; flex: 1; }
.is-name { font-size: 12px; color: var(--body-text-color-subdued); white-space: nowrap; overflow: hidden;
  text-overflow: ellipsis; }
.is-why { list-style: none; margin: 4px 0 0; padding: 0; font-size: 13px; flex: 1; }
.is-why li { display: flex; gap: 6px; margin: 3px 0; overflow-wrap: anywhere; line-height: 1.3; }
.is-why small { color: var(--body-text-color-subdued); white-space: nowrap; }
.is-yes b { color: #15803d; } .is-no b { color: #b91c1c; } .is-open b { color: #a16207; }
.dark .is-yes b { color: #4ade80; } .dark .is-no b { color: #f87171; } .dark .is-open b { color: #facc15; }
.is-why .is-judge { color: var(--body-text-color-subdued); display: block; }
.is-steps { display: flex; flex-wrap: wrap; gap: 6px; min-height: 26px; align-items: center; }
.is-chip { font-size: 12px; padding: 2px 9px; border-radius: 999px; color: var(--body-text-color-subdued);
  border: 1px solid var(--border-color-primary); }
.is-now { border-color: var(--primary-500); color: var(--primary-600); animation: is-pulse 1.2s infinite; }
.is-time { font-size: 12px; color: var(--body-text-color-subdued); }
.is-problem { border: 1px solid #dc2626; color: #b91c1c; border-radius: 10px; padding: 6px 12px; }
.dark .is-problem { color: #fca5a5; }
.is-notes { margin-top: 12px; font-size: 13px; color: var(--body-text-color-subdued); }
.is-dots i { display: inline-block; width: 6px; height: 6px; margin: 0 2px; border-radius: 50%;
  background: var(--body-text-color-subdued); animation: is-pulse 1s infinite; }
.is-dots i:nth-child(2) { animation-delay: .2s; } .is-dots i:nth-child(3) { animation-delay: .4s; }
@keyframes is-pulse { 50% { opacity: .35; } }
@media (prefers-reduced-motion: reduce) { .is-now, .is-dots i { animation: none; } }
"""
