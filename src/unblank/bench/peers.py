"""The peers in the race, from transformers, as their users run them.

fp32, sdpa where the model has it, logits at all positions, and the optimiser that the Trainer of
transformers takes by default (fused AdamW). Dropout is off everywhere, ours too. A text of N tokens
is corrupted as each peer's paper does it, so that their steps carry the same original text.
"""

import torch
from torch import nn
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    BertConfig,
    BertForMaskedLM,
    T5Config,
    T5ForConditionalGeneration,
)

from unblank.bench.sizes import SIZES, Size
from unblank.bench.worker import Workload
from unblank.examples import IGNORE_INDEX

__all__ = ["bart_config", "build_t5"]

_MASK_RATIO = 0.15
_BART_MASK_RATIO = 0.30
_MEAN_SPAN = 3.0


def bert_training(size: str) -> Workload:
    """Return a masked-language-model step of BERT (15 % of the tokens are predicted)."""
    shape = SIZES[size]
    config = BertConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.width,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        intermediate_size=4 * shape.width,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    input_ids = _random_ids(shape, shape.text)
    labels = torch.where(torch.rand(input_ids.shape) < _MASK_RATIO, input_ids, IGNORE_INDEX)
    return _training(BertForMaskedLM(config), shape, input_ids=input_ids, labels=labels)


def t5_training(size: str) -> Workload:
    """Return a span-corruption step of T5: 15 % of the tokens, spans of 3, sentinels."""
    shape = SIZES[size]
    source, target = t5_lengths(shape.text)
    return _training(
        build_t5(shape),
        shape,
        input_ids=_random_ids(shape, source),
        labels=_random_ids(shape, target),
    )


def bart_training(size: str) -> Workload:
    """Return a denoising step of BART: masks for 30 % in spans of 3; the target is the text."""
    shape = SIZES[size]
    masked = round(shape.text * _BART_MASK_RATIO)
    source = shape.text - masked + round(masked / _MEAN_SPAN)
    return _training(
        BartForConditionalGeneration(bart_config(shape)),
        shape,
        input_ids=_random_ids(shape, source),
        labels=_random_ids(shape, shape.text),
    )


def bart_config(size: Size) -> BartConfig:
    """Return a BART of the same width, with as many layers on each side."""
    return BartConfig(
        vocab_size=size.vocabulary,
        d_model=size.width,
        encoder_layers=size.layers,
        decoder_layers=size.layers,
        encoder_attention_heads=size.heads,
        decoder_attention_heads=size.heads,
        encoder_ffn_dim=4 * size.width,
        decoder_ffn_dim=4 * size.width,
        dropout=0.0,
    )


def build_t5(size: Size) -> T5ForConditionalGeneration:
    """Return a T5 of the same width, with as many layers on each side."""
    torch.manual_seed(0)
    config = T5Config(
        vocab_size=size.vocabulary,
        d_model=size.width,
        d_ff=4 * size.width,
        d_kv=size.width // size.heads,
        num_layers=size.layers,
        num_decoder_layers=size.layers,
        num_heads=size.heads,
        dropout_rate=0.0,
        decoder_start_token_id=0,
    )
    return T5ForConditionalGeneration(config)


def t5_lengths(text: int) -> tuple[int, int]:
    """Return the encoder's and the decoder's length for a text, ends included.

    Example:
        >>> t5_lengths(256)
        (232, 52)
    """
    noise = round(text * _MASK_RATIO)
    spans = round(noise / _MEAN_SPAN)
    return text - noise + spans + 1, noise + spans + 1


def _random_ids(size: Size, length: int) -> torch.Tensor:
    return torch.randint(8, size.vocabulary, (size.batch, length))


def _training(model: nn.Module, size: Size, **inputs: torch.Tensor) -> Workload:
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)

    def step() -> float:
        model(**inputs).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return size.text_tokens

    return step
