"""What a model may continue from: caches that hold earlier tokens and nothing else."""

from transformers.cache_utils import Cache

__all__ = ["count_cached"]


def count_cached(past_key_values: Cache | None) -> int:
    """Return the number of earlier tokens in a cache.

    Args:
        past_key_values: the cache; None for no earlier tokens.

    Raises:
        ValueError: a static cache.
    """
    if past_key_values is None:
        return 0
    if past_key_values.is_compileable:
        raise ValueError(
            "past_key_values is a static cache, which this model cannot use, as every query would "
            "see its empty places: leave it out, or set cache_implementation='dynamic'"
        )
    return int(past_key_values.get_seq_length())
