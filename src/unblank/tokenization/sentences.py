"""Where sentences end, by token ids alone: marks of every id, and what they say of a text.

A sentence ends with a token that holds a sentence end of any script (Unicode's Sentence_Terminal),
a colon, a semicolon, an ellipsis or a line end. Scripts that have neither such a mark nor spaces
between words, as Thai, put a space between sentences or clauses: there the space ends a sentence.
"""

from typing import TYPE_CHECKING

import numpy as np
import regex
from numpy.typing import NDArray

from unblank.examples import IntArray

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

__all__ = ["SENTENCE_END", "sentence_breaks", "sentence_end_flags"]

SENTENCE_END = regex.compile(r"[\p{Sentence_Terminal};:\n\uff1b\uff1a\u2026]")
"""A character that ends a sentence."""

_UNSPACED = regex.compile(r"[\p{Thai}\p{Lao}\p{Tibetan}\p{Tai_Le}\p{New_Tai_Lue}\p{Tai_Viet}]\s*\Z")
"""The end of a token in a script without spaces between words, and without sentence ends."""

_ENDS, _IS_UNSPACED, _BEGINS_WORD = 1, 2, 4
"""The marks of an id, as bits."""


def sentence_end_flags(tokenizer: "PreTrainedTokenizerFast") -> NDArray[np.uint8]:
    """Return for each id what it says of sentences, as `sentence_breaks` reads it.

    Special tokens say nothing. In a byte-level vocabulary, neither does a token that is a part of
    a character.

    Returns:
        uint8[V], V the number of ids of the tokenizer.
    """
    vocabulary: dict[str, int] = tokenizer.get_vocab()
    decoder = tokenizer.backend_tokenizer.decoder
    special = {i for i, token in tokenizer.added_tokens_decoder.items() if token.special}
    ordinary = {token: i for token, i in vocabulary.items() if i not in special}
    flags = np.zeros(max(vocabulary.values()) + 1, dtype=np.uint8)
    for token, token_id in ordinary.items():
        text = decoder.decode([token]) if decoder else token
        if SENTENCE_END.search(text):
            flags[token_id] = _ENDS
        elif _UNSPACED.search(text):
            flags[token_id] = _IS_UNSPACED
    if (flags & _IS_UNSPACED).any():
        for token, token_id in ordinary.items():
            # Behind another token a decoder writes the space with which a word begins.
            behind = decoder.decode(["a", token]) if decoder else f" {token}"
            if behind.removeprefix("a")[:1].isspace():
                flags[token_id] |= _BEGINS_WORD
    return flags


def sentence_breaks(tokens: IntArray, flags: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return after which tokens of a text a sentence ends.

    Args:
        tokens: int64[T], the text of one document or a part of it.
        flags: uint8[V], from `sentence_end_flags`.

    Returns:
        bool[T].
    """
    marks = flags[tokens]
    is_unspaced = (marks & _IS_UNSPACED) > 0
    is_end: NDArray[np.bool_] = (marks & _ENDS) > 0
    is_end[:-1] |= is_unspaced[:-1] & ((marks[1:] & _BEGINS_WORD) > 0)
    is_end[-1:] |= is_unspaced[-1:]
    return is_end
