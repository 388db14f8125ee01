"""A tiny tokenizer and tiny random models that end blanks now and then."""

import copy
import warnings
from dataclasses import asdict
from functools import cache

import pytest
import torch
from transformers import PreTrainedTokenizerFast

from unblank.api import Unblank
from unblank.models import (
    DeltaLMConfig,
    DeltaLMForConditionalGeneration,
    GanLMConfig,
    GanLMForPreTraining,
    GlmInfillConfig,
    GlmInfillForConditionalGeneration,
)
from unblank.tokenization import special_ids
from unblank.tokenization.special import encoder_decoder_ids
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


@cache
def trained_tokenizer(kind: str) -> PreTrainedTokenizerFast:
    with warnings.catch_warnings(action="ignore"):  # the corpus is smaller than the vocabulary
        return train_tokenizer(CORPUS, kind=kind, vocab_size=320, show_progress=False)


def small_tokenizer(kind: str) -> PreTrainedTokenizerFast:
    """Return a tokenizer of the corpus, which may be changed."""
    return copy.deepcopy(trained_tokenizer(kind))


def tiny_unblank(kind: str, num_hidden_layers: int = 2) -> Unblank:
    tokenizer = small_tokenizer(kind)
    ids = asdict(special_ids(tokenizer))
    config = GlmInfillConfig(
        vocab_size=len(tokenizer) + 20,
        tokenizer_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=num_hidden_layers,
        num_attention_heads=4,
        max_position_embeddings=64,
        initializer_range=0.4,
        **{f"{role}_token_id": given for role, given in ids.items() if isinstance(given, int)},
    )
    torch.manual_seed(3)
    model = GlmInfillForConditionalGeneration(config)
    with torch.no_grad():
        # Blanks end by themselves often enough, and padded rows would win if they were allowed.
        weight = model.model.embed_tokens.weight
        weight[ids["eop"]] *= 1.6
        weight[len(tokenizer) :] *= 2.0
    return Unblank(model, tokenizer)


@pytest.fixture(scope="session", params=["deltalm", "ganlm"])
def tiny_encoder_decoder(request):
    """A model and its tokenizer, with a language's tag `__de__`."""
    return encoder_decoder(request.param)


@pytest.fixture(scope="session")
def deltalm_folder(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("deltalm")
    model, tokenizer = encoder_decoder("deltalm")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def encoder_decoder(family: str):
    tokenizer = small_tokenizer("bpe")
    tokenizer.add_tokens(["__de__"], special_tokens=True)
    ids = encoder_decoder_ids(tokenizer)
    sizes = {
        "vocab_size": len(tokenizer) + 12, "tokenizer_size": len(tokenizer), "hidden_size": 32,
        "encoder_layers": 2, "decoder_layers": 1, "num_attention_heads": 4, "bos_token_id": ids.cls,
        "max_position_embeddings": 64, "pad_token_id": ids.pad,
        "eos_token_id": ids.eos, "unk_token_id": ids.unk, "mask_token_id": ids.mask,
        "decoder_start_token_id": ids.sop,
    }  # fmt: skip
    if family == "deltalm":
        model = DeltaLMForConditionalGeneration(DeltaLMConfig(**sizes))
    else:
        model = GanLMForPreTraining(GanLMConfig(**sizes, discriminator_layers=1))
    # Weights whose answers are of many lengths.
    torch.manual_seed(4 if family == "deltalm" else 29)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 2:
                parameter.normal_(std=0.25)
        weight = model.get_input_embeddings().weight
        weight[ids.eos] *= 2.0
        weight[len(tokenizer) :] *= 2.0  # unused rows would win if they were allowed
    return model.eval(), tokenizer
