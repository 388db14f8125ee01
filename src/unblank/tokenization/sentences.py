"""Where sentences end, by token ids alone: marks of every id, and what they say of a text.

A sentence ends with a token that holds a sentence end of any script (Unicode's Sentence_Terminal,
and marks that Unicode leaves out but texts end with, such as Tibetan's shad), a colon, a semicolon,
an ellipsis or a line end. Scripts that have neither such a mark nor spaces between words, as Thai,
put a space between sentences or clauses: there the space ends a sentence.
"""

from typing import TYPE_CHECKING

import numpy as np
import regex
from numpy.typing import NDArray

from unblank.examples import IntArray

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

__all__ = ["SENTENCE_END", "sentence_breaks", "sentence_end_flags"]

_PAUSES = r";:\n\uff1b\uff1a\u2026\u037e\u061b\u1364\u1366\u1804\ua6f4\ua6f6"
"""Colons and semicolons (Greek, Arabic, Ethiopic, Mongolian and Bamum, too), ellipsis, line end."""
_OTHER_ENDS = r"\u05c3\u0df4\u0e5a\u0e5b\u0f08\u0f0d-\u0f12\u0f14\u10fb\u17da\u2cfe\U00011c71"
"""Ends that Unicode counts as other punctuation: of verses and texts in Hebrew, Sinhala, Thai, old
Georgian, Khmer and Coptic; shads of Tibetan and Marchen."""

SENTENCE_END = regex.compile(rf"[\p{{Sentence_Terminal}}{_PAUSES}{_OTHER_ENDS}]")
"""A character that ends a sentence."""

_UNSPACED = regex.compile(
    r"[\p{Thai}\p{Lao}\p{Tibetan}\p{Tai_Le}\p{New_Tai_Lue}\p{Tai_Viet}--[\u0f0b\u0f0c]]\s*\Z",
    regex.VERSION1,
)
"""The end of a token in a script without spaces between words, where a space ends a sentence; not a
tsheg, which divides Tibetan syllables."""
_WORD = regex.compile(r"\s+([\p{L}\p{N}\ufffd]|\Z)")
"""A space, and the beginning of a word if it is in the same token, if only a part of a letter."""

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
            if _WORD.match(behind.removeprefix("a")):  # which writes one before marks, too
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
