"""A scripted reasoner that can hold a conversation about one-coloured pictures, for tests of conversations."""

from __future__ import annotations

import json
import re
from typing import Any

WARM, LIGHT = {"red", "orange", "yellow"}, {"white", "yellow", "orange"}
WORDS = ("red", "green", "blue", "yellow", "white", "black", "purple", "orange", "warm", "light")


def holds(word: str, colour: str) -> bool:
    """The ground truth."""
    return colour in {"warm": WARM, "light": LIGHT}.get(word, {word})


def named(text: str) -> list[str]:
    return [word for word in WORDS if re.search(rf"\b{word}\b", text.lower())]


def think(asked: Any) -> str:
    """Answer every step of the reasoner as a sensible model would."""
    if "What does this part of the message do?" in asked.text:
        return act(asked.text)
    return {
        "IntentAnswer": understand,
        "PredicatesAnswer": check,
        "FoldAnswer": fold,
        "ProposalAnswer": propose,
        None: word,
    }[(asked.options or {}).get("response_format")](asked.text)


def act(text: str) -> str:
    """The label of a dialogue act: an answer where a question is pending, no idea, else a wish."""
    message = re.search(r"^Part of it: <part>(.*)</part>$", text, flags=re.M | re.S)[1]  # type: ignore[index]
    asked = re.search(r"<question>(.*)</question>", text)[1]  # type: ignore[index]
    if message.startswith("no, ") or "forget" in message:
        return "C" if message.startswith("no, ") else "D"
    return "B" if asked == "none" or "?" in message or message.startswith(("and", "also", "with")) else "A"


def understand(text: str) -> str:
    words = named(text.partition("<instruction>")[2].partition("</instruction>")[0])
    return json.dumps({"steps": steps(words), **described(words)})


def check(text: str) -> str:
    lines = re.findall(r"^\w+: it is (\w+)$", text, flags=re.M)
    return json.dumps({"predicates": [{"question": f"Is it {w}?", "expected": "Yes"} for w in lines]})


def fold(text: str) -> str:
    facts = re.findall(r"^(\d+)\. (\w+): (.*)$", text, flags=re.M)
    message = re.search(r"^<message>(.*)</message>$", text, flags=re.M | re.S)[1]  # type: ignore[index]
    new = "forget" in message
    drop = [int(n) for n, _, fact in facts if message.startswith("no, ") and named(fact)]
    kept = [
        w
        for n, kind, fact in facts
        if not new and int(n) not in drop and kind == "Addition"
        for w in named(fact)
    ]
    words = named(message)
    reply = {
        "topic": "new" if new else "same",
        "answer": "None",
        "drop": drop,
        "steps": steps(words) if words else [],
    }
    return json.dumps({**reply, **described([*kept, *words])})


def propose(text: str) -> str:
    known = text.partition("asked already:")[2].partition("<descriptions>")[0]
    words = [w for w in ("warm", "light", "red", "blue") if w not in named(known)]
    return json.dumps({"questions": [f"Is it {w}?" for w in words] or ["Is it a square?"]})


def word(text: str) -> str:
    return f"Tell me: {re.search(r'Is it [^?]*', text)[0].lower()}?"  # type: ignore[index]


def steps(words: list[str]) -> list[dict[str, str]]:
    return [{"type": "Addition", "text": f"it is {w}"} for w in words] or [
        {"type": "Addition", "text": "it is square"}
    ]


def described(words: list[str]) -> dict[str, str]:
    text = "a " + " ".join(dict.fromkeys([*words, "square"]))
    return {"core": text, "enhanced": text, "full": text}


def look_at(world: Any) -> Any:
    """A verifier that sees what there is."""

    def look(asked: Any) -> list[float]:
        said = named(asked.text)
        yes = not said or holds(said[0], world.colour(asked))
        return [0.9, 0.1] if yes else [0.1, 0.9]

    return look


def talking(world: Any, **roles: Any) -> Any:
    """Services of a world whose models can hold a conversation."""
    able = {
        "reasoner": world.role("reasoner", think),
        "verifier": world.role("verifier", scorer=look_at(world)),
        "judge": world.role("judge", "No: not quite"),
    }
    return world.services(**{**able, **roles})
