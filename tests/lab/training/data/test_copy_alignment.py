"""Copy targets: from answers to the prompt."""

from __future__ import annotations

from imagescope_agent.lab.training.data.copy_alignment import copy_sources, next_sources, previous_nouns


def test_a_repeated_word_is_copied_from_the_longest_common_span() -> None:
    request = ["a", "large", "blue", "star", "and", "a", "small", "blue", "fish"]
    answer = ["yes", ":", "a", "blue", "fish"]
    assert copy_sources([hash(w) for w in request], [hash(w) for w in answer]) == [(), (), (), (7,), (8,)]


def test_without_common_tokens_there_is_no_source() -> None:
    assert copy_sources([1, 2, 3], [4, 5]) == [(), ()]
    assert copy_sources([1, 2, 1], [1, 9, 2]) == [(), (), (1,)], "a token that occurs twice, alone, is chance"


def test_tokens_before_a_copied_span_have_its_source() -> None:
    assert next_sources([(), (), (3,), (), (5, 6)], set()) == [(3,), (3,), (3,), (5, 6), (5, 6)]
    far = next_sources([(), *[()] * 6, (2,)], set())
    assert far == [(), (), *[(2,)] * 6]


def test_tokens_before_a_name_have_the_source_of_its_noun() -> None:
    assert next_sources([(), (3,), (4,), (), (8,)], {4}) == [(4,), (3,), (4,), (8,), (8,)]


def test_previous_nouns() -> None:
    assert previous_nouns([7, 1, 8, 2, 3], frozenset({7, 8})) == [None, 0, 0, 2, 2]
