"""Settings of `unblank tokenize`. Standard library alone, so that `--help` is quick."""

from dataclasses import dataclass
from typing import Literal

__all__ = ["TokenizeSettings", "TokenizerKind"]

TokenizerKind = Literal["wordpiece", "unigram", "bpe"]


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenizeSettings:
    """Train a tokenizer on text and save it as a folder that `AutoTokenizer` opens."""

    train: tuple[str, ...] = ()
    """Files, folders or glob patterns with the text (.txt, .jsonl, .parquet; .gz, .zst); needed."""

    output: str | None = None
    """Folder to write tokenizer.json and tokenizer_config.json to; needed."""

    kind: TokenizerKind = "wordpiece"
    """wordpiece (as BERT), unigram (as SentencePiece) or bpe (byte-level, as GPT-2)."""

    vocab_size: int = 30000
    """Number of tokens, special ones included."""

    lowercase: bool = False
    """Turn all text to lower case (wordpiece: and drop accents)."""

    text_field: str = "text"
    """Key or column of the text in .jsonl and .parquet."""

    text_unit: Literal["file", "paragraph", "line"] = "file"
    """What one document of a .txt file is: the file, a block between blank lines, or a line."""

    num_sentinels: int = 0
    """Number of sentinel tokens [MASK1], [MASK2], ... to add."""

    extra_tokens: tuple[str, ...] = ()
    """Further special tokens of your own, for example "[USER]"."""

    overwrite: bool = False
    """Replace a tokenizer that the output folder already holds."""
