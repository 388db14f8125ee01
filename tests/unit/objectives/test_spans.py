import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unblank.objectives.spans import (
    document_bounds,
    middle_span,
    sample_sentences,
    sample_single_span,
    sample_token_spans,
    sentence_bounds,
    short_stretch,
    span_length_cdf,
    suffix_start,
)

CLS, EOS, END = 50, 51, 7
IS_END = np.arange(52) == END
CDF = span_length_cdf(3.0, 39)

words = st.lists(st.integers(0, 49), min_size=1, max_size=60)
seeds = st.integers(0, 2**32 - 1)


@st.composite
def texts(draw, max_documents: int = 3) -> np.ndarray:
    """`[CLS] words eos`, several times; the last eos may be missing if two words are there."""
    documents = draw(st.lists(words, min_size=1, max_size=max_documents))
    ids = [token for document in documents for token in (CLS, *document, EOS)]
    is_cut = draw(st.booleans()) and len(documents[-1]) > 1
    return np.array(ids[:-1] if is_cut else ids)


def naive_documents(tokens: np.ndarray) -> list[list[int]]:
    found: list[list[int]] = []
    start = 0
    for place, token in enumerate([*tokens.tolist(), EOS]):
        if token == EOS:
            start += start < len(tokens) and tokens[start] == CLS
            if start < place:
                found.append([start, place])
            start = place + 1
    return found


@given(texts())
def test_documents_are_what_lies_between_cls_and_eos(tokens: np.ndarray) -> None:
    assert document_bounds(tokens, CLS, EOS).tolist() == naive_documents(tokens)


@given(texts(), st.floats(0.05, 0.6), seeds)
def test_token_spans_keep_apart_and_keep_cls_eos_and_the_last_token(tokens, ratio, seed) -> None:
    documents = document_bounds(tokens, CLS, EOS)
    spans = sample_token_spans(documents, len(tokens), ratio, CDF, np.random.default_rng(seed))
    assert len(spans) >= 1
    assert (spans[:, 0] < spans[:, 1]).all()
    assert (spans[1:, 0] > spans[:-1, 1]).all(), "ordered, at least one token between"
    for start, end in spans:
        assert not np.isin(tokens[start:end], (CLS, EOS)).any()
        assert end < len(tokens)


@given(st.integers(40, 600), st.floats(0.02, 0.3), seeds)
def test_token_spans_reach_the_ratio_and_stop_with_the_span_that_does(length, ratio, seed) -> None:
    documents = np.array([[1, length - 1]])
    spans = sample_token_spans(documents, length, ratio, CDF, np.random.default_rng(seed))
    lengths = spans[:, 1] - spans[:, 0]
    budget = max(1, int(ratio * length))
    assert lengths.sum() >= budget > lengths.sum() - lengths.max()


@given(st.lists(st.integers(30, 90), min_size=2, max_size=4), seeds)
def test_documents_share_the_masked_tokens_by_length(sizes, seed) -> None:
    tokens = np.concatenate([[CLS, *([1] * size), EOS] for size in sizes])
    documents = document_bounds(tokens, CLS, EOS)
    rng = np.random.default_rng(seed)
    spans = sample_token_spans(documents, len(tokens), 0.15, CDF, rng)
    assert (spans[:, 1] - spans[:, 0]).sum() >= int(0.15 * len(tokens))
    for start, end in documents:
        inside = spans[(spans[:, 0] >= start) & (spans[:, 1] <= end)]
        assert (inside[:, 1] - inside[:, 0]).sum() >= int(0.15 * (end - start))


def test_a_text_of_one_word_is_masked_and_an_empty_one_is_refused() -> None:
    rng = np.random.default_rng(0)
    documents = document_bounds(np.array([CLS, 3, EOS]), CLS, EOS)
    assert sample_token_spans(documents, 3, 0.15, CDF, rng).tolist() == [[1, 2]]
    assert sample_single_span(documents, 3, CDF, rng).tolist() == [[1, 2]]
    nothing = document_bounds(np.array([CLS, EOS]), CLS, EOS)
    with pytest.raises(ValueError, match="2 tokens"):
        sample_token_spans(nothing, 2, 0.15, CDF, rng)
    with pytest.raises(ValueError, match="2 tokens"):
        sample_sentences(nothing, 2, 0.15, rng)


def test_lengths_that_do_not_fit_are_cut_never_dropped_whole() -> None:
    only_long = (np.arange(1, 21) == 20).astype(float)  # every draw is 20 tokens
    documents = np.array([[1, 31]])
    spans = sample_token_spans(documents, 32, 0.9, only_long, np.random.default_rng(0))
    assert (spans[:, 1] - spans[:, 0]).sum() == 29
    assert len(spans) == 2


