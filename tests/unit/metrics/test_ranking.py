"""Ranks with ties against the mean over all orders of the candidates; agreement by plain loops."""

from itertools import permutations
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unblank.metrics.agreement import agreement_of_languages
from unblank.metrics.ranking import places_of, precision_at, reciprocal_rank


@given(st.lists(st.integers(0, 3), min_size=1, max_size=5), st.integers(0, 4), st.integers(1, 6))
def test_ties_count_as_the_mean_over_all_orders(scores, right, num_taken):
    right %= len(scores)
    ranks = []
    for order in permutations(range(len(scores))):
        ranked = sorted(order, key=lambda candidate: -scores[candidate])  # keeps the order of ties
        ranks.append(ranked.index(right) + 1)
    places = places_of(scores, right)
    among = fmean(rank <= num_taken for rank in ranks)
    assert precision_at(num_taken, *places) == pytest.approx(among)
    assert reciprocal_rank(*places) == pytest.approx(fmean(1 / rank for rank in ranks))


def test_agreement_is_the_mean_over_the_other_languages():
    answers = {
        "de": {"a": 1, "b": 2, "c": 3},
        "fr": {"a": 1, "b": 5},
        "zh": {"b": 2, "c": 9, "d": 4},
        "yo": {"z": 1},
    }
    assert agreement_of_languages(answers) == {
        "de": (pytest.approx((1 / 2 + 1 / 2) / 2), 4),  # a of a, b; b of b, c
        "fr": (pytest.approx((1 / 2 + 0) / 2), 3),
        "zh": (pytest.approx((1 / 2 + 0) / 2), 3),
    }
