"""Warnings of text that a tokenizer has no token for, and that is lost to the model.

Byte-level BPE, and Unigram with tokens for bytes, spell every text. WordPiece does not: a word with
a character of no piece, or of more than 100 characters, becomes one unknown token, however long.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING
from warnings import warn
from weakref import WeakSet

from unblank.plurals import counted

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

__all__ = ["note_unknown"]

_SHOWN = 20
"""Characters of a lost word that are shown."""

_noted: "WeakSet[PreTrainedTokenizerFast]" = WeakSet()


def note_unknown(
    tokenizer: "PreTrainedTokenizerFast", texts: Sequence[str], ids: Sequence[Sequence[int]]
) -> None:
    """Warn of words that the tokenizer has no token for, once for each tokenizer.

    Warns:
        UserWarning: with the first word that is lost, and how many tokens are unknown.
    """
    unk = tokenizer.unk_token_id
    if unk is None or tokenizer in _noted:
        return
    num_unknown = sum(unk in of_text and list(of_text).count(unk) for of_text in ids)
    if not num_unknown:
        return
    _noted.add(tokenizer)
    num_tokens = sum(map(len, ids))
    first = next(text for text, of_text in zip(texts, ids, strict=True) if unk in of_text)
    are = "is" if num_unknown == 1 else "are"
    warn(
        f"{num_unknown:,} of {counted(num_tokens, 'token')} of the text {are} unknown to the "
        f"tokenizer ({tokenizer.unk_token}), and what stands there is lost: the first for "
        f"{_first_lost(tokenizer, first, unk)}; later texts are not looked at",
        stacklevel=3,
    )


def _first_lost(tokenizer: "PreTrainedTokenizerFast", text: str, unk: int) -> str:
    encoded = tokenizer([text], add_special_tokens=False, split_special_tokens=True, verbose=False)
    (encoding,) = encoded.encodings
    lost = text[slice(*encoding.offsets[encoding.ids.index(unk)])]
    if len(lost) <= _SHOWN:
        return repr(lost)
    return f"{lost[:_SHOWN] + '...'!r} ({counted(len(lost), 'character')})"
