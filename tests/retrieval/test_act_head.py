"""The head over a sentence encoder that reads what messages do, beside the classifier."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from imagescope_agent.dialogue_acts import ACTS, LABELS
from imagescope_agent.doctor.checks import check
from imagescope_agent.errors import BadInput
from imagescope_agent.lab.training import act_head as training
from imagescope_agent.mllms.role import Request
from imagescope_agent.profiles.profile import load_profile
from imagescope_agent.prompting import load_prompt
from imagescope_agent.retrieval.embedders.act_head import ActHead, features, open_act_head
from imagescope_agent.retrieval.embedders.backbones import TEXT
from imagescope_agent.services import _embedder, open_roles

installed = pytest.mark.skipif(
    find_spec(TEXT["all-minilm-l6-v2"].module) is None, reason="pip install 'imagescope-agent[photos]'"
)
QUESTION = "Does the picture you are looking for show a tree?"
#: In words that neither the classifier nor the head was taught.
SAID = {
    "can't bring that back to mind": "skip",
    "fire away with more": "more",
    "what's the score": "aside",
    "erase it all, we begin again": "restart",
    "let's do a completely new one": "restart",
}


class Letters:
    """Stands for a sentence encoder of four numbers: how often a text has each of four letters."""

    backbone, weights = SimpleNamespace(width=4), "letters"

    def texts(self, texts: Sequence[str]) -> Any:
        counts = np.array([[text.count(letter) + 0.1 for letter in "aeno"] for text in texts], np.float32)
        return counts / np.linalg.norm(counts, axis=1, keepdims=True)


ENCODER: Any = Letters()


def some_head(**bias: float) -> ActHead:
    """A head that says the same of every text."""
    return ActHead(
        ENCODER,
        np.zeros((len(ACTS), 7), np.float32),
        np.array([bias.get(act, 0.0) for act in ACTS], np.float32),
    )


def opened() -> ActHead | None:
    """That of the profile `mini`."""
    profile = load_profile("mini")
    return open_act_head(profile.act_head, profile.sentence_encoder)


def best(rows: Any) -> list[str]:
    return [ACTS[int(place)] for place in np.argmax(rows, axis=1)]


@installed
def test_wordings_that_nobody_taught_are_read_by_their_sense() -> None:
    head = opened()
    assert head is not None
    role, prompt = open_roles(load_profile("mini"))["classifier"], load_prompt("acts", prompt_set="mini")
    asked = [
        Request(text=prompt.fill(standing="a car", question=QUESTION, whole=each, part=each)) for each in SAID
    ]
    rows = asyncio.run(role.choose(asked, LABELS)).probabilities
    both = best(head.beside(rows, list(SAID), QUESTION))
    assert both == list(SAID.values())
    assert sum(a == b for a, b in zip(best(rows), SAID.values(), strict=True)) <= 2  # the classifier alone


@installed
def test_what_says_something_is_still_heard() -> None:
    head = opened()
    assert head is not None
    said = ["there was a brown dog beside it", "at the foot of a snowy hill", "it ought to be a green bike"]
    assert best(head.read(said, "")) == ["wish"] * 3
    assert best(head.read(["that is so"], QUESTION)) == ["answer"]


def test_two_readings_are_one_by_the_mean_of_their_logarithms() -> None:
    sure, row = [0.0] * len(ACTS), [0.01] * len(ACTS)
    row[ACTS.index("wish")], row[ACTS.index("skip")] = 0.6, 0.32
    (found,) = some_head(skip=3.0).beside([row], ["no"], "")
    assert ACTS[int(np.argmax(found))] == "skip" and sum(found) == pytest.approx(1)
    odds = found[ACTS.index("skip")] / found[ACTS.index("wish")]
    assert odds == pytest.approx((0.32 / 0.6 * np.exp(3)) ** 0.5)
    sure[ACTS.index("withdrawal")] = 1.0  # a classifier that knows no new start
    assert best(some_head(restart=2.0).beside([sure], ["no"], "")) == ["restart"]


def test_a_question_is_a_feature_and_none_is_not() -> None:
    rows = features(ENCODER, ["no", "no", "no"], ["", "Where is it?", "Is it near?"])
    assert rows.shape == (3, 7) and rows[0, 4:].tolist() == [0, 0, 0]
    assert rows[1, 4:6].tolist() == [1, 0] and rows[2, 4:6].tolist() == [1, 1] and 0 < rows[2, 6] < 1


def test_a_head_of_another_encoder_or_none_is_refused(tmp_path: Path) -> None:
    place = tmp_path / "head.safetensors"
    some_head(wish=1.0).save(place)
    assert best(ActHead.load(place, ENCODER).read(["no"], "")) == ["wish"]
    other: Any = Letters()
    other.weights = "others"
    for path, encoder in ((place, other), (tmp_path / "nothing", ENCODER)):
        with pytest.raises(BadInput, match="train mini-act-head"):
            ActHead.load(path, encoder)
    some_head(wish=float("nan")).save(place)
    with pytest.raises(BadInput, match="train mini-act-head"):
        ActHead.load(place, ENCODER)
    place.write_bytes(b"\x00" * 40)
    with pytest.raises(BadInput, match="train mini-act-head"):
        ActHead.load(place, ENCODER)


def test_training_makes_the_same_head_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "GENERATED", 60)
    monkeypatch.setattr(training, "open_sentence_encoder", lambda name: ENCODER)
    first, second = tmp_path / "first", tmp_path / "second"
    found = training.train_act_head(first)
    assert found == training.train_act_head(second) and found["examples"] > 2000
    one, other = load_file(first), load_file(second)  # the order of a header is not told
    assert one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


def test_it_is_small() -> None:
    assert Path(str(load_profile("mini").act_head)).stat().st_size < 10_000


def test_without_the_package_there_is_none_and_doctor_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "imagescope_agent.retrieval.embedders.act_head.open_sentence_encoder", lambda name: None
    )
    monkeypatch.setattr("imagescope_agent.doctor.checks.open_roles", lambda profile: {})
    assert opened() is None
    monkeypatch.setattr("imagescope_agent.services.open_sentence_encoder", lambda name: None)
    profile = load_profile("mini")
    embedder = _embedder.__wrapped__(profile.embedder, profile.domain, profile.sentence_encoder)
    monkeypatch.setattr("imagescope_agent.doctor.checks.open_embedder_of", lambda profile: embedder)
    monkeypatch.setattr("imagescope_agent.doctor.encoder_uses.open_embedder_of", lambda profile: embedder)
    findings = check("mini").findings
    (told,), (words,) = ([each for each in findings if each.what == name] for name in ("messages", "words"))
    assert words.ok and "not taught are not read as others; pip install" in words.detail
    assert told.ok and "the classifier reads messages alone; pip install" in told.detail
