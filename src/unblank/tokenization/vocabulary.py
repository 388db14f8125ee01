"""Facts about a whole vocabulary that objectives and models ask for. Nothing here is trained."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

__all__ = ["SENTENCE_ENDS", "padded_vocab_size", "sentence_end_flags"]

SENTENCE_ENDS = frozenset(".?!;:\n\u3002\uff1f\uff01\uff1b\uff1a\u2026")
"""Characters that end a sentence: Latin ones, their CJK forms, the ellipsis, the line end."""


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


def sentence_end_flags(tokenizer: "PreTrainedTokenizerFast") -> NDArray[np.bool_]:
    """Return for each id whether its token ends a sentence, as sentence spans need it.

    A token ends a sentence if its text holds any of `SENTENCE_ENDS`; special tokens never do.

    Returns:
        bool[V], V the number of ids of the tokenizer.
    """
    vocabulary: dict[str, int] = tokenizer.get_vocab()
    decoder = tokenizer.backend_tokenizer.decoder
    special = {i for i, token in tokenizer.added_tokens_decoder.items() if token.special}
    flags = np.zeros(max(vocabulary.values()) + 1, dtype=np.bool_)
    for token, token_id in vocabulary.items():
        text = decoder.decode([token]) if decoder else token
        flags[token_id] = token_id not in special and not SENTENCE_ENDS.isdisjoint(text)
    return flags
