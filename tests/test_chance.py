"""What may be chance is not called a difference: the bounds against exact probabilities."""

from __future__ import annotations

from fractions import Fraction
from itertools import product
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.reporting.chance import FALSE_CALLS, differs, shrink, stands_out


def draw_exactly(part: int, group: int, recovered: int, everything: int) -> Fraction:
    """How probable it is that a group drawn out of all has so many of the recovered."""
    ways = comb(recovered, part) * comb(everything - recovered, group - part)
    return Fraction(ways, comb(everything, group))


@pytest.mark.parametrize("comparisons", [1, 5, 40])
@pytest.mark.parametrize(
    ("group", "recovered", "everything"),
    [(1, 5, 10), (20, 40, 100), (20, 5, 100), (50, 95, 100), (300, 180, 400), (100, 400, 900)],
)
def test_a_group_that_is_like_all_is_hardly_ever_named(
    group: int, recovered: int, everything: int, comparisons: int
) -> None:
    possible = range(max(0, group + recovered - everything), min(group, recovered) + 1)
    named = sum(
        draw_exactly(part, group, recovered, everything)
        for part in possible
        if stands_out(part, group, recovered, everything, comparisons)
    )
    assert named <= FALSE_CALLS / comparisons


def test_a_group_that_is_not_like_all_is_named() -> None:
    assert stands_out(60, 100, 450, 1000, 5) is False
    assert stands_out(120, 200, 450, 1000, 5)
    assert stands_out(0, 30, 500, 1000, 5)
    assert stands_out(30, 30, 500, 1000, 5)


@given(st.lists(st.integers(1, 500), min_size=1, max_size=10), st.integers(1, 5))
def test_amounts_that_fall_into_two_periods_by_chance_are_hardly_ever_called_different(
    amounts: list[int], comparisons: int
) -> None:
    squares = sum(amount**2 for amount in amounts)
    called = sum(
        differs(
            sum(a for a, last in zip(amounts, fell, strict=True) if last),
            sum(amounts) / 2,
            squares,
            comparisons,
        )
        for fell in product((False, True), repeat=len(amounts))
    )
    assert called / 2 ** len(amounts) <= FALSE_CALLS / comparisons


def test_a_change_that_chance_does_not_explain_is_called_one() -> None:
    assert differs(70, 50, 100, 3) is True
    assert differs(60, 50, 100, 3) is False


groups = st.lists(
    st.integers(1, 300).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))),
    min_size=1,
    max_size=12,
)


@given(groups)
def test_each_share_is_drawn_towards_that_of_all_and_lies_within_its_range(
    drawn: list[tuple[int, int]],
) -> None:
    whole = sum(part for part, _ in drawn) / sum(n for _, n in drawn)
    for (part, n), found in zip(drawn, shrink(drawn), strict=True):
        low, high = sorted((part / n, whole))
        assert low - 1e-9 <= found.share <= high + 1e-9
        assert -1e-9 <= found.low <= found.share + 1e-9
        assert found.share - 1e-9 <= found.high <= 1 + 1e-9


def test_groups_that_differ_as_chance_makes_them_differ_are_taken_for_the_same() -> None:
    alike = shrink([(44, 100), (45, 100), (46, 100)])
    assert all(abs(found.share - 0.45) < 0.003 for found in alike)


def test_groups_that_differ_much_keep_their_shares_and_small_ones_the_least() -> None:
    large, opposite, small = shrink([(900, 1000), (100, 1000), (9, 10)])
    assert abs(large.share - 0.9) < 0.005
    assert abs(opposite.share - 0.1) < 0.005
    assert 0.8 < small.share < large.share


def test_no_group_is_no_estimate() -> None:
    assert shrink([]) == []
    (found,) = shrink([(0, 5)])
    assert found.share == 0
    assert found.high < 1
