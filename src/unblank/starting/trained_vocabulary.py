"""A tokenizer trained on files of text, by settings that can be kept beside it."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from unblank.settings.marks import PathText
from unblank.settings.ranges import NotNegative, Positive, Probability, VocabularySize, check_values
from unblank.tokenization.kinds import TextNormalization, TokenizerKind

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from unblank.data.language_sources import LanguageSource
    from unblank.data.sources import TextFiles

__all__ = ["VocabularySettings", "open_vocabulary_text", "train_vocabulary"]


@dataclass(frozen=True, kw_only=True, slots=True)
class VocabularySettings:
    """Text and kind of the tokenizer."""

    train: tuple[PathText, ...]
    """Files, folders or globs of text, of any format (docs/data.md); PATH:FIELD, PATH@LANGUAGE and
    {lang} in a path say more (docs/multilingual.md)."""

    kind: TokenizerKind = "wordpiece"
    """wordpiece (as BERT), unigram (as SentencePiece) or bpe (byte-level, as GPT-2)."""

    vocab_size: VocabularySize[Positive[int]] = 30000
    """Number of tokens, special tokens included."""

    lowercase: bool = False
    """Lower-case all text (wordpiece: and drop accents)."""

    normalization: TextNormalization = "nfc"
    """Form of Unicode that text is brought into: nfc (loses nothing), nfkc (also full-width letters
    and ligatures become usual ones, as in published SentencePiece models), none."""

    alpha: Probability[float | None] = None
    """Share of the text drawn from each language (or entry without one): p ~ characters**alpha
    instead of p ~ characters, so that small ones get tokens, too."""

    num_characters: NotNegative[int] = 0
    """Number of characters to draw; 0 = as many as there are. A sample is quicker."""

    text_field: str = "text"
    """Field that holds the text, in files with fields."""

    text_unit: Literal["file", "paragraph", "line"] = "file"
    """What a document of a .txt file is: the file, a block between blank lines, or a line."""

    num_sentinels: VocabularySize[NotNegative[int]] = 0
    """Number of sentinel tokens [MASK1], [MASK2], ... to add."""

    extra_tokens: tuple[str, ...] = ()
    """Further special tokens of your own, such as "[USER]"."""

    def __post_init__(self) -> None:
        check_values(self)


@contextmanager
def open_vocabulary_text(settings: VocabularySettings) -> "Iterator[list[LanguageSource]]":
    """Give the sources of the text, one for each language or entry, as long as the block lasts.

    Raises:
        FileNotFoundError: if a path matches no file.
        ValueError: if an entry cannot be understood, or a file cannot be divided by language.
    """
    from unblank.data.language_sources import open_language_sources

    with tempfile.TemporaryDirectory(prefix="unblank-") as folder:
        yield open_language_sources(
            settings.train, text_field=settings.text_field, cache_dir=Path(folder)
        )


def train_vocabulary(
    settings: VocabularySettings, sources: "Sequence[TextFiles]"
) -> "PreTrainedTokenizerFast":
    """Return a new tokenizer.

    Raises:
        ValueError: if the text or a setting cannot be used.
    """
    from unblank.data.drawn_texts import DrawnTexts
    from unblank.tokenization.train import train_tokenizer

    return train_tokenizer(
        DrawnTexts(sources, settings.alpha, settings.num_characters or None),
        kind=settings.kind,
        vocab_size=settings.vocab_size,
        lowercase=settings.lowercase,
        normalization=settings.normalization,
        num_sentinels=settings.num_sentinels,
        extra_tokens=settings.extra_tokens,
    )
