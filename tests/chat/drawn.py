"""A drawn world whose models are scripted by what the scenes really show: a sensible reasoner, a sharp verifier.

python -m tests.chat.drawn FOLDER PORT [SEED COUNT]     the page about such a world
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import sys
from pathlib import Path
from random import Random
from typing import Any

from imagescope_agent.evaluation.chat.simulated_user import (
    NounPhrase,
    ParsedQuestion,
    parse_scene_question,
    read_scenes,
)
from imagescope_agent.lab.scenes.conditions import SETTING_PHRASE, Pattern
from imagescope_agent.lab.scenes.language import caption, join
from imagescope_agent.lab.scenes.make import make_world
from imagescope_agent.mllms.role import Role
from imagescope_agent.mllms.scripted import Scripted, ScriptedScorer
from imagescope_agent.retrieval.collection import FolderCollection, build
from imagescope_agent.services import Services
from tests.conftest import ColourEmbedder


class DrawnWorld:
    """`count` drawn pictures in `folder`, indexed, with services that know what they show.

    Args:
        folder: drawn into where it holds no world.
        seed: of the world.
        count: of pictures.
        embedder: by colours when None.
        error: share of the verdicts that are wrong, always the same ones.
    """

    def __init__(
        self, folder: Path, seed: int, count: int, *, embedder: Any = None, error: float = 0.0
    ) -> None:
        if not (folder / "scenes.jsonl").exists():
            make_world(folder, seed, count)
        self.folder, self.scenes = folder, read_scenes(folder)
        self.embedder, self.error = embedder or ColourEmbedder(), error
        captioner = Role("captioner", Scripted(lambda asked: self._caption(asked)))
        self.names: dict[str, str] = {}
        for name in self.scenes:
            self.names[_digest(folder / name)] = name
        only = frozenset(self.scenes)
        asyncio.run(
            build(folder, None, self.embedder, captioner, "describe", captioner_weights="drawn", only=only)
        )
        self.services = Services(
            embedder=self.embedder,
            collection=FolderCollection.open(folder),
            captioner=captioner,
            reasoner=Role("reasoner", Scripted(think)),
            talker=Role("talker", Scripted(think)),
            verifier=Role("verifier", ScriptedScorer(self._look)),
            judge=Role("judge", Scripted("No: others are as good")),
        )

    def _caption(self, asked: Any) -> str:
        return caption(self.scenes[self.names[asked.images[-1]]])

    def _look(self, asked: Any) -> list[float]:
        name = self.names.get(asked.images[-1])
        reading = parse_scene_question(asked.text.rpartition("Question:")[2])
        if reading is None or name is None:
            return [0.5, 0.5]
        wrong = Random(f"{name} {asked.text}").random() < self.error
        return [0.93, 0.07] if reading.holds(self.scenes[name]) != wrong else [0.07, 0.93]


def think(asked: Any) -> str:
    """Answer every step of the reasoner."""
    if "What does this part of the message do?" in asked.text:
        return act(asked.text)
    return {
        "IntentAnswer": understand,
        "PredicatesAnswer": check,
        "FoldAnswer": fold,
        "ProposalAnswer": propose,
        None: lambda text: re.search(r"about the wanted image: (.*)", text)[1],  # type: ignore[index]
    }[(asked.options or {}).get("response_format")](asked.text)


def act(text: str) -> str:
    """The label of a dialogue act: an answer where a question is pending, no idea, else a wish."""
    message = re.search(r"^Part of it: <part>(.*)</part>$", text, flags=re.M | re.S)[1]  # type: ignore[index]
    asked = re.search(r"<question>(.*)</question>", text)[1]  # type: ignore[index]
    if message.startswith("no, ") or "forget" in message:
        return "C" if message.startswith("no, ") else "D"
    return "B" if asked == "none" or "?" in message or message.startswith(("and", "also", "with")) else "A"


def understand(text: str) -> str:
    said = text.partition("<instruction>")[2].partition("</instruction>")[0].strip()
    return _intent(steps_of(said) or [("Addition", said)])


def check(text: str) -> str:
    lines = re.findall(r"^(Addition|Removal): (.*)$", text, flags=re.M)
    return json.dumps({"predicates": [{"question": ask(t), "expected": "No" if k == "Removal" else "Yes"}
                                      for k, t in lines]})  # fmt: skip


def fold(text: str) -> str:
    facts = re.findall(r"^\d+\. (\w+): (.*)$", text, flags=re.M)
    message = re.search(r"^<message>(.*)</message>$", text, flags=re.M | re.S)[1]  # type: ignore[index]
    asked = re.search(r"^Question asked: (.*)$", text, flags=re.M)[1]  # type: ignore[index]
    known = [(kind, said) for kind, said in facts]
    drop: list[int] = []
    if message in ("yes", "no") and asked != "none":
        known += steps_of(f"{asked} {message}")
        new: list[tuple[str, str]] = []
    else:
        new = steps_of(message.removeprefix("no, "))
        if message.startswith("no, "):
            drop = [len(facts)]
    kept = [each for number, each in enumerate(known, 1) if number not in drop]
    reply = {"topic": "same", "answer": "None", "drop": drop}
    return json.dumps({**reply, **json.loads(_intent(new, also=kept))})


def propose(text: str) -> str:
    known = text.partition("asked already:")[2].partition("<descriptions>")[0]
    captions = text.partition("<descriptions>")[2].partition("</descriptions>")[0].strip().splitlines()
    counts: dict[str, int] = {}
    for line in captions:
        reading = parse_scene_question(line.partition(":")[2])
        for said in dict.fromkeys(phrases(reading, sizes=False)) if reading else []:
            counts[ask(said)] = counts.get(ask(said), 0) + 1
    fresh = [question for question in counts if question not in known]
    fresh.sort(key=lambda question: (abs(2 * counts[question] - len(captions)), question))
    return json.dumps({"questions": fresh[:6] or ["Is there a red thing?"]})


def steps_of(said: str) -> list[tuple[str, str]]:
    """ "a red house at night", or "is there a cat? no", as (type, words)."""
    question, mark, answer = said.lower().rpartition("?")
    if not mark:
        reading = parse_scene_question(said)
        return [("Addition", words) for words in phrases(reading)] if reading else []
    answer = answer.strip()
    if answer in ("yes", "no"):
        reading = parse_scene_question(question)
        return (
            [("Addition" if answer == "yes" else "Removal", w) for w in phrases(reading)] if reading else []
        )
    if question.startswith("how many"):
        last = question.split()[2]
        return [("Addition" if answer != "no" else "Removal", f"exactly {answer} {last}")]
    if question.startswith("where"):
        return steps_of(answer)
    if question.startswith("what is"):
        relation, _, other = question.removeprefix("what is ").partition(" the ")
        return [(kind, f"{w} {relation} a {other}") for kind, w in steps_of(answer)]
    noun = re.sub(r"\b(large or small|what colours?|is|are|the)\b", "", question).strip()
    return [w for one in re.findall(r"\w+", answer) if one != "and" for w in steps_of(f"{one} {noun}")]


def phrases(reading: ParsedQuestion, *, sizes: bool = True) -> list[str]:
    """A reading in words, one a thing."""
    said = [_words(phrase if sizes else NounPhrase(pattern=Pattern(phrase.pattern.kind, phrase.pattern.colour)))
            for phrase in reading.phrases]  # fmt: skip
    if reading.relation is not None:
        said = [f"{said[0]} {reading.relation} {said[1]}"]
    return said + ([f"the scene {SETTING_PHRASE[reading.setting]}"] if reading.setting else [])


def _words(phrase: NounPhrase) -> str:
    if phrase.number is None:
        return phrase.pattern.words()
    return f"exactly {phrase.pattern.words(phrase.number)}"


def ask(words: str) -> str:
    if words.startswith("the scene"):
        return f"Is {words}?"
    several = words.startswith("exactly") and not words.startswith("exactly one")
    return f"{'Are' if several else 'Is'} there {words}?"


def _intent(steps: list[tuple[str, str]], also: list[tuple[str, str]] = []) -> str:  # noqa: B006 -- never changed
    shown = [t for kind, t in [*also, *steps] if kind == "Addition"]
    text = join([t for t in shown if not t.startswith("the scene")]) or "a picture"
    text += "".join(" " + t.removeprefix("the scene ") for t in shown if t.startswith("the scene"))
    listed = [{"type": kind, "text": t} for kind, t in steps]
    return json.dumps({"steps": listed, "core": text, "enhanced": text, "full": text})


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


async def main(world: DrawnWorld, port: int) -> None:
    from imagescope_agent.chat import open_chats
    from imagescope_agent.chat.web.server import serve

    async with open_chats(world.services) as chats:
        await serve(chats, port=port)


if __name__ == "__main__":
    seed, count = (int(each) for each in sys.argv[3:5] or ("7", "60"))
    asyncio.run(main(DrawnWorld(Path(sys.argv[1]), seed, count), int(sys.argv[2])))
