"""A tiny tokenizer that knows the words of the tasks' examples, and a tiny random GLM."""

import copy
import warnings
from dataclasses import asdict

import pytest
import torch

from unblank.api import Unblank
from unblank.models import GlmInfillConfig, GlmInfillForConditionalGeneration
from unblank.tokenization import special_ids
from unblank.tokenization.special import add_sentinels
from unblank.tokenization.train import train_tokenizer

TEXT = "Yes or No: the cat sat on a mat, so the dog ran. Maybe it is true, false, good or bad? "


@pytest.fixture(scope="session", params=["wordpiece", "bpe"])
def tiny_of_each_kind(request) -> Unblank:
    return tiny_glm(request.param)


@pytest.fixture(scope="session")
def tiny() -> Unblank:
    return tiny_glm("bpe")


def tiny_glm(kind: str = "bpe", max_positions: int = 128, text: str = TEXT) -> Unblank:
    with warnings.catch_warnings(action="ignore"):  # the corpus is smaller than the vocabulary
        tokenizer = train_tokenizer([text] * 30, kind=kind, vocab_size=400, show_progress=False)
    ids = asdict(special_ids(tokenizer))
    config = GlmInfillConfig(
        vocab_size=len(tokenizer),
        tokenizer_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=max_positions,
        initializer_range=0.3,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        **{f"{role}_token_id": given for role, given in ids.items() if isinstance(given, int)},
    )
    torch.manual_seed(3)
    return Unblank(GlmInfillForConditionalGeneration(config), tokenizer)


@pytest.fixture
def tiny_with_sentinels(tiny):
    tokenizer = copy.deepcopy(tiny.tokenizer)
    add_sentinels(tokenizer, 20)
    config = copy.deepcopy(tiny.model.config)
    config.vocab_size = config.tokenizer_size = len(tokenizer)
    torch.manual_seed(4)
    return Unblank(type(tiny.model)(config).eval(), tokenizer)
