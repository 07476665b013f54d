"""Windows, presentations and replies: every candidate is seen, and no place is favoured."""

from __future__ import annotations

import asyncio

import pytest

from imagescope_agent.errors import UnreadableReply
from imagescope_agent.judges.position_debiasing import presentations
from imagescope_agent.judges.replies import parse_grade, parse_grades, parse_order
from imagescope_agent.judges.siftrank import elbow
from imagescope_agent.judges.sorting import slide, window_starts


@pytest.mark.parametrize("total", [0, 1, 2, 5, 19, 20, 21, 25, 50])
@pytest.mark.parametrize(("window", "stride"), [(20, 10), (5, 3), (4, 4), (3, 7), (1, 1)])
def test_every_candidate_is_seen_and_the_best_rises(total: int, window: int, stride: int) -> None:
    seen: set[int] = set()

    async def reorder(items: list[int]) -> list[int]:
        assert len(items) <= window
        seen.update(items)
        return sorted(items, reverse=True)

    order = asyncio.run(slide(range(total), reorder, window=window, stride=stride))
    assert seen == set(order) == set(range(total))
    if total and stride < window:
        assert order[0] == total - 1
        assert len(window_starts(total, window, stride)) == 1 + max(0, -(-(total - window) // stride))


def test_a_window_that_would_stand_still_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        window_starts(5, 4, 0)


@pytest.mark.parametrize("count", [2, 3, 4, 7, 26])
def test_no_item_has_a_place_or_a_label_twice(count: int) -> None:
    shown = presentations(range(count), count)
    assert len(shown) == count
    for item in range(count):
        places = [each.items.index(item) for each in shown]
        labels = [each.labels[place] for each, place in zip(shown, places, strict=True)]
        assert len(set(places)) == len(set(labels)) == count


def test_orders_are_read_leniently_and_nonsense_is_not() -> None:
    assert parse_order("[2] > [1] > [2] > [9]", 3) == [1, 0]
    assert parse_order('<think>[1]</think> {"order": [3, 1]}', 3) == [2, 0]
    assert parse_order("2, 1, 3", 3) == [1, 0, 2]
    for reply in ("", "the first", "1 or 2", '{"order": []}', "[7]"):
        with pytest.raises(UnreadableReply):
            parse_order(reply, 3)


def test_grades_are_whole_numbers_from_0_to_10() -> None:
    assert [parse_grade(reply) for reply in ("7", "Grade: 10", "3/10", "**0**")] == [0.7, 1.0, 0.3, 0.0]
    assert parse_grades('{"grades": [10, 0]}', 2) == [1.0, 0.0]
    for reply in ("", "11", "7.5", "good"):
        with pytest.raises(UnreadableReply):
            parse_grade(reply)
    with pytest.raises(UnreadableReply):
        parse_grades('{"grades": [1]}', 2)


def test_the_elbow_lies_where_the_scores_bend() -> None:
    assert abs(elbow([0.0, 0.02, 0.04, 0.06, 0.9, 0.92, 0.94, 0.96]) - 4) <= 2
    assert elbow([0.1, 0.2]) == 2
