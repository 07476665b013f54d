"""Everyday English to the project's structured intent and predicates, made from captions; texts without pictures."""

from __future__ import annotations

import re
from random import Random

from imagescope_agent.lab.training.data.turn import compact_json, fill_prompt
from imagescope_agent.lab.training.photo_chat.questions import COLOURS
from imagescope_agent.prompting import NO_REFERENCE, steps_text

_SPLIT = re.compile(
    r"\s+(?:in|on|with|at|near|through|over|while|wearing|holding|next to|in front of|behind)\s+"
)
_NOUN = re.compile(r"\b(?:an?|the) (?:[a-z]+ )?[a-z]{3,}\b")
_ASKED = ("{}", "{}", "a photo of {}", "find {}", "show me {}", "I am looking for {}", "pictures of {}")
_WITHOUT = ("{} without {}", "{} but no {}", "{}, not {}", "{} and there must not be {}")
_EDITS = {
    "Addition": ("the same with {}", "add {}", "like this but also {}", "with {} too"),
    "Removal": ("the same without {}", "no {} please", "like this but without {}", "remove {}"),
    "Modification": ("the same in {}", "but {}", "like this, only {}", "change it to {}"),
}


def intent_turn(caption: str, other: str, rng: Random) -> tuple[str, str]:
    """A prompt and its answer: of a text query, of one about a reference picture, or the predicates of its steps."""
    steps, request, reference, full = (_composed if rng.random() < 0.4 else _text)(
        _plain(caption), _plain(other), rng
    )
    if rng.random() < 0.4:
        return fill_prompt("predicates", steps=steps_text(steps)), compact_json(
            {"predicates": _predicates(steps)}
        )
    intent = {"steps": steps, "core": steps[0]["text"], "enhanced": f"a photo of {full}", "full": full}
    return fill_prompt("understand", instruction=request, reference=reference), compact_json(intent)


def _text(caption: str, other: str, rng: Random) -> tuple[list[dict[str, str]], str, str, str]:
    parts = [part for part in _SPLIT.split(caption) if part][:3]
    steps = [{"type": "Addition", "text": part} for part in parts]
    request = full = caption
    if rng.random() < 0.4 and (nouns := _NOUN.findall(other)):
        unwanted = rng.choice(nouns)
        steps.append({"type": "Removal", "text": unwanted})
        request = rng.choice(_WITHOUT).format(caption, unwanted)
        full = f"{caption} without {unwanted}"
    return steps, rng.choice(_ASKED).format(request), NO_REFERENCE, full


def _composed(caption: str, other: str, rng: Random) -> tuple[list[dict[str, str]], str, str, str]:
    kind = rng.choice(list(_EDITS))
    nouns = _NOUN.findall(other if kind == "Addition" else caption) or ["a dog"]
    what = rng.choice(nouns)
    if kind == "Removal":
        full = (
            re.sub(rf"\s*\b(?:with|and|in|on|near|by|of)?\s*{re.escape(what)}\b", "", caption).strip()
            or caption
        )
        full = f"{full} without {what}"
    elif kind == "Modification":
        changed = f"{what.split()[0]} {rng.choice(COLOURS)} {what.split()[-1]}"
        full, what = caption.replace(what, changed), changed
    else:
        full = f"{caption} with {what}"
    request = rng.choice(_EDITS[kind]).format(what)
    return [{"type": kind, "text": what}], request, caption, full


def _predicates(steps: list[dict[str, str]]) -> list[dict[str, str]]:
    found = []
    for step in steps:
        expected = "No" if step["type"] == "Removal" else "Yes"
        verb = (
            "Are"
            if re.match(r"(?:two|three|four|five|six|several|people|children|men|women)\b", step["text"])
            else "Is"
        )
        found.append({"question": f"{verb} there {step['text']}?", "expected": expected})
    return found


def _plain(caption: str) -> str:
    return " ".join(caption.lower().replace('"', "").split()).strip(" .")
