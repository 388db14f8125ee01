"""The kinds of tokenizer that can be trained. Standard library alone: settings name them."""

from typing import Literal

__all__ = ["TextNormalization", "TokenizerKind"]

TokenizerKind = Literal["wordpiece", "unigram", "bpe"]
"""WordPiece as BERT has it, Unigram as SentencePiece, byte-level BPE as GPT-2."""

TextNormalization = Literal["nfc", "nfkc", "none"]
"""Form of Unicode that text is brought into before it is cut."""
