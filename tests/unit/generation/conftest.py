"""A tiny tokenizer and tiny random models that end blanks now and then."""

import warnings
from dataclasses import asdict

import pytest
import torch

from unblank.api import Unblank
from unblank.models import GlmInfillConfig, GlmInfillForConditionalGeneration
from unblank.tokenization import special_ids
from unblank.tokenization.train import train_tokenizer

TEXT = "the old grey cat sat on a warm mat and saw one small dog run to some far house. "
CORPUS = [TEXT[start:] + TEXT for start in range(40)]


@pytest.fixture(scope="session", params=["wordpiece", "bpe"])
def unblank_of_each_kind(request) -> Unblank:
    return tiny_unblank(request.param)


@pytest.fixture(scope="session")
def tiny() -> Unblank:
    return tiny_unblank("bpe")


@pytest.fixture(scope="session")
def tiny_words() -> Unblank:
    """A model whose tokens are whole characters."""
    return tiny_unblank("wordpiece")


def tiny_unblank(kind: str) -> Unblank:
    with warnings.catch_warnings(action="ignore"):  # the corpus is smaller than the vocabulary
        tokenizer = train_tokenizer(CORPUS, kind=kind, vocab_size=320, show_progress=False)
    ids = asdict(special_ids(tokenizer))
    config = GlmInfillConfig(
        vocab_size=len(tokenizer) + 20,
        tokenizer_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=64,
        initializer_range=0.4,
        **{f"{role}_token_id": token_id for role, token_id in ids.items() if role != "sentinels"},
    )
    torch.manual_seed(3)
    model = GlmInfillForConditionalGeneration(config)
    with torch.no_grad():
        # Blanks end by themselves often enough, and padded rows would win if they were allowed.
        weight = model.model.embed_tokens.weight
        weight[ids["eop"]] *= 1.6
        weight[len(tokenizer) :] *= 2.0
    return Unblank(model, tokenizer)
