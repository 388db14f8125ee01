"""What a tokenizer preserves of text: case, accents, and how many words come back as they were.

The tokenizer is asked, whoever trained it: its normalizer is tried on letters, and words are
encoded and decoded.
"""

import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import regex

from unblank.tokenization.encoding import encode_texts

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

__all__ = ["count_words", "describe_tokenizer", "is_lowercased"]

# Joiners are part of the spelling in Persian and in the scripts of India.
_WORD = regex.compile(r"[\p{L}\p{M}\p{N}\u200c\u200d]+")
_KINDS = {"WordPiece": "wordpiece", "Unigram": "unigram", "BPE": "bpe"}


@dataclass(frozen=True, slots=True)
class WordCounts:
    """How the words of a text fare: runs of letters, marks and digits.

    In a text without any they are what stands between spaces.

    Attributes:
        total: words of the text.
        kept: of them, those that are the same after encoding and decoding, in the form NFC and
            white space aside.
        unknown: of them, those that hold an unknown token.
    """

    total: int
    kept: int
    unknown: int

    def __str__(self) -> str:
        if self.total == 0:
            return "no words"
        return f"{self.kept / self.total:.1%} of words survive a round trip"


def count_words(
    tokenizer: "PreTrainedTokenizerFast", texts: Iterable[str], num_characters: int = 1_000_000
) -> WordCounts:
    """Return how the words at the beginning of the texts fare."""
    counts: Counter[str] = Counter()
    for text in texts:
        shown = unicodedata.normalize("NFC", text[:num_characters])
        counts.update(_WORD.findall(shown) or shown.split())
        num_characters -= len(text)
        if num_characters <= 0:
            break
    words = list(counts)
    unk = tokenizer.unk_token_id
    kept = unknown = 0
    for word, ids in zip(words, encode_texts(tokenizer, words, warn_on_unknown=False), strict=True):
        if unk in ids:
            unknown += counts[word]
        elif _without_spaces(tokenizer.decode(ids)) == word:
            kept += counts[word]
    return WordCounts(total=counts.total(), kept=kept, unknown=unknown)


def is_lowercased(tokenizer: "PreTrainedTokenizerFast") -> bool:
    """Return whether the tokenizer turns text to lower case."""
    return _normalized(tokenizer, "A") == "a"


def describe_tokenizer(tokenizer: "PreTrainedTokenizerFast") -> str:
    """Return kind, size, case and accents, such as "bpe of 8,192 tokens, cased, accents kept"."""
    name = type(tokenizer.backend_tokenizer.model).__name__
    case = "lower-cased" if is_lowercased(tokenizer) else "cased"
    has_accents = _normalized(tokenizer, "\u00e9") == "\u00e9"
    accents = "accents kept" if has_accents else "accents dropped"
    return f"{_KINDS.get(name, name)} of {len(tokenizer):,} tokens, {case}, {accents}"


def _normalized(tokenizer: "PreTrainedTokenizerFast", text: str) -> str:
    normalizer = tokenizer.backend_tokenizer.normalizer
    return text if normalizer is None else _without_spaces(normalizer.normalize_str(text))


def _without_spaces(text: str) -> str:
    # Some normalizers write a space as this sign.
    return "".join(unicodedata.normalize("NFC", text.replace("\u2581", " ")).split())
