import pickle
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unblank.objectives.mixture import (
    OBJECTIVES,
    build_objective,
    only,
)
from unblank.objectives.settings import ObjectiveSettings

MIXED = ObjectiveSettings(
    token=5, sentence=3, document=2, masked=1, causal=1, mixed_masks=1, diffusion=1
)


def test_kinds_are_drawn_by_weight(special, sentence_end, make_text) -> None:
    objective = build_objective(MIXED, special, sentence_end, 64)
    text, total = make_text(20), 3000
    rng = np.random.default_rng(0)
    kinds = Counter(objective(text, rng).objective for _ in range(total))
    for name, weight in MIXED.weights().items():
        if weight == 0:
            assert name not in kinds
            continue
        share = weight / 14
        assert abs(kinds[name] / total - share) < 5 * (share * (1 - share) / total) ** 0.5


def test_the_same_seed_keeps_the_kind_when_the_text_gets_shorter(
    special, sentence_end, make_text
) -> None:
    settings = ObjectiveSettings(
        token=1, sentence=1, document=1, masked=1, causal=1, single_span_probability=0.2
    )
    objective = build_objective(settings, special, sentence_end, 128)
    for seed in range(60):
        kinds = {
            objective(make_text(size), np.random.default_rng((seed, 1))).objective
            for size in (1, 17, 100)
        }
        assert len(kinds) == 1


def test_an_objective_is_a_pure_function_of_text_and_seed(special, sentence_end, make_text) -> None:
    objective = build_objective(MIXED, special, sentence_end, 128)
    copy = pickle.loads(pickle.dumps(objective))
    for seed in range(30):
        text = make_text(50, seed)
        before = text.copy()
        first = objective(text, np.random.default_rng(seed))
        second = copy(text, np.random.default_rng(seed))
        np.testing.assert_array_equal(text, before)
        np.testing.assert_array_equal(first.input_ids, second.input_ids)
        np.testing.assert_array_equal(first.labels, second.labels)
        np.testing.assert_array_equal(first.position_ids, second.position_ids)


@given(st.sampled_from(sorted(OBJECTIVES)), st.integers(0, 12), st.booleans(), st.integers(0, 999))
def test_every_kind_works_from_its_minimum_of_tokens_on(
    special, sentence_end, name: str, extra: int, ends: bool, seed: int
) -> None:
    num_words = (2 if name == "causal" else 3) - 1 - ends + extra
    text = np.array([special.cls, *range(num_words), *[special.eos] * ends])
    options = ObjectiveSettings(random_positions=True, block_mask_probability=0.5, mask_ratio=0.4)
    objective = build_objective(only(name, options), special, sentence_end, 64)
    example = objective(text, np.random.default_rng(seed))
    assert example.objective == name
    assert (example.labels >= 0).any()
    assert example.position_ids.shape == (2, len(example))
    assert example.labels.shape == example.input_ids.shape
    assert {example.input_ids.dtype, example.labels.dtype} == {np.dtype(np.int64)}
    assert example.position_ids.dtype == np.int64
    assert 0 <= example.position_ids.min() <= example.position_ids.max() < 64


def test_short_sequences_are_shorter_and_as_frequent_as_asked(
    special, sentence_end, make_text
) -> None:
    settings = ObjectiveSettings(token=0, causal=1, short_sequence_probability=0.25)
    objective = build_objective(settings, special, sentence_end, 256)
    text, rng, total = make_text(200), np.random.default_rng(0), 2000
    lengths = np.array([len(objective(text, rng)) for _ in range(total)])
    share = (lengths < len(text) - 1).mean()
    assert abs(share - 0.25) < 5 * (0.1875 / total) ** 0.5 + 0.005
    assert lengths.min() >= 16


def test_a_misspelt_objective_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ValueError, match=r"'tokens'.*\btoken\b"):
        only("tokens", ObjectiveSettings())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"token": -1.0}, "token is -1"),
        ({"token": float("nan")}, "token is nan"),
        ({"token": 0.0}, "weight 0.*sentence"),
        ({"mask_ratio": 0.0}, "mask_ratio is 0"),
        ({"mask_ratio": 1.5}, r"mask_ratio is 1.5.*\(0, 1\]"),
        ({"mask_ratio": 0.8}, "mask_ratio is 0.8"),
        ({"mean_span_length": 0.0}, "mean_span_length is 0"),
        ({"max_span_length": 0}, "max_span_length is 0.*above 0"),
        ({"block_mask_probability": 1.1}, "block_mask_probability is 1.1"),
        ({"short_sequence_probability": -0.1}, "short_sequence_probability is -0.1"),
        ({"single_span_probability": 2.0}, "single_span_probability is 2"),
        ({"document_suffix_probability": 2.0}, "document_suffix_probability is 2"),
        ({"document_min_ratio": -1.0}, "document_min_ratio is -1"),
    ],
)
def test_settings_out_of_range_are_refused_and_named(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ObjectiveSettings(**options)


def test_settings_import_without_numpy_or_torch() -> None:
    code = "import sys, unblank.objectives.settings; print({'numpy', 'torch'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
