"""What the mini editor is taught: edits that truly lead to one of the candidates, in the words of its prompt."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from random import Random

from imagescope_agent.lab.training.data.edit_turns import edit_turn
from imagescope_agent.lab.training.further import teach
from imagescope_agent.lab.training.mini_edit import EDIT
from imagescope_agent.lab.training.tokenizer import EDIT_TOKENS
from imagescope_agent.mllms.transformers_chat import TransformersChat
from imagescope_agent.nodes.triplets.propose import OPENINGS
from imagescope_agent.replies.parsing import NO_TARGET, parse_edit

ROOT = Path(__file__).parents[3]
SHIPPED = ROOT / "imagescope_agent" / "mini" / "mllm"


def test_answers_are_read_as_the_graph_reads_them() -> None:
    rng, found = Random(4), Counter[str]()
    for _ in range(300):
        turn = edit_turn(rng)
        lines = turn.prompt.split("\n")
        labels = [line[0] for line in lines[1:] if line[1:3] == ": "]
        assert lines[0].startswith("Reference: From left to right") and 1 <= len(labels) <= 3
        assert lines[-3] == f"Pictures: {', '.join(labels)}"
        opening = lines[-2].removeprefix("Begin with: ")
        answer = parse_edit(turn.answer, labels)
        found[str(answer and answer.type)] += 1
        if answer is None:
            assert json.loads(turn.answer) == {"target": NO_TARGET}
        else:
            assert answer.text is not None and (opening == OPENINGS[0] or answer.text.startswith(opening))
    assert set(found) == {"None", "Addition", "Removal", "Modification", "Comparison", "Retention"}
    assert min(found.values()) > 15


def test_a_taught_checkpoint_has_the_tokens_and_can_be_asked(tmp_path: Path) -> None:
    assert teach(EDIT, tmp_path / "work", tmp_path / "made", start=SHIPPED, steps=1, time_limit=0.0)
    vocabulary = json.loads((tmp_path / "made" / "tokenizer.json").read_text())["added_tokens"]
    assert set(EDIT_TOKENS) <= {each["content"] for each in vocabulary} | {'"}'}
    model = TransformersChat(checkpoint=str(tmp_path / "made"), max_tokens=4)
    assert model.invoke("What must be changed?").content is not None
