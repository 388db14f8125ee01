"""Shares and passes of sources, against counting the samples one by one."""

import io
from collections import Counter

import numpy as np
import pytest
from rich.console import Console

from unblank.data.mixing import SourceSchedule, TemperatureSchedule
from unblank.pretraining.language_scores import equal_numbers
from unblank.pretraining.language_shares import LanguageShare, shares_table

SIZES = [9000, 700, 40]


@pytest.mark.parametrize(
    "mixture",
    [
        {},
        {"alpha": 0.3, "sample_tokens": [100.0, 20.0, 5.0]},
        {"temperature": TemperatureSchedule(start=1.0, end=5.0, epochs=2)},
    ],
)
def test_samples_are_counted_as_they_are_drawn(mixture):
    schedule = SourceSchedule(SIZES, seed=3, **mixture)
    drawn = [schedule.locate(number)[0] for number in range(21_000)]
    for number in (0, 1, 500, 8192, 9740, 20_999):
        expected = [Counter(drawn[:number])[source] for source in range(3)]
        assert schedule.count_before(number).tolist() == expected


def test_shares_by_alpha_are_those_of_the_formula():
    counts = SourceSchedule(SIZES, seed=0, alpha=0.3).count_before(8192 * 4)
    wanted = np.array(SIZES) ** 0.3
    np.testing.assert_allclose(counts / counts.sum(), wanted / wanted.sum(), atol=2e-4)


class Places:
    """Samples of three sources in turn, of which the last has only two."""

    def locate(self, number):
        class Place:
            source = number % 3
            epoch = number // 3 // 2 if number % 3 == 2 else 0

        return Place


def test_every_source_gives_as_many_samples_but_none_twice():
    numbers = equal_numbers(Places(), 3, 12)
    assert Counter(number % 3 for number in numbers) == {0: 4, 1: 4, 2: 2}
    assert len(equal_numbers(Places(), 3, 1)) == 3


def printed(shares, **settings):
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(shares_table(shares, **settings))
    return console.export_text()


def test_many_languages_share_rows_unless_all_are_wanted():
    shares = [LanguageShare(f"l{n:02}", 10, 10 ** (n % 3 + 3), 0.01, 1.5) for n in range(30)]
    grouped = printed(shares, is_verbose=False)
    assert grouped.count("or more") == 3
    assert "100,000 or more" in grouped
    assert "10.00%" in grouped
    assert all(f"l{n:02}" in printed(shares, is_verbose=True) for n in range(30))
    assert "1.50" not in printed([LanguageShare("de", 1, 9, 1.0, None)], is_verbose=False)
