"""The size of a vocabulary, as models want it."""

__all__ = ["padded_vocab_size"]


def padded_vocab_size(num_tokens: int, multiple: int = 64) -> int:
    """Return `num_tokens` rounded up to a multiple: the rows of the embedding matrix.

    Raises:
        ValueError: if either number is not positive.

    Example:
        >>> padded_vocab_size(30000), padded_vocab_size(128)
        (30016, 128)
    """
    if num_tokens < 1 or multiple < 1:
        raise ValueError(f"both must be positive: num_tokens={num_tokens}, multiple={multiple}")
    return -(-num_tokens // multiple) * multiple
