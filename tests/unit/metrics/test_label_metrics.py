"""Metrics against definitions written out by hand, and properties."""

import math
import unicodedata
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unblank.metrics import labels as metrics
from unblank.metrics.spread import bootstrap_error, bootstrap_errors, mean_error

LABELS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=30)


def counts(pairs, positive):
    table = Counter((p == positive, t == positive) for p, t in pairs)
    return table[True, True], table[True, False], table[False, True], table[False, False]


def naive_f1(pairs, positive):
    hits, false_alarms, misses, _ = counts(pairs, positive)
    return 200 * hits / max(2 * hits + false_alarms + misses, 1)


@given(LABELS)
def test_f1_and_matthews_follow_their_definitions(pairs):
    predictions, labels = zip(*pairs, strict=True)
    assert metrics.f1_binary(predictions, labels, positive=1) == pytest.approx(naive_f1(pairs, 1))
    classes = set(predictions) | set(labels)
    macro = sum(naive_f1(pairs, label) for label in classes) / len(classes)
    assert metrics.f1_macro(predictions, labels) == pytest.approx(macro)
    two = [(min(p, 1), min(t, 1)) for p, t in pairs]
    tp, fp, fn, tn = counts(two, 1)
    root = math.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
    expected = 100 * (tp * tn - fp * fn) / root if root else 0.0
    assert metrics.matthews(*zip(*two, strict=True)) == pytest.approx(expected)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=2, max_size=30))
def test_spearman_is_pearson_of_the_ranks(pairs):
    left, right = map(list, zip(*pairs, strict=True))

    def ranks(values):
        return [sum(v < value for v in values) + (values.count(value) + 1) / 2 for value in values]

    assert metrics.spearman(left, right) == pytest.approx(
        metrics.pearson(ranks(left), ranks(right))
    )
    if len(set(left)) > 1 and len(set(right)) > 1:
        expected = 100 * np.corrcoef(left, right)[0, 1]
        assert metrics.pearson(left, right) == pytest.approx(expected)
    else:
        assert metrics.pearson(left, right) == 0.0


def test_a_question_counts_only_if_all_its_answers_are_right():
    predictions, labels = [1, 0, 1, 1], [1, 0, 1, 0]
    assert metrics.question_exact_match(predictions, labels, ["a", "a", "b", "b"]) == 50.0
    assert metrics.question_exact_match(predictions, labels, ["a", "b", "c", "d"]) == 75.0


def test_answers_are_compared_without_case_articles_and_punctuation():
    both = ["Paris", "cafe\u0301 royal"]
    assert metrics.best_answer_scores("the Caf\u00e9 Royal!", both) == (100, 100)
    f1, exact = metrics.best_answer_scores("Royal Cafe of Paris", ["royal cafe", "Rome"])
    assert (round(f1, 1), exact) == (66.7, 0.0)
    assert metrics.token_f1("the", "a") == 100.0
    assert metrics.token_f1("the", "cat") == 0.0


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("\u304b\u304d", "\u304c\u304d"),  # Japanese ka-ki and ga-ki
        ("\u0939\u093f\u0928\u094d\u0926\u0940", "\u0939\u093f\u0928\u0926\u0940"),  # Hindi virama
        ("c\u1ee7a", "cua"),  # Vietnamese
        ("\u0643\u064e", "\u0643"),  # an Arabic vowel
    ],
)
def test_marks_tell_answers_apart(one, other):
    assert metrics.best_answer_scores(one, [other]) == (0, 0)
    for form in ("NFC", "NFD"):
        written = unicodedata.normalize(form, one)
        assert metrics.best_answer_scores(written, [one]) == (100, 100)


def test_errors_of_a_mean_agree():
    values = np.random.default_rng(1).normal(3.0, 2.0, 400).tolist()
    exact = np.std(values, ddof=1) / 20
    assert mean_error(values) == pytest.approx(exact)
    boot = bootstrap_error(lambda items: float(np.mean(items)), values)
    assert boot == pytest.approx(exact, rel=0.2)
    assert mean_error([1.0]) is None
    assert bootstrap_errors(lambda items: [1.0, 2.0], [3]) == [None, None]


@pytest.mark.parametrize("metric", ["f1_binary", "f1_macro", "matthews", "pearson"])
def test_unequal_numbers_and_nothing_at_all_are_refused(metric):
    with pytest.raises(ValueError, match=r"\b2 predictions\b.*\b1\b"):
        getattr(metrics, metric)([1, 0], [1])
    with pytest.raises(ValueError, match="at least one"):
        getattr(metrics, metric)([], [])
