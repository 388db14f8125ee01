"""The peers' corruption and the synthetic corpus are what they claim to be."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from unblank.bench.corruption import SyntheticCorpus, t5_span_corruption
from unblank.bench.peers import t5_lengths

FIRST_SENTINEL = 32099


@given(st.integers(20, 600), st.integers(0, 2**32))
def test_t5_corruption_can_be_undone_and_has_the_lengths_of_the_paper(length, seed):
    text = np.arange(100, 100 + length)
    source, target = t5_span_corruption(text, np.random.default_rng(seed), FIRST_SENTINEL)
    assert (len(source), len(target)) == t5_lengths(length)
    assert restored(source.tolist(), target.tolist()) == text.tolist()


def restored(source: list[int], target: list[int]) -> list[int]:
    """Put the runs between the sentinels of both halves back in turn."""
    assert source.pop() == target.pop() == 1
    kept, hidden = runs(source), runs(target)
    assert hidden.pop(0) == []
    pairs = zip(kept, hidden, strict=False)  # a text ends in a hidden run
    return [token for before, after in pairs for token in (*before, *after)]


def runs(ids: list[int]) -> list[list[int]]:
    parts: list[list[int]] = [[]]
    sentinel = FIRST_SENTINEL
    for token in ids:
        if token == sentinel:
            parts.append([])
            sentinel -= 1
        else:
            parts[-1].append(token)
    return parts


def test_synthetic_documents_lie_one_after_the_other():
    corpus = SyntheticCorpus(50, mean_length=30, vocabulary=1000)
    document = corpus.tokens(7, 0, corpus.document_length(7))
    assert len(document) == corpus.document_length(7)
    np.testing.assert_array_equal(corpus.tokens(7, 1, 2), document[1:2])
    assert document.min() >= 16
    assert document.max() < 1000
