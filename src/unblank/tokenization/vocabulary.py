"""The size of a vocabulary, as models want it."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

__all__ = ["count_ids", "padded_vocab_size"]


def count_ids(tokenizer: "PreTrainedTokenizerFast") -> int:
    """Return the rows that a table of embeddings needs for every id of a tokenizer.

    That is more than there are tokens where ids are left out.
    """
    return 1 + max(tokenizer.get_vocab().values(), default=-1)


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
