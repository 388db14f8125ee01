"""The numbers of a configuration: what no model can have is refused before anything is built.

The limits are far above every real model. They are there so that a damaged or hostile file fails
by name and not by memory.
"""

import math
from typing import Any

__all__ = ["require_possible_sizes"]

_LIMITS = {
    "vocab_size": 2**24,
    "tokenizer_size": 2**24,
    "hidden_size": 2**16,
    "intermediate_size": 2**18,
    "num_attention_heads": 2**12,
    "max_position_embeddings": 2**24,
    "relative_bias_max_distance": 2**24,
} | dict.fromkeys(
    (
        *("num_hidden_layers", "generator_layers", "discriminator_layers"),
        *("encoder_layers", "decoder_layers"),
    ),
    1000,
)
"""Largest value of each field; the smallest is 1."""

_MOST_BUCKETS = 2**12

_SHARES = (
    *("hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout"),
    "discriminator_dropout",
)


def require_possible_sizes(config: Any) -> None:
    """Raise if fields of a configuration have values that no model can have.

    Args:
        config: of a model of this library; it need not have all the fields in the table.

    Raises:
        ValueError: the first such field, with what is allowed.
    """
    for name, largest in _LIMITS.items():
        value = getattr(config, name, None)
        if value is not None and (type(value) is not int or not 1 <= value <= largest):
            raise ValueError(
                f"{name} is {value!r}: it must be a whole number from 1 to {largest:,}"
            )
    if not 0 <= (buckets := getattr(config, "relative_bias_buckets", 0)) <= _MOST_BUCKETS:
        raise ValueError(
            f"relative_bias_buckets is {buckets}: it must be from 0 to {_MOST_BUCKETS:,}"
        )
    for name, value in vars(config).items():
        if name.endswith("_token_id") and value is not None and not 0 <= value < config.vocab_size:
            raise ValueError(
                f"{name} is {value}: it must be an id of the {config.vocab_size:,} in vocab_size"
            )
    for name in _SHARES:
        value = getattr(config, name, None)
        if value is not None and not 0 <= value < 1:
            raise ValueError(f"{name} is {value!r}: it must be at least 0 and below 1")
    for name in ("layer_norm_eps", "initializer_range"):
        value = getattr(config, name)
        if not (math.isfinite(value) and value >= 0):
            raise ValueError(f"{name} is {value!r}: it must be finite and at least 0")
    if config.hidden_size % config.num_attention_heads:
        raise ValueError(
            f"hidden_size ({config.hidden_size}) must be a multiple of num_attention_heads "
            f"({config.num_attention_heads})"
        )
    if config.tokenizer_size is not None and config.tokenizer_size > config.vocab_size:
        raise ValueError(
            f"tokenizer_size ({config.tokenizer_size}) must be at most vocab_size "
            f"({config.vocab_size}), the rows of the embedding table"
        )
