from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unblank.objectives.seq2seq import build_pair_objective, build_seq2seq_objective
from unblank.objectives.seq2seq_settings import Seq2SeqSettings
from unblank.objectives.span_corruption import noise_spans, span_counts

RULES = st.sampled_from(["unilm", "t5"])


def restored(example, sentinels):
    """Put the spans of the target back where the source has their sentinels."""
    target = np.append(example.decoder_input_ids[:1], example.labels)
    starts = [place for place, token in enumerate(target) if token in sentinels]
    spans = {
        int(target[start]): target[start + 1 : end].tolist()
        for start, end in zip(starts, [*starts[1:], len(target)], strict=True)
    }
    text = []
    for token in example.input_ids.tolist():
        text.extend(spans.get(token, [token]))
    return text


@pytest.mark.parametrize(
    ("ratio", "rule", "noise", "spans"),
    [(0.15, "unilm", 76, 25), (0.15, "t5", 77, 26), (0.5, "unilm", 256, 85)],
)
def test_counts_are_the_published_ones(ratio, rule, noise, spans):
    assert span_counts(512, ratio, 3.0, rule) == (noise, spans)


@given(
    st.integers(2, 300), st.floats(0.01, 0.99), st.floats(1, 6), RULES, st.integers(0, 2**32 - 1)
)
def test_spans_never_touch_and_end_where_the_rule_says(length, ratio, mean, rule, seed):
    spans = noise_spans(length, ratio, mean, rule, np.random.default_rng(seed))
    num_noise, num_spans = span_counts(length, ratio, mean, rule)
    assert len(spans) == num_spans
    assert (spans[:, 1] - spans[:, 0]).sum() == num_noise
    assert (spans[:, 0] < spans[:, 1]).all()
    assert (spans[:-1, 1] < spans[1:, 0]).all()
    if rule == "unilm":
        assert spans[0, 0] >= 0
        assert spans[-1, 1] < length
    else:
        assert spans[0, 0] > 0
        assert spans[-1, 1] == length


@given(st.integers(2, 150), RULES, st.integers(0, 1000))
def test_source_and_target_together_hold_the_text(special, sentence_end, n, rule, seed):
    objective = build_seq2seq_objective(Seq2SeqSettings(span_rule=rule), special, sentence_end, 200)
    text = np.random.default_rng(seed).integers(0, 100, n)
    example = objective(text, np.random.default_rng(seed))
    assert restored(example, special.sentinels) == text.tolist()
    assert (example.decoder_input_ids[1:] == example.labels[:-1]).all()


def example_of(text, special, sentence_end, **options):
    chosen = Seq2SeqSettings(**options)
    objective = build_seq2seq_objective(chosen, special, sentence_end, 200)
    return objective(text, np.random.default_rng(3))


def test_ends_and_starts_are_added_as_asked(special, sentence_end, make_text):
    text = make_text(60)
    plain = example_of(text, special, sentence_end)
    target = np.append(plain.decoder_input_ids[:1], plain.labels)
    count = np.isin(target, special.sentinels).sum()
    t5 = example_of(
        text, special, sentence_end, start_token=True, end_token=True, closing_sentinel=True
    )
    assert t5.labels.tolist() == [*target, special.sentinels[count], special.eos]
    assert t5.decoder_input_ids.tolist() == [special.sop, *t5.labels[:-1]]
    bare = example_of(
        text,
        special,
        sentence_end,
        start_token=True,
        remove_source_sentinels=True,
        remove_target_sentinels=True,
    )
    assert bare.labels.tolist() == [token for token in target if token not in special.sentinels]
    kept = [token for token in plain.input_ids if token not in special.sentinels]
    assert bare.input_ids.tolist() == kept


def test_a_target_without_sentinels_needs_a_start():
    with pytest.raises(ValueError, match="start_token"):
        Seq2SeqSettings(remove_target_sentinels=True)


def test_too_few_sentinels_are_named_before_any_text(special, sentence_end):
    few = replace(special, sentinels=special.sentinels[:3])
    with pytest.raises(ValueError, match=r"\b512\b.*\b25\b.*\b3 sentinels.*num-sentinels"):
        build_seq2seq_objective(Seq2SeqSettings(), few, sentence_end, 512)


def pair(special):
    first, second = np.arange(20), np.arange(50, 80)
    return np.concatenate([[special.cls], first, [special.eos], second, [special.eos]])


@pytest.mark.parametrize(("side", "hidden"), [("source", range(20)), ("target", range(50, 80))])
def test_one_side_of_a_pair_is_corrupted_wherever_it_stands(special, sentence_end, side, hidden):
    chosen = Seq2SeqSettings(pair_mask_side=side)
    objective = build_pair_objective(chosen, special, sentence_end, 100)
    orders = Counter()
    for seed in range(20):
        example = objective(pair(special), np.random.default_rng(seed))
        words = {int(token) for token in example.labels} - set(special.sentinels)
        assert words
        assert words <= {*hidden, special.eos}
        assert set(restored(example, special.sentinels)) == set(pair(special).tolist())
        orders[restored(example, special.sentinels)[1]] += 1
    assert orders.keys() == {0, 50}


def test_half_of_a_pair_is_hidden_on_both_sides(special, sentence_end):
    chosen = Seq2SeqSettings(swap_pairs=False)
    objective = build_pair_objective(chosen, special, sentence_end, 100)
    example = objective(pair(special), np.random.default_rng(0))
    hidden = [token for token in example.labels if token not in special.sentinels]
    assert len(hidden) == len(pair(special)) // 2
    assert min(hidden) < 20
    assert max(token for token in hidden if token < 100) >= 50
    assert restored(example, special.sentinels) == pair(special).tolist()
