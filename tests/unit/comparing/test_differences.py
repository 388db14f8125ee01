"""The paired test, against scipy's."""

import pytest
from scipy import stats

from unblank.comparing.differences import paired_difference, two_sided_probability


@pytest.mark.parametrize("degrees", [1, 2, 3, 4, 7, 10])
@pytest.mark.parametrize("statistic", [0.0, -0.4, 1.0, 3.2, 40.0])
def test_the_probability_is_that_of_student(statistic, degrees):
    expected = 2 * stats.t.sf(abs(statistic), degrees)
    assert two_sided_probability(statistic, degrees) == pytest.approx(expected, abs=1e-12)


def test_the_difference_is_that_of_a_paired_test():
    values, references = [3.1, 5.0, 4.2, 2.2], [1.0, 2.5, 3.0, 2.9]
    found, expected = paired_difference(values, references), stats.ttest_rel(values, references)
    assert found.probability == pytest.approx(expected.pvalue)
    assert found.mean / found.error == pytest.approx(expected.statistic)


def test_equal_differences_and_single_seeds_have_no_error():
    always, never = paired_difference([2.0, 3.0], [1.0, 2.0]), paired_difference([1.0], [4.0])
    assert (always.error, always.probability) == (0.0, 0.0)
    assert (never.mean, never.error, never.probability, never.seeds) == (-3.0, None, None, 1)
    with pytest.raises(ValueError, match="no pairs"):
        paired_difference([], [])
