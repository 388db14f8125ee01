"""Embeddings from co-occurrence: counts and information against naive loops, and what they mean."""

import math
from collections import Counter

import numpy as np
import pytest
import torch

from unblank.models import cooccurrence
from unblank.models.cooccurrence import cooccurrence_embeddings


def documents(count=40, vocabulary=9, seed=3):
    rng = np.random.default_rng(seed)
    return [rng.integers(0, vocabulary, rng.integers(1, 12)) for _ in range(count)]


def naive_counts(texts):
    """(token, neighbour, whether it stands before) -> pairs, each divided by its distance."""
    counts: Counter = Counter()
    for text in texts:
        for place, token in enumerate(text.tolist()):
            for distance in (1, 2):
                if place >= distance:
                    counts[token, int(text[place - distance]), True] += 1 / distance
                if place + distance < len(text):
                    counts[token, int(text[place + distance]), False] += 1 / distance
    return counts


def columns_of(texts, limit):
    frequencies = Counter(np.concatenate(texts).tolist())
    return sorted(range(11), key=lambda token: (-frequencies[token], token))[:limit]


@pytest.mark.parametrize("limit", [4096, 5])
def test_neighbours_are_counted_within_documents(monkeypatch, limit):
    monkeypatch.setattr(cooccurrence, "_MOST_NEIGHBOURS", limit)
    texts = documents()
    found = cooccurrence._neighbour_counts(texts, 11)
    columns = columns_of(texts, min(limit, 11))
    assert found.shape == (11, 2 * len(columns))
    expected = naive_counts(texts)
    for token in range(11):
        for column, neighbour in enumerate(columns):
            for side, is_before in enumerate((True, False)):
                value = float(found[token, side * len(columns) + column])
                assert value == pytest.approx(expected[token, neighbour, is_before])


def test_information_is_that_of_the_formula():
    counts = torch.tensor([[4.0, 0.0, 2.0], [1.0, 3.0, 0.0], [0.0, 0.0, 0.0]])
    found = cooccurrence._positive_information(counts)
    weights = [sum(float(row[column]) for row in counts) ** 0.75 for column in range(3)]
    for row in range(3):
        for column in range(3):
            count = float(counts[row, column])
            total = float(counts[row].sum())
            value = 0.0
            if count:
                share = weights[column] / sum(weights)
                value = max(0.0, math.log(count / total / share))
            assert float(found[row, column]) == pytest.approx(value, abs=1e-5)


def test_tokens_with_the_same_neighbours_are_alike():
    rng = np.random.default_rng(0)
    # Tokens 0..9 stand between 20..29, tokens 10..19 between 30..39.
    texts = []
    for _ in range(600):
        group = rng.integers(2)
        middle, around = rng.integers(10) + 10 * group, rng.integers(0, 10, 2) + 20 + 10 * group
        texts.append(np.array([around[0], middle, around[1]]))
    table = cooccurrence_embeddings(texts, 40, 8, std=0.1, seed=0)
    directions = torch.nn.functional.normalize(table[:20], dim=1)
    likeness = directions @ directions.mT
    within = (likeness[:10, :10].sum() - 10) / 90
    across = likeness[:10, 10:].mean()
    assert within > across + 0.5


def test_all_vectors_have_the_size_asked_for_and_the_generator_is_left_alone():
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    table = cooccurrence_embeddings(documents(), 11, 16, std=0.05, seed=1)  # 9 and 10 do not occur
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.testing.assert_close(table.square().mean(dim=1).sqrt(), torch.full((11,), 0.05))
    assert torch.equal(table, cooccurrence_embeddings(documents(), 11, 16, std=0.05, seed=1))
    assert not torch.equal(table, cooccurrence_embeddings(documents(), 11, 16, std=0.05, seed=2))


def test_a_text_without_pairs_gives_drawn_vectors():
    table = cooccurrence_embeddings([np.array([3])], 6, 4, std=1.0, seed=0)
    assert torch.isfinite(table).all()
    assert torch.linalg.matrix_rank(table) == 4
