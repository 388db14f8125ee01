"""What `unblank show` needs of a tokenizer: from a folder, or made of the words of the text."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unblank.tokenization.encoding import encode_between_blanks, encode_texts
from unblank.tokenization.sentences import SENTENCE_END, sentence_end_flags
from unblank.tokenization.special import (
    SPECIAL_TOKENS,
    SpecialIds,
    add_sentinels,
    encoder_decoder_ids,
    sentinel_token,
    special_ids,
)
from unblank.untrusted.opening import tokenizer_in

__all__ = ["ShownVocabulary", "folder_vocabulary", "word_vocabulary"]

_PUBLISHED_SENTINELS = 100
_WORD = re.compile(r"\w+|[^\w\s]")


@dataclass(frozen=True, slots=True)
class ShownVocabulary:
    """What showing a text needs of a tokenizer.

    Attributes:
        encode: texts -> token ids of each, without special tokens.
        encode_between_blanks: the same for the parts of one text between its blanks.
        tokens: the string of every id.
        special: ids of the special tokens.
        sentence_end: uint8[V], from `sentence_end_flags`.
    """

    encode: Callable[[Sequence[str]], list[list[int]]]
    encode_between_blanks: Callable[[Sequence[str]], list[list[int]]]
    tokens: Sequence[str]
    special: SpecialIds
    sentence_end: NDArray[np.uint8]


def word_vocabulary(
    texts: Sequence[str], num_sentinels: int = 0, *, is_seq2seq: bool = False
) -> ShownVocabulary:
    """Return a vocabulary whose tokens are the words and punctuation marks of `texts`.

    Args:
        texts: the texts that will be encoded.
        num_sentinels: `[MASK1]`, `[MASK2]`, ... to have.
        is_seq2seq: an encoder-decoder's end of a text, see `encoder_decoder_ids`.
    """
    strings = dict.fromkeys(
        [*SPECIAL_TOKENS.values(), *(sentinel_token(i + 1) for i in range(num_sentinels))]
    )
    num_special = len(strings)
    words = dict.fromkeys(word for text in texts for word in _WORD.findall(text))
    tokens = [*strings, *words]
    word_ids = {word: num_special + place for place, word in enumerate(words)}
    ids: dict[str, Any] = {role: tokens.index(string) for role, string in SPECIAL_TOKENS.items()}
    sentinels = tuple(range(num_special - num_sentinels, num_special))

    def encode(texts: Sequence[str]) -> list[list[int]]:
        return [list(map(word_ids.__getitem__, _WORD.findall(text))) for text in texts]

    special = SpecialIds(**ids, sentinels=sentinels)
    return ShownVocabulary(
        encode=encode,
        encode_between_blanks=encode,
        tokens=tokens,
        special=replace(special, eos=special.eop) if is_seq2seq else special,
        sentence_end=np.array([bool(SENTENCE_END.search(token)) for token in tokens], np.uint8),
    )


def folder_vocabulary(folder: Path, *, is_seq2seq: bool) -> ShownVocabulary:
    """Return the vocabulary of the tokenizer in a tokenizer's or model's folder.

    Args:
        folder: holds `tokenizer.json`.
        is_seq2seq: for an encoder-decoder; missing sentinels are added as pretraining adds them.

    Raises:
        FileNotFoundError: if there is no tokenizer in it.
        ValueError: if the tokenizer lacks special tokens of blank infilling.
    """
    tokenizer = tokenizer_in(folder)
    if is_seq2seq:
        add_sentinels(tokenizer, _PUBLISHED_SENTINELS)
    sentence_end = sentence_end_flags(tokenizer)
    return ShownVocabulary(
        encode=partial(encode_texts, tokenizer),
        encode_between_blanks=partial(encode_between_blanks, tokenizer),
        tokens=tokenizer.convert_ids_to_tokens(list(range(len(sentence_end)))),
        special=encoder_decoder_ids(tokenizer) if is_seq2seq else special_ids(tokenizer),
        sentence_end=sentence_end,
    )
