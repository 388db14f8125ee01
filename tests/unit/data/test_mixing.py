"""Shares of sources, their exact schedule, and the permutation without memory."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unblank.data.mixing import (
    BLOCK_SIZE,
    SourceSchedule,
    TemperatureSchedule,
    block_quotas,
    size_shares,
)
from unblank.data.permutation import mix, permuted, uniform


def test_mix_is_splitmix64():
    assert mix(0) == 0xE220A8397B1DCDAF  # first output of the published generator with state 0


def test_uniform_fills_the_unit_interval_evenly():
    values = [uniform(3, number) for number in range(20_000)]
    counts, _ = np.histogram(values, bins=20, range=(0, 1))
    assert 0 <= min(values) <= max(values) < 1
    assert np.abs(counts - 1000).max() < 5 * np.sqrt(1000)


@given(size=st.integers(1, 600), key=st.integers(0, 2**64 - 1))
def test_permuted_is_a_bijection(size, key):
    assert sorted(permuted(index, size, key) for index in range(size)) == list(range(size))


def test_permuted_shuffles_differently_by_key():
    orders = {tuple(permuted(index, 50, key) for index in range(50)) for key in range(30)}
    assert len(orders) == 30
    # Each element stands at each place about equally often.
    firsts = np.bincount([permuted(0, 10, key) for key in range(5000)], minlength=10)
    assert np.abs(firsts - 500).max() < 5 * np.sqrt(500)


def test_permuted_serves_huge_ranges():
    size = 10**12
    images = {permuted(index, size, 1) for index in range(1000)}
    assert len(images) == 1000
    assert max(images) > size // 2


def test_permuted_refuses_an_index_outside():
    with pytest.raises(IndexError, match="outside"):
        permuted(5, 5, 0)


@given(st.lists(st.floats(1e-6, 1.0), min_size=1, max_size=200))
def test_quotas_are_the_shares_rounded_and_nobody_starves(weights):
    shares = size_shares(weights)
    quotas = block_quotas(shares)
    assert quotas.sum() == BLOCK_SIZE
    assert quotas.min() >= 1
    if shares.min() * BLOCK_SIZE >= 1:
        assert np.abs(quotas - shares * BLOCK_SIZE).max() < 1


def located(schedule: SourceSchedule, count: int) -> tuple[np.ndarray, np.ndarray]:
    pairs = np.array([schedule.locate(number) for number in range(count)])
    return pairs[:, 0], pairs[:, 1]


@pytest.mark.parametrize(
    "mixture",
    [
        {},
        {"weights": (5, 1, 1)},
        {"alpha": 0.3},
        {"temperature": TemperatureSchedule(start=1, end=3, epochs=3)},
    ],
)
def test_the_samples_of_a_source_are_counted_without_gap(mixture):
    schedule = SourceSchedule([9000, 900, 40], seed=5, **mixture)
    sources, indices = located(schedule, 4 * BLOCK_SIZE)  # more than three epochs
    for source in range(3):
        own = indices[sources == source]
        np.testing.assert_array_equal(own, np.arange(len(own)))


def test_alpha_gives_the_shares_of_the_formula():
    sizes = [100_000, 10_000, 1_000]
    sources, _ = located(SourceSchedule(sizes, seed=1, alpha=0.3), BLOCK_SIZE)
    expected = np.array(sizes) ** 0.3 / (np.array(sizes) ** 0.3).sum()
    np.testing.assert_allclose(np.bincount(sources) / BLOCK_SIZE, expected, atol=1 / BLOCK_SIZE)


def test_alpha_one_is_by_size_and_a_fixed_temperature_is_its_inverse():
    sizes = [700, 300, 55]
    by_size = located(SourceSchedule(sizes, seed=1), 3000)
    alpha_one = located(SourceSchedule(sizes, seed=1, alpha=1.0), 3000)
    np.testing.assert_array_equal(by_size, alpha_one)
    half = located(SourceSchedule(sizes, seed=1, alpha=0.5), 3000)
    fixed = TemperatureSchedule(start=2.0, end=2.0, epochs=1)
    np.testing.assert_array_equal(
        half, located(SourceSchedule(sizes, seed=1, temperature=fixed), 3000)
    )


def test_every_stretch_holds_the_sources_in_nearly_their_shares():
    sources, _ = located(SourceSchedule([1, 1, 1], seed=3, weights=(0.7, 0.2, 0.1)), 4000)
    for start in range(0, 4000, 500):
        counts = np.bincount(sources[start : start + 500], minlength=3)
        assert np.abs(counts - [350, 100, 50]).max() <= 4


def test_temperatures_are_those_of_the_paper():
    schedule = TemperatureSchedule(start=1.0, end=5.0, epochs=5)
    temperatures = [schedule.temperature(epoch) for epoch in range(8)]
    np.testing.assert_allclose(temperatures, [1, 1.8, 2.6, 3.4, 4.2, 5, 5, 5])


def test_the_shares_follow_the_temperature_from_epoch_to_epoch():
    sizes = [3 * BLOCK_SIZE // 2, BLOCK_SIZE // 2]  # an epoch is two blocks
    temperature = TemperatureSchedule(start=1.0, end=5.0, epochs=2)
    sources, _ = located(SourceSchedule(sizes, seed=2, temperature=temperature), 8 * BLOCK_SIZE)
    for epoch, tau in enumerate([1.0, 3.0, 5.0, 5.0]):
        own = sources[2 * epoch * BLOCK_SIZE : 2 * (epoch + 1) * BLOCK_SIZE]
        expected = 3 ** (1 / tau) / (3 ** (1 / tau) + 1)
        assert np.mean(own == 0) == pytest.approx(expected, abs=1 / BLOCK_SIZE)


def test_a_far_sample_is_located_at_once():
    source, index = SourceSchedule([10, 10], seed=0).locate(10**15)
    assert source in (0, 1)
    assert abs(index - 10**15 // 2) < BLOCK_SIZE


@pytest.mark.parametrize(
    ("mixture", "message"),
    [
        ({"weights": (1, 2), "alpha": 0.5}, "weights.*alpha"),
        ({"weights": (1,)}, "2 sources"),
        ({"weights": (1, 0)}, "positive"),
        ({"weights": (1, float("nan"))}, "positive"),
        ({"weights": (1, float("inf"))}, "positive"),
        ({"alpha": float("nan")}, r"alpha.*\[0, 1\]"),
        ({"alpha": 1.5}, r"alpha.*\[0, 1\]"),
    ],
)
def test_impossible_mixtures_are_refused(mixture, message):
    with pytest.raises(ValueError, match=message):
        SourceSchedule([10, 20], seed=0, **mixture)


@pytest.mark.parametrize(
    ("start", "end"), [(3, 2), (0, 2), (math.nan, 2), (1, math.nan), (1, math.inf)]
)
def test_an_impossible_schedule_is_refused(start, end):
    with pytest.raises(ValueError, match=f"start={start}, end={end}"):
        TemperatureSchedule(start=start, end=end, epochs=5)


def test_shares_of_small_data_follow_the_temperature_in_every_epoch():
    temperature = TemperatureSchedule(start=1.0, end=5.0, epochs=5)
    sources, _ = located(SourceSchedule([900, 100], seed=1, temperature=temperature), 8000)
    for epoch in range(8):
        tau = temperature.temperature(epoch)
        share = np.mean(sources[1000 * epoch : 1000 * (epoch + 1)])
        assert share == pytest.approx(1 / (1 + 9 ** (1 / tau)), abs=0.002)


@given(
    sizes=st.lists(st.integers(1, 12_000), min_size=1, max_size=4),
    epochs=st.integers(1, 4),
    seed=st.integers(0, 3),
)
def test_a_schedule_of_any_size_counts_every_source_without_gap(sizes, epochs, seed):
    temperature = TemperatureSchedule(start=1.0, end=4.0, epochs=epochs)
    schedule = SourceSchedule(sizes, seed=seed, temperature=temperature)
    seen = [0] * len(sizes)
    for number in range(min((epochs + 2) * sum(sizes), 10_000)):
        source, index = schedule.locate(number)
        assert index == seen[source]
        seen[source] += 1


def test_alpha_acts_on_tokens():
    sizes, lengths = [1000, 20], [10.0, 500.0]  # 10,000 tokens each
    schedule = SourceSchedule(sizes, seed=1, alpha=0.3, sample_tokens=lengths)
    sources, _ = located(schedule, BLOCK_SIZE)
    tokens = np.bincount(sources, minlength=2) * lengths
    assert tokens[0] / tokens.sum() == pytest.approx(0.5, abs=0.005)
