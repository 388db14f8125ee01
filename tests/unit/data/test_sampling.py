"""Sample number -> example: pure, covering, fitting."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stand_ins import FIRST_WORD, SPECIAL, CountingCorpus, make_sampler, plain_objective

from unblank.data.in_memory import TokenLists
from unblank.data.sampling import MINIMUM_TOKENS, Sampler, SamplingSettings
from unblank.examples import Example
from unblank.objectives.mixture import build_objective
from unblank.objectives.settings import ObjectiveSettings

LENGTHS = [40, 9, 300, 61, 62, 63, 5, 1, 130]


def same(example, other) -> bool:
    fields = ("input_ids", "position_ids", "labels")
    return all(np.array_equal(getattr(example, f), getattr(other, f)) for f in fields)


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=8))
def test_a_sample_depends_on_its_number_only(numbers):
    sampler = make_sampler(LENGTHS, [25] * 30, seed=3)
    examples = [sampler.draw_example(number) for number in numbers]
    fresh = make_sampler(LENGTHS, [25] * 30, seed=3)
    for number, example in reversed(list(zip(numbers, examples, strict=True))):
        assert same(fresh.draw_example(number), example)


def test_another_seed_gives_other_samples():
    one, two = make_sampler(LENGTHS, seed=1), make_sampler(LENGTHS, seed=2)
    assert not all(same(one.draw_example(n), two.draw_example(n)) for n in range(5))


def test_an_epoch_visits_every_chunk_once_in_an_order_of_its_own():
    sampler = make_sampler(LENGTHS, max_length=64)
    orders = []
    for epoch in range(3):
        numbers = range(epoch * sampler.num_chunks, (epoch + 1) * sampler.num_chunks)
        places = [sampler.locate(number) for number in numbers]
        assert {place.epoch for place in places} == {epoch}
        orders.append([(place.document, place.part) for place in places])
    chunks = Counter(document for document, _ in orders[0])
    expected = {d: -(-(n + 1) // 63) for d, n in enumerate(LENGTHS) if n >= MINIMUM_TOKENS}
    assert chunks == expected
    assert len(set(orders[0])) == sampler.num_chunks
    assert sorted(orders[0]) == sorted(orders[1]) == sorted(orders[2])
    assert orders[0] != orders[1] != orders[2]


def test_short_documents_are_counted_not_lost_in_silence():
    sampler = make_sampler([1, 40, 0, 30, MINIMUM_TOKENS], [1, 50])
    assert sampler.num_skipped == 3
    assert sampler.num_chunks == 4


def test_a_source_without_usable_documents_is_refused():
    with pytest.raises(ValueError, match="source 1"):
        make_sampler([40], [1, 1])
    with pytest.raises(ValueError, match="source 0"):
        make_sampler([])


@given(
    length=st.integers(MINIMUM_TOKENS, 500),
    max_length=st.integers(32, 200),
    number=st.integers(0, 10**9),
)
def test_the_text_is_a_window_with_the_end_token_only_at_the_end(length, max_length, number):
    sampler = make_sampler([length], objective=plain_objective, max_length=max_length)
    ids = sampler.draw_example(number).input_ids
    np.testing.assert_array_equal(ids, sampler.text_ids(number))
    assert len(ids) == min(max_length, length + 2)
    assert ids[0] == SPECIAL.cls
    words = ids[1:-1] if ids[-1] == SPECIAL.eos else ids[1:]
    np.testing.assert_array_equal(words, np.arange(words[0], words[0] + len(words)))
    reaches_end = words[-1] - FIRST_WORD == length - 1
    assert (ids[-1] == SPECIAL.eos) == (reaches_end and len(ids) > 1 + len(words))
    if len(words) < max_length - 1:
        assert reaches_end


@pytest.mark.parametrize("length", [100, 1000])
def test_long_documents_are_covered_evenly(length):
    sampler = make_sampler([length], objective=plain_objective, max_length=64)
    epochs = 400
    seen = np.zeros(length)
    ends = 0
    for number in range(epochs * sampler.num_chunks):
        ids = sampler.text_ids(number)
        ends += ids[-1] == SPECIAL.eos
        seen[ids[ids >= FIRST_WORD] - FIRST_WORD] += 1
    rate = seen / epochs
    assert rate.min() > 0.35  # the very first and last token: half as often as others
    if length == 1000:  # two windows of 63 tokens cannot but overlap on 100
        assert rate.max() < 1.7
        assert np.all(np.abs(rate[100:-100] - 1) < 0.15)
    assert ends / epochs > 0.35


@given(number=st.integers(0, 10**9), max_length=st.integers(32, 300))
def test_examples_never_exceed_the_limit_and_use_most_of_it(number, max_length):
    example = make_sampler([5000], max_length=max_length).draw_example(number)
    assert max_length * 0.8 < len(example) <= max_length
    assert example.position_ids[0].max() < max_length


def test_long_texts_fill_their_positions():
    sampler = make_sampler([5000], max_length=512)
    used = [len(sampler.draw_example(number)) for number in range(100)]
    assert np.mean(used) > 0.98 * 512


def test_a_shrunk_sample_still_reaches_the_end_of_its_document():
    sampler = make_sampler([63] * 50, max_length=64)
    ends = [SPECIAL.eos in sampler.draw_example(number).input_ids for number in range(200)]
    assert 0.2 < np.mean(ends) < 0.8


def test_an_objective_that_cannot_fit_is_refused():
    def padded(ids, rng):
        return plain_objective(np.resize(ids, 100), rng)

    with pytest.raises(ValueError, match=r"max_length \(64\)"):
        make_sampler([500], objective=padded).draw_example(0)


@pytest.mark.parametrize(
    "mixture",
    [{"token": 1.0}, {"token": 0.5, "sentence": 0.3, "document": 0.2}, {"causal": 1.0, "token": 0}],
)
def test_the_real_objectives_fit_texts_of_any_length(mixture):
    sentence_end = np.zeros(200_000, dtype=bool)
    sentence_end[FIRST_WORD::11] = True
    options = ObjectiveSettings(**mixture, short_sequence_probability=0.1)
    objective = build_objective(options, SPECIAL, sentence_end, 96)
    corpus = CountingCorpus([*range(MINIMUM_TOKENS, 60), 400], stride=1000)
    sampler = Sampler([corpus], objective, SPECIAL, SamplingSettings(max_length=96))
    for number in range(2 * sampler.num_chunks):
        example = sampler.draw_example(number)
        assert 3 <= len(example) <= 96
        assert (example.labels >= 0).any()


def test_settings_out_of_range_are_refused():
    with pytest.raises(ValueError, match=r"max_length.*\b32\b"):
        SamplingSettings(max_length=8)
    with pytest.raises(ValueError, match=r"seed.*-1"):
        SamplingSettings(seed=-1)


def test_alpha_draws_as_many_tokens_of_short_documents_as_of_long_ones():
    corpora = [TokenLists([[7] * 10] * 1000), TokenLists([[7] * 500] * 20)]
    copy = lambda ids, rng: Example(ids, np.stack([ids, ids]), ids, 0, "copy")  # noqa: E731
    sampler = Sampler(corpora, copy, SPECIAL, SamplingSettings(max_length=512, alpha=0.3))
    drawn = np.zeros(2)
    for number in range(8192):
        place = sampler.locate(number)
        drawn[place.source] += (sampler.text_ids(number) == 7).sum()
    assert drawn[0] / drawn.sum() == pytest.approx(0.5, abs=0.01)
