"""What is taken back in the same breath is replaced, and a negation that excludes something is left alone."""

from __future__ import annotations

import time

import pytest

from imagescope_agent.nodes.chat.language.self_repair import repaired
from imagescope_agent.nodes.chat.language.vocabulary import NO_WORDS
from tests.nodes.test_grounded_update import WORDS


@pytest.mark.parametrize(
    ("message", "meant"),
    [
        ("a grey, um, I mean a yellow wagon", "a yellow wagon"),
        ("there was a crimson... no, a grey kettle and a lantern", "there was a grey kettle and a lantern"),
        ("with two lanterns - sorry, three lanterns", "with three lanterns"),
        ("the kettle ought to be grey, or rather turquoise", "the kettle ought to be turquoise"),
        ("a grey wagon, no wait, yellow", "a yellow wagon"),
        ("put it in the harbour, no, on the moor", "put it on the moor"),
        ("a wagon and a kettle, correction, a lantern", "a wagon and a lantern"),
        ("a tall bird, no, not a bird, a tall wagon", "a tall wagon"),
        ("a wagon without a kettle, I mean without a lantern", "a wagon without a lantern"),
        ("a grey... make that a yellow lantern", "a yellow lantern"),
        ("the grey wagon and the kettle, no, the yellow wagon", "the yellow wagon"),
        ("a grey, um, a yellow wagon", "a yellow wagon"),
        ("a grey wagon, hang on, a yellow wagon", "a yellow wagon"),
        ("two astonishingly grey old lanterns, no, a kettle, no, a wagon", "a wagon"),
    ],
)
def test_a_repair_stands_in_the_place_of_what_it_repairs(message: str, meant: str) -> None:
    assert repaired(message, WORDS) == meant


@pytest.mark.parametrize(
    "message",
    [
        "a grey wagon, no kettle",
        "no, a yellow lantern",
        "is there a wagon? no, a kettle",
        "almost. no, a grey one",
        "a tall wagon, sorry for the trouble",
        "a wagon, actually also a kettle",
        "sorry, turquoise",
        "a wagon. no lanterns, no kettles",
        "the wagon, hmm, grey",
        "a wagon, wait a second",
        "a yellow kettle, no, I do not know",
        "one wagon, no, no lanterns",
        "a wagon and a kettle - sorry, no kettle",
        "a wagon, um, a kettle, and uh, two lanterns",
        "a grey wagon, oh, a kettle as well",
        "a grey wagon, no, a yellow kettle is fine, too",
        "a grey wagon. Actually the kettle was yellow",
        "a grey wagon, no the kettle was not there",
    ],
)
def test_what_repairs_nothing_stays(message: str) -> None:
    assert repaired(message, WORDS) == message


def test_nothing_is_repaired_where_no_words_are_known() -> None:
    assert repaired("a grey, no, a yellow wagon", NO_WORDS) == "a grey, no, a yellow wagon"


@pytest.mark.parametrize("unit", [" ", "um, ", "a grey wagon, no, ", "...", " -", "no, "])
def test_a_long_message_is_read_in_no_time(unit: str) -> None:
    start = time.process_time()  # what other processes do meanwhile does not count
    repaired("a wagon" + (unit * 8000)[:8000] + "a kettle", WORDS)
    assert time.process_time() - start < 15  # cubic, it took minutes