def test_every_allowed_place_is_reached() -> None:
    rng = np.random.default_rng(0)
    single_tokens = np.array([1.0])
    documents = np.array([[1, 5]])
    draws = [sample_token_spans(documents, 6, 0.4, single_tokens, rng) for _ in range(200)]
    assert {tuple(spans[:, 0].tolist()) for spans in draws} == {(1, 3), (1, 4), (2, 4)}


@pytest.mark.parametrize("longest", [1, 3, 39])
def test_no_span_is_longer_than_the_maximum(longest: int) -> None:
    rng = np.random.default_rng(1)
    cdf = span_length_cdf(3.0, longest)
    spans = sample_token_spans(np.array([[1, 511]]), 512, 0.15, cdf, rng)
    lengths = spans[:, 1] - spans[:, 0]
    assert lengths.max() <= longest
    assert lengths.sum() >= int(0.15 * 512)


@given(texts(), seeds)
def test_a_single_span_lies_in_one_document(tokens: np.ndarray, seed: int) -> None:
    documents = document_bounds(tokens, CLS, EOS)
    ((start, end),) = sample_single_span(
        documents, len(tokens), CDF, np.random.default_rng(seed)
    ).tolist()
    assert any(first <= start < end <= last for first, last in documents.tolist())
    assert end < len(tokens)


def naive_sentences(tokens: np.ndarray) -> list[list[int]]:
    found: list[list[int]] = []
    for start, end in naive_documents(tokens):
        inside, begin = [], start
        for place in range(start, end):
            if tokens[place] == END:
                inside.append([begin, place + 1])
                begin = place + 1
        is_followed_by_eos = end < len(tokens)
        if begin < end and not (inside and is_followed_by_eos):
            inside.append([begin, end])
        found += inside
    return found


@given(texts())
def test_sentences_end_after_a_sentence_end_and_at_a_cut(tokens: np.ndarray) -> None:
    documents = document_bounds(tokens, CLS, EOS)
    assert sentence_bounds(tokens, IS_END, documents).tolist() == naive_sentences(tokens)


@given(texts(max_documents=1), st.floats(0.05, 1.0), seeds)
def test_sentences_are_drawn_until_the_ratio_is_reached(tokens, ratio, seed) -> None:
    sentences = sentence_bounds(tokens, IS_END, document_bounds(tokens, CLS, EOS))
    drawn = sample_sentences(sentences, len(tokens), ratio, np.random.default_rng(seed), 2.0)
    as_pairs = {tuple(span) for span in drawn.tolist()}
    assert len(as_pairs) == len(drawn) >= 1
    lengths = drawn[:, 1] - drawn[:, 0]
    assert lengths.sum() <= max(1, 2 * ratio * len(tokens))
    whole = {tuple(span) for span in sentences.tolist()}
    assert {tuple(span) for span in drawn[:-1].tolist()} <= whole
    start, end = drawn[-1].tolist()
    assert any(first <= start < end <= last for first, last in whole)
    is_cut = (start, end) not in whole
    assert not is_cut or lengths.sum() == max(1, int(ratio * len(tokens)))
    assert lengths[:-1].sum() < max(1, int(ratio * len(tokens)))
    assert len(drawn) == len(sentences) or lengths.sum() >= int(ratio * len(tokens))
    assert lengths.sum() <= max(2 * ratio * len(tokens), 1)
    whole = {tuple(span) for span in sentences.tolist()}
    *others, last = drawn.tolist()
    assert {tuple(span) for span in others} <= whole
    ((start, end),) = (one for one in whole if one[0] <= last[0] and last[1] <= one[1])
    # The last is cut only where the whole of it would be too much.
    is_too_much = lengths[:-1].sum() + end - start > max(2 * ratio * len(tokens), 1)
    assert (last != [start, end]) == is_too_much


@given(st.integers(3, 300), st.floats(0, 1), seeds)
def test_long_spans_have_the_asked_length_and_leave_first_and_last(length, ratio, seed) -> None:
    ((start, end),) = middle_span(length, ratio, np.random.default_rng(seed)).tolist()
    shortest = min(max(1, int(ratio * length)), length - 2)
    assert 1 <= start < end <= length - 1
    assert end - start >= shortest
    suffix = suffix_start(length, ratio, np.random.default_rng(seed))
    assert 1 <= suffix <= length - max(2, shortest)


@given(texts(), seeds)
def test_a_short_stretch_is_a_piece_of_the_text_behind_cls(tokens: np.ndarray, seed: int) -> None:
    short = short_stretch(tokens, IS_END, np.random.default_rng(seed))
    if len(tokens) < 34:
        assert short is tokens
        return
    assert short[0] == CLS
    assert 17 <= len(short) <= len(tokens)
    windows = np.lib.stride_tricks.sliding_window_view(tokens[1:], len(short) - 1)
    assert (windows == short[1:]).all(1).any()
