"""A tokenizer trained on files of text, by settings that can be kept beside it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from unblank.settings.marks import PathText
from unblank.settings.ranges import NotNegative, Positive, check_values
from unblank.tokenization.kinds import TokenizerKind

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from unblank.data.sources import TextFiles

__all__ = ["VocabularySettings", "train_vocabulary"]


@dataclass(frozen=True, kw_only=True, slots=True)
class VocabularySettings:
    """Text and kind of the tokenizer."""

    train: tuple[PathText, ...]
    """Files, folders or globs of text, of any format (docs/data.md)."""

    kind: TokenizerKind = "wordpiece"
    """wordpiece (as BERT), unigram (as SentencePiece) or bpe (byte-level, as GPT-2)."""

    vocab_size: Positive[int] = 30000
    """Number of tokens, special tokens included."""

    lowercase: bool = False
    """Lower-case all text (wordpiece: and drop accents)."""

    text_field: str = "text"
    """Field that holds the text, in files with fields."""

    text_unit: Literal["file", "paragraph", "line"] = "file"
    """What a document of a .txt file is: the file, a block between blank lines, or a line."""

    num_sentinels: NotNegative[int] = 0
    """Number of sentinel tokens [MASK1], [MASK2], ... to add."""

    extra_tokens: tuple[str, ...] = ()
    """Further special tokens of your own, such as "[USER]"."""

    def __post_init__(self) -> None:
        check_values(self)


def train_vocabulary(
    settings: VocabularySettings,
) -> "tuple[PreTrainedTokenizerFast, TextFiles]":
    """Return a new tokenizer, and the text that it was trained on, with its counts.

    Raises:
        FileNotFoundError: if a path matches no file.
        ValueError: if the text or a setting cannot be used.
    """
    from unblank.data.files import find_files
    from unblank.data.sources import TextFiles
    from unblank.tokenization.train import train_tokenizer

    texts = TextFiles(
        paths=find_files(settings.train),
        text_field=settings.text_field,
        text_unit=settings.text_unit,
    )
    tokenizer = train_tokenizer(
        texts,
        kind=settings.kind,
        vocab_size=settings.vocab_size,
        lowercase=settings.lowercase,
        num_sentinels=settings.num_sentinels,
        extra_tokens=settings.extra_tokens,
    )
    return tokenizer, texts
