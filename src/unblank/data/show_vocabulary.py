"""What `unblank show` needs of a tokenizer: from a folder, or made of the words of the text."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unblank.tokenization.encoding import encode_texts
from unblank.tokenization.special import SPECIAL_TOKENS, SpecialIds, sentinel_token, special_ids
from unblank.tokenization.vocabulary import SENTENCE_ENDS, sentence_end_flags

__all__ = ["Vocabulary", "folder_vocabulary", "word_vocabulary"]

_WORD = re.compile(r"\w+|[^\w\s]")


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What showing a text needs of a tokenizer.

    Attributes:
        encode: texts -> token ids of each, without special tokens.
        tokens: the string of every id.
        special: ids of the special tokens.
        sentence_end: bool[V], True for a token that ends a sentence.
    """

    encode: Callable[[Sequence[str]], list[list[int]]]
    tokens: Sequence[str]
    special: SpecialIds
    sentence_end: NDArray[np.bool_]


def word_vocabulary(texts: Sequence[str], num_sentinels: int = 0) -> Vocabulary:
    """Return a vocabulary whose tokens are the words and punctuation marks of `texts`."""
    strings = dict.fromkeys(
        [*SPECIAL_TOKENS.values(), *(sentinel_token(i + 1) for i in range(num_sentinels))]
    )
    num_special = len(strings)
    words = dict.fromkeys(word for text in texts for word in _WORD.findall(text))
    tokens = [*strings, *words]
    word_ids = {word: num_special + place for place, word in enumerate(words)}
    ids = {role: tokens.index(string) for role, string in SPECIAL_TOKENS.items()}
    sentinels = tuple(range(num_special - num_sentinels, num_special))

    def encode(texts: Sequence[str]) -> list[list[int]]:
        return [list(map(word_ids.__getitem__, _WORD.findall(text))) for text in texts]

    return Vocabulary(
        encode=encode,
        tokens=tokens,
        special=SpecialIds(**ids, sentinels=sentinels),
        sentence_end=np.array([token in SENTENCE_ENDS for token in tokens]),
    )


def folder_vocabulary(folder: Path) -> Vocabulary:
    """Return the vocabulary of the tokenizer in a tokenizer's or model's folder.

    Raises:
        FileNotFoundError: if there is no tokenizer in it.
        ValueError: if the tokenizer lacks special tokens of blank infilling.
    """
    from transformers import PreTrainedTokenizerFast

    if not (folder / "tokenizer.json").is_file():
        raise FileNotFoundError(f"no tokenizer.json in {folder}; `unblank tokenize` makes one")
    # AutoTokenizer reads config.json too and warns of a kind of model that it does not know here.
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    sentence_end = sentence_end_flags(tokenizer)
    return Vocabulary(
        encode=partial(encode_texts, tokenizer),
        tokens=tokenizer.convert_ids_to_tokens(list(range(len(sentence_end)))),
        special=special_ids(tokenizer),
        sentence_end=sentence_end,
    )
