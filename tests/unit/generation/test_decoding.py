"""Choosing tokens: beam search against brute force, drawing against a naive second."""

import itertools
from typing import get_type_hints

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from unblank.generation.beam import BeamDecoder, pick_best
from unblank.generation.decoding import TokenRules, draw, repeated_ngram_ends
from unblank.generation.options import (
    DecodingArguments,
    DecodingOptions,
    GenerationArguments,
    GenerationOptions,
)
from unblank.generation.rows import Prompt
from unblank.generation.setup import DecoderSetup
from unblank.models import GlmInfillConfig, GlmInfillForConditionalGeneration

SOP, END = 8, 9


@pytest.fixture(scope="module")
def toy():
    torch.manual_seed(1)
    return GlmInfillForConditionalGeneration(
        GlmInfillConfig(
            vocab_size=10,
            hidden_size=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=16,
            initializer_range=0.6,
        )
    ).eval()


def test_rules_can_be_read_where_models_are_built_without_memory():
    with torch.device("meta"):
        rules = TokenRules(end_ids=(1,), forbidden_ids=(2,), vocab_size=4, max_tokens=3)
    assert rules.allowed_ids == [0, 3]


def all_pieces(toy, prompt, longest):
    """Every piece of up to `longest` of the tokens 0..4, with its log-probability."""
    found = {}
    for length in range(longest + 1):
        for piece in itertools.product(range(5), repeat=length):
            targets = [*piece, END][: longest if length == longest else length + 1]
            ids = [*prompt.token_ids, SOP, *piece]
            place, size = prompt.blanks[0], len(prompt.token_ids)
            positions = [
                [*range(size), *[place] * (length + 1)],
                [*[0] * size, *range(1, length + 2)],
            ]
            logits = toy(
                torch.tensor([ids]),
                position_ids=torch.tensor(positions)[:, None],
                prefix_lengths=torch.tensor([size]),
                use_cache=False,
            ).logits[0, size:]
            log_p = torch.log_softmax(logits, -1)
            found[piece] = sum(float(log_p[i, target]) for i, target in enumerate(targets))
    return found


@pytest.mark.parametrize("penalty", [0.0, 1.0])
@torch.no_grad()
def test_wide_beams_find_the_best_of_all_pieces(toy, penalty):
    prompt = Prompt((5, 1, 6, 2), (2,))
    rules = TokenRules(end_ids=(END,), forbidden_ids=(5, 6, 7, SOP), vocab_size=10, max_tokens=3)
    options = DecodingOptions(num_beams=200, num_return=5, length_penalty=penalty)
    setup = DecoderSetup(model=toy, options=options, rules=rules, start_id=SOP)
    found = BeamDecoder(setup, [prompt]).run()[0]
    scored = {
        piece: log_p / max(len(piece), 1) ** penalty
        for piece, log_p in all_pieces(toy, prompt, 3).items()
    }
    best = sorted(scored, key=scored.__getitem__, reverse=True)[:5]
    assert [tuple(filling.pieces[0].token_ids) for filling in found] == best


@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(1, 6))
def test_the_best_candidates_are_the_top_of_the_flat_table(seed, num_beams, count):
    generator = torch.Generator().manual_seed(seed)
    log_p = torch.randn(2 * num_beams, 9, generator=generator)
    scores = torch.randn(2, num_beams, generator=generator)
    flat = (log_p.view(2, num_beams, 9) + scores[:, :, None]).flatten(1)
    assert pick_best(log_p, scores, count).tolist() == flat.topk(count).indices.tolist()


def naive_filter(log_p, temperature, top_k, top_p):
    p = np.exp(log_p / temperature)
    order = np.argsort(-p, kind="stable")
    order = order[: top_k or len(order)]
    kept = p[order] / p[order].sum()
    size = 1 + int(np.sum(np.cumsum(kept) < top_p)) if top_p < 1 else len(order)
    filtered = np.zeros(len(p))
    filtered[order[:size]] = kept[:size]
    return filtered / filtered.sum()


@pytest.mark.parametrize(
    ("temperature", "top_k", "top_p"),
    [(1.0, 0, 1.0), (0.7, 4, 1.0), (1.3, 0, 0.6), (0.9, 5, 0.8), (1.0, 1, 1.0), (1.0, 99, 0.5)],
)
def test_drawn_frequencies_are_those_of_the_filtered_distribution(temperature, top_k, top_p):
    rng = np.random.default_rng(0)
    log_p = torch.log_softmax(torch.tensor(rng.normal(size=8) * 1.5, dtype=torch.float32), -1)
    num_draws = 4000
    uniform = ((np.arange(num_draws) + 0.5) / num_draws).tolist()
    drawn = draw(
        log_p.expand(num_draws, -1), uniform, temperature=temperature, top_k=top_k, top_p=top_p
    )
    frequencies = np.bincount(drawn, minlength=8) / num_draws
    expected = naive_filter(log_p.double().numpy(), temperature, top_k, top_p)
    np.testing.assert_allclose(frequencies, expected, atol=1e-3)


@pytest.mark.parametrize("temperature", [1e-3, 1e-40, 5e-324])
def test_the_most_likely_token_is_drawn_at_the_lowest_temperatures(temperature):
    log_p = torch.log_softmax(torch.tensor([[1.0, 3.0, 2.0, -torch.inf]] * 50), -1)
    uniform = (np.arange(50) / 50).tolist()
    assert draw(log_p, uniform, temperature=temperature) == [1] * 50
    assert draw(log_p, uniform, temperature=temperature, top_k=2, top_p=0.5) == [1] * 50


@given(st.lists(st.integers(0, 2), max_size=12), st.integers(1, 4))
def test_banned_tokens_are_those_that_would_repeat_an_ngram(piece, size):
    def ngrams(tokens):
        return [tuple(tokens[i : i + size]) for i in range(len(tokens) - size + 1)]

    before = ngrams(piece)
    repeats = {t for t in range(3) if ngrams([*piece, t])[len(before) :] and
               ngrams([*piece, t])[-1] in before}  # fmt: skip
    assert set(repeated_ngram_ends(piece, size)) == repeats


def test_forbidden_tokens_never_win_and_the_others_keep_their_probability():
    rules = TokenRules(
        end_ids=(1,), forbidden_ids=(0, 1, 4), vocab_size=5, max_tokens=9, min_tokens=2
    )
    logits = torch.tensor([[9.0, 1.0, 2.0, 3.0, 9.0]] * 2)
    expected = torch.log_softmax(logits[0], -1)
    log_p = rules.log_probabilities(logits, [[2], [2, 3]])
    assert log_p[0].isinf().tolist() == [True, True, False, False, True]
    assert log_p[1].isinf().tolist() == [True, False, False, False, True]
    torch.testing.assert_close(log_p[1, 1:4], expected[1:4])


@pytest.mark.parametrize(
    ("options", "arguments"),
    [(DecodingOptions, DecodingArguments), (GenerationOptions, GenerationArguments)],
)
def test_every_option_is_also_a_keyword_argument_of_the_same_type(options, arguments):
    assert get_type_hints(arguments) == get_type_hints(options)
