"""Settings of `unblank trim`. Standard library alone, so that `--help` is quick."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

__all__ = ["TrimSettings"]


@dataclass(frozen=True, kw_only=True, slots=True)
class TrimSettings:
    """Drop the tokens that your text does not need, and their rows of the embedding table.

    The table is most of a small multilingual model. Texts whose tokens are all kept are cut into
    tokens as before and get the same logits, which is checked before anything is written; other
    texts are spelt with more and smaller tokens.

    unblank trim multiglm small --corpus news/*.txt --coverage 0.9999
    """

    model: Path
    """Folder of a model with its tokenizer (glm, electra, deltalm or ganlm)."""

    output: Path
    """New folder for the smaller one."""

    corpus: tuple[str, ...] = ()
    """Files, folders or glob patterns with your text (.txt, .jsonl, .parquet; .gz, .zst); needed.
    Give what the model will read: all its languages, and the texts of your tasks."""

    keep: int | None = None
    """Number of tokens to keep, special tokens and single characters included."""

    coverage: float | None = None
    """Or: keep the most frequent tokens that make up this share of the corpus, e.g. 0.9999."""

    text_field: str = "text"
    """Key or column of the text in .jsonl and .parquet."""

    text_unit: Literal["file", "paragraph", "line"] = "file"
    """What one document of a .txt file is: the file, a block between blank lines, or a line."""

    json: bool = False
    """Print the numbers as JSON in place of the table."""

    def __post_init__(self) -> None:
        if not self.corpus:
            raise ValueError("no text to count tokens in: give --corpus FILE_OR_FOLDER [...]")
        if (self.keep is None) == (self.coverage is None):
            raise ValueError(
                "give one of --keep N (how many tokens) and --coverage SHARE (for example 0.9999)"
            )
        if self.coverage is not None and not 0 < self.coverage <= 1:
            raise ValueError(f"coverage is a share of the corpus in (0, 1], not {self.coverage}")
