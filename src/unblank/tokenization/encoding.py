"""Text to ids and back, with a firm line between text and control.

A document is only text: `[MASK]` or `<|endoftext|>` written in it are spelt out like any word
(`encode_texts`). Where the caller says that a text holds blanks, the three blank tokens, and only
they, become ids (`encode_with_blanks`).

White space at a blank belongs to the words as the tokenizer cuts them: "I saw [MASK] dog" is
"I", " saw", [MASK], " dog". The space before a blank is the beginning of what fills it, so it is
taken away when encoding and shown again when decoding.
"""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from unblank.tokenization.special import BLANK_TOKENS, special_ids
from unblank.tokenization.unknown_text import note_unknown
from unblank.unicode import require_unicode
from unblank.untrusted.panics import panics_named

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

__all__ = [
    "decode_with_blanks",
    "encode_around_blanks",
    "encode_between_blanks",
    "encode_texts",
    "encode_with_blanks",
    "text_encoder",
]

_BLANK = re.compile("(" + "|".join(map(re.escape, BLANK_TOKENS)) + ")")
_WORD_START = "\u2581"


def encode_texts(
    tokenizer: "PreTrainedTokenizerFast", texts: Sequence[str], *, warn_on_unknown: bool = True
) -> list[list[int]]:
    """Return the ids of each text, read as plain text throughout; nothing is added.

    Args:
        tokenizer: a transformers tokenizer.
        texts: any strings.
        warn_on_unknown: warn of what is lost; not where the words are not a user's, or are counted.

    Raises:
        ValueError: a text holds a lone surrogate, or the tokenizer's own patterns fail on one.

    Warns:
        UserWarning: once a tokenizer, that it has no token for a word, if `warn_on_unknown`.
    """
    if not texts:  # of which transformers makes an error
        return []
    for text in texts:
        require_unicode(text, "the text")
    with panics_named():
        encoded = tokenizer(
            list(texts),
            add_special_tokens=False,
            split_special_tokens=True,
            return_attention_mask=False,
            return_token_type_ids=False,
            verbose=False,
        )
    ids: list[list[int]] = encoded["input_ids"]
    if warn_on_unknown:
        note_unknown(tokenizer, texts, ids)
    return ids


def text_encoder(tokenizer: "PreTrainedTokenizerFast") -> "Tokenizer":
    """Return an independent core of the tokenizer that reads special tokens in text as text.

    For encoding in bulk: `encode_batch_fast(texts, add_special_tokens=False)` on it gives what
    `encode_texts` gives, without changing or sharing the state of `tokenizer`.
    """
    from tokenizers import Tokenizer

    core = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    core.encode_special_tokens = True
    core.no_truncation()
    core.no_padding()
    return core


def encode_with_blanks(tokenizer: "PreTrainedTokenizerFast", text: str) -> list[int]:
    """Return the ids of a text in which `[MASK]`, `[sMASK]` and `[gMASK]` are blanks.

    All else is text, other special tokens included. One space before a blank is taken as part of
    the answer. Nothing is added at the ends.

    Raises:
        ValueError: if the tokenizer lacks the special tokens.

    Example:
        With a byte-level BPE, `"a [MASK] c"` becomes the ids of "a", `[MASK]`, " c".
    """
    parts = _BLANK.split(text)
    return encode_around_blanks(tokenizer, parts[0::2], parts[1::2])


def encode_around_blanks(
    tokenizer: "PreTrainedTokenizerFast", parts: Sequence[str], blanks: Sequence[str]
) -> list[int]:
    """Return the ids of texts with blanks between them; `[MASK]` inside a text is only text.

    Args:
        tokenizer: a transformers tokenizer.
        parts: the texts, one more than there are blanks; any may be empty.
        blanks: of `[MASK]`, `[sMASK]`, `[gMASK]`.

    Raises:
        ValueError: if the tokenizer lacks the special tokens.
    """
    blank_ids = dict(zip(BLANK_TOKENS, special_ids(tokenizer).blanks, strict=True))
    first, *others = encode_between_blanks(tokenizer, parts)
    for blank, piece in zip(blanks, others, strict=True):
        first += [blank_ids[blank], *piece]
    return first


def encode_between_blanks(
    tokenizer: "PreTrainedTokenizerFast", parts: Sequence[str]
) -> list[list[int]]:
    """Return the ids of each of the texts that blanks divide a text into; any may be empty."""
    befores = [*map(_without_last_space, parts[:-1]), parts[-1]]
    return [
        _encode_piece(tokenizer, piece, is_first=place == 0) for place, piece in enumerate(befores)
    ]


def decode_with_blanks(tokenizer: "PreTrainedTokenizerFast", ids: Sequence[int]) -> str:
    """Return the text of ids that may hold blanks, with a space shown before each blank.

    Special tokens other than blanks and the unknown token are left out. The mirror of
    `encode_with_blanks`: encoding the result gives the same ids, if they came from text.
    """
    special = special_ids(tokenizer)
    control = {i for i, token in tokenizer.added_tokens_decoder.items() if token.special}
    control -= {*special.blanks, special.unk}
    pieces: list[list[int]] = [[]]
    for token_id in ids:
        if token_id in special.blanks:
            pieces.append([])
        if token_id not in control:
            pieces[-1].append(int(token_id))
    # A piece is decoded after its blank, so that its leading space is not taken for the
    # beginning of a text and dropped.
    texts: list[str] = tokenizer.decode(pieces, clean_up_tokenization_spaces=False)
    shown = texts[0]
    for text in texts[1:]:
        needs_space = bool(shown) and not shown.endswith("\n")
        shown += " " + text if needs_space else text
    return shown


def _without_last_space(piece: str) -> str:
    return piece[:-1] if piece.endswith(" ") else piece


def _encode_piece(tokenizer: "PreTrainedTokenizerFast", piece: str, *, is_first: bool) -> list[int]:
    if not piece:
        return []
    ids = encode_texts(tokenizer, [piece])[0]
    if is_first or piece[0].isspace() or not ids or _starts_words_always(tokenizer):
        return ids
    if tokenizer.convert_ids_to_tokens(ids[0]).startswith(_WORD_START):
        return _encode_inside_word(tokenizer.backend_tokenizer, piece)
    return ids


def _starts_words_always(tokenizer: "PreTrainedTokenizerFast") -> bool:
    """Whether a text after a blank begins with a word start, as in the published GLMs' models."""
    scheme = getattr(tokenizer.backend_tokenizer.pre_tokenizer, "prepend_scheme", None)
    return bool(scheme == "always")


def _encode_inside_word(core: "Tokenizer", piece: str) -> list[int]:
    """Encode without the word start that SentencePiece-like tokenizers put before any text."""
    with panics_named():
        normalized = core.normalizer.normalize_str(piece) if core.normalizer else piece
        words = [word for word, _ in core.pre_tokenizer.pre_tokenize_str(normalized)]
        words[0] = words[0].removeprefix(_WORD_START)
        return [token.id for word in words if word for token in core.model.tokenize(word)]
