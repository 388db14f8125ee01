"""`ShowConfig`: the options of `unblank show`, with the standard library alone."""

from dataclasses import dataclass, field
from pathlib import Path

from unblank.objectives.settings import ObjectiveSettings

__all__ = ["ShowConfig"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ShowConfig:
    """Print what the model really sees of a text: both parts, positions and what is predicted."""

    text: str
    """The text, or a file in a format that training reads (its first 256 documents)."""
    tokenizer: Path | None = None
    """Folder of the tokenizer; without one, words and punctuation marks stand for tokens."""
    model: Path | None = None
    """Folder of a model, whose tokenizer is used."""
    text_field: str = "text"
    """Field that holds the text, in jsonl and parquet files."""
    objective: ObjectiveSettings = field(default_factory=ObjectiveSettings)
    """What is masked, as in training."""
    max_length: int = 128
    """Positions of the sample, Part A and Part B together."""
    seed: int = 0
    """Seed of the data, as in training."""
    sample_number: int = 0
    """Which sample of the stream to show."""
    mask: Path | None = None
    """Draw who sees whom, and save the picture here (.png, .svg or .pdf)."""

    def __post_init__(self) -> None:
        if self.tokenizer is not None and self.model is not None:
            raise ValueError("give a tokenizer or a model, not both: a model has its tokenizer")
        if self.sample_number < 0:
            raise ValueError(f"sample_number counts from 0, got {self.sample_number}")
